// Package export writes reports into the object store, row by row, and runs the
// other background jobs of analytics.
package export

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/report"
	"lms/shared/apperr"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/service"
)

// Jobs runs them.
type Jobs struct {
	Service *analytics.Service
	Objects *objects.Store
}

// Handle registers the jobs.
func (j *Jobs) Handle(r *jobs.Runner) {
	jobs.Handle(r, analytics.JobExport, j.export)
	jobs.Handle(r, analytics.JobRebuild, j.rebuild)
}

// exported is the result: the kit gives a signed link instead of the key.
type exported struct {
	service.JobFile
	Rows int64 `json:"rows"`
}

func (j *Jobs) export(ctx context.Context, run *jobs.Run, in analytics.Exporting) (any, error) {
	if j.Objects == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be written at the moment.")
	}
	name := string(in.Report) + "." + string(in.Format)
	key := objects.Key(run.TenantID, "exports", run.ID, name)
	// A writer whose context ends before it is closed leaves nothing behind.
	writing, abandon := context.WithCancel(ctx)
	defer abandon()
	file, err := j.Objects.NewWriter(writing, key, in.Format.MediaType())
	if err != nil {
		return nil, err
	}
	out := exported{JobFile: service.JobFile{ObjectKey: key, Filename: name, MediaType: in.Format.MediaType()}}
	if err := j.write(ctx, run, in, file, &out.Rows); err != nil {
		abandon()
		return nil, errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return out, nil
}

var errBegunTwice = errors.New("the database was lost in the middle of a file")

func (j *Jobs) write(ctx context.Context, run *jobs.Run, in analytics.Exporting, file io.Writer, rows *int64) error {
	var w report.Writer
	actor, err := run.Principal(ctx)
	if err != nil {
		return err
	}
	err = j.Service.Export(ctx, actor, in, func(r report.Report) (err error) {
		if w != nil {
			return errBegunTwice // the job is tried again, with a file of its own
		}
		w, err = report.NewWriter(file, in.Format, r.Columns)
		return err
	}, func(values []any) error {
		*rows++
		run.Progress(*rows, 0)
		return w.Row(values)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// begun is the run of an earlier attempt.
type begun struct {
	ID uuid.UUID `json:"id"`
}

func (j *Jobs) rebuild(ctx context.Context, run *jobs.Run, _ struct{}) (any, error) {
	var at begun
	if _, err := run.Cursor(&at); err != nil {
		return nil, err
	}
	return j.Service.RebuildAll(ctx, at.ID, func(ctx context.Context, id uuid.UUID, place, upto int64) error {
		run.Progress(place, upto)
		if id == at.ID {
			return nil
		}
		at.ID = id
		return run.SaveCursor(ctx, at)
	})
}
