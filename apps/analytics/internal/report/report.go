// Package report says what reports there are, what each number in them means, and
// what a request for one may ask.
package report

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/period"
)

// Name is a report's name in the API.
type Name string

// Kind says what the values of a column are.
type Kind string

// Kinds of columns.
const (
	KindText    Kind = "text"
	KindID      Kind = "id"
	KindTime    Kind = "time"
	KindBucket  Kind = "bucket"  // a part of the period, by its label
	KindCount   Kind = "count"   // a whole number
	KindShare   Kind = "share"   // 0 to 1, rounded half up to four decimals
	KindSeconds Kind = "seconds" // whole seconds
	KindMoney   Kind = "money"   // minor units of the row's currency
	KindTexts   Kind = "texts"   // several texts
)

// Column is a column of a report.
type Column struct {
	Key   string
	Title string
	Kind  Kind
	// Meaning defines it where the title does not suffice.
	Meaning string
}

// About says what a report is about, and so who may read it.
type About string

// What reports are about.
const (
	AboutLearning About = "learning" // courses that one may read reports of
	AboutMoney    About = "money"    // org units whose orders one may see
	AboutSearches About = "searches" // the whole tenant
)

// Time says what a report does with the period.
type Time string

// What a report does with the period.
const (
	Now      Time = "now"     // none: it says how things stand
	Within   Time = "within"  // counts what happened in it
	Buckets  Time = "buckets" // one row, or more, for each part of it
	AtTheEnd Time = "at_end"  // says how things stood at the end of each part
)

// Report is an entry of the catalogue.
type Report struct {
	Name       Name
	Title      string
	Definition string
	About      About
	Time       Time
	Interval   period.Interval // if the request names none
	// NeedsCourse: it is of one course only. Cohort: it can be limited to a group.
	NeedsCourse bool
	Cohort      bool
	Columns     []Column
}

// Query is what a request asks for.
type Query struct {
	From, To  *time.Time
	Interval  period.Interval
	TimeZone  string
	OrgUnitID *uuid.UUID
	CourseID  *uuid.UUID
	CohortID  *uuid.UUID
	Limit     int // rows; all if not above zero
}

// Period is the time that a report is about.
type Period struct {
	From, To time.Time
	TimeZone string
	Interval period.Interval
	Buckets  []period.Bucket
}

// Arguments are what the store is asked with.
type Arguments struct {
	Period
	Spans []period.Span
	Now   time.Time
	// Courses, Users and OrgUnits limit what is counted; nil is no limit.
	Courses  []uuid.UUID
	Users    []uuid.UUID
	OrgUnits []uuid.UUID
	// Limit is how many rows at most; nil for all.
	Limit *int
}

// Bounds are where buckets begin, and where the last one ends.
func (a Arguments) Bounds() []time.Time {
	out := make([]time.Time, 0, len(a.Buckets)+1)
	for _, b := range a.Buckets {
		out = append(out, b.Start)
	}
	return append(out, a.To)
}
