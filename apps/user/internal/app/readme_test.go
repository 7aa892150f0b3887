package app

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/shared/config"
	contract "lms/shared/contracts/events"
	"lms/shared/testkit"
	"lms/shared/web"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const readme = "../../README.md"

// TestTheREADMEIsTrue compares the tables of events, settings and routes with
// the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	want := replace(t, string(raw), "events", eventTable())
	want = replace(t, want, "settings", settingTable(t))
	want = replace(t, want, "routes", routeTable(t))
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./apps/user/internal/app -run README -update")
}

func replace(t *testing.T, text, section, with string) string {
	t.Helper()
	from, to := "<!-- "+section+" -->\n", "<!-- /"+section+" -->"
	head, rest, found := strings.Cut(text, from)
	require.True(t, found, section)
	_, tail, found := strings.Cut(rest, to)
	require.True(t, found, section)
	return head + from + with + to + tail
}

func eventTable() string {
	var b strings.Builder
	b.WriteString("| Event | Kind | What happened |\n|---|---|---|\n")
	for _, d := range contract.All() {
		if d.Topic != contract.TopicUser {
			continue
		}
		kind := "fact"
		if d.State {
			kind = "state"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Type(), kind, d.Summary)
	}
	return b.String()
}

func settingTable(t *testing.T) string {
	t.Helper()
	lines, err := config.Describe("LMS_USER", &Config{})
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, l.Default, l.Description)
	}
	return b.String()
}

func routeTable(t *testing.T) string {
	t.Helper()
	r := web.NewRouter(web.Options{Service: "user", Verifier: testkit.NewTokens(t).Verifier(), Authz: testkit.Policy()})
	(&httpapi.API{Service: &identity.Service{}, Snapshots: &identity.Snapshots{}}).Mount(r)
	testkit.CheckRoutes(t, r)
	var public, internal []string
	for _, rt := range r.Routes() {
		if rt.Access.IsInternal() {
			internal = append(internal, fmt.Sprintf("| `%s %s` | %s |\n", rt.Method, rt.Path, strings.Join(rt.Access.Callers(), ", ")))
			continue
		}
		needs := rt.Access.String()
		if p := rt.Access.Permission(); p != "" {
			needs = "`" + string(p) + "`"
		}
		public = append(public, fmt.Sprintf("| `%s %s` | %s |\n", rt.Method, rt.Path, needs))
	}
	slices.SortStableFunc(internal, strings.Compare)
	return "| Route | Needs |\n|---|---|\n" + strings.Join(public, "") + "\n| Internal route | Callers |\n|---|---|\n" + strings.Join(internal, "")
}
