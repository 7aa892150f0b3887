package enrollment

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// Kinds of a date in a calendar.
const (
	DateCourseStarts  = "course_starts"
	DateCourseEnds    = "course_ends"
	DateAccessEnds    = "access_ends"
	DateAnswerBy      = "answer_by"
	DateModuleUnlocks = "module_unlocks"
	DateItemUnlocks   = "item_unlocks"
)

// Date is one entry of a person's calendar.
type Date struct {
	Kind     string
	At       time.Time
	CourseID uuid.UUID
	Course   string // its title
	// SubjectID is the course, enrollment, module or item; with Kind it names the
	// entry for good.
	SubjectID uuid.UUID
	Title     string // of the module or item
}

// maxCalendarCourses bounds a calendar.
const maxCalendarCourses = page.MaxLimit

// Calendar is the caller's dates from a time on, in order.
func (s *Service) Calendar(ctx context.Context, actor authz.Principal, from, to time.Time) (out []Date, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = s.dates(ctx, tx, actor.UserID, from, to)
		return err
	})
	return out, err
}

func (s *Service) dates(ctx context.Context, tx Tx, user uuid.UUID, from, to time.Time) ([]Date, error) {
	list, err := tx.Mine(ctx, MineFilter{UserID: user, States: []State{Active, Completed, Invited, Offered}}, page.Request{Limit: maxCalendarCourses})
	if err != nil {
		return nil, err
	}
	var out []Date
	for _, l := range list.Items {
		if !l.Course.Readable() {
			continue
		}
		found, err := s.courseDates(ctx, tx, l)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			if !d.At.Before(from) && !d.At.After(to) {
				out = append(out, d)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Date) int { return a.At.Compare(b.At) })
	return out, nil
}

func (s *Service) courseDates(ctx context.Context, tx Tx, l Listed) ([]Date, error) {
	var out []Date
	add := func(kind string, at *time.Time, subject uuid.UUID, title string) {
		if at != nil {
			out = append(out, Date{Kind: kind, At: *at, CourseID: l.CourseID, Course: l.Course.Title, SubjectID: subject, Title: title})
		}
	}
	if l.State == Invited || l.State == Offered {
		add(DateAnswerBy, l.AnswerBy, l.ID, "")
		return out, nil
	}
	add(DateCourseStarts, l.Course.StartsAt, l.CourseID, "")
	add(DateCourseEnds, l.Course.EndsAt, l.CourseID, "")
	add(DateAccessEnds, l.AccessEndsAt, l.ID, "")
	c, err := s.Curricula.Get(ctx, tx, l.CourseID, l.Course.CurriculumSeq)
	if err != nil || c == nil {
		return out, err
	}
	for _, m := range c.Modules {
		if !m.Published {
			continue
		}
		add(DateModuleUnlocks, m.UnlockAt, m.ID, m.Title)
		for _, it := range m.Items {
			if it.Visible {
				add(DateItemUnlocks, it.UnlockAt, it.ID, it.Title)
			}
		}
	}
	return out, nil
}

// calendarTokenBytes: 256 random bits name a calendar that needs no login.
const calendarTokenBytes = 32

// NewCalendarToken makes the address of the caller's calendar anew: the one
// before stops working. Only a hash is kept, so it is shown once.
func (s *Service) NewCalendarToken(ctx context.Context, actor authz.Principal) (string, error) {
	raw := make([]byte, calendarTokenBytes)
	if _, err := io.ReadFull(s.Random, raw); err != nil {
		return "", apperr.Internal(err)
	}
	token := base64.RawURLEncoding.EncodeToString(raw)
	hash := sha256.Sum256([]byte(token))
	err := s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if err := tx.SetCalendarToken(ctx, actor.UserID, actor.TenantID, hash[:], s.Now()); err != nil {
			return err
		}
		return tx.Audit(ctx, work.AuditEntry{Action: "calendar.share", ResourceType: "user", ResourceID: actor.UserID, TenantID: actor.TenantID})
	})
	return token, err
}

// RevokeCalendarToken ends the address of the caller's calendar.
func (s *Service) RevokeCalendarToken(ctx context.Context, actor authz.Principal) error {
	return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		gone, err := tx.DeleteCalendarToken(ctx, actor.UserID)
		if err != nil || !gone {
			return err
		}
		return tx.Audit(ctx, work.AuditEntry{Action: "calendar.unshare", ResourceType: "user", ResourceID: actor.UserID, TenantID: actor.TenantID})
	})
}

// SharedCalendar is the calendar that a token names; 404 for one that was revoked
// or whose owner may not act.
func (s *Service) SharedCalendar(ctx context.Context, token string, from, to time.Time) (out []Date, err error) {
	hash := sha256.Sum256([]byte(token))
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		user, _, err := tx.CalendarOwner(ctx, hash[:])
		if err != nil {
			return err
		}
		person, err := tx.Person(ctx, user)
		if err != nil {
			return err
		}
		if person != nil && person.Status != PersonActive {
			return apperr.NotFound("calendar")
		}
		out, err = s.dates(ctx, tx, user, from, to)
		return err
	})
	return out, err
}

// Kinds of a thing to do.
const (
	TodoAnswerInvitation = "answer_invitation"
	TodoAnswerOffer      = "answer_offer"
	TodoNextItem         = "next_item"
)

// Todo is one thing that waits for a person.
type Todo struct {
	Kind   string
	Listed Listed
	DueAt  *time.Time
	Next   *NextItem
}

// Todo is what waits for the caller: answers, and the next item of each course,
// the most urgent first.
func (s *Service) Todo(ctx context.Context, actor authz.Principal) (out []Todo, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		now := s.Now()
		out = nil
		list, err := tx.Mine(ctx, MineFilter{UserID: actor.UserID, States: []State{Active, Invited, Offered}}, page.Request{Limit: maxCalendarCourses})
		if err != nil {
			return err
		}
		for _, l := range list.Items {
			todo, err := s.todoOf(ctx, tx, l, now)
			if err != nil {
				return err
			}
			if todo != nil {
				out = append(out, *todo)
			}
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Todo) int {
		switch {
		case a.DueAt == nil && b.DueAt == nil:
			return 0
		case a.DueAt == nil:
			return 1
		case b.DueAt == nil:
			return -1
		}
		return a.DueAt.Compare(*b.DueAt)
	})
	return out, err
}

func (s *Service) todoOf(ctx context.Context, tx Tx, l Listed, now time.Time) (*Todo, error) {
	switch l.Effective(l.Course, now) {
	case Invited:
		return &Todo{Kind: TodoAnswerInvitation, Listed: l, DueAt: l.AnswerBy}, nil
	case Offered:
		return &Todo{Kind: TodoAnswerOffer, Listed: l, DueAt: l.AnswerBy}, nil
	case Active:
	default:
		return nil, nil //nolint:nilnil // nothing to do is an answer
	}
	if !l.Course.Published() {
		return nil, nil //nolint:nilnil // nothing to do is an answer
	}
	next, err := s.nextItem(ctx, tx, l, now)
	if err != nil || next == nil {
		return nil, err
	}
	return &Todo{Kind: TodoNextItem, Listed: l, DueAt: l.Until(l.Course), Next: next}, nil
}
