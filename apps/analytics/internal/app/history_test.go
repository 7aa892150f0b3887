package app

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/analytics/internal/events"
	"lms/apps/analytics/internal/tally"
	"lms/shared/contracts"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
)

// TestEveryEventOfTheContractsIsHandled: a new type is neither forgotten at intake
// nor in the numbers; where it changes none, the reason is written down.
func TestEveryEventOfTheContractsIsHandled(t *testing.T) {
	t.Parallel()
	why := tally.Uncounted()
	consumed := map[string]bool{}
	for _, topic := range contracts.Topics() {
		require.True(t, contracts.MayConsume("analytics", topic.Name))
		for _, name := range newWorld(t).inbox.Consumes(topic.Name) {
			consumed[name] = true
		}
		require.NotEmpty(t, events.TypesOf(topic.Name))
	}
	for _, d := range contract.All() {
		require.True(t, consumed[d.Type()], "%s is not consumed", d.Type())
		reason, uncounted := why[d.Type()]
		require.NotEqual(t, tally.Counted(d.Type()), uncounted, "%s must be counted, or its reason be given why not, and not both", d.Type())
		require.False(t, uncounted && reason == "", "%s: the reason", d.Type())
		delete(why, d.Type())
	}
	require.Empty(t, why, "types that no contract knows")
}

// TestEveryExampleIsKeptOnceWithoutNames delivers every golden example, twice.
func TestEveryExampleIsKeptOnceWithoutNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var batch []inbox.Event
	for _, d := range contract.All() {
		batch = append(batch, w.event(w.tenant, w.clock.Now(), d.Example))
	}
	w.deliver(batch...)
	w.deliver(batch...)
	w.deliver(batch[3])
	w.addUp()
	var n int
	w.scan(&n, `select count(*) from raw_events`)
	require.Len(t, batch, n)
	var all string
	w.scan(&all, `select string_agg(data::text, ' ') from raw_events`)
	for _, name := range []string{"Lovelace", "ada@example.org", "S-1815"} {
		require.NotContains(t, all, name)
	}
	require.Contains(t, all, "Introduction to biology", "all else is there")
	w.scan(&n, `select count(*) from dead_letter`)
	require.Zero(t, n)
	checked, found := w.recompute(false)
	require.Len(t, batch, int(checked))
	require.Empty(t, found)
}

// TestAnEventThatCannotBeReadHoldsUpNoOther: it becomes a dead letter.
func TestAnEventThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.event(w.tenant, w.clock.Now(), contract.CourseViewed{CourseID: uuid.New(), UserID: uuid.New(), ViewedAt: w.clock.Now()})
	bad := good
	bad.ID, bad.Data = uuid.New(), []byte(`{"course_id": 7}`)
	old := good
	old.ID, old.Time = uuid.New(), old.Time.AddDate(-100, 0, 0)
	w.deliver(w.cloud(bad), good, w.cloud(old))
	var n int
	w.scan(&n, `select count(*) from raw_events`)
	require.Equal(t, 1, n)
	w.scan(&n, `select count(*) from dead_letter where code in ('event_unreadable', 'event_time')`)
	require.Equal(t, 2, n)
}

// TestWhatWasChangedBehindItsBackIsFoundAndRepaired.
func TestWhatWasChangedBehindItsBackIsFoundAndRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course, user := uuid.New(), uuid.New()
	w.tell(contract.CourseViewed{CourseID: course, UserID: user, ViewedAt: w.clock.Now()})
	_, found := w.recompute(false)
	require.Empty(t, found)
	indexes := func() (defs []string) {
		w.scan(&defs, `select array_agg(def order by def) from (select regexp_replace(indexdef, '^CREATE INDEX \S+', '') as def from pg_indexes
			where schemaname = 'public' and tablename in (select tally_tables()) and indexdef not like 'CREATE UNIQUE%') i`)
		return defs
	}
	before := indexes()
	require.NotEmpty(t, before)
	w.exec(`update learners set required = 7`)
	_, found = w.recompute(false)
	require.Equal(t, []internalapi.Difference{{Kind: "learners", ID: user, Field: "required", Stored: "7", Computed: "0"}}, found)
	_, found = w.recompute(true)
	require.Len(t, found, 1)
	_, found = w.recompute(false)
	require.Empty(t, found, "repaired")
	require.Equal(t, before, indexes(), "what was made anew is found as fast")
	// What comes after a repair is counted on.
	w.tell(contract.CourseViewed{CourseID: course, UserID: uuid.New(), ViewedAt: w.clock.Now()})
	var n int
	w.scan(&n, `select count(*) from learners`)
	require.Equal(t, 2, n)
	_, found = w.recompute(false)
	require.Empty(t, found)
}

// TestWhoIsForgottenStaysForgotten: in what was kept, in what is added up, and in
// what comes later; no number changes.
func TestWhoIsForgottenStaysForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var batch []inbox.Event
	for _, d := range contract.All() {
		batch = append(batch, w.event(w.tenant, w.clock.Now(), d.Example))
	}
	w.deliver(batch[:len(batch)-5]...)
	w.addUp()
	w.deliver(batch[len(batch)-5:]...)
	var before, after string
	sums := `select string_agg(x, ' ') from (select 'learners ' || count(*) || ' ' || sum(met) as x from learners union all
		select 'activities ' || sum(events) from activities union all select 'payments ' || sum(amount) from payments) t`
	w.addUp()
	w.scan(&before, sums)
	people := map[uuid.UUID]bool{}
	for _, table := range []string{"learners", "people", "works", "payments", "activities", "attempts"} {
		var ids []uuid.UUID
		w.scan(&ids, `select coalesce(array_agg(distinct user_id), '{}') from `+table)
		for _, id := range ids {
			people[id] = true
		}
	}
	require.NotEmpty(t, people)
	for id := range people {
		pseudonym := uuid.New()
		reply := call[internalapi.ErasePersonReply](w, internalapi.CallErasePerson, "user", id.String(), internalapi.ErasePerson{
			RequestID: uuid.New(), UserID: id, TenantID: w.tenant, Pseudonym: pseudonym,
		})
		require.NotEmpty(t, reply.Kept)
		var n int
		w.scan(&n, `select count(*) from raw_events where data::text like '%' || $1 || '%' or user_id = $1::uuid or actor_id = $1::uuid or aggregate_id = $1::uuid or $1::uuid = any (others)`, id.String())
		require.Zero(t, n, "in the history")
		w.scan(&n, `select count(*) from forgotten where digest::text like '%' || replace($1, '-', '') || '%'`, id.String())
		require.Zero(t, n)
	}
	w.scan(&after, sums)
	require.Equal(t, before, after)
	_, found := w.recompute(false)
	require.Empty(t, found)

	// The broker brings an old event of one of them again, and a new one.
	again := batch[len(batch)-40:]
	for i := range again {
		again[i].ID = uuid.New()
		again[i].Seq += 100
		again[i] = w.cloud(again[i])
	}
	w.deliver(again...)
	w.addUp()
	var all string
	w.scan(&all, `select string_agg(data::text, ' ') from raw_events`)
	for id := range people {
		require.NotContains(t, all, id.String())
	}
	_, found = w.recompute(false)
	require.Empty(t, found)
	sections := call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, "user", "x", internalapi.ExportPerson{UserID: uuid.New()})
	require.Empty(t, sections.Sections)
}

// TestWhoHasDoneMuchGetsAllOfIt: more than an answer may carry lies in an object.
func TestWhoHasDoneMuchGetsAllOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	days, user := 20_000, uuid.New()
	w.exec(`insert into activities (day, course_id, user_id, tenant_id, am, pm, events)
		select date '2000-01-01' + n, gen_random_uuid(), $1, $2, 1, 1, 1 from generate_series(1, $3::int) n`, user, w.tenant, days)
	reply := call[internalapi.ExportPersonReply](w, internalapi.CallExportPerson, "user", user.String(), internalapi.ExportPerson{
		RequestID: uuid.New(), UserID: user, TenantID: w.tenant,
	})
	require.Empty(t, reply.Sections)
	r, err := w.objects.NewReader(t.Context(), reply.ObjectKey)
	require.NoError(t, err)
	var sections map[string][]json.RawMessage
	require.NoError(t, json.NewDecoder(r).Decode(&sections))
	require.NoError(t, r.Close())
	require.Len(t, sections["activity_days"], days)
}
