package library

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Opening is the first time that a person opened a content in a course.
type Opening struct {
	UserID    uuid.UUID
	ContentID uuid.UUID
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	ViewedAt  time.Time
}

// Watch is how far a person watched a recording.
type Watch struct {
	UserID    uuid.UUID
	ContentID uuid.UUID
	TenantID  uuid.UUID
	// Number is the version that the intervals are of.
	Number     int
	Intervals  []int32
	WatchedMS  int64
	PositionMS int64
	// Percent is the most that was ever watched, nil where the length is not known.
	Percent   *int16
	PercentAt *time.Time
	// Pending was watched since the last event.
	Pending       []int32
	PendingCourse *uuid.UUID
	PendingSince  *time.Time
	// ReportedAt is up to when time was accounted for.
	ReportedAt time.Time
}

// Watched are the intervals in order.
func (w Watch) Watched() Intervals { return unflat(w.Intervals) }

// settleFor is how long an answer waits for enrollment or course to have heard of it.
const settleFor = time.Second

// opened reports the first time that a learner opens a content in a course; pending
// says that enrollment has not heard of it yet. For a recording, the time in which
// it can be watched begins.
func (s *Service) opened(ctx context.Context, actor authz.Principal, c Content, sight Sight) (pending bool, err error) {
	if sight.CourseID == nil {
		return false, nil
	}
	o := Opening{UserID: actor.UserID, ContentID: c.ID, CourseID: *sight.CourseID, TenantID: c.TenantID, ViewedAt: s.Now()}
	if s.Opened.Known(o) {
		return false, nil
	}
	var call uuid.UUID
	err = s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		call = uuid.Nil
		first, err := tx.InsertOpening(ctx, o)
		if err != nil || !first {
			return err
		}
		w, err := tx.LockWatch(ctx, actor.UserID, c.ID)
		if err != nil {
			return err
		}
		if w == nil && recording(c.Kind) {
			fresh := Watch{UserID: actor.UserID, ContentID: c.ID, TenantID: c.TenantID, Number: c.Current, Intervals: []int32{}, Pending: []int32{}, ReportedAt: o.ViewedAt}
			if err := tx.PutWatch(ctx, fresh); err != nil {
				return err
			}
		}
		call, err = s.report(ctx, tx, o, w)
		return err
	})
	if err != nil {
		return false, err
	}
	s.Opened.Note(o)
	return call != uuid.Nil && !s.Calls.Settled(ctx, call, settleFor), nil
}

func recording(kind string) bool { return kind == events.ContentVideo || kind == events.ContentAudio }

// report says to enrollment all that is known of a person and a content in a
// course: an older report that was overtaken may then be dropped.
func (s *Service) report(ctx context.Context, tx Tx, o Opening, w *Watch) (uuid.UUID, error) {
	body := internalapi.ProgressReport{UserID: o.UserID, CourseID: o.CourseID, ResourceID: &o.ContentID, ViewedAt: &o.ViewedAt}
	if w != nil && w.Percent != nil {
		body.Watched = &internalapi.WatchedSection{Percent: int(*w.Percent), At: *w.PercentAt}
	}
	// The course is part of the key: reports of two courses do not overtake each other.
	key := o.UserID.String() + "/" + o.ContentID.String() + "/" + o.CourseID.String()
	return tx.Call(ctx, work.Call{To: "enrollment", Name: internalapi.CallProgressReport, Key: key, TenantID: o.TenantID, Body: body})
}

// WatchReport is what a player says: the parts that were played since the last
// report, and where it stands.
type WatchReport struct {
	CourseID  *uuid.UUID
	Intervals []Interval
	Position  int64
	// Rate is how fast it was played at most.
	Rate float64
}

// WatchView is a Watch with the length of the recording.
type WatchView struct {
	Watch
	DurationMS *int64
	Pending    bool
}

// Watching is how far the caller watched a recording.
func (s *Service) Watching(ctx context.Context, actor authz.Principal, id uuid.UUID, course *uuid.UUID) (WatchView, error) {
	c, _, v, err := s.recordingFor(ctx, actor, id, course)
	if err != nil {
		return WatchView{}, err
	}
	out := WatchView{Watch: Watch{UserID: actor.UserID, ContentID: c.ID, Number: c.Current, ReportedAt: s.Now()}, DurationMS: v.DurationMS}
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		w, err := tx.Watch(ctx, actor.UserID, c.ID)
		if w != nil {
			out.Watch = *w
		}
		return err
	})
	return out, err
}

// recordingFor is a video or audio that the caller may see, with its current version.
func (s *Service) recordingFor(ctx context.Context, actor authz.Principal, id uuid.UUID, course *uuid.UUID) (Content, Sight, Version, error) {
	policy, c, err := s.find(ctx, id)
	if err != nil {
		return c, Sight{}, Version{}, err
	}
	sight, err := s.sees(ctx, actor, policy, c, course, false)
	if err != nil {
		return c, Sight{}, Version{}, err
	}
	if !recording(c.Kind) || c.Current == 0 {
		return c, Sight{}, Version{}, apperr.Conflict("not_a_recording", "Only a video or audio can be watched.")
	}
	var v Version
	err = s.Store.Read(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) (err error) {
		v, err = tx.Version(ctx, c.ID, c.Current)
		return err
	})
	return c, sight, v, err
}

// ReportWatched takes what a player says as far as it can be true, and reports to
// enrollment what it amounts to. Staff who look at a recording have a position,
// and no progress.
func (s *Service) ReportWatched(ctx context.Context, actor authz.Principal, id uuid.UUID, in WatchReport) (WatchView, error) {
	if len(in.Intervals) > MaxIntervals {
		return WatchView{}, apperr.Invalid(apperr.Field{Path: "intervals", Code: "too_many", Message: "At most 500."})
	}
	c, sight, v, err := s.recordingFor(ctx, actor, id, in.CourseID)
	if err != nil {
		return WatchView{}, err
	}
	out := WatchView{DurationMS: v.DurationMS}
	var call uuid.UUID
	err = s.Store.InTx(ctx, work.Tenant(c.TenantID), func(ctx context.Context, tx Tx) error {
		call = uuid.Nil
		w, err := s.lockWatch(ctx, tx, actor, c)
		if err != nil {
			return err
		}
		if w.foreign(v, sight) {
			if err := s.tellOne(ctx, tx, *w); err != nil {
				return err
			}
			w.Pending, w.PendingCourse, w.PendingSince = []int32{}, nil, nil
		}
		before := w.Percent
		w.take(in, v, sight, s.Now())
		if err := tx.PutWatch(ctx, *w); err != nil {
			return err
		}
		out.Watch = *w
		if sight.CourseID == nil {
			return nil
		}
		o := Opening{UserID: actor.UserID, ContentID: c.ID, CourseID: *sight.CourseID, TenantID: c.TenantID, ViewedAt: s.Now()}
		first, err := tx.InsertOpening(ctx, o)
		if err != nil || !first && samePercent(before, w.Percent) {
			return err
		}
		if o, err = tx.Opening(ctx, o); err != nil {
			return err
		}
		call, err = s.report(ctx, tx, o, w)
		return err
	})
	if err != nil {
		return WatchView{}, err
	}
	out.Pending = call != uuid.Nil && !s.Calls.Settled(ctx, call, settleFor)
	return out, nil
}

func samePercent(a, b *int16) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// lockWatch gives the caller's row, made if there is none: two reports at once are
// one after the other, and share the time that passed.
func (s *Service) lockWatch(ctx context.Context, tx Tx, actor authz.Principal, c Content) (*Watch, error) {
	w, err := tx.LockWatch(ctx, actor.UserID, c.ID)
	if err != nil || w != nil {
		return w, err
	}
	fresh := Watch{UserID: actor.UserID, ContentID: c.ID, TenantID: c.TenantID, Number: c.Current, Intervals: []int32{}, Pending: []int32{}, ReportedAt: s.Now()}
	if err := tx.PutWatch(ctx, fresh); err != nil {
		return nil, err
	}
	return tx.LockWatch(ctx, actor.UserID, c.ID)
}

// foreign says whether what is still to be told is of another version, or was
// watched in another course: it is told before anything is added.
func (w *Watch) foreign(v Version, sight Sight) bool {
	return len(w.Pending) > 0 && (w.Number != v.Number || sight.CourseID != nil && w.PendingCourse != nil && *w.PendingCourse != *sight.CourseID)
}

// take adds a report to what is known.
func (w *Watch) take(in WatchReport, v Version, sight Sight, now time.Time) {
	if w.Number != v.Number { // a new file: its parts are others, what was reached stays
		w.Number, w.Intervals, w.WatchedMS = v.Number, []int32{}, 0
	}
	added := plausible(in.Intervals, v.DurationMS, now.Sub(w.ReportedAt), in.Rate)
	w.ReportedAt = now
	all := w.Watched().add(added)
	w.Intervals, w.WatchedMS = all.flat(), all.Length()
	w.PositionMS = max(0, in.Position)
	if v.DurationMS != nil {
		w.PositionMS = min(w.PositionMS, *v.DurationMS)
		if percent := int16(all.percent(*v.DurationMS)); w.Percent == nil || percent > *w.Percent {
			w.Percent, w.PercentAt = &percent, &now
		}
	}
	w.PositionMS = min(w.PositionMS, maxRecording)
	if len(added) > 0 && sight.CourseID != nil {
		w.Pending = unflat(w.Pending).add(added).flat()
		w.PendingCourse = sight.CourseID
		if w.PendingSince == nil {
			w.PendingSince = &now
		}
	}
}

// How long what was watched is collected before it is told, and how many are told
// in one transaction.
const (
	TellAfter = 30 * time.Second
	tellBatch = 200
)

// TellWatched emits what was watched, one event per person and content and half a
// minute.
func (s *Service) TellWatched(ctx context.Context) error {
	for {
		n := 0
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			due, err := tx.PendingWatches(ctx, s.Now().Add(-TellAfter), tellBatch)
			n = len(due)
			for i := 0; i < n && err == nil; i++ {
				err = s.tellOne(ctx, tx, due[i])
			}
			return err
		})
		if err != nil || n < tellBatch {
			return err
		}
	}
}

func (s *Service) tellOne(ctx context.Context, tx Tx, w Watch) error {
	c, err := tx.AnyContent(ctx, w.ContentID)
	if err != nil {
		return err
	}
	v, err := tx.Version(ctx, w.ContentID, w.Number)
	if err != nil {
		return err
	}
	parts := unflat(w.Pending)
	e := events.ContentWatched{
		ContentID: w.ContentID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: w.PendingCourse, UserID: w.UserID,
		WatchedMS: parts.Length(), PositionMS: w.PositionMS, DurationMS: v.DurationMS, From: *w.PendingSince, To: w.ReportedAt,
	}
	if w.Percent != nil {
		percent := int(*w.Percent)
		e.Percent = &percent
	}
	for _, p := range parts {
		e.Intervals = append(e.Intervals, events.WatchedInterval{FromMS: p.From, ToMS: p.To})
	}
	w.Pending, w.PendingCourse, w.PendingSince = []int32{}, nil, nil
	if err := tx.PutWatch(ctx, w); err != nil {
		return err
	}
	m := c.meta()
	if e.CourseID != nil {
		m.CourseID = *e.CourseID
	}
	return tx.Emit(ctx, e, m)
}

// Openings remembers what was reported already, so that opening a content again
// asks no database. It may forget at any time.
type Openings struct {
	mu   sync.Mutex
	seen map[[3]uuid.UUID]struct{}
	most int
}

// NewOpenings remembers at most so many.
func NewOpenings(most int) *Openings {
	return &Openings{seen: map[[3]uuid.UUID]struct{}{}, most: most}
}

func (o Opening) id() [3]uuid.UUID { return [3]uuid.UUID{o.UserID, o.ContentID, o.CourseID} }

// Known says whether it is remembered.
func (o *Openings) Known(x Opening) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.seen[x.id()]
	return ok
}

// Note remembers it.
func (o *Openings) Note(x Opening) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) >= o.most {
		clear(o.seen)
	}
	o.seen[x.id()] = struct{}{}
}
