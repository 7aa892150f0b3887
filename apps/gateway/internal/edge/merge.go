package edge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/page"
)

// collection is a resource that every service keeps for itself: jobs and the
// audit trail, at /api/v1/jobs/<service> and /api/v1/audit/<service>. The
// gateway merges the lists. They are ordered by time and id, newest first unless
// asked otherwise, and their cursor is just that, so one cursor serves all of them.
type collection struct {
	path string // "/api/v1/jobs"
	time string // the member that orders the list
}

func collectionOf(rt *Route) collection {
	if strings.HasSuffix(rt.Path, "/audit") {
		return collection{path: rt.Path, time: "at"}
	}
	return collection{path: rt.Path, time: "created_at"}
}

// own answers what the gateway's own routes are for.
func (g *Gateway) own(w http.ResponseWriter, r *http.Request, rt *Route, c *caller) error {
	col := collectionOf(rt)
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, col.path), "/")
	if rest == "" {
		return g.merged(w, r, col, c)
	}
	service, _, _ := strings.Cut(rest, "/")
	if !slices.Contains(Services(), service) {
		return apperr.NotFound("service")
	}
	if !g.deployed[service] {
		return apperr.Unavailable("service_unavailable", "The "+service+" service is not part of this installation.").Detail("service", service)
	}
	return g.forwardTo(w, r, &Route{Path: rt.Path, Service: service}, c)
}

// share is one service's part of a merged list.
type share struct {
	service string
	items   []map[string]json.RawMessage
	more    bool
	err     error
}

type merged struct {
	Items      []map[string]json.RawMessage `json:"items"`
	NextCursor string                       `json:"next_cursor,omitempty"`
	// Unavailable are the services that did not answer: the list is not whole.
	Unavailable []string `json:"unavailable,omitempty"`
}

// merged answers a list of all services' items by time, the newest first unless asked
// otherwise.
func (g *Gateway) merged(w http.ResponseWriter, r *http.Request, col collection, c *caller) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return errMethod(r)
	}
	if c.anonymous() {
		return apperr.Unauthenticated("unauthenticated", "Sign in first.")
	}
	query := r.URL.Query()
	size, err := limitOf(query)
	if err != nil {
		return err
	}
	shares := g.collect(r.Context(), col, query, c)
	out := merged{Items: []map[string]json.RawMessage{}}
	more, answered := false, 0
	for _, s := range shares {
		switch {
		case s.err == nil:
			answered++
			out.Items = append(out.Items, s.items...)
			more = more || s.more
		case apperr.IsKind(s.err, apperr.KindNotFound): // the service keeps none
		case apperr.IsKind(s.err, apperr.KindUnavailable), apperr.IsKind(s.err, apperr.KindInternal):
			out.Unavailable = append(out.Unavailable, s.service)
		default:
			return s.err // what one refuses (a bad cursor, no permission), all do
		}
	}
	if answered == 0 && len(out.Unavailable) > 0 {
		return apperr.Unavailable("service_unavailable", "No service answered. Try again.").Detail("services", out.Unavailable)
	}
	slices.SortStableFunc(out.Items, func(a, b map[string]json.RawMessage) int {
		if query.Get("sort") == col.time {
			a, b = b, a
		}
		return cmp.Or(timeOf(b, col.time).Compare(timeOf(a, col.time)), bytes.Compare(b["id"], a["id"]))
	})
	if len(out.Items) > size {
		out.Items, more = out.Items[:size], true
	}
	if more && len(out.Items) > 0 {
		last := out.Items[len(out.Items)-1]
		var id uuid.UUID
		if err := json.Unmarshal(last["id"], &id); err != nil {
			return apperr.Internal(err)
		}
		out.NextCursor = page.Encode(timeOf(last, col.time), id)
	}
	return g.writeJSON(w, r, out)
}

func limitOf(q url.Values) (int, error) {
	raw := q.Get("limit")
	if raw == "" {
		return page.DefaultLimit, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 || n > page.MaxLimit {
		return 0, apperr.Invalid(apperr.Field{Path: "query.limit", Code: "invalid_value", Message: "expected a number from 1 to " + strconv.Itoa(page.MaxLimit)})
	}
	return n, nil
}

// collect asks all deployed services at once, with the caller's own token.
func (g *Gateway) collect(ctx context.Context, col collection, query url.Values, c *caller) []share {
	services := g.services()
	shares := make([]share, len(services))
	var wg sync.WaitGroup
	for i, s := range services {
		wg.Go(func() {
			var body struct {
				Items      []map[string]json.RawMessage `json:"items"`
				NextCursor string                       `json:"next_cursor"`
			}
			_, err := g.sidecar.Invoke(ctx, dapr.Call{
				App: s, Path: col.path + "/" + s, Query: query, Out: &body, Timeout: 3 * time.Second,
				Header: http.Header{
					"Authorization": {"Bearer " + c.token}, "X-Forwarded-For": {c.address.String()}, "X-Request-Id": {c.requestID},
				},
			})
			for _, item := range body.Items {
				item["service"] = json.RawMessage(strconv.Quote(s))
			}
			shares[i] = share{service: s, items: body.Items, more: body.NextCursor != "", err: err}
		})
	}
	wg.Wait()
	return shares
}

func timeOf(item map[string]json.RawMessage, member string) time.Time {
	var t time.Time
	if err := json.Unmarshal(item[member], &t); err != nil {
		return time.Time{} // an item without a time sorts last
	}
	return t
}

// writeJSON answers with a document of the gateway's own.
func (g *Gateway) writeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Content-Type", "application/json")
	g.pageHeaders(w.Header())
	return g.write(w, r, &Route{}, http.StatusOK, bytes.NewReader(b))
}
