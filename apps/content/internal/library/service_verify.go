package library

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// JobVerify is the job that verifies a large upload.
const JobVerify = "verify-upload"

// VerifyInput is the job's input.
type VerifyInput struct {
	TenantID uuid.UUID `json:"tenant_id"`
	UploadID uuid.UUID `json:"upload_id"`
}

// How long who verifies an upload holds it: longer than reading 5 GiB takes.
const (
	verifyLease = 2 * time.Minute
	jobLease    = time.Hour
)

// Complete makes an uploaded file the next version of its content, if the stored
// bytes are what was announced. It may be repeated: the answer stays the same. A
// file above PieceThreshold is verified by a job.
func (s *Service) Complete(ctx context.Context, actor authz.Principal, contentID, id uuid.UUID) (UploadView, error) {
	c, u, err := s.findUpload(ctx, actor, contentID, id)
	if err != nil {
		return UploadView{}, err
	}
	if done, err := settled(u); done {
		return UploadView{Upload: u}, err
	}
	if err := s.complete(ctx, u); err != nil {
		return UploadView{}, err
	}
	if u.Pieces() > 0 {
		return s.enqueueVerify(ctx, c, u)
	}
	u, err = s.verify(ctx, u, verifyLease, false)
	return UploadView{Upload: u}, err
}

// settled says whether an upload is over, and how.
func settled(u Upload) (bool, error) {
	switch u.State {
	case UploadCompleted:
		return true, nil
	case UploadRejected:
		return true, u.rejection()
	case UploadAborted, UploadExpired:
		return true, apperr.Conflict("upload_ended", "The upload was given up. Start a new one.")
	}
	return false, nil
}

// complete is an error while something of the file is missing.
func (s *Service) complete(ctx context.Context, u Upload) error {
	arrived, err := s.Files.Has(ctx, u.Key)
	if err != nil || arrived {
		return err
	}
	if u.Pieces() == 0 {
		arrived, err := s.Files.Has(ctx, u.InboxKey)
		if err == nil && !arrived {
			err = incomplete(nil)
		}
		return err
	}
	u, err = s.begun(ctx, u)
	if err != nil {
		return err
	}
	there, err := s.arrived(ctx, u)
	if err != nil {
		return err
	}
	missing := []int{}
	for n := 1; n <= u.Pieces(); n++ {
		if !there[n] {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		return incomplete(missing)
	}
	return nil
}

func incomplete(missing []int) error {
	e := apperr.Conflict("upload_incomplete", "The file has not arrived as a whole. Send what is missing, then complete the upload.")
	if len(missing) > 0 {
		e = e.Detail("missing_parts", missing[:min(len(missing), MaxAddresses)])
	}
	return e
}

func (s *Service) enqueueVerify(ctx context.Context, c Content, u Upload) (UploadView, error) {
	v := UploadView{Upload: u}
	err := s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		j, err := tx.Enqueue(ctx, JobVerify, VerifyInput{TenantID: u.TenantID, UploadID: u.ID}, work.JobOptions{TenantID: u.TenantID, Key: u.ID.String()})
		v.Job = &j
		return err
	})
	return v, err
}

// RunVerify is the job's work. A rejected file is a job that failed with its code.
func (s *Service) RunVerify(ctx context.Context, in VerifyInput) (Upload, error) {
	var u Upload
	err := s.Store.Read(ctx, work.Tenant(in.TenantID), func(ctx context.Context, tx Tx) (err error) {
		u, err = tx.Upload(ctx, in.UploadID)
		return err
	})
	if err != nil {
		return u, err
	}
	if done, err := settled(u); done {
		return u, err
	}
	// Only one runs the job; a lease that is in the way is of its predecessor.
	return s.verify(ctx, u, jobLease, true)
}

// verify takes the file out of the client's reach, reads it once, and lets it
// become what it was uploaded for. One at a time does it.
func (s *Service) verify(ctx context.Context, u Upload, lease time.Duration, takeOver bool) (Upload, error) {
	u, mine, err := s.lease(ctx, u, lease, takeOver)
	if err != nil || !mine {
		return u, err
	}
	found, err := s.examine(ctx, u)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return s.reject(ctx, u, *refused)
	case err != nil:
		return u, errors.Join(err, s.release(context.WithoutCancel(ctx), u))
	}
	out, err := s.become(ctx, u, found)
	if err != nil {
		return u, errors.Join(err, s.release(context.WithoutCancel(ctx), u))
	}
	s.clear(ctx, out)
	return out, nil
}

// lease is false for who need not verify, since it is done.
func (s *Service) lease(ctx context.Context, u Upload, d time.Duration, takeOver bool) (Upload, bool, error) {
	mine := false
	err := s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) (err error) {
		if u, err = tx.LockUpload(ctx, u.ID); err != nil {
			return err
		}
		if done, err := settled(u); done {
			return err
		}
		if u.State == UploadVerifying && s.Now().Before(*u.LeasedUntil) && !takeOver {
			return inProgress()
		}
		until := s.Now().Add(d)
		u.State, u.LeasedUntil, mine = UploadVerifying, &until, true
		return tx.UpdateUpload(ctx, u)
	})
	return u, mine, err
}

// release lets somebody else try again.
func (s *Service) release(ctx context.Context, u Upload) error {
	return s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) error {
		now, err := tx.LockUpload(ctx, u.ID)
		if err != nil || now.State != UploadVerifying {
			return err
		}
		now.State, now.LeasedUntil = UploadOpen, nil
		return tx.UpdateUpload(ctx, now)
	})
}

// refusal says why a file is not taken.
type refusal struct{ code, found string }

func (r refusal) Error() string { return "upload refused: " + r.code }

// Found is what a file turned out to be.
type Found struct {
	// MediaType is the one that the bytes show, never what the client claimed.
	MediaType string
	Facts
	// Text is what a search should find of it.
	Text string
}

// examine moves the file to where it stays and reads it.
func (s *Service) examine(ctx context.Context, u Upload) (Found, error) {
	var err error
	if u.Pieces() > 0 {
		err = s.Files.JoinParts(ctx, u.Key, u.Token, u.Pieces(), u.MediaType)
	} else if err = s.Files.Move(ctx, u.InboxKey, u.Key); apperr.IsKind(err, apperr.KindNotFound) {
		err = incomplete(nil)
	}
	if err != nil {
		return Found{}, err
	}
	shown, err := s.Files.Verify(ctx, u.Key, u.Size, u.SHA256)
	if err != nil {
		if e := apperr.From(err); e.Kind == apperr.KindInvalid && len(e.Fields) > 0 {
			return Found{}, &refusal{code: e.Fields[0].Code}
		}
		return Found{}, err
	}
	if zipped(u.MediaType) || shown == "application/zip" {
		inside, err := s.Files.Archive(ctx, u.Key)
		if errors.Is(err, ErrUnsafeArchive) {
			if !zipped(shown) {
				return Found{}, &refusal{code: RejectedType, found: shown}
			}
			return Found{}, &refusal{code: RejectedArchive, found: shown}
		}
		if err != nil {
			return Found{}, err
		}
		if shown = inside; u.MediaType == "application/zip" {
			shown = u.MediaType // whatever is in it
		}
	}
	if !fits(u.MediaType, shown) {
		return Found{}, &refusal{code: RejectedType, found: shown}
	}
	return s.Files.Look(ctx, u.Key, u.MediaType)
}

// ErrUnsafeArchive is what Files says of an archive that must not be handed out.
var ErrUnsafeArchive = errors.New("library: the archive is not safe")

// reject remembers why, tells it, and leaves nothing behind.
func (s *Service) reject(ctx context.Context, u Upload, why refusal) (Upload, error) {
	err := s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) (err error) {
		if u, err = tx.LockUpload(ctx, u.ID); err != nil {
			return err
		}
		if done, err := settled(u); done {
			return err
		}
		c, err := tx.AnyContent(ctx, u.ContentID)
		if err != nil {
			return err
		}
		u.Code, u.Found = why.code, why.found
		if err := s.end(ctx, tx, &u, UploadRejected); err != nil {
			return err
		}
		e := events.UploadRejected{
			UploadID: u.ID, ContentID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, UserID: u.OwnerID,
			Code: u.Code, Announced: u.MediaType, Found: u.Found, Size: u.Size, At: s.Now(),
		}
		if err := tx.Emit(ctx, e, c.meta()); err != nil {
			return err
		}
		return tx.Audit(ctx, u.audit("content.upload_reject", c, map[string]work.Change{"code": {To: u.Code}}))
	})
	if err != nil {
		return u, err
	}
	s.clear(ctx, u)
	return u, u.rejection()
}

// become makes the file a version, or a rendition of the current one.
func (s *Service) become(ctx context.Context, u Upload, found Found) (Upload, error) {
	err := s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) error {
		c, err := tx.LockContent(ctx, u.ContentID)
		if err != nil {
			return err
		}
		if u, err = tx.LockUpload(ctx, u.ID); err != nil {
			return err
		}
		if done, err := settled(u); done {
			return err
		}
		now := s.Now()
		u.State, u.FinishedAt, u.LeasedUntil = UploadCompleted, &now, nil
		if u.Rendition != "" {
			err = s.becomeRendition(ctx, tx, c, &u, found)
		} else {
			err = s.becomeVersion(ctx, tx, c, &u, found)
		}
		if err != nil {
			return err
		}
		if err := tx.UpdateUpload(ctx, u); err != nil {
			return err
		}
		if err := s.tellTransfer(ctx, tx, u); err != nil {
			return err
		}
		return tx.Discard(ctx, s.discards(u, false)...)
	})
	return u, err
}

func (s *Service) becomeVersion(ctx context.Context, tx Tx, c Content, u *Upload, found Found) error {
	last, err := tx.LastVersion(ctx, c.ID)
	if err != nil {
		return err
	}
	v := Version{
		ContentID: c.ID, TenantID: c.TenantID, Number: last + 1, Key: u.Key, Filename: u.Filename, MediaType: found.MediaType, Size: u.Size, SHA256: u.SHA256,
		Facts: found.Facts, Text: found.Text, CreatedBy: u.OwnerID, CreatedAt: s.Now(),
	}
	if err := tx.InsertVersion(ctx, v); err != nil {
		return err
	}
	before := c
	c.Current, u.Number = v.Number, &v.Number
	err = s.store(ctx, tx, before, &c, "content.new_version", updated, map[string]work.Change{"file": {From: before.Current, To: v.Number}})
	if err != nil || !u.Publish || c.Published() {
		return err
	}
	return s.publish(ctx, tx, c)
}

func (s *Service) becomeRendition(ctx context.Context, tx Tx, c Content, u *Upload, found Found) error {
	if c.Current == 0 {
		return apperr.Conflict("no_version", "Upload the file itself first.")
	}
	r := Rendition{
		ContentID: c.ID, TenantID: c.TenantID, Number: c.Current, Label: u.Rendition, Key: u.Key, Filename: u.Filename, MediaType: found.MediaType,
		Size: u.Size, SHA256: u.SHA256, Width: found.Width, Height: found.Height, DurationMS: found.DurationMS, CreatedBy: u.OwnerID, CreatedAt: s.Now(),
	}
	replaced, err := tx.PutRendition(ctx, r)
	if err != nil {
		return err
	}
	if replaced != "" {
		if err := tx.Discard(ctx, Discarded{Key: replaced, TenantID: c.TenantID, DueAt: s.Now(), Until: s.Now()}); err != nil {
			return err
		}
	}
	before := c
	u.Number = &r.Number
	return s.store(ctx, tx, before, &c, "content.rendition", updated, map[string]work.Change{"renditions": {To: r.Label}})
}
