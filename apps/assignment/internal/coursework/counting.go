package coursework

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/grading"
)

// Grading is how a course counts: its settings, its late policy, and the revision
// that whatever moves everybody's totals raises.
type Grading struct {
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	// Weighted: groups count by their weights (rule 22).
	Weighted bool
	// SchemeID is the course's scheme; nil is the standard one.
	SchemeID *uuid.UUID
	// ShowTotals to learners.
	ShowTotals      bool
	SettingsVersion int64

	Late          bool
	LateRate      Points // percent of the possible points per interval
	LateInterval  string // hour, day
	LateFloor     Points // percent
	Missing       bool
	MissingRate   Points // percent
	PolicyVersion int64

	Revision int64
	// Counted is the revision under which all totals are stored.
	Counted   int64
	UpdatedAt time.Time
}

// Intervals of a late policy.
const (
	IntervalHour = "hour"
	IntervalDay  = "day"
)

// DefaultGrading is that of a course where nobody set anything.
func DefaultGrading(course uuid.UUID) Grading {
	return Grading{
		CourseID: course, ShowTotals: true, SettingsVersion: FirstVersion, LateInterval: IntervalDay, MissingRate: 100_00,
		PolicyVersion: FirstVersion, Revision: 1, Counted: 1,
	}
}

// Policy is the late policy as the rules read it.
func (g Grading) Policy() grading.LatePolicy {
	interval := 24 * time.Hour
	if g.LateInterval == IntervalHour {
		interval = time.Hour
	}
	return grading.LatePolicy{
		Late: g.Late, Rate: g.LateRate, Interval: interval, Floor: g.LateFloor, Missing: g.Missing, MissingRate: g.MissingRate,
	}
}

// Kinds of columns.
const (
	ColumnAssignment = "assignment"
	ColumnQuiz       = "quiz"
)

// Column is an assignment or a quiz that is published and graded, as the gradebook
// shows it.
type Column struct {
	ID            uuid.UUID
	Kind          string
	GroupID       *uuid.UUID
	Position      int
	Title         string
	GradingType   string
	SchemeID      *uuid.UUID
	Points        Points
	ExtraPoints   Points
	OmitFromFinal bool
	DueAt         *time.Time
	Expects       bool
	Anonymous     bool
	Posting       string
	GroupWork     bool
}

// Counting is all that totals depend on but the scores.
type Counting struct {
	Grading Grading
	Scheme  grading.Scheme
	Groups  []Group
	Columns []Column // in the order of the gradebook
}

// ScoredItem is what counts of one person in one column.
type ScoredItem struct {
	UserID   uuid.UUID
	ColumnID uuid.UUID
	Score    *Points
	Excused  bool
	Posted   bool
}

// Totals of a person as they are stored or computed.
type Totals struct {
	Current *Points
	Final   *Points // ungraded work counts as 0 (rule 24)
	Letter  string  // of Final
}

// CourseTotal is a person's totals in a course, for staff and posted (rule 25).
type CourseTotal struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OrgUnitID uuid.UUID
	CourseID  uuid.UUID
	UserID    uuid.UUID

	Current       *Points
	Final         *Points
	Letter        string
	PostedCurrent *Points
	PostedFinal   *Points
	PostedLetter  string

	// OverridePercent is the final grade that staff set instead.
	OverridePercent *Points
	OverrideBy      *uuid.UUID
	OverrideAt      *time.Time
	OverrideVersion int64

	Revision  int64 // of Grading, that it was computed under
	ChangedAt *time.Time
	PostedAt  *time.Time // the posted numbers last changed
	CreatedAt time.Time
	Version   int64
}

// Staff are the totals that staff see.
func (t CourseTotal) Staff() Totals { return Totals{t.Current, t.Final, t.Letter} }

// Posted are the totals that the person sees.
func (t CourseTotal) Posted() Totals { return Totals{t.PostedCurrent, t.PostedFinal, t.PostedLetter} }

// Effective is the final grade that holds: the override, if staff set one.
func (t CourseTotal) Effective(final *Points) *Points {
	if t.OverridePercent != nil {
		return t.OverridePercent
	}
	return final
}

// book puts one person's scores into the columns.
func (c Counting) book(scores map[uuid.UUID]ScoredItem) grading.Book {
	b := grading.Book{Weighted: c.Grading.Weighted}
	for _, g := range c.Groups {
		never := make(map[uuid.UUID]bool, len(g.NeverDrop))
		for _, id := range g.NeverDrop {
			never[id] = true
		}
		b.Groups = append(b.Groups, grading.Group{
			ID: g.ID, Weight: g.Weight, Drop: grading.Dropping{Lowest: g.DropLowest, Highest: g.DropHighest, Never: never},
		})
	}
	b.Items = make([]grading.Item, len(c.Columns))
	for i, col := range c.Columns {
		s := scores[col.ID]
		b.Items[i] = grading.Item{
			ID: col.ID, Possible: col.Points, Score: s.Score, Excused: s.Excused, Posted: s.Posted || col.hidesNothing(s), Omitted: col.OmitFromFinal,
		}
		if col.GroupID != nil {
			b.Items[i].Group = *col.GroupID
		}
	}
	return b
}

// Counted are a person's totals in detail: for staff, and as posted.
type Counted struct {
	Staff, Posted grading.Totals
}

func (c Counting) count(scores map[uuid.UUID]ScoredItem) Counted {
	b := c.book(scores)
	out := Counted{Posted: b.Totals(grading.Posted)}
	if slices.ContainsFunc(b.Items, func(it grading.Item) bool { return !it.Posted }) {
		out.Staff = b.Totals(grading.Staff)
	} else {
		out.Staff = out.Posted // with nothing hidden both see the same
	}
	return out
}

// hidesNothing says whether there is no score, and none could be hidden: grades are
// posted as they are given. Such work is dropped like any other (rule 23); where
// posting is by hand, what is dropped would tell what has a score (rule 25).
func (c Column) hidesNothing(s ScoredItem) bool {
	return c.Posting == PostAutomatic && s.Score == nil && !s.Excused
}

// apply stores what was counted in a total, and says whether staff, or the person,
// see other numbers.
func (c Counting) apply(t *CourseTotal, n Counted) (changed, posted bool) {
	was := *t
	t.Current, t.Final = n.Staff.Current.Percent, n.Staff.Final.Percent
	t.PostedCurrent, t.PostedFinal = n.Posted.Current.Percent, n.Posted.Final.Percent
	t.Letter, t.PostedLetter = c.Scheme.Letter(t.Effective(t.Final)), c.Scheme.Letter(t.Effective(t.PostedFinal))
	t.Revision = c.Grading.Revision
	posted = !equal(was.PostedCurrent, t.PostedCurrent) || !equal(was.Effective(was.PostedFinal), t.Effective(t.PostedFinal)) || was.PostedLetter != t.PostedLetter
	changed = posted || !equal(was.Current, t.Current) || !equal(was.Final, t.Final) || was.Letter != t.Letter
	return changed, posted
}

// byPerson sorts scores into their people.
func byPerson(items []ScoredItem) map[uuid.UUID]map[uuid.UUID]ScoredItem {
	out := map[uuid.UUID]map[uuid.UUID]ScoredItem{}
	for _, it := range items {
		if out[it.UserID] == nil {
			out[it.UserID] = map[uuid.UUID]ScoredItem{}
		}
		out[it.UserID][it.ColumnID] = it
	}
	return out
}

// Place is a course in its tenant.
type Place struct{ TenantID, OrgUnitID, CourseID uuid.UUID }

func (a Assignment) place() Place { return Place{a.TenantID, a.OrgUnitID, a.CourseID} }

// fresh is the total of a person who has none.
func (p Place) fresh(id, user uuid.UUID, now time.Time) CourseTotal {
	return CourseTotal{
		ID: id, TenantID: p.TenantID, OrgUnitID: p.OrgUnitID, CourseID: p.CourseID, UserID: user,
		OverrideVersion: FirstVersion, CreatedAt: now, Version: 1,
	}
}

// retotal computes the totals of some people and stores and tells what changed, in
// the transaction that changed their scores. A person's row is locked before the
// scores are read, so that of two changes at once the later counts both.
func (s *Service) retotal(ctx context.Context, tx Tx, in Place, users []uuid.UUID) error {
	if len(users) == 0 {
		return nil
	}
	now := s.Now()
	users = slices.Clone(users)
	sortIDs(users)
	users = slices.Compact(users)
	fresh := make([]CourseTotal, len(users))
	for i, user := range users {
		fresh[i] = in.fresh(s.NewID(), user, now)
	}
	rows, err := tx.LockTotals(ctx, fresh)
	if err != nil {
		return err
	}
	c, items, err := tx.Counting(ctx, in.CourseID, users)
	if err != nil {
		return err
	}
	scores := byPerson(items)
	var saves []CourseTotal
	for _, t := range rows {
		was := t
		changed, posted := c.apply(&t, c.count(scores[t.UserID]))
		if !changed && was.Revision == t.Revision {
			continue
		}
		if changed {
			if err := s.tellTotal(ctx, tx, in, was, &t, posted, now); err != nil {
				return err
			}
		}
		saves = append(saves, t)
	}
	return tx.SaveTotals(ctx, saves)
}
