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
	"slices"

	"github.com/google/uuid"

	"lms/apps/course/internal/cartridge"
	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/olx"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/authz"
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
	at, err := begin(ctx, run, func() (begun, error) {
		out, notes, err := j.Service.RunCopy(ctx, actor, in)
		return begun{Result: out, Notes: notes}, err
	})
	if err != nil {
		return nil, err
	}
	return j.bind(ctx, run, actor, in.NewID, at, "copied")
}

func (j *Jobs) importCourse(ctx context.Context, run *jobs.Run, in catalog.ImportRequest) (any, error) {
	if j.Objects == nil {
		return nil, noObjects()
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	at, err := begin(ctx, run, func() (begun, error) { return j.take(ctx, run, actor, in) })
	if err != nil {
		return nil, explained(err)
	}
	if in.DryRun {
		return at.Result, report(ctx, run, at.Result, at.Notes)
	}
	return j.bind(ctx, run, actor, in.NewID, at, "imported")
}

// take reads an uploaded package and makes its course; files that it carries go into
// the object store for the services that take them over.
func (j *Jobs) take(ctx context.Context, run *jobs.Run, actor authz.Principal, in catalog.ImportRequest) (at begun, err error) {
	up, err := j.Service.Upload(ctx, actor, in.UploadID)
	if err != nil {
		return at, err
	}
	err = j.unpack(ctx, up, in.Format, func(p unpacked) error {
		if !in.DryRun {
			if at.Objects, err = j.store(ctx, run.TenantID, in.NewID, &p); err != nil {
				return err
			}
		}
		in.Format = p.format
		out, notes, err := j.Service.RunImport(ctx, actor, in, p.pkg)
		at.Result, at.Notes = out, slices.Concat(p.notes, notes)
		return err
	})
	if err != nil && apperr.Deterministic(err) {
		err = errors.Join(err, j.forget(context.WithoutCancel(ctx), at.Objects))
	}
	return at, err
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

// unpacked is a package that was read, while its file is there.
type unpacked struct {
	pkg    catalog.Package
	notes  []catalog.Note
	format string
	// each gives files of the package to be read as streams.
	each func(names []string, fn func(name string, r io.Reader) error) error
}

// unpack checks the uploaded bytes, brings them into a file of this machine and
// reads them.
func (j *Jobs) unpack(ctx context.Context, up catalog.Upload, format string, fn func(unpacked) error) (err error) {
	if _, err := j.Objects.Verify(ctx, up.Key, up.Size, up.SHA256); err != nil {
		return err
	}
	r, err := j.Objects.NewReader(ctx, up.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	file, err := os.CreateTemp(j.Folder, "lms-import-*")
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	size, err := io.Copy(file, io.LimitReader(r, catalog.MaxPackageBytes+1))
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	p := unpacked{format: format}
	if p.format == "" {
		if p.format, err = formatOf(file); err != nil {
			return err
		}
	}
	if err := p.read(file, size); err != nil {
		return err
	}
	return fn(p)
}

func (p *unpacked) read(file *os.File, size int64) (err error) {
	if p.format == catalog.FormatCartridge {
		var files *archive.Files
		p.pkg, p.notes, files, err = cartridge.Read(file, size, archive.Standard())
		if err == nil {
			p.each = files.Each
		}
		return err
	}
	rewind := func() error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		return nil
	}
	if err := rewind(); err != nil {
		return err
	}
	p.pkg, p.notes, err = olx.Read(file, archive.Standard())
	p.each = func(names []string, fn func(string, io.Reader) error) error {
		if err := rewind(); err != nil {
			return err
		}
		return archive.EachTarGzip(file, names, fn)
	}
	return err
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
	at, err := begin(ctx, run, func() (begun, error) {
		return begun{}, j.Service.OrderExport(ctx, actor, run.ID, in)
	})
	if err != nil {
		return nil, err
	}
	parts, err := j.Service.Settled(ctx, run.TenantID, run.ID)
	if err != nil {
		return nil, j.waiting(ctx, run, run.ID, at, err)
	}
	pkg, err := j.Service.Pack(ctx, actor, in.CourseID)
	if err != nil {
		return nil, err
	}
	pkg.Carry(parts)
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
	if err := report(ctx, run, out, append(catalog.Report(parts), notes...)); err != nil {
		return nil, err
	}
	file := service.JobFile{ObjectKey: key, Filename: fileName(pkg.Code) + filepath.Ext(name), MediaType: kind}
	if in.Format == catalog.FormatOLX {
		file.Filename = fileName(pkg.Code) + ".tar.gz"
	}
	return exported{JobFile: file, CourseID: in.CourseID}, nil
}

func (j *Jobs) write(ctx context.Context, key, kind string, pkg catalog.Package, write func(io.Writer, catalog.Package, catalog.OpenObject) ([]catalog.Note, error)) ([]catalog.Note, error) {
	// A writer whose context ends before it is closed leaves nothing behind.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := j.Objects.NewWriter(ctx, key, kind)
	if err != nil {
		return nil, err
	}
	notes, err := write(w, pkg, func(key string, fn func(io.Reader) error) error {
		r, err := j.Objects.NewReader(ctx, key)
		if err != nil {
			return err
		}
		return errors.Join(fn(r), r.Close())
	})
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
