package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/web"
)

// document answers /openapi.json: the documents of all deployed services as
// one. Each service is asked for its own, generated from its code, so that
// what is shown is what runs. A service that is away keeps the document it
// gave before; until each has given one, the answer is 503 and names who is
// missing, since half a document would look like a whole one.
type document struct {
	ask       func(ctx context.Context, call dapr.Call) (int, error)
	services  []string
	publicURL string
	now       func() time.Time

	mu    sync.Mutex
	parts map[string]map[string]any
	asked time.Time
	built []byte
	etag  string
}

// How often services are asked: rarely once all have answered.
const (
	documentFor     = time.Minute
	documentRetry   = 2 * time.Second
	documentTimeout = 3 * time.Second
)

func newDocument(ask func(context.Context, dapr.Call) (int, error), services []string, publicURL string, now func() time.Time) *document {
	return &document{ask: ask, services: services, publicURL: publicURL, now: now, parts: map[string]map[string]any{}}
}

// ServeHTTP implements http.Handler.
func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, etag, err := d.get(r.Context())
	if err != nil {
		web.WriteError(w, r, web.RequestID(r.Context()), err)
		return
	}
	h := w.Header()
	h.Set("Etag", etag)
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Access-Control-Allow-Origin", "*") // tools in a browser may read it
	if matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/openapi+json")
	writeMaybeZipped(w, r, b)
}

func (d *document) get(ctx context.Context) ([]byte, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := documentFor
	if len(d.missing()) > 0 {
		wait = documentRetry
	}
	if d.asked.IsZero() || d.now().Sub(d.asked) >= wait {
		d.refresh(ctx)
	}
	if missing := d.missing(); len(missing) > 0 {
		return nil, "", apperr.Unavailable("openapi_incomplete", "Not every service has told its part yet. Try again.").Detail("services", missing).After(documentRetry)
	}
	return d.built, d.etag, nil
}

func (d *document) missing() []string {
	return slices.DeleteFunc(slices.Clone(d.services), func(s string) bool { return d.parts[s] != nil })
}

func (d *document) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), documentTimeout)
	defer cancel()
	got := make([]map[string]any, len(d.services))
	var wg sync.WaitGroup
	for i, s := range d.services {
		wg.Go(func() {
			var raw []byte
			if _, err := d.ask(ctx, dapr.Call{App: s, Path: "/internal/openapi.json", Out: &raw, Timeout: documentTimeout}); err != nil {
				return
			}
			var part map[string]any
			if json.Unmarshal(raw, &part) == nil && part["paths"] != nil {
				got[i] = part
			}
		})
	}
	wg.Wait()
	d.asked = d.now()
	for i, s := range d.services {
		if got[i] != nil {
			d.parts[s] = got[i]
		}
	}
	if len(d.missing()) > 0 {
		return
	}
	b, err := json.Marshal(merge(d.publicURL, d.services, d.parts))
	if err != nil {
		return // what was parsed from JSON always marshals
	}
	sum := sha256.Sum256(b)
	if !bytes.Equal(b, d.built) {
		d.built, d.etag = b, `"`+hex.EncodeToString(sum[:8])+`"`
	}
}

// merge makes one document. Schemas that two services name alike but define
// differently get the service's name before theirs.
func merge(publicURL string, services []string, parts map[string]map[string]any) map[string]any {
	paths := map[string]any{}
	components := map[string]any{}
	ids := map[string]bool{}
	for _, s := range services {
		part := clone(parts[s])
		rename(part, clashes(components, object(part, "components")), s)
		for kind, v := range object(part, "components") {
			all, _ := components[kind].(map[string]any)
			if all == nil {
				all = map[string]any{}
				components[kind] = all
			}
			if named, ok := v.(map[string]any); ok {
				maps.Copy(all, named)
			}
		}
		from := object(part, "paths")
		for _, path := range slices.Sorted(maps.Keys(from)) {
			if paths[path] == nil {
				paths[path] = from[path]
				uniqueIDs(from[path], ids, s)
			}
		}
	}
	fold(paths, services)
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "LMS API", "version": "1",
			"description": "The one API of the learning management system. Errors are RFC 9457 problem documents: branch on `code`. Lists have cursors, resources have ETags, and every POST takes an Idempotency-Key.",
		},
		"servers":    []any{map[string]any{"url": publicURL}},
		"paths":      paths,
		"components": components,
	}
}

// uniqueIDs keeps operation ids unique over all services.
func uniqueIDs(item any, ids map[string]bool, service string) {
	operations, _ := item.(map[string]any)
	for _, v := range operations {
		op, _ := v.(map[string]any)
		id, ok := op["operationId"].(string)
		if !ok {
			continue
		}
		if ids[id] {
			id = service + "-" + id
			op["operationId"] = id
		}
		ids[id] = true
	}
}

func object(m map[string]any, key string) map[string]any {
	v, _ := m[key].(map[string]any)
	return v
}

func clone(m map[string]any) map[string]any {
	b, err := json.Marshal(m)
	if err != nil {
		return m // parsed from JSON: always marshals
	}
	var out map[string]any
	if json.Unmarshal(b, &out) != nil {
		return m
	}
	return out
}

// clashes are the names in more that mean something else in have.
func clashes(have, more map[string]any) map[string]bool {
	out := map[string]bool{}
	schemas, haveSchemas := object(more, "schemas"), object(have, "schemas")
	for name, s := range schemas {
		if other, ok := haveSchemas[name]; ok && !reflect.DeepEqual(s, other) {
			out[name] = true
		}
	}
	// What refers to a renamed schema means something else as well.
	for grown := true; grown; {
		grown = false
		for name, s := range schemas {
			if _, shared := haveSchemas[name]; !shared || out[name] {
				continue
			}
			for clash := range out {
				if refersTo(s, clash) {
					out[name], grown = true, true
					break
				}
			}
		}
	}
	return out
}

const schemaRef = "#/components/schemas/"

func refersTo(v any, name string) bool {
	switch v := v.(type) {
	case map[string]any:
		if v["$ref"] == schemaRef+name {
			return true
		}
		for _, sub := range v {
			if refersTo(sub, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(sub any) bool { return refersTo(sub, name) })
	}
	return false
}

func rename(part map[string]any, names map[string]bool, service string) {
	if len(names) == 0 {
		return
	}
	prefix := strings.ToUpper(service[:1]) + service[1:]
	schemas := object(object(part, "components"), "schemas")
	for name := range names {
		schemas[prefix+name] = schemas[name]
		delete(schemas, name)
	}
	rewrite(part, names, prefix)
}

func rewrite(v any, names map[string]bool, prefix string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if name, ok := strings.CutPrefix(ref, schemaRef); ok && names[name] {
				v["$ref"] = schemaRef + prefix + name
			}
		}
		for _, sub := range v {
			rewrite(sub, names, prefix)
		}
	case []any:
		for _, sub := range v {
			rewrite(sub, names, prefix)
		}
	}
}

// fold makes one path with {service} of the paths under which each service
// serves its own jobs and audit trail, and adds those of the merged lists.
func fold(paths map[string]any, services []string) {
	for _, own := range []string{"/api/v1/jobs", "/api/v1/audit"} {
		for _, service := range services {
			for _, path := range slices.Sorted(maps.Keys(paths)) {
				rest, ok := strings.CutPrefix(path, own+"/"+service)
				if !ok || rest != "" && rest[0] != '/' {
					continue
				}
				item, _ := paths[path].(map[string]any)
				delete(paths, path)
				folded := own + "/{service}" + rest
				if paths[folded] != nil {
					continue
				}
				renameIDs(item, "-"+service, "")
				if rest == "" {
					all := clone(item)
					renameIDs(all, "", "-of-all-services")
					paths[own] = all
				}
				params, _ := item["parameters"].([]any)
				item["parameters"] = append(params, map[string]any{
					"name": "service", "in": "path", "required": true, "description": "The service that keeps it",
					"schema": map[string]any{"type": "string", "enum": services},
				})
				paths[folded] = item
			}
		}
	}
}

func renameIDs(item map[string]any, cut, add string) {
	for _, v := range item {
		op, _ := v.(map[string]any)
		if id, ok := op["operationId"].(string); ok {
			op["operationId"] = strings.TrimSuffix(id, cut) + add
		}
	}
}
