package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/roster"
	"lms/shared/apperr"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/service"
)

// background runs the jobs of user.
type background struct {
	svc      *identity.Service
	objects  *objects.Store
	now      func() time.Time
	patience time.Duration // for the answers of other services
}

// mails are jobs that somebody waits for at the mailbox.
func (b *background) mails(r *jobs.Runner) {
	jobs.Handle(r, identity.JobRegister, func(ctx context.Context, _ *jobs.Run, in identity.RegisterJob) (any, error) {
		return nil, b.svc.FinishRegister(ctx, in)
	})
	jobs.Handle(r, identity.JobSendLink, func(ctx context.Context, _ *jobs.Run, in identity.LinkRequest) (any, error) {
		return nil, b.svc.SendLink(ctx, in)
	})
}

// long are jobs that may take minutes.
func (b *background) long(r *jobs.Runner) {
	jobs.Handle(r, identity.JobMerge, func(ctx context.Context, run *jobs.Run, in identity.MergeInput) (any, error) {
		actor, err := run.Principal(ctx)
		if err != nil {
			return nil, err
		}
		return b.svc.Merge(ctx, actor, in)
	})
	jobs.Handle(r, identity.JobImport, b.importPeople)
	jobs.Handle(r, identity.JobExport, b.export)
	jobs.Handle(r, identity.JobErasure, b.erasure)
}

// look is how often a job that waits for other services looks again.
const look = time.Second

// answered waits until every service has answered, or patience ends, and
// reports how many have. Patience counts from the request, so that a job that
// is taken up again does not begin anew.
func (b *background) answered(ctx context.Context, run *jobs.Run, ref identity.RequestRef) (identity.PersonRequest, error) {
	t := time.NewTicker(look)
	defer t.Stop()
	for {
		r, err := b.svc.RequestState(ctx, ref.RequestID)
		if err != nil {
			return r, err
		}
		waiting := len(r.WaitingFor())
		run.Progress(int64(len(r.Parts)-waiting), int64(len(r.Parts)))
		if r.Status != identity.RequestRunning || waiting == 0 || b.now().Sub(r.CreatedAt) > b.patience {
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-t.C:
		}
	}
}

// export makes the file once all have answered. When one does not, the export
// has failed and can be asked for again: half of somebody's data is none.
func (b *background) export(ctx context.Context, run *jobs.Run, ref identity.RequestRef) (any, error) {
	r, err := b.answered(ctx, run, ref)
	if err != nil {
		return nil, err
	}
	if waiting := r.WaitingFor(); r.Status == identity.RequestFailed || len(waiting) > 0 && r.Status == identity.RequestRunning {
		if err := b.svc.FailExport(ctx, r.ID); err != nil {
			return nil, err
		}
		return nil, apperr.Conflict("export_incomplete", "No answer from "+strings.Join(waiting, ", ")+". Ask for the export again later.")
	}
	key := identity.ExportFile(objects.Key, r)
	if r.Status == identity.RequestRunning {
		if err := b.svc.FinishExport(ctx, r, key); err != nil {
			return nil, err
		}
	}
	return service.JobFile{ObjectKey: key, Filename: "data.zip", MediaType: "application/zip"}, nil
}

type erased struct {
	Status     identity.RequestStatus `json:"status"`
	Kept       []string               `json:"kept,omitempty"`
	WaitingFor []string               `json:"waiting_for,omitempty"`
}

// erasure follows an erasure to its end; the last answer completes it. One that
// takes longer than the job waits goes on, and says for whom.
func (b *background) erasure(ctx context.Context, run *jobs.Run, ref identity.RequestRef) (any, error) {
	r, err := b.answered(ctx, run, ref)
	if err != nil {
		return nil, err
	}
	out := erased{Status: r.Status}
	if r.Status == identity.RequestCompleted {
		out.Kept = identity.KeptOf(r)
	} else {
		out.WaitingFor = r.WaitingFor()
	}
	return out, nil
}

// standing is where an import stands: what a job that is taken up again goes on
// from.
type standing struct {
	Next   int64          `json:"next"` // the first row that is not reported yet
	Counts map[string]int `json:"counts"`
}

// saveEvery is how many rows may be tried again after a crash.
const saveEvery = 50

// importPeople imports a file row by row, each in a transaction of its own.
// Rows are repeatable: a row that was done before a crash is found again.
func (b *background) importPeople(ctx context.Context, run *jobs.Run, in identity.ImportInput) (any, error) {
	at := standing{Counts: map[string]int{}}
	if _, err := run.Cursor(&at); err != nil {
		return nil, err
	}
	file, err := b.read(ctx, in)
	if err != nil {
		return nil, err
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	im, err := b.svc.NewImporter(ctx, actor, in.ImportOptions)
	if err != nil {
		return nil, err
	}
	total := int64(len(file.Orgs) + len(file.People))
	for n := int64(0); n < total; n++ {
		// A dry run has its plan of org units in memory only: it looks at them again.
		if n < at.Next && !(in.DryRun && n < int64(len(file.Orgs))) {
			continue
		}
		if err := b.importRow(ctx, run, im, file, n, &at); err != nil {
			return nil, err
		}
		run.Progress(n+1, total)
		if at.Next%saveEvery == 0 {
			if err := run.SaveCursor(ctx, at); err != nil {
				return nil, err
			}
		}
	}
	if !in.DryRun { // after a dry run the same upload is imported
		if err := b.svc.DropUpload(ctx, in.UploadID, in.Key); err != nil {
			return nil, err
		}
	}
	return map[string]any{"format": file.Format, "dry_run": in.DryRun, "rows": at.Counts}, nil
}

// importRow imports the org unit or person of row n and reports it once.
func (b *background) importRow(ctx context.Context, run *jobs.Run, im *identity.Importer, file roster.File, n int64, at *standing) error {
	what, line := "org_unit", 0
	var out identity.Outcome
	var err error
	if i := int(n); i < len(file.Orgs) {
		line = file.Orgs[i].Line
		out, err = im.Org(ctx, file.Orgs[i])
	} else {
		p := file.People[i-len(file.Orgs)]
		what, line = "user", p.Line
		out, err = im.Person(ctx, p)
	}
	if err != nil || n < at.Next {
		return err
	}
	ref := map[string]any{"what": what, "line": line}
	if out.UserID != uuid.Nil && !out.Dry {
		ref["user_id"] = out.UserID
	}
	if out.UnitID != uuid.Nil && !out.Dry {
		ref["org_unit_id"] = out.UnitID
	}
	if err := run.Row(ctx, n+1, out.Status, out.Code, out.Message, ref); err != nil {
		return err
	}
	at.Counts[out.Status]++
	at.Next = n + 1
	return nil
}

// read checks the uploaded bytes and reads them as OneRoster or CSV.
func (b *background) read(ctx context.Context, in identity.ImportInput) (roster.File, error) {
	if b.objects == nil {
		return roster.File{}, apperr.Conflict("objects_unavailable", "This installation has no file store.")
	}
	if _, err := b.objects.Verify(ctx, in.Key, in.Size, in.SHA256); err != nil {
		return roster.File{}, err
	}
	r, err := b.objects.NewReader(ctx, in.Key)
	if err != nil {
		return roster.File{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, identity.MaxUpload))
	if err = errors.Join(err, r.Close()); err != nil {
		return roster.File{}, err
	}
	if roster.IsZip(raw) {
		return roster.ReadOneRoster(bytes.NewReader(raw), int64(len(raw)))
	}
	return roster.ReadCSV(bytes.NewReader(raw))
}
