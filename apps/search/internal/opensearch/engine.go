// Package opensearch is the engine in a cluster: OpenSearch, for any number of
// replicas. Each index has a name of its own; one alias leads to the one in use,
// another one to the one that is being made.
package opensearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	osclient "github.com/opensearch-project/opensearch-go/v4"

	"lms/apps/search/internal/search"
	"lms/shared/apperr"
)

// Settle is how long another replica may take to see that an index is being made.
const Settle = 3 * time.Second

// lookEvery is how long the answer is remembered whether an index is being made.
const lookEvery = time.Second

// Engine is the indexes of a prefix.
type Engine struct {
	client     *osclient.Client
	user       string
	password   func(ctx context.Context) (string, error)
	secret     atomic.Pointer[string] // the password, once it was read
	live, next string                 // aliases

	mu       sync.Mutex
	made     bool
	looked   time.Time
	building bool
}

var _ search.Engine = (*Engine)(nil)

// New makes the engine; nothing is sent yet.
func New(o Options) (*Engine, error) {
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	return &Engine{client: client, user: o.User, password: o.Password, live: o.Prefix, next: o.Prefix + "-next"}, nil
}

// refreshEvery is how long what was written may not be found yet.
const refreshEvery = "500ms"

func definition(alias, refresh string) object {
	return object{
		"aliases":  object{alias: object{"is_write_index": true}},
		"mappings": layout(),
		"settings": object{"index": object{"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": refresh}},
	}
}

// ensure makes the first index. Of several replicas that try one succeeds.
func (e *Engine) ensure(ctx context.Context) error {
	e.mu.Lock()
	made := e.made
	e.mu.Unlock()
	if made {
		return nil
	}
	index, err := e.indexOf(ctx, e.live)
	switch {
	case err != nil:
	case index == "":
		err = e.ask(ctx, http.MethodPut, "/"+url.PathEscape(e.live+"-1"), definition(e.live, refreshEvery), nil)
		if refused(err, "resource_already_exists_exception") {
			err = nil
		}
	default:
		// One of a time when documents with unknown fields were refused takes them too.
		err = e.ask(ctx, http.MethodPut, "/"+url.PathEscape(index)+"/_mapping", object{"dynamic": "false"}, nil)
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made = true
	return nil
}

// lost lets whoever comes next look whether there is an index: one that somebody has
// removed is made again, and then filled.
func (e *Engine) lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made = false
}

// isBuilding says whether an index is being made, as it was a second ago at most.
func (e *Engine) isBuilding(ctx context.Context) (bool, error) {
	e.mu.Lock()
	known, building := time.Since(e.looked) < lookEvery, e.building
	e.mu.Unlock()
	if known {
		return building, nil
	}
	asked := time.Now()
	index, err := e.indexOf(ctx, e.next)
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looked, e.building = asked, index != ""
	return e.building, nil
}

// indexOf is the index behind an alias, "" for none.
func (e *Engine) indexOf(ctx context.Context, alias string) (string, error) {
	var out map[string]json.RawMessage
	err := e.ask(ctx, http.MethodGet, "/_alias/"+url.PathEscape(alias), nil, &out)
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		return "", nil
	}
	for name := range out {
		return name, err
	}
	return "", err
}

// Write implements search.Writer. The index that is being made goes first: if it has
// just taken its place, what is written next goes to it as well.
func (e *Engine) Write(ctx context.Context, docs []search.Document) error {
	if err := e.ensure(ctx); err != nil {
		return err
	}
	building, err := e.isBuilding(ctx)
	if err != nil {
		return err
	}
	if building {
		if err := e.bulk(ctx, e.next, docs); err != nil && !refused(err, indexNotFound) {
			return err
		}
	}
	return e.bulk(ctx, e.live, docs)
}

// maxBulk is how much one request carries, in bytes.
const maxBulk = 8 << 20

func (e *Engine) bulk(ctx context.Context, target string, docs []search.Document) error {
	var b bytes.Buffer
	for _, d := range docs {
		action := object{"index": object{"_id": d.ID, "version": d.Version, "version_type": "external_gte"}}
		for _, line := range []any{action, fieldsOf(d)} {
			if err := json.NewEncoder(&b).Encode(line); err != nil {
				return apperr.Internal(err)
			}
		}
		if b.Len() > maxBulk {
			if err := e.send(ctx, target, b.Bytes()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return e.send(ctx, target, b.Bytes())
}

func (e *Engine) send(ctx context.Context, target string, lines []byte) error {
	var out struct {
		Errors bool `json:"errors"`
		Items  []map[string]struct {
			ID     string `json:"_id"`
			Status int    `json:"status"`
			Error  struct {
				Type   string `json:"type"`
				Reason string `json:"reason"`
			} `json:"error"`
		} `json:"items"`
	}
	if err := e.do(ctx, http.MethodPost, "/"+url.PathEscape(target)+"/_bulk?require_alias=true", lines, &out); err != nil {
		return err
	}
	if !out.Errors {
		return nil
	}
	for _, item := range out.Items {
		for _, r := range item {
			// What is older than what is stored is refused as a conflict, and is done.
			if r.Status < http.StatusBadRequest || r.Status == http.StatusConflict {
				continue
			}
			cause := &refusal{status: r.Status, kind: r.Error.Type, reason: r.ID + ": " + r.Error.Reason}
			if cause.kind == indexNotFound {
				e.lost()
				return away(cause)
			}
			if r.Status == http.StatusTooManyRequests || r.Status >= http.StatusInternalServerError {
				return away(cause)
			}
			return cause
		}
	}
	return nil
}

func fieldsOf(d search.Document) object {
	out := object{}
	if d.Gone {
		return out
	}
	for name, list := range d.Words {
		if len(list) > 0 {
			out[name] = join(list)
		}
	}
	for name, list := range d.Keys {
		if len(list) > 0 {
			out[name] = list
		}
	}
	for name, value := range d.Sorts {
		out[name] = value
	}
	for name, n := range d.Numbers {
		out[name] = n
	}
	out[fieldSource] = d.Source
	return out
}

type hits struct {
	Total struct {
		Value int `json:"value"`
	} `json:"total"`
	Hits []struct {
		ID      string   `json:"_id"`
		Version int64    `json:"_version"`
		Score   *float64 `json:"_score"`
		Sort    []any    `json:"sort"`
		Source  struct {
			Source json.RawMessage `json:"source"`
		} `json:"_source"`
	} `json:"hits"`
}

// Search implements search.Engine.
func (e *Engine) Search(ctx context.Context, q search.Request) (search.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	if err := e.ensure(ctx); err != nil {
		return search.Result{}, err
	}
	if q.Written {
		if err := e.Refresh(ctx); err != nil {
			return search.Result{}, err
		}
	}
	var answer struct {
		Hits         hits `json:"hits"`
		Aggregations map[string]struct {
			Buckets []struct {
				Key   string `json:"key"`
				Count int    `json:"doc_count"`
			} `json:"buckets"`
		} `json:"aggregations"`
	}
	if err := e.ask(ctx, http.MethodPost, "/"+url.PathEscape(e.live)+"/_search", body(q), &answer); err != nil {
		return search.Result{}, err
	}
	out := search.Result{Total: answer.Hits.Total.Value, Facets: map[string][]search.Bucket{}}
	for _, h := range answer.Hits.Hits {
		hit := search.Hit{ID: h.ID, Version: h.Version, Source: h.Source.Source}
		if h.Score != nil {
			hit.Score = *h.Score
		}
		for _, v := range h.Sort {
			hit.Sort = append(hit.Sort, keyOf(v))
		}
		out.Hits = append(out.Hits, hit)
	}
	for name, a := range answer.Aggregations {
		buckets := []search.Bucket{}
		for _, b := range a.Buckets {
			buckets = append(buckets, search.Bucket{Value: b.Key, Count: b.Count})
		}
		out.Facets[name] = buckets
	}
	return out, nil
}

func keyOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// Fetch implements search.Engine. It sees what was written a moment ago.
func (e *Engine) Fetch(ctx context.Context, ids []string) (map[string]search.Hit, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	if err := e.ensure(ctx); err != nil || len(ids) == 0 {
		return map[string]search.Hit{}, err
	}
	var answer struct {
		Docs []struct {
			ID      string `json:"_id"`
			Version int64  `json:"_version"`
			Found   bool   `json:"found"`
			Source  struct {
				Source json.RawMessage `json:"source"`
			} `json:"_source"`
		} `json:"docs"`
	}
	if err := e.ask(ctx, http.MethodPost, "/"+url.PathEscape(e.live)+"/_mget", object{"ids": ids}, &answer); err != nil {
		return nil, err
	}
	out := map[string]search.Hit{}
	for _, d := range answer.Docs {
		if d.Found && d.Source.Source != nil {
			out[d.ID] = search.Hit{ID: d.ID, Version: d.Version, Source: d.Source.Source}
		}
	}
	return out, nil
}

// Filled implements search.Engine: the rules stand in the mapping of the index.
func (e *Engine) Filled(ctx context.Context, rules string) (bool, error) {
	if err := e.ensure(ctx); err != nil {
		return false, err
	}
	var answer map[string]struct {
		Mappings struct {
			Meta struct {
				Rules string `json:"rules"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	if err := e.ask(ctx, http.MethodGet, "/"+url.PathEscape(e.live)+"/_mapping", nil, &answer); err != nil {
		return false, err
	}
	for _, index := range answer {
		return index.Mappings.Meta.Rules == rules, nil
	}
	return false, nil
}

// Ready implements search.Engine.
func (e *Engine) Ready(ctx context.Context) error { return e.ensure(ctx) }

// Close implements search.Engine.
func (e *Engine) Close() error {
	if err := e.client.Close(); err != nil {
		return fmt.Errorf("close the client of the cluster: %w", err)
	}
	return nil
}

// Refresh makes all that was written visible at once.
func (e *Engine) Refresh(ctx context.Context) error {
	return e.ask(ctx, http.MethodPost, "/"+url.PathEscape(e.live)+"/_refresh", nil, nil)
}

// Begin implements search.Engine.
func (e *Engine) Begin(ctx context.Context, rules string) (search.Rebuild, error) {
	if err := e.ensure(ctx); err != nil {
		return nil, err
	}
	old, err := e.indexOf(ctx, e.next)
	if err != nil {
		return nil, err
	}
	if old != "" {
		if err := e.remove(ctx, old); err != nil {
			return nil, err
		}
	}
	name := fmt.Sprintf("%s-%d", e.live, time.Now().UnixNano())
	// Nobody looks into it before it is whole.
	if err := e.ask(ctx, http.MethodPut, "/"+url.PathEscape(name), definition(e.next, "-1"), nil); err != nil {
		return nil, err
	}
	e.forget()
	return &rebuild{engine: e, index: name, rules: rules}, nil
}

// forget lets the next write look whether an index is being made.
func (e *Engine) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looked = time.Time{}
}

func (e *Engine) remove(ctx context.Context, index string) error {
	err := e.ask(ctx, http.MethodDelete, "/"+url.PathEscape(index), nil, nil)
	if refused(err, indexNotFound) {
		return nil
	}
	return err
}

type rebuild struct {
	engine       *Engine
	index, rules string
}

func errOvertaken() error {
	return apperr.Conflict("rebuild_overtaken", "Another rebuild was begun in the meantime.")
}

// Write implements search.Writer.
func (r *rebuild) Write(ctx context.Context, docs []search.Document) error {
	err := r.engine.bulk(ctx, r.engine.next, docs)
	if refused(err, indexNotFound) {
		return errOvertaken()
	}
	return err
}

// Commit implements search.Rebuild. Both aliases move and the old index goes in one
// step of the cluster.
func (r *rebuild) Commit(ctx context.Context) error {
	e := r.engine
	if now, err := e.indexOf(ctx, e.next); err != nil || now != r.index {
		return errors.Join(err, errOvertaken())
	}
	at := "/" + url.PathEscape(r.index)
	if err := e.ask(ctx, http.MethodPut, at+"/_mapping", object{"_meta": object{"rules": r.rules}}, nil); err != nil {
		return err
	}
	if err := e.ask(ctx, http.MethodPut, at+"/_settings", object{"index": object{"refresh_interval": refreshEvery}}, nil); err != nil {
		return err
	}
	if err := e.ask(ctx, http.MethodPost, at+"/_refresh", nil, nil); err != nil {
		return err
	}
	old, err := e.indexOf(ctx, e.live)
	if err != nil {
		return err
	}
	defer e.forget()
	err = e.ask(ctx, http.MethodPost, "/_aliases", object{"actions": []object{
		{"remove": object{"index": r.index, "alias": e.next, "must_exist": true}},
		{"add": object{"index": r.index, "alias": e.live, "is_write_index": true}},
		{"remove_index": object{"index": old}},
	}}, nil)
	if err == nil {
		return nil
	}
	// The answer may be lost of a step that was made, or be that of its repetition.
	if now, unknown := e.indexOf(ctx, e.live); unknown != nil || now != r.index {
		return errors.Join(err, unknown)
	}
	return nil
}

// Abort implements search.Rebuild. An index that has taken its place, though nobody
// could say so, stays.
func (r *rebuild) Abort(ctx context.Context) error {
	e := r.engine
	defer e.forget()
	if now, err := e.indexOf(ctx, e.next); err != nil || now != r.index {
		return err
	}
	return e.remove(ctx, r.index)
}
