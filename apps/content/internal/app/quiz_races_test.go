package app

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/shared/contracts/internalapi"
)

// together runs fn n times at once and counts the statuses.
func together(n int, fn func(i int) int) map[int]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	out := map[int]int{}
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			s := fn(i)
			mu.Lock()
			defer mu.Unlock()
			out[s]++
		})
	}
	close(begin)
	wg.Wait()
	return out
}

func TestManyStartsAtOnceAreOneAttempt(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(body{"attempts_allowed": 5})
	got := together(12, func(int) int { return c.as(c.ada).POST(e.path("/attempts"), nil).Status })
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusOK: 11}, got)
	require.Equal(t, 1, value[int](c.world, `select count(*)::int from attempts`))
}

func TestManySubmissionsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(nil)
	a := c.start(c.ada, e)
	got := together(12, func(int) int { return c.as(c.ada).POST(attempt(a, "/submit"), nil).Status })
	require.Equal(t, map[int]int{http.StatusOK: 12}, got, "what was handed in stays so")
	require.Len(t, c.events(a.ID), 3)
	require.Len(t, said[internalapi.QuizScore](c.world, internalapi.CallQuizScore), 1)
}

func TestTheLastAttemptIsUsedOnce(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"attempts_allowed": 2})
	c.take(c.ada, e, questions, 1)
	var mu sync.Mutex
	seen := map[string]bool{}
	for range 3 {
		together(6, func(int) int {
			r := c.as(c.ada).POST(e.path("/attempts"), nil)
			if r.Status < 300 {
				var a httpapi.Attempt
				r.JSON(&a)
				mu.Lock()
				seen[a.ID.String()] = true
				mu.Unlock()
				c.as(c.ada).POST(attempt(a, "/submit"), nil)
			}
			return r.Status
		})
	}
	require.Len(t, seen, 1)
	require.Equal(t, 2, value[int](c.world, `select count(*)::int from attempts`))
}

// TestAnAnswerAndTheEndNeverPassEachOther races autosaves against the submission:
// what was acknowledged is in the marks, what was refused is not.
func TestAnAnswerAndTheEndNeverPassEachOther(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, questions := c.ready(body{"unlimited_attempts": true})
	for range 8 {
		a := c.start(c.ada, e)
		right := choose(a.Questions[0], "one")
		var last atomic.Int64
		together(9, func(i int) int {
			if i == 4 {
				return c.as(c.ada).POST(attempt(a, "/submit"), nil).Status
			}
			r := c.as(c.ada).PUT(attempt(a, "/answers/"+questions[0].ID.String()), body{"seq": i + 1, "answer": right})
			for r.Status == http.StatusOK {
				if old := last.Load(); old >= int64(i+1) || last.CompareAndSwap(old, int64(i+1)) {
					break
				}
			}
			return r.Status
		})
		var now httpapi.Attempt
		c.as(c.instructor).GET(attempt(a, "")).Expect(http.StatusOK).JSON(&now)
		require.Equal(t, last.Load(), now.Questions[0].AnswerSeq, "the newest that was acknowledged, and nothing else")
		want := "0"
		if last.Load() > 0 {
			want = "1"
		}
		require.Equal(t, want, hundredths(t, now.Score), "what was acknowledged was marked")
	}
}

func TestOfTwoGradersOneIsTold(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, text, _ := c.written(nil)
	a := c.start(c.ada, e)
	c.answer(c.ada, a, text.ID, 1, body{"text": "Because."})
	c.submit(c.ada, a)
	tag := c.as(c.instructor).GET(attempt(a, "/review")).Expect(http.StatusOK).ETag()
	got := together(6, func(i int) int {
		return c.as(c.assistant).With("If-Match", tag).PUT(attempt(a, "/grades/"+text.ID.String()), body{"points": i}).Status
	})
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: 5}, got)
}

func TestSweepsAndLearnersCloseOnce(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(body{"time_limit_seconds": 60})
	a := c.start(c.ada, e)
	c.clock.Advance(2 * 60e9)
	together(8, func(i int) int {
		if i%2 == 0 {
			c.sweep()
			return 0
		}
		return c.as(c.ada).GET(attempt(a, "")).Status
	})
	require.Len(t, c.events(a.ID), 3)
}

// TestAnIdempotencyKeyIsOneAttempt repeats a start as a gateway would.
func TestAnIdempotencyKeyIsOneAttempt(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	e, _ := c.ready(body{"unlimited_attempts": true})
	ids := map[string]bool{}
	for range 3 {
		var a httpapi.Attempt
		c.as(c.ada).With("Idempotency-Key", "k1").POST(e.path("/attempts"), nil).Expect(http.StatusCreated).JSON(&a)
		ids[a.ID.String()] = true
	}
	require.Len(t, ids, 1)
}

func BenchmarkAutosave(b *testing.B) {
	c := newClassroom(b)
	e, questions := c.ready(nil)
	const learners = 64
	clients := make([]func(int) int, learners)
	for i := range clients {
		p := c.person(c.tenant, "", c.tenant)
		c.learns(p)
		a := c.start(p, e)
		right, client, path := choose(a.Questions[0], "one"), c.as(p), attempt(a, "/answers/"+questions[0].ID.String())
		clients[i] = func(seq int) int { return client.PUT(path, body{"seq": seq, "answer": right}).Status }
	}
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if s := clients[i%learners](i); s != http.StatusOK && s != http.StatusConflict {
				b.Error("status " + strconv.Itoa(s))
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "autosaves/s")
}
