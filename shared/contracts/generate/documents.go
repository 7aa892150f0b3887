package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/google/uuid"
	"github.com/invopop/jsonschema"
	"gopkg.in/yaml.v3"

	"lms/shared/contracts"
	"lms/shared/contracts/events"
)

// documents are all generated files by their name.
func documents() (map[string][]byte, error) {
	docs := map[string][]byte{}
	for _, d := range events.All() {
		s, err := schema(d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Type(), err)
		}
		docs[filepath.Join("schemas", d.Type()+".json")] = s
		e, err := indented(d.Example)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Type(), err)
		}
		docs[filepath.Join("examples", d.Type()+".json")] = e
	}
	a, err := asyncAPI()
	if err != nil {
		return nil, err
	}
	docs["asyncapi.yaml"] = a
	return docs, nil
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

func schema(d events.Definition) ([]byte, error) {
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[uuid.UUID]():
				return &jsonschema.Schema{Type: "string", Format: "uuid"}
			case reflect.TypeFor[events.Hundredths]():
				return &jsonschema.Schema{Type: "number"}
			case reflect.TypeFor[json.RawMessage]():
				return &jsonschema.Schema{}
			}
			return nil
		},
	}
	s := r.ReflectFromType(structOf(d.Example))
	s.ID = jsonschema.ID("urn:" + strings.ReplaceAll(d.Type(), ".", ":"))
	s.Title, s.Description = d.Type(), d.Summary
	markPersonal(s, structOf(d.Example), s.Definitions, map[reflect.Type]bool{})
	return indented(s)
}

func structOf(e events.Event) reflect.Type {
	t := reflect.TypeOf(e)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// markPersonal carries the struct tag x-personal into the schema: analytics
// drops or pseudonymises what is marked.
func markPersonal(s *jsonschema.Schema, t reflect.Type, defs jsonschema.Definitions, done map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || done[t] || s == nil || s.Properties == nil {
		return
	}
	done[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			done[f.Type] = false
			markPersonal(s, f.Type, defs, done)
			continue
		}
		if p, ok := s.Properties.Get(name); ok && f.Tag.Get("x-personal") == "true" {
			if p.Extras == nil {
				p.Extras = map[string]any{}
			}
			p.Extras["x-personal"] = true
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		markPersonal(defs[inner.Name()], inner, defs, done)
	}
}

func asyncAPI() ([]byte, error) {
	channels, operations, messages := map[string]any{}, map[string]any{}, map[string]any{}
	for _, t := range contracts.Topics() {
		refs := map[string]any{}
		for _, d := range events.All() {
			if d.Topic != t.Name {
				continue
			}
			refs[d.Type()] = map[string]any{"$ref": "#/components/messages/" + d.Type()}
			messages[d.Type()] = message(d)
		}
		if len(refs) == 0 {
			continue // the service is not there yet
		}
		channels[t.Name] = map[string]any{
			"address": t.Name, "messages": refs,
			"description": "Published by " + t.Publisher + " on the pub/sub component " + t.Component + ".",
		}
		operations[t.Publisher+".publish"] = operation("send", t, t.Publisher)
		for _, c := range t.Consumers {
			operations[c+".consume."+t.Publisher] = operation("receive", t, c)
		}
	}
	doc := map[string]any{
		"asyncapi": "3.0.0",
		"info": map[string]any{
			"title": "LMS events", "version": "1.0.0",
			"description": "CloudEvents 1.0 in structured JSON. Within a version a type only gains fields. " +
				"Extension attributes: seq (per aggregate), stream and streamn (gap-free per topic and shard), tenantid, orgunitid, courseid, actorid, correlationid, causationid.",
		},
		"defaultContentType": "application/cloudevents+json",
		"channels":           channels, "operations": operations, "components": map[string]any{"messages": messages},
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(doc)
	return b.Bytes(), err
}

func message(d events.Definition) map[string]any {
	return map[string]any{
		"name": d.Type(), "summary": d.Summary, "contentType": "application/cloudevents+json",
		"payload":     map[string]any{"$ref": "./schemas/" + d.Type() + ".json"},
		"x-state":     d.State,
		"description": "The payload is the CloudEvent's data; an example is in examples/" + d.Type() + ".json.",
	}
}

func operation(action string, t contracts.Topic, service string) map[string]any {
	return map[string]any{
		"action": action, "channel": map[string]any{"$ref": "#/channels/" + t.Name}, "summary": service + " " + action + "s " + t.Name,
		"x-service": service,
	}
}
