package edge_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/gateway/internal/edge"
	"lms/shared/config"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const (
	readme    = "../../README.md"
	forwarded = "../../../../shared/contracts/access/forwarded.json"
)

// TestForwardedPathsAreThoseOfREADMEAndPolicies: sidecars let the gateway in where its
// own table sends requests to.
func TestForwardedPathsAreThoseOfREADMEAndPolicies(t *testing.T) {
	t.Parallel()
	paths := map[string][]string{}
	for _, r := range edge.Table() {
		if r.Service != "" {
			paths[r.Service] = append(paths[r.Service], r.Path)
			continue
		}
		for _, s := range edge.Services() { // the gateway asks each for its share
			paths[s] = append(paths[s], r.Path+"/"+s)
		}
	}
	for s := range paths {
		slices.Sort(paths[s])
	}
	want, err := json.MarshalIndent(paths, "", "  ")
	require.NoError(t, err)
	want = append(want, '\n')
	if *update {
		require.NoError(t, os.WriteFile(forwarded, want, 0o644)) // a document
	}
	got, err := os.ReadFile(forwarded)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "make generate writes it")
}

// TestTheREADMEIsTrue compares the tables of routes and settings with the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	want := replace(t, string(raw), "routes", routeTable())
	want = replace(t, want, "settings", settingTable(t))
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./apps/gateway/internal/edge -run README -update")
}

func replace(t *testing.T, text, section, with string) string {
	t.Helper()
	from, to := "<!-- "+section+" -->\n", "<!-- /"+section+" -->"
	head, rest, found := strings.Cut(text, from)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, to)
	require.True(t, found)
	return head + from + with + to + tail
}

func routeTable() string {
	paths := map[string][]string{}
	for _, r := range edge.Table() {
		service := r.Service
		if service == "" {
			service = "gateway"
		}
		paths[service] = append(paths[service], "`"+r.Path+"`")
	}
	var b strings.Builder
	b.WriteString("| Service | Paths |\n|---|---|\n")
	for _, s := range slices.Sorted(maps.Keys(paths)) {
		slices.Sort(paths[s])
		fmt.Fprintf(&b, "| %s | %s |\n", s, strings.Join(paths[s], " "))
	}
	return b.String()
}

func settingTable(t *testing.T) string {
	t.Helper()
	var c edge.Config
	require.NoError(t, config.Env{}.Load("LMS_GATEWAY", &c))
	lines, err := config.Describe("LMS_GATEWAY", &c)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, l.Default, l.Description)
	}
	return b.String()
}
