package catalog

import (
	"slices"
	"time"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Transition is a step of a course's life: draft → published → archived.
type Transition string

// The transitions. Restore leads to draft, so that nobody meets an old course by
// surprise before staff have looked at it.
const (
	Publish   Transition = "publish"
	Unpublish Transition = "unpublish"
	Archive   Transition = "archive"
	Restore   Transition = "restore"
)

var transitions = map[Transition]struct {
	from []string
	to   string
}{
	Publish:   {[]string{events.CourseDraft}, events.CoursePublished},
	Unpublish: {[]string{events.CoursePublished}, events.CourseDraft},
	Archive:   {[]string{events.CourseDraft, events.CoursePublished}, events.CourseArchived},
	Restore:   {[]string{events.CourseArchived}, events.CourseDraft},
}

// Apply takes the step, or says with 409 `invalid_transition` that it does not
// lead from the course's status. The first publication's time is kept.
func (t Transition) Apply(c *Course, now time.Time) error {
	step, ok := transitions[t]
	if !ok || !slices.Contains(step.from, c.Status) {
		return apperr.Conflict("invalid_transition", "A course that is "+c.Status+" cannot be changed in this way: "+string(t)+".").
			Detail("status", c.Status)
	}
	c.Status = step.to
	switch t {
	case Publish:
		if c.PublishedAt == nil {
			c.PublishedAt = &now
		}
	case Archive:
		c.ArchivedAt = &now
	case Restore:
		c.ArchivedAt = nil
	case Unpublish:
	}
	return nil
}

// Event is the event of the step.
func (t Transition) Event(s events.CourseState) events.Event {
	switch t {
	case Publish:
		return events.CoursePublishedEvent{CourseState: s}
	case Unpublish:
		return events.CourseUnpublishedEvent{CourseState: s}
	case Archive:
		return events.CourseArchivedEvent{CourseState: s}
	default:
		return events.CourseRestoredEvent{CourseState: s}
	}
}

// writable refuses changes of what an archived course consists of.
func (c Course) writable() error {
	if c.Status == events.CourseArchived {
		return apperr.Conflict("course_archived", "An archived course is read-only. Restore it first.")
	}
	return nil
}

// deletable refuses to delete a published course: learners may be inside.
func (c Course) deletable() error {
	if c.Status == events.CoursePublished {
		return apperr.Conflict("course_published", "A published course cannot be deleted. Unpublish or archive it first.")
	}
	return nil
}
