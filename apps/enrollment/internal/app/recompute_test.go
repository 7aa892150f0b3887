package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/pg"
	"lms/shared/work"
)

func (w *world) recompute(repair bool) internalapi.RecomputeReply {
	w.t.Helper()
	out, err := w.service.Recompute(w.t.Context(), internalapi.RecomputeRequest{Repair: repair})
	require.NoError(w.t, err)
	return out
}

// studied is a course in which two people are somewhere.
func studied(t *testing.T) (*world, contract.CourseState) {
	w := newWorld(t)
	c := w.course()
	view, done, exam := needs(contract.RequireView), needs(contract.RequireDone), quiz(60_00)
	second := part("Second", exam, needs(contract.RequireView))
	second.Prerequisites = nil
	w.curriculum(c, part("First", view, done), second)
	w.enroll(w.student, c)
	w.as(w.student).POST(path("courses", c.ID, "items", view.ID, "view"), nil).Expect(200)
	w.as(w.student).POST(path("courses", c.ID, "items", done.ID, "done"), nil).Expect(200)
	w.report(w.student, c, exam, scored(7_00, 10_00, w.clock.Now()))
	w.report(w.student, c, exam, scored(5_00, 10_00, w.clock.Now())) // regresses (rule 3)
	other := w.learner()
	w.enroll(other, c)
	w.report(other, c, exam, scored(9_00, 10_00, w.clock.Now()))
	return w, c
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.InTx(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, sql, args...)
		return err
	}))
}

func TestStoredProgressIsWhatIsComputedOfTheFacts(t *testing.T) {
	t.Parallel()
	w, c := studied(t)
	out := w.recompute(false)
	require.EqualValues(t, 2, out.Checked)
	require.Empty(t, out.Differences)

	later := w.clock.Now().Add(time.Hour)
	opens := part("Opens later", needs(contract.RequireView))
	opens.UnlockAt = &later
	empty := part("Needs nothing, later")
	empty.UnlockAt = &later
	w.curriculum(c, opens, empty)
	require.Empty(t, w.recompute(false).Differences, "a curriculum that its job has not brought in yet")
	w.work()
	require.Empty(t, w.recompute(false).Differences)
	w.clock.Advance(2 * time.Hour)
	require.Empty(t, w.recompute(false).Differences, "what time opened and no sweep has stored yet")
	require.NoError(t, w.service.Sweep(t.Context()))
	require.Empty(t, w.recompute(false).Differences)
}

func TestWhatIsStoredOtherwiseIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	for field, damage := range map[string]string{
		"met":          `update enrollments set met = met - 1 where met = 2`,
		"required":     `update enrollments set required = required + 3`,
		"next_item_id": `update enrollments set next_item_id = null`,
		"item":         `update item_progress set completed_items = '{}', completed_times = '{}' where cardinality(completed_items) > 0`,
		"module":       `update module_progress set met = 0, state = 'started', completed_at = null where state = 'completed'`,
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			w, _ := studied(t)
			w.exec(damage)
			found := w.recompute(false).Differences
			require.NotEmpty(t, found)
			require.Contains(t, found[0].Field, field)
			require.NotEqual(t, found[0].Stored, found[0].Computed)
			require.Len(t, w.recompute(false).Differences, len(found), "looking changes nothing")
			require.Len(t, w.recompute(true).Differences, len(found))
			require.Empty(t, w.recompute(false).Differences)
		})
	}
}
