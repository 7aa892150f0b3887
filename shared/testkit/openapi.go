package testkit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/web"
)

// CheckOpenAPI fails when the committed document of a router's public operations,
// shared/contracts/openapi/<name>.json, is not what its declarations say. With
// update it writes the document instead. dir is shared/contracts/openapi as the
// test sees it. What the kit adds to every service (jobs, audit) is not in it: see
// records.json there.
func CheckOpenAPI(t *testing.T, r *web.Router, dir, name string, update bool) {
	t.Helper()
	raw, err := json.Marshal(r.OpenAPI())
	require.NoError(t, err)
	var doc bytes.Buffer
	require.NoError(t, json.Indent(&doc, raw, "", "  "))
	doc.WriteByte('\n')
	file := filepath.Join(dir, name+".json")
	if update {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(file, doc.Bytes(), 0o644)) // a document
	}
	committed, err := os.ReadFile(file)
	require.NoError(t, err, "make generate")
	require.True(t, bytes.Equal(doc.Bytes(), committed), "%s is stale: make generate", file)
}
