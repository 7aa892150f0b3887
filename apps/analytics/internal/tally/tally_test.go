package tally_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/analytics/internal/history"
	"lms/apps/analytics/internal/historytest"
	"lms/apps/analytics/internal/tally"
	"lms/shared/contracts/events"
)

// settle merges a batch with what is there, as the store does: what is there is
// merged into what is new.
func settle(stored, batch *tally.Book) {
	s, b := reflect.ValueOf(stored).Elem(), reflect.ValueOf(batch).Elem()
	for i := range b.NumField() {
		for _, key := range b.Field(i).MapKeys() {
			row := b.Field(i).MapIndex(key)
			if there := s.Field(i).MapIndex(key); there.IsValid() {
				row.MethodByName("Merge").Call([]reflect.Value{there})
			}
			s.Field(i).SetMapIndex(key, row)
		}
	}
}

func text(t require.TestingT, b *tally.Book) map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(b).Elem()
	for i := range v.NumField() {
		for _, key := range v.Field(i).MapKeys() {
			raw, err := json.Marshal(v.Field(i).MapIndex(key).Interface())
			require.NoError(t, err)
			k, err := json.Marshal(key.Interface())
			require.NoError(t, err)
			out[v.Type().Field(i).Name+" "+string(k)] = string(raw)
		}
	}
	return out
}

func add(t require.TestingT, events []history.Event) *tally.Book {
	b := tally.NewBook()
	for _, e := range events {
		require.NoError(t, b.Add(e))
	}
	return b
}

// TestTheOrderOfEventsDoesNotMatter: shuffled, in batches of any size, and in books
// that are put together, they add up to the same rows.
func TestTheOrderOfEventsDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		school := historytest.Make(historytest.Options{
			Seed: rapid.Uint64().Draw(r, "seed"), Events: 90, Courses: 2, Begins: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Days: 40,
		})
		want := text(r, add(r, school.Events))
		shuffled := append([]history.Event(nil), school.Events...)
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "order"), 2))
		order.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		stored := tally.NewBook()
		for len(shuffled) > 0 {
			n := min(1+order.IntN(40), len(shuffled))
			batch, half := add(r, shuffled[:n/2]), add(r, shuffled[n/2:n])
			batch.Merge(half)
			settle(stored, batch)
			shuffled = shuffled[n:]
		}
		require.Equal(r, want, text(r, stored))
	})
}

// TestExamplesOfTheContractsAddUp in every order of two.
func TestExamplesOfTheContractsAddUp(t *testing.T) {
	t.Parallel()
	var all []history.Event
	for i, d := range events.All() {
		if !tally.Counted(d.Type()) {
			continue
		}
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		all = append(all, history.Event{Type: d.Type(), AggregateID: d.Example.AggregateID(), Seq: int64(i) + 1, Time: time.Date(2026, 3, 1, 0, 0, i, 0, time.UTC), Data: raw})
	}
	for i := range all {
		for j := range i {
			one := add(t, []history.Event{all[i], all[j]})
			two := add(t, []history.Event{all[j], all[i]})
			require.Equal(t, text(t, one), text(t, two), "%s and %s", all[i].Type, all[j].Type)
		}
	}
}

func TestMonthly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount int64
		unit   string
		count  int
		want   int64
	}{
		{1000, "month", 1, 1000},
		{1000, "month", 3, 333},
		{12_000, "year", 1, 1000},
		{100, "day", 1, 3044},
		{100, "week", 1, 435},
		{100, "week", 2, 217},
		{1, "month", 2, 1},
		{-1000, "month", 3, -333},
		{1000, "", 0, 1000},
	} {
		require.Equal(t, c.want, tally.Monthly(c.amount, c.unit, c.count), "%+v", c)
	}
}
