package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/objects"
	"lms/shared/web"
)

type copyInput struct {
	web.ByID
	Body struct {
		Code          string     `json:"code" maxLength:"64" doc:"Of the new course"`
		Title         string     `json:"title,omitempty" maxLength:"255" doc:"Absent: the same"`
		OrgUnitID     *uuid.UUID `json:"org_unit_id,omitempty" doc:"Absent: the same"`
		Parts         []string   `json:"parts,omitempty" maxItems:"4" doc:"settings, curriculum, staff, announcements; absent: settings and curriculum"`
		DateShiftDays *int       `json:"date_shift_days,omitempty" doc:"Move every date by as many days"`
		StartsAt      *time.Time `json:"starts_at,omitempty" doc:"Move the start there and every other date by as much"`
	}
}

func (a *API) copyCourse(ctx context.Context, in *copyInput) (*web.JobAccepted, error) {
	b := in.Body
	req := catalog.CopyRequest{SourceID: in.ID, Code: b.Code, Title: b.Title, Parts: b.Parts, ShiftDays: b.DateShiftDays, StartsAt: b.StartsAt}
	if b.OrgUnitID != nil {
		req.OrgUnitID = *b.OrgUnitID
	}
	job, err := a.Service.StartCopy(ctx, web.Actor(ctx), req)
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

type exportInput struct {
	web.ByID
	Body struct {
		Format string `json:"format" enum:"common_cartridge,olx"`
	}
}

func (a *API) exportCourse(ctx context.Context, in *exportInput) (*web.JobAccepted, error) {
	job, err := a.Service.StartExport(ctx, web.Actor(ctx), catalog.ExportRequest{CourseID: in.ID, Format: in.Body.Format})
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}

type createUploadInput struct {
	Body struct {
		Filename string `json:"filename" maxLength:"255"`
		Size     int64  `json:"size" minimum:"1" doc:"In bytes; at most 512 MiB"`
		SHA256   string `json:"sha256" minLength:"64" maxLength:"64" doc:"Of the file, in lower-case hexadecimal digits"`
	}
}

// Upload says how to send a package.
type Upload struct {
	ID     uuid.UUID      `json:"id"`
	Upload objects.Signed `json:"upload" doc:"Make exactly this request with the file as its body"`
}

const uploadLife = time.Hour

// createUpload signs the address anew for a repeated request: what is kept is the
// upload, not the address.
func (a *API) createUpload(ctx context.Context, in *createUploadInput) (*web.Resource[Upload], error) {
	if a.Uploads == nil {
		return nil, apperr.Unavailable("objects_unavailable", "Files cannot be taken at the moment.")
	}
	u, err := a.Service.CreateUpload(ctx, web.Actor(ctx), catalog.Upload{Filename: in.Body.Filename, Size: in.Body.Size, SHA256: in.Body.SHA256})
	if err != nil {
		return nil, err
	}
	signed, err := a.Uploads.PresignPut(ctx, u.Key, u.Size, "application/octet-stream", u.SHA256, uploadLife)
	if err != nil {
		return nil, err
	}
	return web.Created(Upload{ID: u.ID, Upload: signed}, 0, ""), nil
}

type importInput struct {
	Body struct {
		UploadID  uuid.UUID  `json:"upload_id"`
		Format    string     `json:"format,omitempty" doc:"common_cartridge or olx; absent: found out from the file"`
		OrgUnitID *uuid.UUID `json:"org_unit_id,omitempty" doc:"Where the new course goes"`
		CourseID  *uuid.UUID `json:"course_id,omitempty" doc:"Instead: the draft whose curriculum is replaced"`
		Code      string     `json:"code,omitempty" maxLength:"64" doc:"Of the new course"`
		Title     string     `json:"title,omitempty" maxLength:"255" doc:"Absent: the package's"`
		DryRun    bool       `json:"dry_run,omitempty" doc:"Only report what would be done"`
	}
}

func (a *API) importCourse(ctx context.Context, in *importInput) (*web.JobAccepted, error) {
	b := in.Body
	req := catalog.ImportRequest{UploadID: b.UploadID, Format: b.Format, CourseID: b.CourseID, Code: b.Code, Title: b.Title, DryRun: b.DryRun}
	if (b.OrgUnitID == nil) == (b.CourseID == nil) {
		return nil, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "pair", Message: "Either org_unit_id for a new course, or course_id."})
	}
	if b.OrgUnitID != nil {
		req.OrgUnitID = *b.OrgUnitID
	}
	job, err := a.Service.StartImport(ctx, web.Actor(ctx), req)
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
