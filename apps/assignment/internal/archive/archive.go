// Package archive packs what was handed in to an assignment into a zip, from the
// object store into the object store: a file is a stream, never a whole in memory.
package archive

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/service"
)

// Jobs packs.
type Jobs struct {
	Service *coursework.Service
	Objects *objects.Store
}

// Handle registers the job.
func (j *Jobs) Handle(r *jobs.Runner) { jobs.Handle(r, coursework.JobArchive, j.pack) }

// packed is the result: the kit gives a signed link instead of the key.
type packed struct {
	service.JobFile
	Submissions int `json:"submissions"`
	Files       int `json:"files"`
	Missing     int `json:"missing"` // files whose bytes are gone
}

func (j *Jobs) pack(ctx context.Context, run *jobs.Run, in coursework.Archiving) (any, error) {
	if j.Objects == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be read at the moment.")
	}
	actor, err := run.Principal(ctx)
	if err != nil {
		return nil, err
	}
	key := objects.Key(run.TenantID, "exports", run.ID, "submissions.zip")
	// A writer whose context ends before it is closed leaves nothing behind.
	writing, abandon := context.WithCancel(ctx)
	defer abandon()
	w, err := j.Objects.NewWriter(writing, key, "application/zip")
	if err != nil {
		return nil, err
	}
	out := packed{JobFile: service.JobFile{ObjectKey: key, Filename: "submissions.zip", MediaType: "application/zip"}}
	z := zip.NewWriter(w)
	err = j.Service.Archive(ctx, actor, in, func(ctx context.Context, p coursework.Packed) error {
		out.Submissions++
		run.Progress(int64(out.Submissions), 0)
		return j.add(ctx, z, p, &out)
	})
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		abandon()
		return nil, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return out, nil
}

// add writes one submission: its text, its links and its files in a folder.
func (j *Jobs) add(ctx context.Context, z *zip.Writer, p coursework.Packed, out *packed) error {
	if p.Body != "" {
		if err := text(z, p.Folder+"/text.html", p.SubmittedAt, p.Body); err != nil {
			return err
		}
	}
	if len(p.Links) > 0 {
		if err := text(z, p.Folder+"/links.txt", p.SubmittedAt, strings.Join(p.Links, "\r\n")+"\r\n"); err != nil {
			return err
		}
	}
	for i, f := range p.Files {
		err := j.file(ctx, z, p.Folder+"/"+p.Name(i), p.SubmittedAt, f)
		switch {
		case apperr.IsKind(err, apperr.KindNotFound):
			out.Missing++
		case err != nil:
			return err
		default:
			out.Files++
		}
	}
	return nil
}

func text(z *zip.Writer, name string, at time.Time, content string) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, err = io.WriteString(w, content)
	return err
}

// file is stored as it is: most kinds of files are compressed already.
func (j *Jobs) file(ctx context.Context, z *zip.Writer, name string, at time.Time, f coursework.File) (err error) {
	r, err := j.Objects.NewReader(ctx, f.ObjectKey)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: at})
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, err = io.Copy(w, r)
	return err
}
