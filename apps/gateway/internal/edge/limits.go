package edge

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/httprate"

	"lms/shared/apperr"
)

// limits are requests per minute, sliding, counted in this process: with
// several gateways each counts for itself.
type limits struct {
	address, strict, user *limit
}

type limit struct {
	name  string
	quota int
	rate  *httprate.RateLimiter
}

const window = time.Minute

func newLimit(name string, quota int) *limit {
	return &limit{name: name, quota: quota, rate: httprate.NewRateLimiter(quota, window, httprate.WithResponseHeaders(httprate.ResponseHeaders{
		Limit: "L", Remaining: "M", Reset: "R",
	}))}
}

// take counts a request and says what is left on h, as
// draft-ietf-httpapi-ratelimit-headers has it: the tightest policy that was
// met last is the one a client sees.
func (l *limit) take(r *http.Request, h http.Header, key string) error {
	v := verdict{h: make(http.Header, 3)}
	over := l.rate.OnLimit(v, r, key)
	left, _ := strconv.Atoi(v.h.Get("M")) // the library writes a number
	reset, err := strconv.ParseInt(v.h.Get("R"), 10, 64)
	seconds := int64(window / time.Second)
	if err == nil {
		seconds = max(1, reset-time.Now().Unix())
	}
	h["Ratelimit-Policy"] = []string{`"` + l.name + `";q=` + strconv.Itoa(l.quota) + `;w=60`}
	h["Ratelimit"] = []string{`"` + l.name + `";r=` + strconv.Itoa(max(0, left)) + `;t=` + strconv.FormatInt(seconds, 10)}
	if over {
		return apperr.New(apperr.KindRateLimited, "rate_limited", "Too many requests.").
			Detail("limit", l.name).After(time.Duration(seconds) * time.Second)
	}
	return nil
}

// verdict takes the library's headers, which we write in another form.
type verdict struct{ h http.Header }

func (v verdict) Header() http.Header         { return v.h }
func (v verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v verdict) WriteHeader(int)             {}

// perUser bounds how many event streams one person, or one address where nobody is
// signed in, has open at a time.
type perUser struct {
	most int
	mu   sync.Mutex
	open map[string]int
}

func (p *perUser) enter(c *caller) (leave func(), err error) {
	key := network(c.address)
	if !c.anonymous() {
		key = c.principal.UserID.String()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[key] >= p.most {
		return nil, apperr.New(apperr.KindRateLimited, "too_many_streams", "Too many event streams are open. Close one first.").
			Detail("limit", p.most).After(time.Second)
	}
	p.open[key]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[key]--; p.open[key] == 0 {
			delete(p.open, key)
		}
	}, nil
}

// bulkhead bounds how many requests wait for one service at a time, so that a
// slow one cannot take all of the gateway.
type bulkhead struct {
	most int64
	busy atomic.Int64
}

func (b *bulkhead) enter(service string) error {
	if b.busy.Add(1) > b.most {
		b.busy.Add(-1)
		return apperr.Unavailable("service_busy", "The "+service+" service has too much to do. Try again.").
			Detail("service", service).After(time.Second)
	}
	return nil
}

func (b *bulkhead) leave() { b.busy.Add(-1) }
