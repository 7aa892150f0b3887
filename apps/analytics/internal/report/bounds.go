package report

import (
	"time"

	"lms/apps/analytics/internal/period"
	"lms/shared/apperr"
)

// Bounds reads the bounds of a period as a request writes them: a time (RFC 3339),
// or a date, which is meant whole: from its first moment in the zone, or to its
// last. Empty is no bound.
func Bounds(from, to, zone string) (begin, end *time.Time, err error) {
	var f apperr.Fields
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC // said by Ask
	}
	begin, ok := bound(from, loc, 0)
	f.Require(ok, "from", "invalid", "is neither a time (RFC 3339) nor a date")
	end, ok = bound(to, loc, 1)
	f.Require(ok, "to", "invalid", "is neither a time (RFC 3339) nor a date")
	return begin, end, f.Err()
}

func bound(s string, zone *time.Location, days int) (*time.Time, bool) {
	if s == "" {
		return nil, true
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		t = t.UTC()
		return &t, true
	}
	date, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return nil, false
	}
	// Noon is of the date in the zone whatever happens to its clocks.
	y, m, d := date.AddDate(0, 0, days).Date()
	t := period.BeginOfDay(time.Date(y, m, d, 12, 0, 0, 0, zone), zone).UTC()
	return &t, true
}
