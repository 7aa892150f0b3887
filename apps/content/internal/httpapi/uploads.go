package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/web"
	"lms/shared/work"
)

// Link is a signed request.
type Link struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers,omitempty" doc:"To be sent along"`
	ExpiresAt time.Time         `json:"expires_at"`
}

func showLink(l *library.Link) *Link {
	if l == nil {
		return nil
	}
	return &Link{Method: l.Method, URL: l.URL, Headers: l.Headers, ExpiresAt: l.ExpiresAt}
}

// Part is a piece of a large upload.
type Part struct {
	Number  int   `json:"number" doc:"From 1"`
	Size    int64 `json:"size" doc:"In bytes"`
	Arrived bool  `json:"arrived"`
	Upload  *Link `json:"upload,omitempty" doc:"Where to send it; for the first 50 that are missing"`
}

// Upload is a file on its way into a content.
type Upload struct {
	ID         uuid.UUID  `json:"id"`
	ContentID  uuid.UUID  `json:"content_id"`
	Rendition  string     `json:"rendition,omitempty"`
	Filename   string     `json:"filename"`
	MediaType  string     `json:"media_type"`
	Size       int64      `json:"size"`
	SHA256     string     `json:"sha256"`
	State      string     `json:"state" doc:"open, verifying, completed, rejected, aborted or expired"`
	Code       string     `json:"code,omitempty" doc:"Why it was rejected"`
	Found      string     `json:"found,omitempty" doc:"The media type that the bytes show, where it is another than announced"`
	Version    *int       `json:"version,omitempty" doc:"The number of the version that it became"`
	Upload     *Link      `json:"upload,omitempty" doc:"Make exactly this request with the file as its body; absent for an upload in parts"`
	PartSize   int64      `json:"part_size,omitempty" doc:"A larger file is sent in parts of so many bytes"`
	Parts      []Part     `json:"parts,omitempty" doc:"Ask again for more addresses, and after a break for what has arrived"`
	Job        *work.Job  `json:"job,omitempty" doc:"The job that verifies a large file"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

func showUpload(v library.UploadView) Upload {
	u := Upload{
		ID: v.ID, ContentID: v.ContentID, Rendition: v.Rendition, Filename: v.Filename, MediaType: v.MediaType, Size: v.Size, SHA256: v.SHA256,
		State: v.State, Code: v.Code, Found: v.Found, Version: v.Number, Upload: showLink(v.Link), PartSize: v.PartSize, Job: v.Job,
		CreatedAt: v.CreatedAt, ExpiresAt: v.ExpiresAt, FinishedAt: v.FinishedAt,
	}
	for _, p := range v.Pieces {
		u.Parts = append(u.Parts, Part{Number: p.Number, Size: p.Size, Arrived: p.Arrived, Upload: showLink(p.Link)})
	}
	return u
}

type startUploadInput struct {
	web.ByID
	Body struct {
		Filename  string `json:"filename" maxLength:"255"`
		MediaType string `json:"media_type" maxLength:"200"`
		Size      int64  `json:"size" minimum:"1" doc:"In bytes; at most 5 GiB for a video"`
		SHA256    string `json:"sha256" minLength:"64" maxLength:"64" doc:"Of the whole file, in hexadecimal digits"`
		Rendition string `json:"rendition,omitempty" maxLength:"32" doc:"A label such as 720p: another encoding of the current version instead of a new one"`
	}
}

// startUpload signs addresses anew for a repeated request: what is kept is the
// upload, not the addresses.
func (a *API) startUpload(ctx context.Context, in *startUploadInput) (*web.Resource[Upload], error) {
	b := in.Body
	v, err := a.Library.StartUpload(ctx, web.Actor(ctx), in.ID, library.Upload{
		Filename: b.Filename, MediaType: b.MediaType, Size: b.Size, SHA256: b.SHA256, Rendition: b.Rendition,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showUpload(v), 0, "/api/v1/contents/"+in.ID.String()+"/uploads/"+v.ID.String()), nil
}

type uploadInput struct {
	web.ByID
	UploadID uuid.UUID `path:"upload_id"`
}

func (a *API) getUpload(ctx context.Context, in *uploadInput) (*web.Resource[Upload], error) {
	v, err := a.Library.Upload(ctx, web.Actor(ctx), in.ID, in.UploadID)
	if err != nil {
		return nil, err
	}
	return web.Res(showUpload(v), 0), nil
}

// completeUpload answers 202 with a job for a file that takes long to read.
func (a *API) completeUpload(ctx context.Context, in *uploadInput) (*web.Resource[Upload], error) {
	v, err := a.Library.Complete(ctx, web.Actor(ctx), in.ID, in.UploadID)
	if err != nil {
		return nil, err
	}
	out := web.Res(showUpload(v), 0)
	if v.Job != nil {
		out = out.WithStatus(http.StatusAccepted)
		out.Location = "/api/v1/jobs/content/" + v.Job.ID.String()
	}
	return out, nil
}

func (a *API) abortUpload(ctx context.Context, in *uploadInput) (*web.Empty, error) {
	return nil, a.Library.AbortUpload(ctx, web.Actor(ctx), in.ID, in.UploadID)
}

// Download is a signed address of a file.
type Download struct {
	Method          string    `json:"method"`
	URL             string    `json:"url" doc:"Good for a minute, with ranges; ask again when a player needs another"`
	ExpiresAt       time.Time `json:"expires_at"`
	Filename        string    `json:"filename"`
	MediaType       string    `json:"media_type"`
	Size            int64     `json:"size"`
	SHA256          string    `json:"sha256"`
	Version         int       `json:"version"`
	ProgressPending bool      `json:"progress_pending,omitempty" doc:"That it was opened does not count yet: it will"`
}

type downloadInput struct {
	web.ByID
	CourseID  uuid.UUID `query:"course_id" doc:"The course in which it is opened; absent: any of mine that shows it"`
	Version   int       `query:"version" minimum:"1" doc:"An older version, for staff"`
	Rendition string    `query:"rendition" maxLength:"32"`
	Inline    bool      `query:"inline" doc:"To be shown instead of saved"`
}

func (a *API) download(ctx context.Context, in *downloadInput) (*web.Resource[Download], error) {
	req := library.DownloadRequest{CourseID: optional(in.CourseID), Rendition: in.Rendition, Inline: in.Inline}
	if in.Version > 0 {
		req.Number = &in.Version
	}
	d, err := a.Library.Download(ctx, web.Actor(ctx), in.ID, req)
	if err != nil {
		return nil, err
	}
	return web.Res(Download{
		Method: d.Method, URL: d.URL, ExpiresAt: d.ExpiresAt, Filename: d.Filename, MediaType: d.MediaType, Size: d.Size, SHA256: d.SHA256,
		Version: d.Number, ProgressPending: d.Pending,
	}, 0), nil
}
