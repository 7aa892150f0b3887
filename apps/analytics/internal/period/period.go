// Package period cuts time into days, weeks, months, quarters and years of a time
// zone. A day begins at the first moment of its date there: it has 23 or 25 hours
// where clocks are changed, and begins at one o'clock where midnight is skipped.
package period

import (
	"fmt"
	"time"

	"lms/shared/apperr"
)

// Interval is what time is cut into.
type Interval string

// The intervals. A week begins on Monday (ISO 8601).
const (
	Day     Interval = "day"
	Week    Interval = "week"
	Month   Interval = "month"
	Quarter Interval = "quarter"
	Year    Interval = "year"
)

// MaxBuckets is into how many parts a period may be cut.
const MaxBuckets = 400

// Bucket is a part of a period. The first and the last may be cut off by it.
type Bucket struct {
	// Label names it: 2026-03-09, 2026-W11, 2026-03, 2026-Q1, 2026.
	Label      string
	Start, End time.Time
}

// Cut cuts the time from (included) to (not included).
func Cut(from, to time.Time, every Interval, zone *time.Location) ([]Bucket, error) {
	if !from.Before(to) {
		return nil, apperr.Invalid(apperr.Field{Path: "to", Code: "before_from", Message: "must be after from"})
	}
	var out []Bucket
	y, m, d := from.In(zone).Date()
	d -= sinceMonday(every, y, m, d)
	if every != Day && every != Week {
		d = 1
		m = first(every, m)
	}
	for at := from; at.Before(to); {
		label := name(every, y, m, d)
		if every == Day {
			label = at.In(zone).Format(time.DateOnly) // the date before may have been skipped
		}
		end := at
		for !end.After(at) { // a day that is skipped altogether has no moment
			y, m, d = next(every, y, m, d)
			end = begin(y, m, d, zone)
		}
		if end.After(to) {
			end = to
		}
		if len(out) == MaxBuckets {
			return nil, apperr.Invalid(apperr.Field{Path: "interval", Code: "too_many", Message: fmt.Sprintf("cuts the period into more than %d parts", MaxBuckets)})
		}
		out = append(out, Bucket{Label: label, Start: at.UTC(), End: end.UTC()})
		at = end
	}
	return out, nil
}

// sinceMonday is how many days before a date its week began.
func sinceMonday(every Interval, y int, m time.Month, d int) int {
	if every != Week {
		return 0
	}
	return (int(time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Weekday()) + 6) % 7
}

func first(every Interval, m time.Month) time.Month {
	switch every {
	case Quarter:
		return (m-1)/3*3 + 1
	case Year:
		return time.January
	case Day, Week, Month:
	}
	return m
}

func next(every Interval, y int, m time.Month, d int) (int, time.Month, int) {
	t := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	switch every {
	case Day:
		t = t.AddDate(0, 0, 1)
	case Week:
		t = t.AddDate(0, 0, 7)
	case Month:
		t = t.AddDate(0, 1, 0)
	case Quarter:
		t = t.AddDate(0, 3, 0)
	case Year:
		t = t.AddDate(1, 0, 0)
	}
	return t.Date()
}

func name(every Interval, y int, m time.Month, d int) string {
	t := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	switch every {
	case Week:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", year, week)
	case Month:
		return t.Format("2006-01")
	case Quarter:
		return fmt.Sprintf("%04d-Q%d", t.Year(), (int(t.Month())-1)/3+1)
	case Year:
		return t.Format("2006")
	case Day:
	}
	return t.Format(time.DateOnly)
}

// begin is the first moment of a date.
func begin(y int, m time.Month, d int, zone *time.Location) time.Time {
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	if date := time.Date(y, m, d, 12, 0, 0, 0, time.UTC); t.Format(time.DateOnly) < date.Format(time.DateOnly) {
		if _, end := t.ZoneBounds(); !end.IsZero() { // midnight is skipped: the day begins when it is over
			return end
		}
	}
	return t
}

// BeginOfDay is the first moment of the date of t in a zone.
func BeginOfDay(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return begin(y, m, d, zone)
}

// Span is a part of a UTC day, by quarters of an hour: bit n of AM is the n-th one
// from midnight, of PM from noon.
type Span struct {
	Day    time.Time // midnight UTC
	AM, PM int64
	Bucket int // from 1
}

const (
	quarter  = 15 * time.Minute
	halfDay  = 48 // quarters
	wholeDay = 1<<halfDay - 1
)

// Spans are buckets as parts of UTC days. The quarters in which the first one begins
// and the last one ends count whole: the last one most often ends now. A bound
// between two, which no zone has had within a quarter for decades, counts from the
// quarter that it is in.
func Spans(buckets []Bucket) []Span {
	var out []Span
	for i, b := range buckets {
		start, end := b.Start.UTC().Truncate(quarter), b.End.UTC().Truncate(quarter)
		if i == len(buckets)-1 {
			end = b.End.UTC().Add(quarter - 1).Truncate(quarter)
		}
		for day := start.Truncate(24 * time.Hour); day.Before(end); day = day.Add(24 * time.Hour) {
			from, to := max(int(start.Sub(day)/quarter), 0), min(int(end.Sub(day)/quarter), 2*halfDay)
			out = append(out, Span{Day: day, AM: bits(from, to), PM: bits(from-halfDay, to-halfDay), Bucket: i + 1})
		}
	}
	return out
}

// bits has those from one (included) to another (not included) set, of half a day.
func bits(from, to int) int64 {
	from, to = min(max(from, 0), halfDay), min(max(to, 0), halfDay)
	return int64(wholeDay) & (1<<to - 1) &^ (1<<from - 1)
}
