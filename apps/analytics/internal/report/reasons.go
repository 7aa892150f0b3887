package report

import (
	"fmt"
	"time"
)

// Standing is what is known of a learner at risk.
type Standing struct {
	EnrolledAt     time.Time
	LastActivityAt *time.Time
	Missing        int64
	// Shares in ten-thousandths; nil where there is none.
	Progress, Expected, Grade *int64
}

// Why puts a reason into words.
func Why(reason string, s Standing, now time.Time) string {
	days := func(t time.Time) int { return int(now.Sub(t) / (24 * time.Hour)) }
	switch reason {
	case "inactive":
		if s.LastActivityAt != nil {
			return fmt.Sprintf("Nothing done for %d days, last on %s.", days(*s.LastActivityAt), s.LastActivityAt.UTC().Format(time.DateOnly))
		}
	case "not_begun":
		return fmt.Sprintf("Nothing done yet, %d days after enrolling.", days(s.EnrolledAt))
	case "missing_work":
		if s.Missing == 1 {
			return "One assignment was due and not handed in."
		}
		return fmt.Sprintf("%d assignments were due and not handed in.", s.Missing)
	case "low_grade":
		if s.Grade != nil {
			return fmt.Sprintf("The current grade is %s %%, below %d %%.", percent(*s.Grade), RiskLowGrade/100)
		}
	case "behind":
		if s.Progress != nil && s.Expected != nil {
			return fmt.Sprintf("%s %% of the requirements are met, %s %% of the time has passed.", percent(*s.Progress), percent(*s.Expected))
		}
	}
	return reason
}

// percent writes ten-thousandths as percent with at most two decimals.
func percent(n int64) string {
	switch {
	case n%100 == 0:
		return fmt.Sprint(n / 100)
	case n%10 == 0:
		return fmt.Sprintf("%.1f", float64(n)/100)
	}
	return fmt.Sprintf("%.2f", float64(n)/100)
}
