package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/jobs"
	"lms/shared/objects"
)

// What other services own of a course comes by reliable calls: a job begins, gives
// its place away while they answer, and ends when all have.

// begun is where a transfer stands once this service's own work is done.
type begun struct {
	Result catalog.TransferResult
	Notes  []catalog.Note
	// Objects are files that other services take over.
	Objects []string
	// Reported is until when parts were settled that the report has.
	Reported time.Time
}

// begin does this service's work once.
func begin(ctx context.Context, run *jobs.Run, fn func() (begun, error)) (at begun, err error) {
	if resumed, err := run.Cursor(&at); err != nil || resumed {
		return at, err
	}
	if at, err = fn(); err != nil {
		return at, err
	}
	return at, run.SaveCursor(ctx, at)
}

// bind ends a copy or an import: what came is put into its places.
func (j *Jobs) bind(ctx context.Context, run *jobs.Run, actor authz.Principal, transfer uuid.UUID, at begun, reason string) (any, error) {
	parts, err := j.Service.Bind(ctx, actor, run.TenantID, transfer, at.Result.CourseID, reason)
	if err != nil {
		return nil, j.waiting(ctx, run, transfer, at, err)
	}
	if err := j.forget(ctx, at.Objects); err != nil {
		return nil, err
	}
	return at.Result, report(ctx, run, at.Result, append(at.Notes, catalog.Report(parts)...))
}

// pause is how long a transfer leaves other services before it looks again.
const pause = 300 * time.Millisecond

// waiting says how far the others are, and lets the job run again later.
func (j *Jobs) waiting(ctx context.Context, run *jobs.Run, transfer uuid.UUID, at begun, cause error) error {
	if !errors.Is(cause, catalog.ErrWaiting) {
		return cause
	}
	parts, err := j.Service.Parts(ctx, run.TenantID, transfer)
	if err != nil {
		return err
	}
	settled, newest := 0, at.Reported
	for n, p := range parts {
		if p.SettledAt != nil {
			settled++
			if p.SettledAt.After(newest) {
				newest = *p.SettledAt
			}
		}
		if !at.Reported.IsZero() && (p.SettledAt == nil || !p.SettledAt.After(at.Reported)) {
			continue // reported before
		}
		line := catalog.Report(parts[n : n+1])[0]
		if err := row(ctx, run, len(at.Notes)+n+1, line); err != nil {
			return err
		}
	}
	run.Progress(int64(settled), int64(len(parts)))
	if at.Reported.IsZero() {
		newest = newest.Add(time.Microsecond)
	}
	if !newest.Equal(at.Reported) {
		at.Reported = newest
		if err := run.SaveCursor(ctx, at); err != nil {
			return err
		}
	}
	return jobs.Later(pause)
}

// store brings the files of a package into the object store, each under a name that
// a job which runs again gives it again.
func (j *Jobs) store(ctx context.Context, tenant, transfer uuid.UUID, p *unpacked) ([]string, error) {
	files := map[string][]*catalog.PackageFile{}
	for _, m := range p.pkg.Modules {
		for _, i := range m.Items {
			if i.Part != nil && i.Part.File != nil {
				files[i.Part.File.Entry] = append(files[i.Part.File.Entry], i.Part.File)
			}
		}
	}
	var keys []string
	err := p.each(slices.Sorted(maps.Keys(files)), func(name string, r io.Reader) error {
		key := objects.Key(tenant, "transfers", transfer, uuid.NewSHA1(transfer, []byte(name)).String())
		object, err := j.keep(ctx, key, r)
		if err != nil {
			return err
		}
		keys = append(keys, key)
		for _, f := range files[name] {
			o := object
			o.Filename, o.MediaType = f.Filename, f.MediaType
			f.Object = &o
		}
		return nil
	})
	return keys, err
}

// keep streams a file into the object store.
func (j *Jobs) keep(ctx context.Context, key string, r io.Reader) (internalapi.PartFile, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := j.Objects.NewWriter(ctx, key, "application/octet-stream")
	if err != nil {
		return internalapi.PartFile{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), r)
	if err != nil {
		cancel()
		_ = w.Close() // it was called off and has nothing more to say
		return internalapi.PartFile{}, err
	}
	if err := w.Close(); err != nil {
		return internalapi.PartFile{}, fmt.Errorf("import: %w", err)
	}
	return internalapi.PartFile{ObjectKey: key, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// forget deletes files that nobody took over.
func (j *Jobs) forget(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := j.Objects.Delete(ctx, key); err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
	}
	return nil
}

func row(ctx context.Context, run *jobs.Run, n int, note catalog.Note) error {
	return run.Row(ctx, int64(n), note.Status, note.Code, note.Message, map[string]string{"ref": note.Ref})
}

// report writes the rows of a job: every note, and a line that sums up.
func report(ctx context.Context, run *jobs.Run, out catalog.TransferResult, notes []catalog.Note) error {
	for i, n := range notes {
		if err := row(ctx, run, i+1, n); err != nil {
			return err
		}
	}
	message := fmt.Sprintf("%d modules, %d items.", out.Modules, out.Items)
	var ref any
	if out.CourseID != uuid.Nil {
		ref = map[string]string{"course_id": out.CourseID.String()}
	}
	run.Progress(int64(out.Items), int64(out.Items))
	return run.Row(ctx, int64(len(notes)+1), catalog.NoteDone, "", message, ref)
}
