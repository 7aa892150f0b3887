//go:build chaos

package chaos_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// route is one operation of the running system's document.
type route struct {
	Method, Path string

	ID         string `json:"operationId"`
	Access     string `json:"x-access"`
	Permission string `json:"x-permission"`
	Parameters []struct {
		Name, In string
		Schema   schema
	} `json:"parameters"`
	Body *struct {
		Content map[string]struct{ Schema schema } `json:"content"`
	} `json:"requestBody"`
}

type schema map[string]any

// document is the merged OpenAPI of all services.
type document struct {
	Routes  []route
	schemas map[string]schema
}

func (s *school) document(t testing.TB) document {
	t.Helper()
	var raw struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Schemas map[string]schema }
	}
	s.API().Read(t, "/openapi.json").JSON(t, &raw)
	d := document{schemas: raw.Components.Schemas}
	for path, operations := range raw.Paths {
		for method, op := range operations {
			if method == "parameters" {
				continue
			}
			r := route{Method: strings.ToUpper(method), Path: path}
			require.NoError(t, json.Unmarshal(op, &r), "%s %s", method, path)
			require.NotEmpty(t, r.Access, "%s %s declares who may call it", method, path)
			d.Routes = append(d.Routes, r)
		}
	}
	// What destroys comes last, so that the others meet what they ask for.
	rank := map[string]int{http.MethodGet: 0, http.MethodPatch: 1, http.MethodPut: 2, http.MethodPost: 3, http.MethodDelete: 4}
	slices.SortFunc(d.Routes, func(a, b route) int {
		return cmp.Or(rank[a.Method]-rank[b.Method], strings.Compare(a.Path, b.Path))
	})
	require.Greater(t, len(d.Routes), 150, "the document is whole")
	return d
}

// ids are the resources of one organisation, by what routes call them.
type ids map[string]string

// fill puts ids into a path. A parameter that nothing is known about is named.
func (r route) fill(have ids) (path, unknown string) {
	pattern := strings.Split(r.Path, "/")
	segments := slices.Clone(pattern)
	for i, seg := range pattern {
		if !strings.HasPrefix(seg, "{") {
			continue
		}
		v, ok := "", false
		if i >= 3 { // where the same word means different things
			v, ok = have[strings.Join(pattern[i-3:i+1], "/")]
		}
		if !ok {
			v, ok = have[pattern[i-1]+"/"+seg]
		}
		if !ok {
			return "", pattern[i-1] + "/" + seg
		}
		segments[i] = v
	}
	return strings.Join(segments, "/"), ""
}

// example is a body that the schema allows, with what it requires; members that
// hold ids get those of have.
func (d document) example(s schema, have ids, name string) any {
	if ref, ok := s["$ref"].(string); ok {
		return d.example(d.schemas[ref[strings.LastIndexByte(ref, '/')+1:]], have, name)
	}
	if v, ok := have["body:"+name]; ok {
		return v
	}
	if name == "scope" {
		return map[string]any{"kind": "org_unit", "id": have["body:org_unit_id"]}
	}
	if values, ok := s["enum"].([]any); ok && len(values) > 0 {
		return values[0]
	}
	switch kind(s) {
	case "object":
		return d.object(s, have)
	case "array":
		out := []any{}
		if n, ok := s["minItems"].(float64); ok && n > 0 {
			if items, ok := s["items"].(map[string]any); ok {
				out = append(out, d.example(items, have, strings.TrimSuffix(name, "s")))
			}
		}
		return out
	case "integer", "number":
		if n, ok := s["minimum"].(float64); ok {
			return n
		}
		return 1
	case "boolean":
		return false
	}
	return text(s, name)
}

func (d document) object(s schema, have ids) map[string]any {
	out := map[string]any{}
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, r := range required {
		name, _ := r.(string)
		if p, ok := properties[name].(map[string]any); ok {
			out[name] = d.example(p, have, name)
		}
	}
	return out
}

func kind(s schema) string {
	switch v := s["type"].(type) {
	case string:
		return v
	case []any:
		for _, one := range v {
			if k, ok := one.(string); ok && k != "null" {
				return k
			}
		}
	}
	if s["properties"] != nil {
		return "object"
	}
	return "string"
}

func text(s schema, name string) string {
	switch s["format"] {
	case "uuid":
		return uuid.NewString()
	case "date-time":
		return "2030-01-01T00:00:00Z"
	}
	switch name {
	case "email":
		return uuid.NewString()[:8] + "@example.test"
	case "role":
		return "student"
	case "key", "code", "name", "title":
		return "X-" + uuid.NewString()[:13]
	}
	n, _ := s["minLength"].(float64)
	return strings.Repeat("x", max(int(n), 12))
}

// body is what to send along a route: nothing for a GET.
func (d document) body(r route, have ids) (body any, contentType string) {
	if r.Body == nil {
		if r.Method == http.MethodGet || r.Method == http.MethodDelete {
			return nil, ""
		}
		return map[string]any{}, "application/json"
	}
	if m, ok := r.Body.Content["application/json"]; ok {
		out := d.example(m.Schema, have, "")
		if object, ok := out.(map[string]any); ok {
			maps.Copy(object, r.rules(have))
		}
		return out, "application/json"
	}
	for media := range r.Body.Content {
		if media == "text/csv" {
			return []byte("course_id,user_id\n" + have["courses/{id}"] + "," + have["users/{id}"] + "\n"), media
		}
		if media == "text/vtt" {
			return []byte("WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n"), media
		}
		return []byte("x"), media
	}
	return map[string]any{}, "application/json"
}

// rules are members that a route asks for by a rule, which no schema tells.
func (r route) rules(have ids) map[string]any {
	switch r.Path {
	case "/api/v1/courses/{id}/enrollments/bulk":
		return map[string]any{"user_ids": []string{have["users/{id}"]}}
	case "/api/v1/imports/courses":
		return map[string]any{"course_id": have["courses/{id}"]}
	case "/api/v1/imports/uploads":
		return map[string]any{"filename": "course.imscc", "size": 10, "sha256": strings.Repeat("0", 64)}
	case "/api/v1/grading-schemes":
		return map[string]any{"course_id": have["courses/{id}"], "grades": twoGrades()}
	case "/api/v1/contents":
		return map[string]any{"course_id": have["courses/{id}"], "kind": "page", "body": "<p>x</p>"}
	case "/api/v1/question-banks":
		return map[string]any{"course_id": have["courses/{id}"]}
	case "/api/v1/question-banks/{id}/questions":
		return map[string]any{"definition": essayQuestion()}
	case "/api/v1/question-banks/{id}/uploads":
		return map[string]any{"filename": "questions.zip", "size": 10, "sha256": strings.Repeat("0", 64)}
	case "/api/v1/imports/questions":
		return map[string]any{"bank_id": have["question-banks/{id}"], "upload_id": have["upload"], "dry_run": true}
	case "/api/v1/attempts/{id}/grades/{question_id}":
		return map[string]any{"points": 1}
	case "/api/v1/plans":
		return map[string]any{"legal_entity_id": have["legal-entities/{id}"], "prices": []any{map[string]any{"currency": "EUR", "amount": 100}}}
	case "/api/v1/coupons":
		return map[string]any{"code": coupon(), "percent": "10"}
	case "/api/v1/legal-entities":
		return map[string]any{"country": "DE"}
	case "/api/v1/tax-rules":
		return map[string]any{"country": "FR", "components": []any{}}
	case "/api/v1/org-units/{id}/seat-pools":
		return map[string]any{"seats": 1}
	case "/api/v1/org-units": // without a parent it is a new organisation, for the platform's administrators
		return map[string]any{"parent_id": have["body:org_unit_id"]}
	}
	return nil
}

// call sends a request along a route as the document describes it.
func (d document) call(t testing.TB, api *system.API, r route, path string, have ids) system.Answer {
	t.Helper()
	body, contentType := d.body(r, have)
	var header []string
	if contentType != "" {
		header = append(header, "Content-Type", contentType)
	}
	if r.needs("If-Match") {
		header = append(header, "If-Match", `"v1"`)
	}
	if r.Method == http.MethodPost {
		header = append(header, "Idempotency-Key", uuid.NewString())
	}
	ans, err := api.Try(r.Method, path, body, header...)
	require.NoError(t, err, "%s %s", r.Method, path)
	return ans
}

func (r route) needs(header string) bool {
	return slices.ContainsFunc(r.Parameters, func(p struct {
		Name, In string
		Schema   schema
	},
	) bool {
		return p.In == "header" && p.Name == header
	})
}
