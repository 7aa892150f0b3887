package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/patch"
	"lms/shared/web"
)

// StaffMember is a person of a course's staff.
type StaffMember struct {
	UserID    uuid.UUID `json:"user_id"`
	Role      string    `json:"role" doc:"instructor, teaching_assistant, or the id of a custom role"`
	Name      string    `json:"name,omitempty"`
	AvatarURL string    `json:"avatar_url,omitempty"`
	Active    bool      `json:"active" doc:"false while the person is deactivated"`
	AddedAt   time.Time `json:"added_at"`
}

func showStaff(m catalog.StaffCard) StaffMember {
	return StaffMember{UserID: m.UserID, Role: m.Role, Name: m.Name, AvatarURL: m.AvatarURL, Active: m.Active, AddedAt: m.AddedAt}
}

type listStaffInput struct {
	web.ByID
	web.Page
}

func (a *API) listStaff(ctx context.Context, in *listStaffInput) (*web.List[StaffMember], error) {
	staff, err := a.Service.Staff(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	p, err := cut(staff, in.Page)
	return web.ListOf(p, showStaff), err
}

type putStaffInput struct {
	web.ByID
	UserID uuid.UUID `path:"user_id"`
	Body   struct {
		Role string `json:"role" maxLength:"64"`
	}
}

func (a *API) putStaff(ctx context.Context, in *putStaffInput) (*web.Resource[StaffMember], error) {
	m, err := a.Service.PutStaff(ctx, web.Actor(ctx), in.ID, in.UserID, in.Body.Role)
	if err != nil {
		return nil, err
	}
	return web.Res(showStaff(catalog.StaffCard{StaffMember: m}), 0), nil
}

type removeStaffInput struct {
	web.ByID
	UserID uuid.UUID `path:"user_id"`
}

func (a *API) removeStaff(ctx context.Context, in *removeStaffInput) (*web.Empty, error) {
	return nil, a.Service.RemoveStaff(ctx, web.Actor(ctx), in.ID, in.UserID)
}

// Announcement is what staff tell everyone in a course.
type Announcement struct {
	ID          uuid.UUID  `json:"id"`
	CourseID    uuid.UUID  `json:"course_id"`
	Title       string     `json:"title"`
	Body        string     `json:"body" doc:"HTML"`
	Pinned      bool       `json:"pinned"`
	State       string     `json:"state" enum:"draft,scheduled,published"`
	PublishAt   *time.Time `json:"publish_at,omitempty"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
	AuthorID    uuid.UUID  `json:"author_id"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
}

func showAnnouncement(a catalog.Announcement) Announcement {
	return Announcement{
		ID: a.ID, CourseID: a.CourseID, Title: a.Title, Body: a.Body, Pinned: a.Pinned, State: a.State(), PublishAt: a.PublishAt,
		PublishedAt: a.PublishedAt, AuthorID: a.AuthorID, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

type listAnnouncementsInput struct {
	web.ByID
	web.Page
}

func (a *API) listAnnouncements(ctx context.Context, in *listAnnouncementsInput) (*web.List[Announcement], error) {
	p, err := a.Service.Announcements(ctx, web.Actor(ctx), in.ID, in.Request())
	return web.ListOf(p, showAnnouncement), err
}

type createAnnouncementInput struct {
	web.ByID
	Body struct {
		Title     string     `json:"title" maxLength:"255"`
		Body      string     `json:"body" doc:"HTML; what could do harm is taken out"`
		Pinned    bool       `json:"pinned,omitempty"`
		Draft     bool       `json:"draft,omitempty" doc:"Keep it for later instead of publishing it"`
		PublishAt *time.Time `json:"publish_at,omitempty" doc:"Absent: at once"`
	}
}

func (a *API) createAnnouncement(ctx context.Context, in *createAnnouncementInput) (*web.Resource[Announcement], error) {
	b := in.Body
	fields := catalog.AnnouncementFields{Title: b.Title, Body: b.Body, Pinned: b.Pinned, PublishAt: b.PublishAt}
	if b.Draft {
		fields.PublishAt = nil
	} else if fields.PublishAt == nil {
		now := a.Service.Now()
		fields.PublishAt = &now
	}
	out, err := a.Service.CreateAnnouncement(ctx, web.Actor(ctx), in.ID, fields)
	if err != nil {
		return nil, err
	}
	return web.Created(showAnnouncement(out), out.Version, "/api/v1/announcements/"+out.ID.String()), nil
}

func (a *API) getAnnouncement(ctx context.Context, in *web.ByID) (*web.Resource[Announcement], error) {
	out, err := a.Service.Announcement(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showAnnouncement(out), out.Version), nil
}

type updateAnnouncementInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Title     patch.Field[string]    `json:"title"`
		Body      patch.Field[string]    `json:"body"`
		Pinned    patch.Field[bool]      `json:"pinned"`
		PublishAt patch.Field[time.Time] `json:"publish_at" doc:"A time that has come publishes at once; null: a draft. Without effect once published"`
	}
}

func (a *API) updateAnnouncement(ctx context.Context, in *updateAnnouncementInput) (*web.Resource[Announcement], error) {
	out, err := a.Service.UpdateAnnouncement(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(f *catalog.AnnouncementFields) {
		in.Body.Title.Apply(&f.Title)
		in.Body.Body.Apply(&f.Body)
		in.Body.Pinned.Apply(&f.Pinned)
		in.Body.PublishAt.ApplyPtr(&f.PublishAt)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showAnnouncement(out), out.Version), nil
}

func (a *API) deleteAnnouncement(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteAnnouncement(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}
