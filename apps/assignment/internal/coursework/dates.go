package coursework

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
	"lms/shared/apperr"
	"lms/shared/work"
)

// Dates are those of everybody who has no override.
func (f AssignmentFields) Dates() grading.Dates {
	return grading.Dates{OpensAt: f.AvailableFrom, DueAt: f.DueAt, CutoffAt: f.CutoffAt, LockAt: f.LockAt, Attempts: f.Attempts}
}

// Codes of an assignment that takes nothing now.
const (
	CodeNotOpen = "window_not_open"
	CodeClosed  = "window_closed"
	CodeLocked  = "assignment_locked"
)

// open says why work is not taken at a moment; nil when it is (rule 21).
func open(d grading.Dates, now time.Time) error {
	switch d.At(now) {
	case grading.Locked:
		return apperr.Conflict(CodeLocked, "The assignment is locked: nothing is taken any more.").Detail("since", *d.LockAt)
	case grading.NotOpen:
		return apperr.Conflict(CodeNotOpen, "The assignment is not open yet.").Detail("from", *d.OpensAt)
	case grading.Closed:
		return apperr.Conflict(CodeClosed, "The assignment is closed: its last moment has passed.").Detail("until", *d.CutoffAt)
	case grading.Open:
	}
	return nil
}

// late is how late work is at a time, in whole seconds, begun ones counted. Exactly
// at the due time is on time (rule 17).
func late(due *time.Time, at time.Time) int64 {
	if due == nil || !at.After(*due) {
		return 0
	}
	return wholeSeconds(at.Sub(*due))
}

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// extensions are an assignment's overrides, and who is in the groups that have one.
type extensions struct {
	users   map[uuid.UUID]grading.Extension
	groups  map[uuid.UUID]grading.Extension
	members map[uuid.UUID][]uuid.UUID // by group
}

func (o Override) extension() grading.Extension {
	return grading.Extension{OpensAt: o.AvailableFrom, DueAt: o.DueAt, CutoffAt: o.CutoffAt, Attempts: o.Attempts, Unlimited: o.UnlimitedAttempts}
}

// of are the extensions that apply to a person.
func (e extensions) of(user uuid.UUID) []grading.Extension {
	var out []grading.Extension
	if own, ok := e.users[user]; ok {
		out = append(out, own)
	}
	for id, ext := range e.groups {
		if slices.Contains(e.members[id], user) {
			out = append(out, ext)
		}
	}
	return out
}

// dates are those of one person (rule 21).
func (e extensions) dates(a Assignment, user uuid.UUID) grading.Dates {
	return a.Dates().Extended(e.of(user)...)
}

// now are the overrides as they are in a transaction: those that were read before it
// said whose groups to ask for. A group that got its first one since is not known yet.
func (e extensions) now(ctx context.Context, tx Tx, assignment uuid.UUID) (extensions, error) {
	list, err := tx.Overrides(ctx, assignment)
	if err != nil {
		return extensions{}, err
	}
	out := extensions{users: map[uuid.UUID]grading.Extension{}, groups: map[uuid.UUID]grading.Extension{}, members: e.members}
	for _, o := range list {
		if o.Kind == OverrideUser {
			out.users[o.SubjectID] = o.extension()
			continue
		}
		out.groups[o.SubjectID] = o.extension()
	}
	return out, nil
}

// extensionsOf collects overrides; user is asked only where groups have some.
func (s *Service) extensionsOf(ctx context.Context, list []Override) (extensions, error) {
	e := extensions{users: map[uuid.UUID]grading.Extension{}, groups: map[uuid.UUID]grading.Extension{}}
	var groups []uuid.UUID
	for _, o := range list {
		if o.Kind == OverrideUser {
			e.users[o.SubjectID] = o.extension()
			continue
		}
		e.groups[o.SubjectID] = o.extension()
		groups = append(groups, o.SubjectID)
	}
	if len(groups) == 0 {
		return e, nil
	}
	var err error
	e.members, err = s.People.GroupMembers(ctx, groups)
	return e, err
}

// extended reads an assignment with its overrides.
func (s *Service) extended(ctx context.Context, sc work.Scope, id uuid.UUID) (Assignment, extensions, error) {
	type found struct {
		a    Assignment
		list []Override
	}
	f, err := read(ctx, s, sc, func(ctx context.Context, tx Tx) (f found, err error) {
		if f.a, err = tx.Assignment(ctx, id); err != nil {
			return f, err
		}
		f.list, err = tx.Overrides(ctx, id)
		return f, err
	})
	if err != nil {
		return Assignment{}, extensions{}, err
	}
	e, err := s.extensionsOf(ctx, f.list)
	return f.a, e, err
}
