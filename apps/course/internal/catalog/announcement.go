package catalog

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// maxAnnouncementText bounds the plain text inside of an event, in characters.
const maxAnnouncementText = 4_000

// Announcement is what staff tell everyone in a course. It is a draft without
// PublishAt, scheduled until PublishAt is reached, then published once and for all:
// later edits are shown, but told to nobody.
type Announcement struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	CourseID  uuid.UUID
	OrgUnitID uuid.UUID
	AnnouncementFields
	AuthorID    uuid.UUID
	PublishedAt *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// AnnouncementFields are what the author sets.
type AnnouncementFields struct {
	Title     string     `json:"title"`
	Body      string     `json:"body"`
	Pinned    bool       `json:"pinned"`
	PublishAt *time.Time `json:"publish_at"`
}

// State is draft, scheduled or published.
func (a Announcement) State() string {
	switch {
	case a.PublishedAt != nil:
		return "published"
	case a.PublishAt != nil:
		return "scheduled"
	default:
		return "draft"
	}
}

func (a Announcement) audit(action string, changes map[string]work.Change) work.AuditEntry {
	return work.AuditEntry{
		Action: action, ResourceType: "announcement", ResourceID: a.ID, TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, Changes: changes,
	}
}

func (s *Service) settleAnnouncement(a *Announcement) error {
	a.Title, a.PublishAt = strings.TrimSpace(a.Title), stored(a.PublishAt)
	a.Body = s.Text.HTML(a.Body)
	var f apperr.Fields
	checkText(&f, "title", a.Title, 1, MaxTitle)
	f.Require(len(a.Body) <= MaxBody, "body", "too_long", "At most 100,000 bytes.")
	f.Require(strings.TrimSpace(a.Body) != "", "body", "required", "Must not be empty.")
	return f.Err()
}

// CreateAnnouncement writes an announcement, published at once where PublishAt has
// come. Publishing needs a published course (409 `course_not_published`); a
// scheduled one waits for it.
func (s *Service) CreateAnnouncement(ctx context.Context, actor authz.Principal, course uuid.UUID, in AnnouncementFields) (Announcement, error) {
	policy, _, err := s.allowed(ctx, actor, course, authz.CourseAnnounce)
	if err != nil {
		return Announcement{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Announcement, error) {
		c, err := s.lock(ctx, tx, policy, actor, course, authz.CourseAnnounce)
		if err != nil {
			return Announcement{}, err
		}
		if err := c.writable(); err != nil {
			return Announcement{}, err
		}
		now := s.Now()
		a := Announcement{
			ID: s.NewID(), TenantID: c.TenantID, CourseID: course, OrgUnitID: c.OrgUnitID, AnnouncementFields: in,
			AuthorID: actor.UserID, CreatedAt: now, UpdatedAt: now, Version: 1,
		}
		if err := s.settleAnnouncement(&a); err != nil {
			return Announcement{}, err
		}
		if err := s.publishIfDue(ctx, tx, c, &a, true); err != nil {
			return Announcement{}, err
		}
		if err := tx.InsertAnnouncement(ctx, a); err != nil {
			return Announcement{}, err
		}
		return a, tx.Audit(ctx, a.audit("announcement.create", map[string]work.Change{"title": {To: a.Title}, "state": {To: a.State()}}))
	})
}

// publishIfDue marks the announcement published and tells it, once.
func (s *Service) publishIfDue(ctx context.Context, tx Tx, c Course, a *Announcement, asked bool) error {
	now := s.Now()
	if a.PublishedAt != nil || a.PublishAt == nil || a.PublishAt.After(now) {
		return nil
	}
	if c.Status != events.CoursePublished {
		if asked {
			return apperr.Conflict("course_not_published", "Publish the course first, or keep the announcement as a draft.")
		}
		return nil
	}
	a.PublishedAt = &now
	text := s.Text.Plain(a.Body)
	if utf8.RuneCountInString(text) > maxAnnouncementText {
		text = string([]rune(text)[:maxAnnouncementText])
	}
	return tx.Emit(ctx, events.AnnouncementPublished{
		AnnouncementID: a.ID, CourseID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseCode: c.Code, CourseTitle: c.Title,
		AuthorID: a.AuthorID, Title: a.Title, Text: text, Pinned: a.Pinned, PublishedAt: now,
	}, c.meta())
}

// Announcements lists those of a course, pinned and newest first: to staff all, to
// members what is published. Others, who may know the course, see none of it (403).
func (s *Service) Announcements(ctx context.Context, actor authz.Principal, course uuid.UUID, p page.Request) (page.Page[Announcement], error) {
	all, err := s.readsAnnouncements(ctx, actor, course)
	if err != nil {
		return page.Page[Announcement]{}, err
	}
	var out page.Page[Announcement]
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.ListAnnouncements(ctx, course, all, p)
		return err
	})
	return out, err
}

// readsAnnouncements says whether the caller sees drafts too; who is neither staff
// nor enrolled is refused.
func (s *Service) readsAnnouncements(ctx context.Context, actor authz.Principal, course uuid.UUID) (bool, error) {
	c, role, err := s.Store.CourseFor(ctx, course, actor.UserID)
	if err != nil {
		return false, err
	}
	seen, err := s.sees(ctx, actor, c.head(role))
	if err != nil || seen.staff {
		return seen.staff, err
	}
	verdict, err := s.Membership.May(ctx, actor.UserID, course, nil)
	if err != nil {
		return false, err
	}
	if !verdict.Allowed || !verdict.Enrolled {
		return false, apperr.New(apperr.KindForbidden, "enrollment_required", "Enroll in the course to read its announcements.")
	}
	return false, nil
}

// Announcement is one announcement.
func (s *Service) Announcement(ctx context.Context, actor authz.Principal, id uuid.UUID) (Announcement, error) {
	var a Announcement
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		a, err = tx.Announcement(ctx, id)
		return err
	})
	if err != nil {
		return Announcement{}, err
	}
	all, err := s.readsAnnouncements(ctx, actor, a.CourseID)
	if apperr.IsKind(err, apperr.KindNotFound) || err == nil && !all && a.PublishedAt == nil {
		return Announcement{}, apperr.NotFound("announcement")
	}
	return a, err
}

// UpdateAnnouncement changes an announcement; one that was published stays so.
func (s *Service) UpdateAnnouncement(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, edit func(*AnnouncementFields)) (Announcement, error) {
	return s.changeAnnouncement(ctx, actor, id, version, func(ctx context.Context, tx Tx, c Course, a Announcement) (Announcement, error) {
		before := a.AnnouncementFields
		edit(&a.AnnouncementFields)
		if a.PublishedAt != nil {
			a.PublishAt = before.PublishAt
		}
		if err := s.settleAnnouncement(&a); err != nil {
			return Announcement{}, err
		}
		changes, err := changesOf(before, a.AnnouncementFields)
		if err != nil || len(changes) == 0 {
			return a, err
		}
		delete(changes, "body")
		a.Version++
		a.UpdatedAt = s.Now()
		if err := s.publishIfDue(ctx, tx, c, &a, true); err != nil {
			return Announcement{}, err
		}
		if err := tx.UpdateAnnouncement(ctx, a); err != nil {
			return Announcement{}, err
		}
		return a, tx.Audit(ctx, a.audit("announcement.update", changes))
	})
}

// DeleteAnnouncement removes an announcement.
func (s *Service) DeleteAnnouncement(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64) error {
	_, err := s.changeAnnouncement(ctx, actor, id, version, func(ctx context.Context, tx Tx, _ Course, a Announcement) (Announcement, error) {
		if err := tx.DeleteAnnouncement(ctx, id); err != nil {
			return Announcement{}, err
		}
		return a, tx.Audit(ctx, a.audit("announcement.delete", map[string]work.Change{"title": {From: a.Title}}))
	})
	return err
}

func (s *Service) changeAnnouncement(ctx context.Context, actor authz.Principal, id uuid.UUID, version *int64, fn func(context.Context, Tx, Course, Announcement) (Announcement, error)) (Announcement, error) {
	old, err := s.Announcement(ctx, actor, id)
	if err != nil {
		return Announcement{}, err
	}
	policy, _, err := s.allowed(ctx, actor, old.CourseID, authz.CourseAnnounce)
	if err != nil {
		return Announcement{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Announcement, error) {
		c, err := s.lock(ctx, tx, policy, actor, old.CourseID, authz.CourseAnnounce)
		if err != nil {
			return Announcement{}, err
		}
		if err := c.writable(); err != nil {
			return Announcement{}, err
		}
		a, err := tx.LockAnnouncement(ctx, id)
		if err != nil {
			return Announcement{}, err
		}
		if err := checkVersion(version, a.Version); err != nil {
			return Announcement{}, err
		}
		return fn(ctx, tx, c, a)
	})
}

// PublishDue publishes scheduled announcements whose time has come, each in a
// transaction of its own.
func (s *Service) PublishDue(ctx context.Context) error {
	var due []Announcement
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		due, err = tx.DueAnnouncements(ctx, s.Now(), 200)
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range due {
		err := s.Store.InTx(ctx, work.Tenant(d.TenantID), func(ctx context.Context, tx Tx) error {
			c, _, err := tx.LockCourse(ctx, d.CourseID, uuid.Nil)
			if err != nil {
				return err
			}
			a, err := tx.LockAnnouncement(ctx, d.ID)
			if err != nil || a.PublishedAt != nil {
				return err
			}
			if err := s.publishIfDue(ctx, tx, c, &a, false); err != nil || a.PublishedAt == nil {
				return err
			}
			a.Version++
			return tx.UpdateAnnouncement(ctx, a)
		})
		if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
	}
	return nil
}
