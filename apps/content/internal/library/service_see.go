package library

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// Sight is how a caller came to see a content.
type Sight struct {
	// CourseID is the course in which a learner sees it; nil for who sees it as
	// staff.
	CourseID *uuid.UUID
}

// sees decides whether the caller may see a content: holders of content:read in its
// org unit, staff of a course that it was made for or that shows it, and while it
// is published learners of a course that shows it, where it is not locked (rule
// 11). course narrows it to one course. fresh lets no answer be older than the
// question.
func (s *Service) sees(ctx context.Context, actor authz.Principal, policy *authz.Policy, c Content, course *uuid.UUID, fresh bool) (Sight, error) {
	ok, err := s.holds(ctx, policy, actor, c, authz.ContentRead, fresh)
	if err != nil || ok {
		return Sight{}, err
	}
	courses, err := s.coursesFor(ctx, actor, c, course)
	if err != nil {
		return Sight{}, err
	}
	refused := error(apperr.NotFound("content"))
	for _, id := range courses {
		v, err := s.Members.May(ctx, actor, id, &c.ID, fresh)
		if err != nil {
			return Sight{}, err
		}
		switch {
		case v.Allowed && v.As == AsLearner && c.Published():
			return Sight{CourseID: &id}, nil
		case v.Allowed && v.As != AsLearner:
			// Enrollment vouches for the course only: that the course shows the content
			// is asked of course.
			if seen, err := s.staffSees(ctx, policy, actor, v, c, id); err != nil || seen {
				return Sight{}, err
			}
		case v.Code == DeniedLocked && c.Published():
			refused = apperr.New(apperr.KindForbidden, "item_locked", "It is locked for you; see reasons.").Detail("reasons", v.Reasons)
		case v.Code == DeniedSuspended && c.Published():
			refused = apperr.New(apperr.KindForbidden, "suspended", "Your enrollment is suspended.")
		}
	}
	return Sight{}, refused
}

func (s *Service) staffSees(ctx context.Context, policy *authz.Policy, actor authz.Principal, v Verdict, c Content, course uuid.UUID) (bool, error) {
	if v.TenantID != c.TenantID || !policy.AllowsInCourse(actor, authz.ContentRead, v.OrgUnitID, staffRole(v)) {
		return false, nil
	}
	usages, err := s.Placements.Usages(ctx, c.ID)
	return slices.ContainsFunc(usages, func(u Usage) bool { return u.CourseID == course }), err
}

// coursesFor are the courses to ask about: the one that was named, or those of the
// caller that show the content.
func (s *Service) coursesFor(ctx context.Context, actor authz.Principal, c Content, course *uuid.UUID) ([]uuid.UUID, error) {
	if course != nil {
		return []uuid.UUID{*course}, nil
	}
	mine, err := s.Members.CoursesOf(ctx, actor.UserID)
	if err != nil || len(mine) == 0 {
		return nil, err
	}
	usages, err := s.Placements.Usages(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	var out []uuid.UUID
	for _, u := range usages {
		if slices.Contains(mine, u.CourseID) && !slices.Contains(out, u.CourseID) {
			out = append(out, u.CourseID)
		}
	}
	return out, nil
}

// Content is a content that the caller may see; any other is NotFound, and one that
// is locked for a learner `item_locked`. That a learner opened it is reported.
func (s *Service) Content(ctx context.Context, actor authz.Principal, id uuid.UUID, course *uuid.UUID) (View, error) {
	policy, c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	sight, err := s.sees(ctx, actor, policy, c, course, false)
	if err != nil {
		return View{}, err
	}
	v, err := s.view(ctx, c)
	if err != nil {
		return View{}, err
	}
	v.Pending, err = s.opened(ctx, actor, c, sight)
	return v, err
}

// DownloadLife is how long the address of a download is good.
const DownloadLife = 60 * time.Second

// DownloadRequest says what of a content: the current version unless staff name
// another one, or a rendition of it.
type DownloadRequest struct {
	CourseID  *uuid.UUID
	Number    *int
	Rendition string
	// Inline is for showing it in the browser instead of saving it.
	Inline bool
}

// Download is a signed address with what is behind it.
type Download struct {
	Link
	Filename  string
	MediaType string
	Size      int64
	SHA256    string
	Number    int
	Pending   bool
}

// Download gives the address of a file to who may see it now: it asks each time.
func (s *Service) Download(ctx context.Context, actor authz.Principal, id uuid.UUID, in DownloadRequest) (Download, error) {
	policy, c, err := s.find(ctx, id)
	if err != nil {
		return Download{}, err
	}
	sight, err := s.sees(ctx, actor, policy, c, in.CourseID, true)
	if err != nil {
		return Download{}, err
	}
	out, key, err := s.pick(ctx, c, in, sight)
	if err != nil {
		return Download{}, err
	}
	if out.Link, err = s.Files.PresignGet(ctx, key, out.Filename, out.MediaType, in.Inline, DownloadLife); err != nil {
		return Download{}, err
	}
	out.Pending, err = s.opened(ctx, actor, c, sight)
	return out, err
}

func (s *Service) pick(ctx context.Context, c Content, in DownloadRequest, sight Sight) (out Download, key string, err error) {
	number := c.Current
	if in.Number != nil {
		if sight.CourseID != nil && *in.Number != c.Current {
			return out, "", apperr.NotFound("version")
		}
		number = *in.Number
	}
	if c.Kind == events.ContentPage {
		return out, "", apperr.Conflict("no_file", "A page has a text and no file.")
	}
	if number == 0 {
		return out, "", apperr.Conflict("no_file", "No file was uploaded yet.")
	}
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		if in.Rendition != "" {
			r, err := tx.Rendition(ctx, c.ID, number, in.Rendition)
			out, key = Download{Filename: r.Filename, MediaType: r.MediaType, Size: r.Size, SHA256: r.SHA256, Number: number}, r.Key
			return err
		}
		v, err := tx.Version(ctx, c.ID, number)
		out, key = Download{Filename: v.Filename, MediaType: v.MediaType, Size: v.Size, SHA256: v.SHA256, Number: number}, v.Key
		return err
	})
	return out, key, err
}
