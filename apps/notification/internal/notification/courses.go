package notification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/catalog"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/record"
)

// CourseSnapshot is what notification keeps of a course: its names, and who its
// staff are.
type CourseSnapshot struct {
	Seq     int64       `json:"seq"`
	Code    string      `json:"code"`
	Title   string      `json:"title"`
	Staff   []uuid.UUID `json:"staff,omitempty"` // the active ones
	Deleted bool        `json:"deleted,omitempty"`
}

// announcement is kept for those who enroll later.
type announcement struct {
	EventID uuid.UUID         `json:"e"`
	At      time.Time         `json:"at"`
	Except  uuid.UUID         `json:"x,omitzero"`
	Path    string            `json:"p"`
	Vars    map[string]string `json:"v"`
}

// maxAnnouncements of a course are kept, each some 500 bytes: those who come later
// find the newest.
const maxAnnouncements = 50

// course is the document of a course.
type course struct {
	ID            uuid.UUID      `json:"id"`
	Snapshot      CourseSnapshot `json:"snapshot"`
	Announcements []announcement `json:"announcements,omitempty"`
}

func courseKey(id uuid.UUID) string { return "course." + id.String() }

// snapshots are the types of events that carry the whole course.
func isSnapshot(eventType string) bool {
	switch eventType {
	case contract.TypeCourseCreated, contract.TypeCourseUpdated, contract.TypeCoursePublished, contract.TypeCourseUnpublished,
		contract.TypeCourseArchived, contract.TypeCourseRestored, contract.TypeCourseDeleted, contract.TypeCourseStaffChanged:
		return true
	}
	return false
}

// SnapshotOf is what is kept of a course's state.
func SnapshotOf(c contract.CourseState, seq int64) CourseSnapshot {
	s := CourseSnapshot{Seq: seq, Code: c.Code, Title: c.Title, Deleted: c.Deleted}
	for _, who := range c.Staff {
		if who.Active {
			s.Staff = append(s.Staff, who.UserID)
		}
	}
	return s
}

// courseChange is what a batch changes of a course.
type courseChange struct {
	snapshot *CourseSnapshot
	news     []announcement
	events   []int // of the batch
}

// changesOf collects what a batch says of courses.
func changesOf(plans []plan) map[uuid.UUID]*courseChange {
	out := map[uuid.UUID]*courseChange{}
	at := func(id uuid.UUID, i int) *courseChange {
		c := out[id]
		if c == nil {
			c = &courseChange{}
			out[id] = c
		}
		c.events = append(c.events, i)
		return c
	}
	for i := range plans {
		p := &plans[i]
		if p.err != nil {
			continue
		}
		if isSnapshot(p.event.Type) {
			var state contract.CourseState
			if err := json.Unmarshal(p.event.Data, &state); err != nil {
				p.err = apperr.New(apperr.KindInvalid, "event_unreadable", "The event's data cannot be read.").With(err)
				continue
			}
			c, s := at(state.ID, i), SnapshotOf(state, p.event.Seq)
			if c.snapshot == nil || s.Seq > c.snapshot.Seq {
				c.snapshot = &s
			}
		}
		for _, n := range p.notices {
			if n.LaterToo {
				c := at(n.CourseID, i)
				c.news = append(c.news, announcement{EventID: p.event.ID, At: p.event.Time, Except: n.Except, Path: n.Path, Vars: shortened(n.Vars)})
			}
		}
	}
	return out
}

// shortened keeps what a line of the list needs.
func shortened(vars map[string]string) map[string]string {
	const most = 600
	out := make(map[string]string, len(vars))
	for k, v := range vars {
		if r := []rune(v); len(r) > most {
			v = string(r[:most])
		}
		out[k] = v
	}
	return out
}

// applyCourses writes what a batch says of courses, one write per course.
func (s *Service) applyCourses(ctx context.Context, plans []plan) {
	for id, change := range changesOf(plans) {
		_, err := s.courses.Update(ctx, courseKey(id), func(c *course) (*course, error) {
			if c == nil {
				c = &course{ID: id}
			}
			if !c.apply(*change) {
				return c, record.ErrKeep
			}
			return c, nil
		})
		if err != nil {
			for _, i := range change.events {
				plans[i].fail(fmt.Errorf("course: %w", err))
			}
		}
	}
}

func (c *course) apply(change courseChange) bool {
	changed := false
	if n := change.snapshot; n != nil && n.Seq > c.Snapshot.Seq {
		c.Snapshot, changed = *n, true
		if n.Deleted {
			c.Announcements = nil
		}
	}
	for _, n := range change.news {
		if c.Snapshot.Deleted || c.has(n.EventID) {
			continue
		}
		c.Announcements, changed = append(c.Announcements, n), true
	}
	if over := len(c.Announcements) - maxAnnouncements; over > 0 {
		c.Announcements = c.Announcements[over:]
	}
	return changed
}

func (c *course) has(event uuid.UUID) bool {
	for _, a := range c.Announcements {
		if a.EventID == event {
			return true
		}
	}
	return false
}

// courseOf is a course as it is known; one whose events have not come yet is asked
// for. An unknown one has no names and no staff.
func (s *Service) courseOf(ctx context.Context, id uuid.UUID) (course, error) {
	c, err := s.courses.Get(ctx, courseKey(id))
	if err != nil {
		return course{}, err
	}
	if c != nil && c.Snapshot.Seq > 0 {
		return *c, nil
	}
	snapshot, err := s.Courses.Course(ctx, id)
	if err != nil {
		return course{}, err
	}
	if snapshot == nil {
		if c == nil {
			c = &course{ID: id}
		}
		return *c, nil
	}
	c, err = s.courses.Update(ctx, courseKey(id), func(c *course) (*course, error) {
		if c == nil {
			c = &course{ID: id}
		}
		if !c.apply(courseChange{snapshot: snapshot}) {
			return c, record.ErrKeep
		}
		return c, nil
	})
	if err != nil {
		return course{}, err
	}
	return *c, nil
}

// coursesFor loads the courses that a batch needs: for their names, their staff, or
// what was announced to those who enroll now.
func (s *Service) coursesFor(ctx context.Context, plans []plan) map[uuid.UUID]course {
	wanted := map[uuid.UUID][]int{}
	for i := range plans {
		p := &plans[i]
		if p.err != nil {
			continue
		}
		if p.event.Type == contract.TypeEnrollmentActivated {
			wanted[p.event.CourseID] = append(wanted[p.event.CourseID], i)
		}
		for _, n := range p.notices {
			if n.Audience == catalog.Staff || s.lacksNames(n) {
				wanted[n.CourseID] = append(wanted[n.CourseID], i)
			}
		}
	}
	out := map[uuid.UUID]course{}
	for id, events := range wanted {
		if id == uuid.Nil {
			continue
		}
		c, err := s.courseOf(ctx, id)
		if err != nil {
			for _, i := range events {
				plans[i].fail(err)
			}
			continue
		}
		out[id] = c
	}
	return out
}

func (s *Service) lacksNames(n catalog.Notice) bool {
	k, ok := s.Catalog.Kind(n.Kind)
	if !ok || n.CourseID == uuid.Nil {
		return false
	}
	for _, v := range k.Variables {
		if v.Name == "course_title" {
			return n.Vars["course_title"] == ""
		}
	}
	return false
}

// named is the notice with the names of its course.
func named(n catalog.Notice, c course) catalog.Notice {
	if n.Vars["course_title"] != "" || c.Snapshot.Title == "" {
		return n
	}
	vars := map[string]string{"course_title": c.Snapshot.Title, "course_code": c.Snapshot.Code}
	for k, v := range n.Vars {
		vars[k] = v
	}
	n.Vars = vars
	return n
}

var errPlanned = errors.New("an event could not be planned")
