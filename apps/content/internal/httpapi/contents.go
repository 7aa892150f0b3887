package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/patch"
	"lms/shared/web"
)

// File is a version of a content.
type File struct {
	Number     int       `json:"number"`
	Filename   string    `json:"filename,omitempty"`
	MediaType  string    `json:"media_type"`
	Size       int64     `json:"size" doc:"In bytes"`
	SHA256     string    `json:"sha256"`
	Pages      *int      `json:"pages,omitempty"`
	Width      *int      `json:"width,omitempty" doc:"In pixels"`
	Height     *int      `json:"height,omitempty" doc:"In pixels"`
	DurationMS *int64    `json:"duration_ms,omitempty"`
	CreatedBy  uuid.UUID `json:"created_by"`
	CreatedAt  time.Time `json:"created_at"`
	Current    bool      `json:"current" doc:"It is the one that is shown"`
}

func showFile(v library.Version, current int) File {
	return File{
		Number: v.Number, Filename: v.Filename, MediaType: v.MediaType, Size: v.Size, SHA256: v.SHA256, Pages: v.Pages, Width: v.Width, Height: v.Height,
		DurationMS: v.DurationMS, CreatedBy: v.CreatedBy, CreatedAt: v.CreatedAt, Current: v.Number == current,
	}
}

// Content is an item of the library.
type Content struct {
	ID          uuid.UUID  `json:"id"`
	TenantID    uuid.UUID  `json:"tenant_id"`
	OrgUnitID   uuid.UUID  `json:"org_unit_id"`
	CourseID    *uuid.UUID `json:"course_id,omitempty" doc:"The course that it was made for"`
	Kind        string     `json:"kind"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Language    string     `json:"language"`
	Tags        []string   `json:"tags"`
	Licence     string     `json:"licence"`
	Attribution string     `json:"attribution"`
	Status      string     `json:"status" doc:"draft or published"`
	File        *File      `json:"file,omitempty" doc:"The current version; absent while there is none"`
	Body        *string    `json:"body,omitempty" doc:"The text of a page, as harmless HTML; not in lists"`
	CreatedBy   uuid.UUID  `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	PublishedAt *time.Time `json:"published_at,omitempty"`

	Captions        []Caption   `json:"captions,omitempty" doc:"Not in lists"`
	Renditions      []Rendition `json:"renditions,omitempty" doc:"Other encodings of the file; not in lists"`
	ProgressPending bool        `json:"progress_pending,omitempty" doc:"That it was opened does not count yet: it will"`
}

// Rendition is another encoding of a file.
type Rendition struct {
	Label      string    `json:"label"`
	Filename   string    `json:"filename"`
	MediaType  string    `json:"media_type"`
	Size       int64     `json:"size" doc:"In bytes"`
	SHA256     string    `json:"sha256"`
	Width      *int      `json:"width,omitempty"`
	Height     *int      `json:"height,omitempty"`
	DurationMS *int64    `json:"duration_ms,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
}

func showContent(v library.View) Content {
	c := Content{
		ID: v.ID, TenantID: v.TenantID, OrgUnitID: v.OrgUnitID, CourseID: v.CourseID, Kind: v.Kind, Title: v.Title, Description: v.Description,
		Language: v.Language, Tags: v.Tags, Licence: v.Licence, Attribution: v.Attribution, Status: v.Status,
		CreatedBy: v.CreatedBy, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt, PublishedAt: v.PublishedAt,
	}
	if v.File != nil {
		f := showFile(*v.File, v.Current)
		c.File = &f
	}
	return c
}

// showWhole is a content with the text of a page.
func showWhole(v library.View) Content {
	c := showContent(v)
	if v.File != nil && v.File.Key == "" {
		c.Body = &v.File.Body
	}
	for _, x := range v.Captions {
		c.Captions = append(c.Captions, showCaption(x))
	}
	for _, x := range v.Renditions {
		c.Renditions = append(c.Renditions, Rendition{
			Label: x.Label, Filename: x.Filename, MediaType: x.MediaType, Size: x.Size, SHA256: x.SHA256, Width: x.Width, Height: x.Height,
			DurationMS: x.DurationMS, CreatedAt: x.CreatedAt,
		})
	}
	c.ProgressPending = v.Pending
	return c
}

type listContentsInput struct {
	web.Page
	Query        string    `query:"q" maxLength:"200" doc:"In title or description"`
	Kind         string    `query:"kind" enum:"video,pdf,document,image,audio,page"`
	Status       string    `query:"status" enum:"draft,published"`
	Tag          string    `query:"tag" maxLength:"64"`
	Language     string    `query:"language" maxLength:"35"`
	Licence      string    `query:"licence" maxLength:"64"`
	OrgUnitID    uuid.UUID `query:"org_unit_id"`
	CourseID     uuid.UUID `query:"course_id" doc:"Those that were made for a course"`
	UpdatedSince time.Time `query:"updated_since"`
	Sort         string    `query:"sort" enum:"-created_at,created_at,title,-title,-updated_at,updated_at" default:"-created_at"`
}

func (a *API) listContents(ctx context.Context, in *listContentsInput) (*web.List[Content], error) {
	f := library.Filter{
		Query: in.Query, Kind: in.Kind, Status: in.Status, Tag: in.Tag, Language: in.Language, Licence: in.Licence, CourseID: optional(in.CourseID), Sort: in.Sort,
	}
	if in.OrgUnitID != uuid.Nil {
		f.OrgUnits = []uuid.UUID{in.OrgUnitID}
	}
	if !in.UpdatedSince.IsZero() {
		f.UpdatedSince = &in.UpdatedSince
	}
	p, err := a.Library.Contents(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, showContent), err
}

type createContentInput struct {
	Body struct {
		OrgUnitID   *uuid.UUID `json:"org_unit_id,omitempty" doc:"Where it belongs; or course_id"`
		CourseID    *uuid.UUID `json:"course_id,omitempty" doc:"The course that it is made for: its staff may change it, and it belongs to its org unit"`
		Kind        string     `json:"kind" enum:"video,pdf,document,image,audio,page"`
		Title       string     `json:"title" maxLength:"255"`
		Description string     `json:"description,omitempty" maxLength:"20000"`
		Language    string     `json:"language,omitempty" maxLength:"35" doc:"BCP 47; absent: en"`
		Tags        []string   `json:"tags,omitempty" maxItems:"50"`
		Licence     string     `json:"licence,omitempty" enum:"all_rights_reserved,public_domain,cc_by,cc_by_sa,cc_by_nc,cc_by_nc_sa,cc_by_nd,cc_by_nc_nd" doc:"Absent: all_rights_reserved"`
		Attribution string     `json:"attribution,omitempty" maxLength:"500"`
		Body        *string    `json:"body,omitempty" maxLength:"524288" doc:"The text of a page, as HTML"`
	}
}

func (a *API) createContent(ctx context.Context, in *createContentInput) (*web.Resource[Content], error) {
	b := in.Body
	n := library.NewContent{OrgUnitID: b.OrgUnitID, CourseID: b.CourseID, Kind: b.Kind, Properties: library.DefaultProperties(), Body: b.Body}
	n.Title, n.Description, n.Attribution = b.Title, b.Description, b.Attribution
	if b.Language != "" {
		n.Language = b.Language
	}
	if b.Licence != "" {
		n.Licence = b.Licence
	}
	if b.Tags != nil {
		n.Tags = b.Tags
	}
	v, err := a.Library.Create(ctx, web.Actor(ctx), n)
	if err != nil {
		return nil, err
	}
	return web.Created(showWhole(v), v.Version, "/api/v1/contents/"+v.ID.String()), nil
}

type getContentInput struct {
	web.ByID
	CourseID uuid.UUID `query:"course_id" doc:"The course in which it is opened; absent: any of mine that shows it"`
}

func (a *API) getContent(ctx context.Context, in *getContentInput) (*web.Resource[Content], error) {
	v, err := a.Library.Content(ctx, web.Actor(ctx), in.ID, optional(in.CourseID))
	if err != nil {
		return nil, err
	}
	return web.Res(showWhole(v), v.Version), nil
}

type updateContentInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title       patch.Field[string]   `json:"title" maxLength:"255"`
		Description patch.Field[string]   `json:"description" maxLength:"20000"`
		Language    patch.Field[string]   `json:"language" maxLength:"35"`
		Tags        patch.Field[[]string] `json:"tags" maxItems:"50"`
		Licence     patch.Field[string]   `json:"licence"`
		Attribution patch.Field[string]   `json:"attribution" maxLength:"500"`
		Body        patch.Field[string]   `json:"body" doc:"The text of a page; a changed one is a new version"`
	}
}

func (a *API) updateContent(ctx context.Context, in *updateContentInput) (*web.Resource[Content], error) {
	b := in.Body
	edit := library.Edit{Apply: func(p *library.Properties) {
		b.Title.Apply(&p.Title)
		b.Description.Apply(&p.Description)
		b.Language.Apply(&p.Language)
		b.Tags.Apply(&p.Tags)
		b.Licence.Apply(&p.Licence)
		b.Attribution.Apply(&p.Attribution)
	}}
	if b.Body.Set {
		edit.Body = &b.Body.Value
	}
	v, err := a.Library.Update(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), edit)
	return shown(v, err)
}

// shown answers with a changed content.
func shown(v library.View, err error) (*web.Resource[Content], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showWhole(v), v.Version), nil
}

type changeInput struct {
	web.ByID
	web.OptionalIfMatch
}

func (a *API) publish(ctx context.Context, in *changeInput) (*web.Resource[Content], error) {
	return shown(a.Library.Publish(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch)))
}

func (a *API) unpublish(ctx context.Context, in *changeInput) (*web.Resource[Content], error) {
	return shown(a.Library.Unpublish(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch)))
}

type deleteContentInput struct {
	web.ByID
	web.IfMatch
	Detach bool `query:"detach" doc:"Also take it out of every course that shows it"`
}

func (a *API) deleteContent(ctx context.Context, in *deleteContentInput) (*web.Empty, error) {
	return nil, a.Library.Delete(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), in.Detach)
}

type listVersionsInput struct {
	web.ByID
	web.Page
}

func (a *API) listVersions(ctx context.Context, in *listVersionsInput) (*web.List[File], error) {
	p, current, err := a.Library.Versions(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, func(v library.Version) File { return showFile(v, current) }), err
}

type restoreVersionInput struct {
	web.ByID
	web.OptionalIfMatch
	Number int `path:"number" minimum:"1"`
}

func (a *API) restoreVersion(ctx context.Context, in *restoreVersionInput) (*web.Resource[Content], error) {
	return shown(a.Library.Restore(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch), in.Number))
}

// Usage is a place of a content.
type Usage struct {
	CourseID     uuid.UUID `json:"course_id"`
	CourseTitle  string    `json:"course_title"`
	CourseStatus string    `json:"course_status"`
	ModuleID     uuid.UUID `json:"module_id"`
	ItemID       uuid.UUID `json:"item_id"`
	ItemTitle    string    `json:"item_title"`
	PlacedAt     time.Time `json:"placed_at"`
}

// Usages are all places of a content.
type Usages struct {
	Items []Usage `json:"items"`
}

func (a *API) listUsages(ctx context.Context, in *web.ByID) (*web.Resource[Usages], error) {
	list, err := a.Library.Usages(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := Usages{Items: make([]Usage, len(list))}
	for i, u := range list {
		out.Items[i] = Usage(u)
	}
	return web.Res(out, 0), nil
}
