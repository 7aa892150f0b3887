package report

import (
	"time"

	"lms/apps/analytics/internal/period"
	"lms/shared/apperr"
)

// usual is how long the period is if the request does not say.
const usual = 30 * 24 * time.Hour

// longest is how long a period may be.
const longest = 20 * 366 * 24 * time.Hour

// Ask checks a query against what the report takes, and finds its period. A time
// zone is an IANA name; a period without bounds is the last thirty days until now.
func (r Report) Ask(q Query, now time.Time) (Period, error) {
	var f apperr.Fields
	zone, err := time.LoadLocation(q.TimeZone)
	if err != nil || q.TimeZone == "Local" {
		f.Add("time_zone", "unknown", "is not an IANA time zone")
		zone = time.UTC
	}
	if r.NeedsCourse && q.CourseID == nil {
		f.Add("course_id", "required", "this report is about one course")
	}
	if q.CohortID != nil && !r.Cohort {
		f.Add("cohort_id", "not_taken", "this report is not about learners one by one")
	}
	cut := r.Time == Buckets || r.Time == AtTheEnd
	if q.Interval != "" && !cut {
		f.Add("interval", "not_taken", "this report has one number for the whole period")
	}
	if r.Time == Now && (q.From != nil || q.To != nil) {
		f.Add("from", "not_taken", "this report says how things stand now")
	}
	p := Period{TimeZone: zone.String(), Interval: q.Interval, To: now}
	if q.To != nil {
		p.To = q.To.UTC()
	}
	p.From = period.BeginOfDay(p.To.Add(-usual), zone).UTC()
	if q.From != nil {
		p.From = q.From.UTC()
	}
	f.Require(p.From.Before(p.To), "to", "before_from", "must be after from")
	f.Require(p.To.Sub(p.From) <= longest, "from", "too_long", "the period is longer than twenty years")
	if err := f.Err(); err != nil || !cut {
		return p, err
	}
	if p.Interval == "" {
		p.Interval = r.Interval
	}
	p.Buckets, err = period.Cut(p.From, p.To, p.Interval, zone)
	return p, err
}
