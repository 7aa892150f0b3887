package coursework

import (
	"context"
	"encoding/hex"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Files is where uploaded bytes lie.
type Files interface {
	// Verify checks the stored bytes: NotFound for none, Invalid with size_mismatch
	// or checksum_mismatch; it gives the media type that they show.
	Verify(ctx context.Context, key string, size int64, sha256Hex string) (string, error)
	Delete(ctx context.Context, key string) error
}

// maxWaitingFiles bounds the files of a person that wait to be handed in to one
// assignment.
const maxWaitingFiles = 100

// NewFile announces a file.
type NewFile struct {
	AssignmentID uuid.UUID
	Filename     string
	MediaType    string
	Size         int64
	SHA256       string
}

// CreateUpload announces a file that a learner will hand in: its name, type, size
// and checksum are checked against the assignment now and against the stored bytes
// when it is complete.
func (s *Service) CreateUpload(ctx context.Context, actor authz.Principal, in NewFile) (File, error) {
	now := s.Now()
	a, ext, err := s.submittable(ctx, actor, in.AssignmentID)
	if err != nil {
		return File{}, err
	}
	if err := open(ext.dates(a, actor.UserID), now); err != nil {
		return File{}, err
	}
	if err := in.check(a); err != nil {
		return File{}, err
	}
	return inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (File, error) {
		n, err := tx.WaitingFiles(ctx, a.ID, actor.UserID)
		if err != nil {
			return File{}, err
		}
		if n >= maxWaitingFiles {
			return File{}, apperr.Conflict("too_many_uploads", "100 files wait to be handed in: hand some in, or wait until they are forgotten.")
		}
		f := File{
			ID: s.NewID(), TenantID: a.TenantID, CourseID: a.CourseID, AssignmentID: a.ID, UserID: actor.UserID, Filename: in.Filename,
			DeclaredType: in.MediaType, Size: in.Size, SHA256: strings.ToLower(in.SHA256), CreatedAt: now, ExpiresAt: now.Add(s.Settings.UploadFor),
		}
		f.ObjectKey = f.TenantID.String() + "/submissions/" + f.ID.String() + "/file"
		return f, tx.InsertFile(ctx, f)
	})
}

func (in *NewFile) check(a Assignment) error {
	in.Filename = strings.TrimSpace(in.Filename)
	if in.MediaType == "" {
		in.MediaType = "application/octet-stream"
	}
	var bad apperr.Fields
	bad.Require(slices.Contains(a.SubmissionTypes, SubmitFile), "filename", CodeTypeNotAllowed, "The assignment takes no files.")
	bad.Require(utf8.RuneCountInString(in.Filename) <= 255 && in.Filename != "" && path.Base(in.Filename) == in.Filename && !strings.ContainsAny(in.Filename, "\\\r\n\x00"),
		"filename", "invalid", "A name of at most 255 characters, without a folder.")
	bad.Require(in.Size >= 1, "size", "range", "At least 1 byte.")
	bad.Require(in.Size <= a.MaxFileBytes, "size", "file_too_large", "Larger than the assignment allows.")
	sum, err := hex.DecodeString(in.SHA256)
	bad.Require(err == nil && len(sum) == 32, "sha256", "invalid", "64 hexadecimal digits.")
	bad.Require(mediaType.MatchString(in.MediaType), "media_type", "invalid", "Such as application/pdf.")
	bad.Require(len(a.FileExtensions) == 0 || slices.Contains(a.FileExtensions, extensionOf(in.Filename)), "filename", "extension_not_allowed",
		"Allowed are: "+strings.Join(a.FileExtensions, ", ")+".")
	return bad.Err()
}

func extensionOf(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
}

var errNoFiles = apperr.Unavailable("objects_unavailable", "Files cannot be taken at the moment.")

// CompleteUpload verifies the stored bytes: their size, their checksum, and that
// they are what name and declared type say (422 `type_mismatch`). A file that is
// not as announced is deleted. Twice is once.
func (s *Service) CompleteUpload(ctx context.Context, actor authz.Principal, assignment, id uuid.UUID) (File, error) {
	if s.Files == nil {
		return File{}, errNoFiles
	}
	if _, _, err := s.submittable(ctx, actor, assignment); err != nil {
		return File{}, err
	}
	f, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (File, error) { return tx.File(ctx, id) })
	if err == nil && (f.UserID != actor.UserID || f.AssignmentID != assignment) {
		err = apperr.NotFound("upload")
	}
	if err != nil || f.CompletedAt != nil {
		return f, err
	}
	sniffed, err := s.Files.Verify(ctx, f.ObjectKey, f.Size, f.SHA256)
	switch {
	case apperr.IsKind(err, apperr.KindNotFound):
		return File{}, apperr.Conflict("upload_incomplete", "The file has not arrived yet. Send it to the address that you got.")
	case apperr.IsKind(err, apperr.KindInvalid):
		return File{}, s.refuseFile(ctx, f, err)
	case err != nil:
		return File{}, err
	case !honest(f.Filename, f.DeclaredType, sniffed):
		return File{}, s.refuseFile(ctx, f, apperr.Invalid(apperr.Field{
			Path: "filename", Code: "type_mismatch", Message: "The file is " + sniffed + ", which its name or its declared type deny.",
		}))
	}
	return inTx(ctx, s, work.Tenant(f.TenantID), func(ctx context.Context, tx Tx) (File, error) {
		f, err := tx.LockFile(ctx, id)
		if err != nil || f.CompletedAt != nil {
			return f, err
		}
		now := s.Now()
		f.MediaType, f.CompletedAt, f.ExpiresAt = sniffed, &now, now.Add(s.Settings.UploadFor)
		return f, tx.CompleteFile(ctx, f)
	})
}

// refuseFile forgets a file that is not as announced, and gives the reason.
func (s *Service) refuseFile(ctx context.Context, f File, reason error) error {
	if err := s.dropFile(ctx, f); err != nil {
		return err
	}
	return reason
}

// dropFile forgets a file that waits to be handed in, then its bytes: one that was
// handed in meanwhile stays whole.
func (s *Service) dropFile(ctx context.Context, f File) error {
	return s.Store.InTx(ctx, work.Tenant(f.TenantID), func(ctx context.Context, tx Tx) error {
		f, err := tx.LockFile(ctx, f.ID)
		if apperr.IsKind(err, apperr.KindNotFound) || err == nil && f.SubmissionID != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.DeleteFile(ctx, f.ID); err != nil {
			return err
		}
		_, err = tx.Enqueue(ctx, JobDeleteObjects, Objects{Keys: []string{f.ObjectKey}}, work.JobOptions{TenantID: f.TenantID})
		return err
	})
}

// SweepFiles deletes files that nobody handed in in time.
func (s *Service) SweepFiles(ctx context.Context) error {
	if s.Files == nil {
		return nil
	}
	old, err := read(ctx, s, work.AllTenants(), func(ctx context.Context, tx Tx) ([]File, error) { return tx.ExpiredFiles(ctx, s.Now(), 500) })
	if err != nil {
		return err
	}
	for _, f := range old {
		if err := s.dropFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// FileForDownload is a handed-in file that the caller may have, and what it is
// called for them; access is asked anew each time.
func (s *Service) FileForDownload(ctx context.Context, actor authz.Principal, submission, id uuid.UUID) (File, string, error) {
	seen, err := s.submissionFor(ctx, actor, submission, true)
	if err != nil {
		return File{}, "", err
	}
	i := slices.IndexFunc(seen.Files, func(f File) bool { return f.ID == id })
	if i < 0 {
		return File{}, "", apperr.NotFound("file")
	}
	return seen.Files[i], seen.DownloadName(seen.Files[i]), nil
}

// DownloadFor is how long an address of a file is good.
const DownloadFor = time.Minute
