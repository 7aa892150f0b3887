package web_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/testkit"
)

func TestDocument(t *testing.T) {
	t.Parallel()
	r, _, _, _ := fixture(t)
	raw, err := json.MarshalIndent(r.OpenAPI(), "", " ")
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(raw, &doc))
	get := func(path ...string) any {
		var v any = doc
		for _, p := range path {
			m, ok := v.(map[string]any)
			require.True(t, ok, "%v in %s", path, raw)
			v = m[p]
		}
		return v
	}
	require.Equal(t, "3.1.0", get("openapi"))
	require.Equal(t, "course:create", get("paths", "/api/v1/things", "post", "x-permission"))
	require.Equal(t, "permission", get("paths", "/api/v1/things", "post", "x-access"))
	require.Nil(t, get("paths", "/internal/things"))
	require.Nil(t, get("paths", "/healthz"))
	require.Nil(t, get("components", "schemas", "ErrorModel"))
	require.Equal(t, map[string]any{"$ref": "#/components/responses/Problem"}, get("paths", "/api/v1/things", "post", "responses", "default"))
	require.NotNil(t, get("paths", "/api/v1/things/{id}", "patch", "responses", "428"))
	require.NotNil(t, get("paths", "/api/v1/things/{id}", "get", "responses", "304"))
	require.NotNil(t, get("paths", "/api/v1/things/{id}", "patch", "requestBody", "content", "application/merge-patch+json"))
	require.Equal(t, []any{map[string]any{"bearer": []any{}}}, get("paths", "/api/v1/things/{id}", "get", "security"))
	require.Nil(t, get("paths", "/api/v1/things", "get", "security"))

	body, ok := get("components", "schemas", "PatchThingBody").(map[string]any)
	require.True(t, ok, string(raw))
	require.Nil(t, body["required"], "nothing is required in a merge patch")
	props, ok := body["properties"].(map[string]any)
	require.True(t, ok)
	title, ok := props["title"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, []any{"string", "null"}, title["type"])
	require.EqualValues(t, 1, title["minLength"])
	owner, ok := props["owner"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, "uuid", owner["format"])
	tags, ok := props["tags"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, []any{"array", "null"}, tags["type"])
	inner, ok := props["inner"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, []any{"object", "null"}, inner["type"])
}

func TestGatewayReadsTheDocument(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	c.GET("/internal/openapi.json").Expect(401)
	c.As(testkit.Service("course")).GET("/internal/openapi.json").Expect(403)
	var doc map[string]any
	c.As(testkit.Service("gateway")).GET("/internal/openapi.json").Expect(200).JSON(&doc)
	require.Contains(t, doc["paths"], "/api/v1/things")
}
