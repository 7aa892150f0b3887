package app

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/config"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const readme = "../../README.md"

// TestTheREADMEIsTrue compares the tables of roles, settings and routes with
// the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	want := replace(t, string(raw), "roles", roleTable())
	want = replace(t, want, "settings", settingTable(t))
	want = replace(t, want, "routes", routeTable(t))
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./apps/auth/internal/app -run README -update")
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

func roleTable() string {
	roles := authz.BuiltinRoles()
	all := authz.Permissions()
	var b strings.Builder
	b.WriteString("| Permission | What it allows |")
	for _, r := range roles {
		fmt.Fprintf(&b, " `%s` |", r.Key)
	}
	b.WriteString("\n|---|---|" + strings.Repeat(":-:|", len(roles)) + "\n")
	for _, p := range authz.AllPermissions() {
		fmt.Fprintf(&b, "| `%s` | %s |", p, all[p])
		for _, r := range roles {
			mark := ""
			if slices.Contains(r.Permissions, p) {
				mark = "✓"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func settingTable(t *testing.T) string {
	t.Helper()
	var c Config
	require.NoError(t, config.Env{}.Load("LMS_AUTH", &c))
	lines, err := config.Describe("LMS_AUTH", &c)
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
	var b strings.Builder
	b.WriteString("| Route | Operation | Who |\n|---|---|---|\n")
	for _, r := range newInstallation(t).router.Routes() {
		who := r.Access.String()
		if p := r.Access.Permission(); p != "" {
			who = "`" + string(p) + "`"
		}
		if callers := r.Access.Callers(); len(callers) > 0 {
			who += ": " + strings.Join(callers, ", ")
		}
		if r.Path == "/internal/service-tokens" {
			who = "whoever has a service's secret"
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", r.Method, r.Path, r.ID, who)
	}
	return b.String()
}
