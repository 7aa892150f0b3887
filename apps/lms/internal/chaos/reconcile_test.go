//go:build chaos

package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
	"lms/shared/contracts"
)

// books are the databases of all services, each read at one moment.
type books map[string]pgx.Tx

// openBooks begins a transaction in each database, which sees all tenants.
func (s *school) openBooks(t testing.TB) books {
	t.Helper()
	b := books{}
	for _, svc := range installation.WithDatabase(services(t)) {
		conn, err := pgx.Connect(t.Context(), s.setting(t, svc.Name, "LMS_DATABASE_URL"))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(t.Context()) }) // its transaction ends with it
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "set local lms.tenant = '*'")
		require.NoError(t, err)
		b[svc.Name] = tx
	}
	return b
}

// read gives a query's rows as key and value, both text.
func (b books) read(t testing.TB, service, sql string) map[string]string {
	t.Helper()
	out := map[string]string{}
	rows, err := b[service].Query(t.Context(), sql)
	require.NoError(t, err, "%s: %s", service, sql)
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error { out[key] = value; return nil })
	require.NoError(t, err, "%s: %s", service, sql)
	return out
}

// differences are the keys of have that want does not have, or has otherwise.
func differences(what string, have, want map[string]string) (found []string) {
	for _, k := range slices.Sorted(maps.Keys(have)) {
		if w, ok := want[k]; !ok {
			found = append(found, fmt.Sprintf("%s: %s (%s) has no counterpart", what, k, have[k]))
		} else if w != have[k] {
			found = append(found, fmt.Sprintf("%s: %s is %s here and %s there", what, k, have[k], w))
		}
	}
	return found
}

// orphans compares what services keep about each other's things. rows is how
// much was compared.
func (b books) orphans(t testing.TB) (found []string, rows int) {
	t.Helper()
	both := func(what string, have, want map[string]string) {
		rows += len(have)
		found = append(found, differences(what, have, want)...)
	}
	const ids = "::text, ''"
	courses, people := b.read(t, "course", "select id"+ids+" from courses"), b.read(t, "user", "select id"+ids+" from users")
	both("enrollment in a course", b.read(t, "enrollment", "select distinct course_id"+ids+" from enrollments"), courses)
	both("enrollment of a person", b.read(t, "enrollment", "select distinct user_id"+ids+" from enrollments"), people)
	both("staff of a course", b.read(t, "course", "select distinct user_id"+ids+" from course_staff"), people)

	const copied = "concat_ws('|', title, code, status, capacity, waitlist_enabled, visibility, enrollment_mode)"
	original := b.read(t, "course", "select id::text, "+copied+" from courses where deleted_at is null")
	copies := b.read(t, "enrollment", "select id::text, "+copied+" from courses where not deleted")
	both("copy of a course", copies, original)
	both("course that was copied", original, copies)
	both("copy of staff",
		b.read(t, "enrollment", "select concat_ws(' ', course_id, user_id), concat_ws('|', role, active) from course_staff where active"),
		b.read(t, "course", "select concat_ws(' ', course_id, user_id), concat_ws('|', role, active) from course_staff where active"))
	both("seats of a course",
		b.read(t, "enrollment", "select id::text, seats_state from courses where not deleted"),
		b.read(t, "course", "select id::text, seats from courses where deleted_at is null"))

	for service := range b {
		b.calls(t, service, both)
		b.streams(t, service, both)
	}
	return found, rows
}

// calls: the last number of each reliable call that was drawn is the last that
// its receiver took, and nobody received what nobody sent.
func (b books) calls(t testing.TB, from string, both func(string, map[string]string, map[string]string)) {
	t.Helper()
	for to := range b {
		sent := b.read(t, from, fmt.Sprintf("select concat_ws(' ', name, key), seq::text from call_seq where destination = '%s'", to))
		received := b.read(t, to, fmt.Sprintf("select concat_ws(' ', name, key), seq::text from call_received where source = '%s'", from))
		both("call of "+from+" to "+to, sent, received)
		both("call received by "+to+" of "+from, received, sent)
	}
}

// streams: each consumer has seen every number that the producer gave.
func (b books) streams(t testing.TB, producer string, both func(string, map[string]string, map[string]string)) {
	t.Helper()
	for consumer := range b {
		if !contracts.MayConsume(consumer, producer+".events") {
			continue
		}
		both("events of "+producer+" at "+consumer,
			b.read(t, producer, fmt.Sprintf("select '%s.events/' || shard, int8multirange(int8range(1, head + 1))::text from outbox_stream where head > 0", producer)),
			b.read(t, consumer, "select stream, seen::text from stream_position"))
	}
}

// reconciled compares the databases of all services with each other after all
// that was done to them. It fails where one keeps something of a thing that
// another does not have, or has otherwise, where a call or an event has not
// arrived, or where a dead letter lies. An orphan that is planted is found.
func (s *school) reconciled(t *testing.T) {
	s.AwaitReady(t)
	s.quiet(t)
	s.seen(t)
	b := s.openBooks(t)
	found, rows := b.orphans(t)
	for service := range b {
		for id, reason := range b.read(t, service, "select id::text, reason from dead_letter where redriven_at is null") {
			found = append(found, fmt.Sprintf("dead letter of %s: %s (%s)", service, id, reason))
		}
	}
	elsewhere, more := s.counted(t, b)
	elsewhere = append(elsewhere, s.indexed(t)...)
	found, rows = append(found, elsewhere...), rows+more
	for i, f := range found {
		if i < 20 {
			t.Error(f)
		}
	}
	_, err := b["enrollment"].Exec(t.Context(), `
		insert into enrollments (id, tenant_id, course_id, user_id, state, source, state_changed_at, created_at, updated_at)
		select gen_random_uuid(), tenant_id, gen_random_uuid(), gen_random_uuid(), 'withdrawn', 'self', created_at, created_at, created_at from enrollments limit 1`)
	require.NoError(t, err)
	planted, _ := b.orphans(t)
	require.Len(t, planted, len(found)-len(elsewhere)+2, "a planted orphan is found: its course and its person")
	measured(t, "20 reconciliation of all databases", "0 orphans, 0 differences, 0 dead letters", len(found) == 0 && rows >= 200,
		"%d rows of %d databases compared: %d differ", rows, len(b), len(found))
}

// seen waits until every consumer has had what was published: holes are filled
// in their own time.
func (s *school) seen(t testing.TB) {
	t.Helper()
	await(t, 2*healing, "every consumer has every event", func() bool {
		b := s.openBooks(t)
		var open []string
		for producer := range b {
			b.streams(t, producer, func(what string, have, want map[string]string) { open = append(open, differences(what, have, want)...) })
		}
		for _, tx := range b {
			_ = tx.Conn().Close(t.Context())
		}
		if len(open) > 0 && len(strings.Join(open, "")) < 400 {
			t.Log(open)
		}
		return len(open) == 0
	})
}
