package library

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Link is a request that a client may make, exactly so, until ExpiresAt.
type Link struct {
	Method    string
	URL       string
	Headers   map[string]string
	ExpiresAt time.Time
}

// Piece is one piece of an upload.
type Piece struct {
	Number int
	Size   int64
	// Arrived says that the store has it. Link is where to send it, for the first of
	// those that are missing.
	Arrived bool
	Link    *Link
}

// UploadView is an upload with what the client needs to go on with it.
type UploadView struct {
	Upload
	// Link is where a file in one piece goes; nil when the upload is over.
	Link *Link
	// Pieces of an upload in pieces that is open.
	Pieces []Piece
	// Job verifies a large file.
	Job *work.Job
}

// StartUpload announces a file. Who asks again with the same idempotency key gets
// the same upload with addresses that are good.
func (s *Service) StartUpload(ctx context.Context, actor authz.Principal, contentID uuid.UUID, in Upload) (UploadView, error) {
	_, c, err := s.allowed(ctx, actor, contentID, authz.ContentEdit)
	if err != nil {
		return UploadView{}, err
	}
	in.SHA256 = strings.ToLower(in.SHA256)
	if err := in.check(c.Kind); err != nil {
		return UploadView{}, err
	}
	u, err := inTx(ctx, s, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) (Upload, error) {
		open, err := tx.OpenUploads(ctx, actor.UserID)
		if err != nil {
			return Upload{}, err
		}
		if open >= MaxOpenUploads {
			return Upload{}, apperr.Conflict("too_many_uploads", "You have too many uploads that are not complete. Complete or abort some.")
		}
		if in.Rendition != "" && c.Current == 0 {
			return Upload{}, apperr.Conflict("no_version", "Upload the file itself first.")
		}
		now := s.Now()
		u := in
		u.ID, u.TenantID, u.ContentID, u.OwnerID, u.State = s.NewID(), c.TenantID, c.ID, actor.UserID, UploadOpen
		u.CreatedAt, u.ExpiresAt = now, now.Add(UploadLife)
		u.InboxKey, u.Key = objectKey(c, "u-"+u.ID.String()), objectKey(c, "f-"+u.ID.String())
		if u.Size > PieceThreshold {
			u.PartSize = PieceSize
		}
		if err := tx.InsertUpload(ctx, u); err != nil {
			return Upload{}, err
		}
		return u, tx.Audit(ctx, u.audit("content.upload", c, map[string]work.Change{"content_id": {To: c.ID}, "size": {To: u.Size}, "media_type": {To: u.MediaType}}))
	})
	if err != nil {
		return UploadView{}, err
	}
	return s.uploadView(ctx, u)
}

// objectKey is <tenant>/contents/<content>/<name>.
func objectKey(c Content, name string) string {
	return c.TenantID.String() + "/" + ObjectKind + "/" + c.ID.String() + "/" + name
}

// ObjectKind is the part of a key that says whose objects they are.
const ObjectKind = "contents"

// Upload is an upload with addresses for what is missing.
func (s *Service) Upload(ctx context.Context, actor authz.Principal, contentID, id uuid.UUID) (UploadView, error) {
	_, u, err := s.findUpload(ctx, actor, contentID, id)
	if err != nil {
		return UploadView{}, err
	}
	return s.uploadView(ctx, u)
}

func (s *Service) findUpload(ctx context.Context, actor authz.Principal, contentID, id uuid.UUID) (Content, Upload, error) {
	_, c, err := s.allowed(ctx, actor, contentID, authz.ContentEdit)
	if err != nil {
		return Content{}, Upload{}, err
	}
	var u Upload
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) (err error) {
		u, err = tx.Upload(ctx, id)
		return err
	})
	if err == nil && u.ContentID != contentID {
		err = apperr.NotFound("upload")
	}
	return c, u, err
}

func (s *Service) uploadView(ctx context.Context, u Upload) (UploadView, error) {
	v := UploadView{Upload: u}
	if u.State != UploadOpen || !s.Now().Before(u.ExpiresAt) {
		return v, nil
	}
	life := min(AddressLife, u.ExpiresAt.Sub(s.Now()))
	if u.Pieces() == 0 {
		link, err := s.Files.PresignPut(ctx, u.InboxKey, u.Size, u.MediaType, u.SHA256, life)
		v.Link = &link
		return v, err
	}
	u, err := s.begun(ctx, u)
	if err != nil {
		return v, err
	}
	v.Upload = u
	there, err := s.arrived(ctx, u)
	if err != nil {
		return v, err
	}
	signed := 0
	for n := 1; n <= u.Pieces(); n++ {
		p := Piece{Number: n, Size: u.PieceBytes(n), Arrived: there[n]}
		if !p.Arrived && signed < MaxAddresses {
			link, err := s.Files.PresignPart(ctx, u.Key, u.Token, n, p.Size, life)
			if err != nil {
				return v, err
			}
			p.Link, signed = &link, signed+1
		}
		v.Pieces = append(v.Pieces, p)
	}
	return v, nil
}

// begun makes sure that the store knows the upload in pieces. Of two that do it at
// once one wins, and the other's is given up.
func (s *Service) begun(ctx context.Context, u Upload) (Upload, error) {
	if u.Token != "" {
		return u, nil
	}
	token, err := s.Files.StartParts(ctx, u.Key, u.MediaType)
	if err != nil || token == "" {
		return u, err
	}
	err = s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) error {
		u.Token, err = tx.SetUploadToken(ctx, u.ID, token)
		return err
	})
	if err == nil && u.Token != token {
		err = s.Files.AbortParts(ctx, u.Key, token)
	}
	return u, err
}

// arrived are the pieces of the right size that the store has.
func (s *Service) arrived(ctx context.Context, u Upload) (map[int]bool, error) {
	parts, err := s.Files.ListParts(ctx, u.Key, u.Token)
	if err != nil {
		return nil, err
	}
	there := make(map[int]bool, len(parts))
	for number, size := range parts {
		there[number] = number <= u.Pieces() && size == u.PieceBytes(number)
	}
	return there, nil
}

// AbortUpload gives an upload up. One that is over stays as it is.
func (s *Service) AbortUpload(ctx context.Context, actor authz.Principal, contentID, id uuid.UUID) error {
	c, u, err := s.findUpload(ctx, actor, contentID, id)
	if err != nil {
		return err
	}
	err = s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		if u, err = tx.LockUpload(ctx, id); err != nil {
			return err
		}
		switch {
		case u.State == UploadCompleted:
			return apperr.Conflict("upload_completed", "The upload is complete: it is a version of the content.")
		case u.State == UploadVerifying && s.Now().Before(*u.LeasedUntil):
			return inProgress()
		case u.FinishedAt != nil:
			return nil
		}
		if err := s.end(ctx, tx, &u, UploadAborted); err != nil {
			return err
		}
		return tx.Audit(ctx, u.audit("content.upload_abort", c, nil))
	})
	if err != nil {
		return err
	}
	s.clear(ctx, u)
	return nil
}

// end finishes an upload that did not become anything: its objects are to go.
func (s *Service) end(ctx context.Context, tx Tx, u *Upload, state string) error {
	now := s.Now()
	u.State, u.FinishedAt, u.LeasedUntil = state, &now, nil
	if err := tx.UpdateUpload(ctx, *u); err != nil {
		return err
	}
	if err := s.tellTransfer(ctx, tx, *u); err != nil {
		return err
	}
	return tx.Discard(ctx, s.discards(*u, true)...)
}

// discards are the objects that an upload may leave behind: what the client can
// still send, and (all) also what it would have become.
func (s *Service) discards(u Upload, all bool) []Discarded {
	now := s.Now()
	until := now.Add(AddressLife + 5*time.Minute)
	out := []Discarded{{Key: u.InboxKey, TenantID: u.TenantID, DueAt: now, Until: until}}
	if u.Pieces() > 0 {
		out = append(out, Discarded{Key: u.Key + piecesOf, TenantID: u.TenantID, Token: u.Token, DueAt: now, Until: until})
	}
	if all {
		out = append(out, Discarded{Key: u.Key, TenantID: u.TenantID, DueAt: now, Until: until})
	}
	return out
}

// piecesOf marks the key of a discarded upload in pieces; no object has such a key.
const piecesOf = "#pieces"

// clear removes objects at once. What cannot be removed now is on the list of the
// sweep.
func (s *Service) clear(ctx context.Context, u Upload) {
	for _, d := range s.discards(u, u.State != UploadCompleted) {
		_ = s.remove(ctx, d) // the sweep does it again
	}
}

func (s *Service) remove(ctx context.Context, d Discarded) error {
	if key, pieces := strings.CutSuffix(d.Key, piecesOf); pieces {
		return s.Files.AbortParts(ctx, key, d.Token)
	}
	return s.Files.Delete(ctx, d.Key)
}

func inProgress() error {
	return apperr.Conflict("upload_in_progress", "The upload is being verified.").After(2 * time.Second)
}
