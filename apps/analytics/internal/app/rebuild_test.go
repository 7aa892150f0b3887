package app

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/pg"
	"lms/shared/testkit"
)

// manyEvents puts looks at courses into the history: more than one sum of a rebuild
// takes, and of each person in more than one of them.
const manyEvents = `insert into raw_events (occurred_at, event_id, type, aggregate_id, seq, tenant_id, course_id, user_id, data, received_at)
	select at, gen_random_uuid(), '` + contract.TypeCourseViewed + `', course, n, $1, course, person,
		json_build_object('course_id', course, 'user_id', person, 'tenant_id', $1::uuid, 'viewed_at', at), at
	from (select n, md5('course' || n % 2)::uuid as course, md5('person' || n % 5003)::uuid as person,
		timestamptz '2026-03-01T00:00:00Z' + n * interval '1 second' as at from generate_series(1, $2::int) n) e`

const (
	many  = 25_000
	pairs = 2 * 5003 // of a course and a person
)

// TestARebuildThatBreaksOffGoesOn: a step has its whole effect or none, wherever it
// breaks off, and what comes of going on is what was added up as it came.
func TestARebuildThatBreaksOffGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.service.MakeRoom(t.Context()))
	w.exec(manyEvents, w.tenant, many)
	w.addUp()
	run, err := w.service.BeginRebuild(t.Context())
	require.NoError(t, err)
	untouched := func() {
		t.Helper()
		var n int
		w.scan(&n, `select (select ord from rebuild.tally_place) + (select count(*) from rebuild.learners)`)
		require.Zero(t, n)
	}

	// An event far behind the first cannot be read.
	var broken string
	w.scan(&broken, `select data::text from raw_events order by ord offset 15000 limit 1`)
	w.exec(`update raw_events set data = '{"course_id": 7}' where ord = (select ord from raw_events order by ord offset 15000 limit 1)`)
	_, _, _, _, err = w.service.RebuildStep(t.Context(), run.ID)
	require.ErrorContains(t, err, "count "+contract.TypeCourseViewed)
	untouched()
	w.exec(`update raw_events set data = $1::text::json where data::text = '{"course_id": 7}'`, broken)

	// The connection that writes breaks.
	owner := testkit.OwnerDB(t, w.pool)
	lock, err := owner.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), `lock table rebuild.learners in access exclusive mode`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { _, _, _, _, err := w.service.RebuildStep(t.Context(), run.ID); done <- err }()
	require.Eventually(t, func() bool {
		var gone bool
		w.scan(&gone, `select coalesce(bool_or(pg_terminate_backend(pid)), false) from pg_locks
			where not granted and relation = 'rebuild.learners'::regclass`)
		return gone
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, pg.CodeAway, apperr.Code(<-done))
	require.NoError(t, lock.Rollback(t.Context()))
	untouched()

	// Events go on arriving.
	more, n, place, upto, err := w.service.RebuildStep(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, []any{false, many, run.Upto, run.Upto}, []any{more, n, place, upto})
	w.tell(contract.CourseViewed{CourseID: uuid.New(), UserID: uuid.New(), ViewedAt: w.clock.Now()})
	w.deliver(w.event(w.tenant, w.clock.Now(), contract.CourseViewed{CourseID: uuid.New(), UserID: uuid.New(), ViewedAt: w.clock.Now()}))
	found, err := w.service.FinishRebuild(t.Context(), run.ID, true)
	require.NoError(t, err)
	require.Empty(t, found)
	w.scan(&n, `select count(*) from learners where viewed_at is not null`)
	require.Equal(t, pairs+2, n)
}
