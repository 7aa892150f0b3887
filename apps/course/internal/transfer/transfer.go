// Package transfer runs the background jobs of course: copies, and packages on
// their way in and out of the object store.
package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"lms/apps/course/internal/cartridge"
	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/olx"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/service"
)

// Jobs runs jobs with the domain and the object store.
type Jobs struct {
	Service *catalog.Service
	// Objects is nil where files cannot be kept: imports and exports then fail.
	Objects *objects.Store
	Log     *slog.Logger
	// Folder is where an uploaded package is kept while it is read; "" is the
	// system's own.
	Folder string
}

// Handle registers all kinds of jobs.
func (j *Jobs) Handle(r *jobs.Runner) {
	jobs.Handle(r, catalog.JobCopy, j.copyCourse)
	jobs.Handle(r, catalog.JobImport, j.importCourse)
	jobs.Handle(r, catalog.JobExport, j.exportCourse)
}

func (j *Jobs) copyCourse(ctx context.Context, run *jobs.Run, in catalog.CopyRequest) (any, error) {
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	out, notes, err := j.Service.RunCopy(ctx, actor, in)
	if err != nil {
		return nil, err
	}
	return out, report(ctx, run, out, notes)
}

// report writes the rows of a job: every note, and a line that sums up.
func report(ctx context.Context, run *jobs.Run, out catalog.TransferResult, notes []catalog.Note) error {
	for i, n := range notes {
		if err := run.Row(ctx, int64(i+1), n.Status, n.Code, n.Message, map[string]string{"ref": n.Ref}); err != nil {
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

func (j *Jobs) importCourse(ctx context.Context, run *jobs.Run, in catalog.ImportRequest) (any, error) {
	if j.Objects == nil {
		return nil, noObjects()
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	up, err := j.Service.Upload(ctx, actor, in.UploadID)
	if err != nil {
		return nil, err
	}
	pkg, notes, err := j.unpack(ctx, up, in.Format)
	if err != nil {
		return nil, explained(err)
	}
	out, more, err := j.Service.RunImport(ctx, actor, in, pkg)
	if err != nil {
		return nil, explained(err)
	}
	return out, report(ctx, run, out, append(notes, more...))
}

// explained puts the first field's message of a 422 where a job's reader sees it.
func explained(err error) error {
	var e *apperr.Error
	if errors.As(err, &e) && e.Kind == apperr.KindInvalid && len(e.Fields) > 0 {
		return apperr.New(apperr.KindInvalid, e.Fields[0].Code, e.Fields[0].Message).With(err)
	}
	return err
}

func noObjects() error {
	return apperr.Unavailable("objects_unavailable", "Files cannot be read or written at the moment.")
}

// unpack checks the uploaded bytes, brings them into a file of this machine and
// reads them.
func (j *Jobs) unpack(ctx context.Context, up catalog.Upload, format string) (pkg catalog.Package, notes []catalog.Note, err error) {
	if _, err := j.Objects.Verify(ctx, up.Key, up.Size, up.SHA256); err != nil {
		return catalog.Package{}, nil, err
	}
	r, err := j.Objects.NewReader(ctx, up.Key)
	if err != nil {
		return catalog.Package{}, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	file, err := os.CreateTemp(j.Folder, "lms-import-*")
	if err != nil {
		return catalog.Package{}, nil, fmt.Errorf("import: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	size, err := io.Copy(file, io.LimitReader(r, catalog.MaxPackageBytes+1))
	if err != nil {
		return catalog.Package{}, nil, fmt.Errorf("import: %w", err)
	}
	if format == "" {
		if format, err = formatOf(file); err != nil {
			return catalog.Package{}, nil, err
		}
	}
	if format == catalog.FormatCartridge {
		return cartridge.Read(file, size, archive.Standard())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return catalog.Package{}, nil, fmt.Errorf("import: %w", err)
	}
	return olx.Read(file, archive.Standard())
}

// formatOf looks at the first bytes, not at the name: a zip is a cartridge, a gzip
// is OLX.
func formatOf(r io.ReaderAt) (string, error) {
	head := make([]byte, 4)
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("import: %w", err)
	}
	switch {
	case bytes.Equal(head, []byte("PK\x03\x04")):
		return catalog.FormatCartridge, nil
	case bytes.Equal(head[:2], []byte{0x1f, 0x8b}):
		return catalog.FormatOLX, nil
	}
	return "", apperr.Invalid(apperr.Field{Path: "format", Code: "unknown_format", Message: "The file is neither a Common Cartridge (zip) nor OLX (tar.gz)."})
}

// exported is the result of an export: the kit gives a signed link instead of the key.
type exported struct {
	service.JobFile
	CourseID uuid.UUID `json:"course_id"`
}

func (j *Jobs) exportCourse(ctx context.Context, run *jobs.Run, in catalog.ExportRequest) (any, error) {
	if j.Objects == nil {
		return nil, noObjects()
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	pkg, err := j.Service.Pack(ctx, actor, in.CourseID)
	if err != nil {
		return nil, err
	}
	name, kind, write := "course.imscc", "application/zip", cartridge.Write
	if in.Format == catalog.FormatOLX {
		name, kind, write = "course.tar.gz", "application/gzip", olx.Write
	}
	key := objects.Key(run.TenantID, "exports", run.ID, name)
	notes, err := j.write(ctx, key, kind, pkg, write)
	if err != nil {
		return nil, err
	}
	items := 0
	for _, m := range pkg.Modules {
		items += len(m.Items)
	}
	out := catalog.TransferResult{CourseID: in.CourseID, Modules: len(pkg.Modules), Items: items}
	if err := report(ctx, run, out, notes); err != nil {
		return nil, err
	}
	file := service.JobFile{ObjectKey: key, Filename: fileName(pkg.Code) + filepath.Ext(name), MediaType: kind}
	if in.Format == catalog.FormatOLX {
		file.Filename = fileName(pkg.Code) + ".tar.gz"
	}
	return exported{JobFile: file, CourseID: in.CourseID}, nil
}

func (j *Jobs) write(ctx context.Context, key, kind string, pkg catalog.Package, write func(io.Writer, catalog.Package) ([]catalog.Note, error)) ([]catalog.Note, error) {
	// A writer whose context ends before it is closed leaves nothing behind.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := j.Objects.NewWriter(ctx, key, kind)
	if err != nil {
		return nil, err
	}
	notes, err := write(w, pkg)
	if err != nil {
		cancel()
		return nil, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return notes, nil
}

// fileName is a code as a part of a file's name.
func fileName(code string) string {
	out := []rune(code)
	for i, r := range out {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			out[i] = '-'
		}
	}
	if len(out) == 0 {
		return "course"
	}
	return string(out)
}

// Sweep deletes packages that were uploaded more than a day ago, with their notes.
func (j *Jobs) Sweep(ctx context.Context) error {
	if j.Objects == nil {
		return nil
	}
	old, err := j.Service.OldUploads(ctx)
	if err != nil {
		return err
	}
	for _, u := range old {
		if err := j.Objects.Delete(ctx, u.Key); err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		if err := j.Service.ForgetUpload(ctx, u); err != nil {
			return err
		}
	}
	return nil
}
