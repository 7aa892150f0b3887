package quiz

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// MaxPackageBytes bounds an uploaded package of questions.
const MaxPackageBytes = 128 << 20

// Upload is a place for a package that is too large for the API itself.
type Upload struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OwnerID   uuid.UUID
	Key       string
	Filename  string
	Size      int64
	SHA256    string
	CreatedAt time.Time
}

// CreateUpload notes an upload for a bank that the caller may change; they then get
// a signed address for it.
func (s *Service) CreateUpload(ctx context.Context, actor authz.Principal, bank uuid.UUID, in Upload) (Upload, error) {
	var f apperr.Fields
	checkText(&f, "filename", in.Filename, 1, MaxTitle)
	f.Require(in.Size > 0 && in.Size <= MaxPackageBytes, "size", "range", "Between 1 byte and 128 MiB.")
	f.Require(len(in.SHA256) == 64 && strings.Trim(in.SHA256, "0123456789abcdef") == "", "sha256", "pattern", "64 hexadecimal digits in lower case.")
	if err := f.Err(); err != nil {
		return Upload{}, err
	}
	b, err := s.bankToChange(ctx, actor, bank)
	if err != nil {
		return Upload{}, err
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (Upload, error) {
		in.ID, in.TenantID, in.OwnerID, in.CreatedAt = s.NewID(), b.TenantID, actor.UserID, s.Now()
		in.Key = in.TenantID.String() + "/question-imports/" + in.ID.String() + "/package"
		if err := tx.InsertUpload(ctx, in); err != nil {
			return Upload{}, err
		}
		return in, tx.Audit(ctx, work.AuditEntry{Action: "import.upload", ResourceType: "upload", ResourceID: in.ID, TenantID: in.TenantID})
	})
}

// ImportRequest asks for the questions of a package to be put into a bank.
type ImportRequest struct {
	BankID   uuid.UUID
	UploadID uuid.UUID
	DryRun   bool
}

// StartImport checks an import and makes its job.
func (s *Service) StartImport(ctx context.Context, actor authz.Principal, in ImportRequest) (work.Job, error) {
	b, err := s.bankToChange(ctx, actor, in.BankID)
	if err != nil {
		return work.Job{}, err
	}
	if _, err := s.Upload(ctx, actor, in.UploadID); err != nil {
		if apperr.IsKind(err, apperr.KindNotFound) {
			err = apperr.Invalid(apperr.Field{Path: "upload_id", Code: "unknown_upload", Message: "No such upload of yours."})
		}
		return work.Job{}, err
	}
	return inTx(ctx, s, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) (work.Job, error) {
		j, err := tx.Enqueue(ctx, JobImport, in, work.JobOptions{TenantID: b.TenantID})
		if err != nil {
			return work.Job{}, err
		}
		return j, tx.Audit(ctx, b.audit("question_bank.import", map[string]work.Change{"dry_run": {To: in.DryRun}}))
	})
}

// Upload is an upload of the caller.
func (s *Service) Upload(ctx context.Context, actor authz.Principal, id uuid.UUID) (Upload, error) {
	u, err := read(ctx, s, func(ctx context.Context, tx Tx) (Upload, error) { return tx.Upload(ctx, id) })
	if err == nil && u.OwnerID != actor.UserID {
		return Upload{}, apperr.NotFound("upload")
	}
	return u, err
}

// OldUploads are packages that were uploaded more than a day ago.
func (s *Service) OldUploads(ctx context.Context) ([]Upload, error) {
	return read(ctx, s, func(ctx context.Context, tx Tx) ([]Upload, error) {
		return tx.OldUploads(ctx, s.Now().Add(-24*time.Hour), sweepBatch)
	})
}

// ForgetUpload deletes what is noted of an upload, once its object is gone.
func (s *Service) ForgetUpload(ctx context.Context, u Upload) error {
	return s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) error { return tx.DeleteUpload(ctx, u.ID) })
}

// Statuses of a line of an import's report.
const (
	RowCreated   = "created"
	RowUpdated   = "updated"
	RowUnchanged = "unchanged"
	RowSkipped   = "skipped" // not understood, or nothing to import
	RowFailed    = "failed"
	RowAdjusted  = "adjusted" // imported, but not all of it was understood
)

// Row is a line of an import's report.
type Row struct {
	Ref     string
	Status  string
	Code    string
	Message string
}

// ImportQuestion puts one imported question into the bank: new, or as a new version
// of the one that the same import made before (its identifier is unique in the
// bank). A dry run only says what it would do.
func (s *Service) ImportQuestion(ctx context.Context, actor authz.Principal, in ImportRequest, question NewQuestion) (Row, error) {
	b, err := s.bankToChange(ctx, actor, in.BankID)
	if err != nil {
		return Row{}, err
	}
	row := Row{Ref: question.ExternalID}
	err = s.Store.InTx(ctx, work.Tenant(b.TenantID), func(ctx context.Context, tx Tx) error {
		b, err := tx.LockBank(ctx, in.BankID)
		if err != nil {
			return err
		}
		old, err := tx.Imported(ctx, b.ID, question.ExternalID)
		switch {
		case apperr.IsKind(err, apperr.KindNotFound):
			row.Status = RowCreated
			_, err = s.insertQuestion(ctx, tx, b, question, actor.UserID)
		case err == nil:
			row.Status = RowUnchanged
			d := s.alike(question.Definition, old.Definition)
			var changed bool
			_, changed, err = s.editQuestion(ctx, tx, b, old, QuestionEdit{Title: &question.Title, Tags: question.Tags, Definition: &d}, actor.UserID)
			if changed {
				row.Status = RowUpdated
			}
		}
		if err == nil && in.DryRun {
			return errDryRun
		}
		return err
	})
	switch {
	case err == nil, err == errDryRun: //nolint:errorlint // returned bare by InTx
		return row, nil
	case apperr.IsKind(err, apperr.KindInvalid):
		e := apperr.From(err)
		row.Status, row.Code, row.Message = RowFailed, e.Code, e.Message
		if len(e.Fields) > 0 {
			row.Code, row.Message = e.Fields[0].Code, fmt.Sprintf("%s: %s", e.Fields[0].Path, e.Fields[0].Message)
		}
		return row, nil
	}
	return Row{}, err
}

// errDryRun undoes the transaction of a dry run.
var errDryRun = fmt.Errorf("dry run")

// alike gives the parts of an imported definition the ids that equal parts have
// already, so that a repeated import changes nothing, and answers to a question
// that was corrected keep their choices.
func (s *Service) alike(d, old marking.Definition) marking.Definition {
	ids := map[string]string{}
	take := func(ids map[string]string, text string) string {
		text = strings.TrimSpace(s.HTML(text))
		id := ids[text]
		delete(ids, text)
		return id
	}
	for _, c := range old.Choices {
		ids[c.Text] = c.ID
	}
	for _, it := range old.Ordering {
		ids[it.Text] = it.ID
	}
	for i := range d.Choices {
		d.Choices[i].ID = take(ids, d.Choices[i].Text)
	}
	for i := range d.Ordering {
		d.Ordering[i].ID = take(ids, d.Ordering[i].Text)
	}
	if d.Matching == nil || old.Matching == nil {
		return d
	}
	prompts, options := map[string]string{}, map[string]string{}
	for _, p := range old.Matching.Pairs {
		prompts[p.Prompt], options[p.Match] = p.ID, p.MatchID
	}
	for _, it := range old.Matching.Distractors {
		options[it.Text] = it.ID
	}
	m := *d.Matching
	for i := range m.Pairs {
		p := &m.Pairs[i]
		p.ID, p.MatchID = take(prompts, p.Prompt), take(options, p.Match)
	}
	for i := range m.Distractors {
		m.Distractors[i].ID = take(options, m.Distractors[i].Text)
	}
	d.Matching = &m
	return d
}
