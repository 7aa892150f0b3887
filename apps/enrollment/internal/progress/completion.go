package progress

import (
	"slices"
	"time"

	"lms/shared/contracts/events"
)

// Grade is the course grade as posted (rule 25).
type Grade struct {
	Final    events.Hundredths // percent
	GradedAt time.Time
}

// Passes says whether a posted grade reaches a minimum; nil asks for none.
func Passes(minimum *events.Hundredths, g *Grade) bool {
	return minimum == nil || g != nil && g.Final >= *minimum
}

// CourseCompletedAt says whether the course is complete by its settings, and by
// what time: that of the latest criterion met (rule 12). A course that asks for
// nothing visible is not complete (rule 10).
func CourseCompletedAt(v View, s events.CompletionSettings, g *Grade) (time.Time, bool) {
	if s.Mode == events.CompleteNever || !Passes(s.MinGrade, g) {
		return time.Time{}, false
	}
	var at time.Time
	required := 0
	for _, mv := range v.Modules {
		if s.Mode == events.CompleteSelectedModules && !slices.Contains(s.RequiredModules, mv.Module.ID) {
			continue
		}
		if mv.CompletedAt == nil {
			return time.Time{}, false
		}
		required += mv.Needed
		at = later(at, *mv.CompletedAt)
	}
	if required == 0 {
		return time.Time{}, false
	}
	if s.MinGrade != nil {
		at = later(at, g.GradedAt)
	}
	return at, true
}
