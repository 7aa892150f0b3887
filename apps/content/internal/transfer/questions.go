// Package transfer brings packages of questions from the object store into banks,
// in the background.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"lms/apps/content/internal/qti"
	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/authz"
	"lms/shared/jobs"
	"lms/shared/objects"
)

// Questions runs imports with the domain and the object store.
type Questions struct {
	Service *quiz.Service
	// Objects is nil where files cannot be kept: imports then fail.
	Objects *objects.Store
	// Folder is where an uploaded package is kept while it is read; "" is the
	// system's own.
	Folder string
}

// Handle registers the job.
func (q *Questions) Handle(r *jobs.Runner) { jobs.Handle(r, quiz.JobImport, q.importQuestions) }

// imported counts the lines of the report by status.
type imported map[string]int

func (q *Questions) importQuestions(ctx context.Context, run *jobs.Run, in quiz.ImportRequest) (any, error) {
	if q.Objects == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be read at the moment.")
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	up, err := q.Service.Upload(ctx, actor, in.UploadID)
	if err != nil {
		return nil, err
	}
	items, err := q.unpack(ctx, up)
	if err != nil {
		return nil, explained(err)
	}
	tally, n := imported{}, int64(0)
	line := func(row quiz.Row) error {
		n++
		tally[row.Status]++
		return run.Row(ctx, n, row.Status, row.Code, row.Message, map[string]string{"ref": row.Ref})
	}
	for i, item := range items {
		if err := q.importItem(ctx, actor, in, item, line); err != nil {
			return nil, err
		}
		run.Progress(int64(i+1), int64(len(items)))
	}
	return tally, nil
}

// importItem tells what was made of one item, and then what of it was not
// understood. An item that was imported already is found again by its identifier,
// so that a job that runs twice makes nothing twice.
func (q *Questions) importItem(ctx context.Context, actor authz.Principal, in quiz.ImportRequest, item qti.Item, line func(quiz.Row) error) error {
	if item.Question == nil {
		return line(quiz.Row{Ref: item.Ref, Status: quiz.RowSkipped, Code: item.Code, Message: item.Message})
	}
	row, err := q.Service.ImportQuestion(ctx, actor, in, *item.Question)
	if err != nil {
		return err
	}
	row.Ref = item.Ref
	if err := line(row); err != nil || row.Status == quiz.RowFailed {
		return err
	}
	for _, note := range item.Notes {
		if err := line(quiz.Row{Ref: item.Ref, Status: quiz.RowAdjusted, Code: note.Code, Message: note.Message}); err != nil {
			return err
		}
	}
	return nil
}

// explained puts the first field's message of a 422 where a job's reader sees it.
func explained(err error) error {
	var e *apperr.Error
	if errors.As(err, &e) && e.Kind == apperr.KindInvalid && len(e.Fields) > 0 {
		return apperr.New(apperr.KindInvalid, e.Fields[0].Code, e.Fields[0].Message).With(err)
	}
	return err
}

// unpack checks the uploaded bytes, brings them into a file of this machine and
// reads them.
func (q *Questions) unpack(ctx context.Context, up quiz.Upload) (items []qti.Item, err error) {
	if _, err := q.Objects.Verify(ctx, up.Key, up.Size, up.SHA256); err != nil {
		return nil, err
	}
	r, err := q.Objects.NewReader(ctx, up.Key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	file, err := os.CreateTemp(q.Folder, "lms-questions-*")
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	size, err := io.Copy(file, io.LimitReader(r, quiz.MaxPackageBytes+1))
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return qti.Read(file, size, limits())
}

// limits of a package of questions: a bomb or a book is refused.
func limits() archive.Limits {
	return archive.Limits{Entries: 10_000, Document: 2 << 20, Read: 64 << 20, Unpacked: 1 << 30, Ratio: 200}
}

// Sweep deletes packages that were uploaded more than a day ago, with their notes.
func (q *Questions) Sweep(ctx context.Context) error {
	if q.Objects == nil {
		return nil
	}
	old, err := q.Service.OldUploads(ctx)
	if err != nil {
		return err
	}
	for _, u := range old {
		if err := q.Objects.Delete(ctx, u.Key); err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		if err := q.Service.ForgetUpload(ctx, u); err != nil {
			return err
		}
	}
	return nil
}
