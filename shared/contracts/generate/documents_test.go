package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"lms/shared/contracts"
	"lms/shared/contracts/events"
)

func TestCommittedDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	require.NoError(t, run("..", true))
}

func TestEveryExampleFitsItsSchemaAndItsType(t *testing.T) {
	t.Parallel()
	docs, err := documents()
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, d := range events.All() {
		t.Run(d.Type(), func(t *testing.T) {
			require.False(t, seen[d.Type()], "declared twice")
			seen[d.Type()] = true
			topic, _, _ := strings.Cut(d.Topic, ".")
			require.Regexp(t, `^lms\.[a-z_]+\.[a-z_]+\.v[0-9]+$`, d.Type())
			require.Contains(t, contracts.Services(), topic)
			require.NotEmpty(t, d.Summary)

			compiled := compile(t, docs["schemas/"+d.Type()+".json"])
			example := docs["examples/"+d.Type()+".json"]
			require.NoError(t, compiled.Validate(value(t, example)))

			// Today's consumers read tomorrow's additive events.
			var grown map[string]any
			require.NoError(t, json.Unmarshal(example, &grown))
			grown["a_field_of_tomorrow"] = map[string]any{"x": 1}
			raw, err := json.Marshal(grown)
			require.NoError(t, err)
			require.NoError(t, compiled.Validate(value(t, raw)))
			back := reflect.New(structOf(d.Example))
			require.NoError(t, json.Unmarshal(raw, back.Interface()))
			again, err := indented(back.Elem().Interface())
			require.NoError(t, err)
			require.JSONEq(t, string(example), string(again), "the golden example does not survive its own type")
		})
	}
}

func compile(t *testing.T, raw []byte) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("event.json", value(t, raw)))
	s, err := c.Compile("event.json")
	require.NoError(t, err)
	return s
}

func value(t *testing.T, raw []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	require.NoError(t, err)
	return v
}
