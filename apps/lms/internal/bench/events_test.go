//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/contracts/events"
	"lms/shared/pg"
	"lms/shared/work"
)

// events measures the way from a commit in course to the effect in enrollment.
func (b *bed) events(t *testing.T, r *report) {
	b.signIn(t)
	b.latency(t, r)
	e := b.emitter(t)
	e.singly(t, r)
	e.inBulk(t, r)
}

// latency is read from the consumer's own histogram while courses are changed at
// a steady rate. The service is called without a gateway, so that the machine
// is busy with events rather than with calls.
func (b *bed) latency(t *testing.T, r *report) {
	const (
		rate    = 500
		seconds = 6
		writers = 16
	)
	tags := make([]string, courseCount) // the ETag of each course, known to one writer
	fourAtATime(courseCount, func(i int) {
		tags[i] = b.teacher.Do(t, http.MethodGet, "/api/v1/courses/"+b.courses[i].ID, nil).Header.Get("ETag")
	})
	before := lagHistogram(t, b)
	began := time.Now()
	var wg sync.WaitGroup
	var refused, sent atomic.Int64
	for k := range writers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * writers / rate)
			defer tick.Stop()
			for i := range rate * seconds / writers {
				<-tick.C
				at := (k + writers*i) % courseCount // courseCount is a multiple of writers: nobody else changes it
				req := patch(b.service+"/api/v1/courses/"+b.courses[at].ID, b.teacher.Token, tags[at], `{"description":"`+uuid.NewString()+`"}`)
				res, err := http.DefaultClient.Do(req)
				if err != nil || res.StatusCode != http.StatusOK {
					refused.Add(1)
				}
				if err == nil {
					tags[at] = res.Header.Get("ETag")
					_ = res.Body.Close() // the header is all that is needed
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	require.Zero(t, refused.Load())
	require.Eventually(t, func() bool {
		return lagHistogram(t, b).count >= before.count+float64(sent.Load())*0.99 || quietSince(t, b, before)
	},
		time.Minute, 500*time.Millisecond)
	after := lagHistogram(t, b)
	r.add(fmt.Sprintf("commit to effect (course → enrollment) at %.0f events/s", float64(sent.Load())/took.Seconds()),
		fmt.Sprintf("p50 ≤ %s, p99 ≤ %s", quantile(before, after, 0.5), quantile(before, after, 0.99)), "p99 ≤ 100 ms at 500/s")
}

func patch(url, token, tag, body string) *http.Request {
	req, err := http.NewRequest(http.MethodPatch, url, strings.NewReader(body))
	if err != nil {
		panic(err) // the addresses are our own
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("If-Match", tag)
	return req
}

// emitter writes events of course into its outbox, as its transactions do, each
// of a course of its own, so that each has an effect.
type emitter struct {
	b     *bed
	db    *pg.DB
	state events.CourseState
}

func (b *bed) emitter(t *testing.T) *emitter {
	t.Helper()
	db, err := pg.Open(t.Context(), b.setting(t, "course", "LMS_DATABASE_URL"), pg.Options{Service: "course", MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	e := &emitter{b: b, db: db}
	var raw []byte
	require.NoError(t, db.Read(t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		raw, err = pg.Scalar[[]byte](ctx, u, "event", `select event -> 'data' from outbox where type = $1 order by ord desc limit 1`, events.TypeCourseUpdated)
		return err
	}))
	require.NoError(t, json.Unmarshal(raw, &e.state))
	return e
}

// setting is what a process of the installation was started with.
func (b *bed) setting(t *testing.T, service, name string) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", b.w.Process(t, service, "service").PID))
	require.NoError(t, err)
	for _, kv := range strings.Split(string(raw), "\x00") {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	require.Fail(t, service+" was started without "+name)
	return ""
}

func (e *emitter) emit(t *testing.T, transactions, each, writers int) {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for i := w; i < transactions; i += writers {
				err := e.db.InTx(t.Context(), work.Tenant(e.state.TenantID), func(ctx context.Context, u *pg.Unit) error {
					for range each {
						s := e.state
						s.ID, s.Code = uuid.New(), "B-"+uuid.NewString()[:18]
						if err := u.Emit(ctx, events.CourseUpdated{CourseState: s}, work.Meta{OrgUnitID: s.OrgUnitID, CourseID: s.ID}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, failed.Load())
}

func (e *emitter) applied(t *testing.T, before histogram, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return lagHistogram(t, e.b).count >= before.count+float64(n) }, time.Minute, 20*time.Millisecond, "all have their effect")
}

// singly: each event is a transaction of its own and goes as it comes.
func (e *emitter) singly(t *testing.T, r *report) {
	const n = 3000
	before := lagHistogram(t, e.b)
	began := time.Now()
	e.emit(t, n, 1, 8)
	written := time.Since(began)
	e.applied(t, before, n)
	r.add("outbox rows to effects, a transaction each, as they come", fmt.Sprintf("%.0f per s (written at %.0f per s)",
		n/time.Since(began).Seconds(), n/written.Seconds()), "≥ 2,500 per s")
}

// inBulk: the producer stands still while the rows are written.
func (e *emitter) inBulk(t *testing.T, r *report) {
	const n = 6000
	var rates []float64
	for range rounds {
		before := lagHistogram(t, e.b)
		resume := e.b.w.Pause(t, "course", "service")
		e.emit(t, n/200, 200, 4)
		began := time.Now()
		resume()
		e.applied(t, before, n)
		rates = append(rates, n/time.Since(began).Seconds())
	}
	r.add(fmt.Sprintf("outbox rows to effects, %d that wait, in bulk", n), fmt.Sprintf("%.0f per s", median(rates)), "≥ 6,000 per s")
}
