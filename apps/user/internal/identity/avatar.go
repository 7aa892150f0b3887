package identity

import (
	"bytes"
	"context"
	"encoding/hex"
	"image"
	"image/color"
	_ "image/gif" // readers of the formats that are accepted
	"image/jpeg"
	"image/png"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Avatar is a person's picture.
type Avatar struct {
	UserID    uuid.UUID
	TenantID  uuid.UUID
	MediaType string
	Hash      string
	Content   []byte
	UpdatedAt time.Time
}

const (
	// MaxAvatarUpload is the size of an uploaded picture, in bytes.
	MaxAvatarUpload = 1 << 20
	// maxAvatarPixels bounds what is decoded: a small file can claim a huge
	// picture.
	maxAvatarPixels = 12_000_000
	avatarSide      = 512
)

// makeAvatar reads a PNG, JPEG or GIF, whatever its name or declared type says,
// and makes a picture of at most 512 pixels to the side of it. It is written
// anew, so that nothing of the file's other content (place, camera, scripts)
// stays.
func makeAvatar(content []byte) (mediaType string, out []byte, err error) {
	if len(content) > MaxAvatarUpload {
		return "", nil, apperr.New(apperr.KindTooLarge, "avatar_too_large", "At most 1 MiB.")
	}
	unreadable := apperr.New(apperr.KindUnsupportedMedia, "avatar_unreadable", "Must be a PNG, JPEG or GIF picture.")
	cfg, format, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return "", nil, unreadable.With(err)
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width*cfg.Height > maxAvatarPixels || cfg.Width > 20_000 || cfg.Height > 20_000 {
		return "", nil, apperr.New(apperr.KindTooLarge, "avatar_too_many_pixels", "At most 12 million pixels.")
	}
	img, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return "", nil, unreadable.With(err)
	}
	img = shrink(img, avatarSide)
	var b bytes.Buffer
	if format == "jpeg" {
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 88})
		return "image/jpeg", b.Bytes(), err
	}
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img)
	if err == nil && b.Len() > MaxAvatarUpload {
		b.Reset()
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 88})
		return "image/jpeg", b.Bytes(), err
	}
	return "image/png", b.Bytes(), err
}

// shrink makes a picture whose longer side is at most side, each pixel the mean
// of those that it stands for.
func shrink(src image.Image, side int) image.Image {
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	tw, th := w, h
	if longer := max(w, h); longer > side {
		tw, th = max(1, w*side/longer), max(1, h*side/longer)
	}
	dst := image.NewNRGBA(image.Rect(0, 0, tw, th))
	for y := range th {
		for x := range tw {
			area := image.Rect(b.Min.X+x*w/tw, b.Min.Y+y*h/th, b.Min.X+max((x+1)*w/tw, x*w/tw+1), b.Min.Y+max((y+1)*h/th, y*h/th+1))
			dst.Set(x, y, mean(src, area))
		}
	}
	return dst
}

// mean is the mean colour of an area, weighted by opacity.
func mean(src image.Image, area image.Rectangle) color.Color {
	var r, g, b, a, n uint64
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			pr, pg, pb, pa := src.At(x, y).RGBA()
			r, g, b, a, n = r+uint64(pr), g+uint64(pg), b+uint64(pb), a+uint64(pa), n+1
		}
	}
	if n == 0 {
		return color.RGBA64{}
	}
	return color.RGBA64{R: uint16(r / n), G: uint16(g / n), B: uint16(b / n), A: uint16(a / n)}
}

// SetAvatar replaces the actor's picture.
func (s *Service) SetAvatar(ctx context.Context, actor authz.Principal, content []byte) (u User, err error) {
	mediaType, out, err := makeAvatar(content)
	if err != nil {
		return u, err
	}
	hash := hex.EncodeToString(secretHash(string(out))[:16])
	return s.changeAvatar(ctx, actor, func(ctx context.Context, tx Tx, u *User) error {
		u.AvatarHash = hash
		return tx.PutAvatar(ctx, Avatar{UserID: u.ID, TenantID: u.TenantID, MediaType: mediaType, Hash: hash, Content: out, UpdatedAt: s.Now()})
	})
}

// RemoveAvatar deletes the actor's picture.
func (s *Service) RemoveAvatar(ctx context.Context, actor authz.Principal) error {
	_, err := s.changeAvatar(ctx, actor, func(ctx context.Context, tx Tx, u *User) error {
		u.AvatarHash = ""
		return tx.DeleteAvatar(ctx, u.ID)
	})
	return err
}

func (s *Service) changeAvatar(ctx context.Context, actor authz.Principal, fn func(context.Context, Tx, *User) error) (u User, err error) {
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		before, err := tx.LockUser(ctx, actor.UserID)
		if err != nil {
			return err
		}
		u = before
		if err := fn(ctx, tx, &u); err != nil {
			return err
		}
		return s.saveUser(ctx, tx, before, &u, "user.change_avatar")
	})
	return u, err
}

// GetAvatar reads a picture. Everybody signed in to the same organisation may
// see it, as they see the person's name wherever people meet.
func (s *Service) GetAvatar(ctx context.Context, actor authz.Principal, id uuid.UUID) (a Avatar, err error) {
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		u, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		if u.Status.Gone() || !actor.HasPlatformGrant() && u.TenantID != actor.TenantID {
			return apperr.NotFound("avatar")
		}
		a, err = tx.Avatar(ctx, id)
		return err
	})
	return a, err
}
