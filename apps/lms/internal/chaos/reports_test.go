//go:build chaos

package chaos_test

import (
	"net/http"
	"slices"
	"testing"
)

// reports waits until analytics knows the course, and names what there is to ask.
func reports(t testing.TB, o *organisation, course string) ids {
	t.Helper()
	await(t, healing, "analytics knows the course", func() bool {
		ans, err := o.Instructor.Try(http.MethodGet, "/api/v1/reports/course-funnel?course_id="+course, nil)
		return err == nil && ans.Status == http.StatusOK
	})
	return ids{"reports/{name}": "course-funnel", "dashboards/{name}": "platform"}
}

// counted compares what analytics has added up with what enrollment knows, and
// with what all kept events add up to when it is done anew.
func (s *school) counted(t testing.TB, b books) (found []string, rows int) {
	t.Helper()
	if !slices.Contains(serviceNames(t), "analytics") {
		return nil, 0
	}
	want := b.read(t, "enrollment", "select concat_ws(' ', course_id, user_id), concat_ws('|', id, state, required, met) from enrollments")
	have := map[string]string{}
	await(t, healing, "analytics has added everything up", func() bool {
		now := s.openBooks(t)
		have = now.read(t, "analytics", "select concat_ws(' ', course_id, user_id), concat_ws('|', enrollment_id, state, required, met) from learners where enrollment_id is not null")
		for _, tx := range now {
			_ = tx.Conn().Close(t.Context())
		}
		return len(differences("learner", want, have)) == 0
	})
	found = append(differences("learner as analytics counts", have, want), differences("learner whom analytics does not count", want, have)...)
	if out, err := s.TryLms("recompute", "--check", "analytics"); err != nil {
		found = append(found, "added up anew: "+out)
	}
	return found, len(want)
}
