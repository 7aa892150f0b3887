package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	contract "lms/shared/contracts/events"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const readme = "../../README.md"

// TestTheREADMEIsTrue compares the tables of settings, events and routes with the
// code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	want := string(raw)
	for section, table := range map[string]string{"settings": settingTable(t), "events": eventTable(), "routes": routeTable(t), "calls": callTable(t)} {
		want = replace(t, want, section, table)
	}
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./apps/payment/internal/app -run README -update")
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

func settingTable(t *testing.T) string {
	t.Helper()
	var c Config
	require.NoError(t, config.Env{}.Load("LMS_PAYMENT", &c))
	lines, err := config.Describe("LMS_PAYMENT", &c)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, l.Default, l.Description)
	}
	return b.String()
}

func eventTable() string {
	var b strings.Builder
	b.WriteString("| Event | What happened |\n|---|---|\n")
	for _, d := range contract.All() {
		if d.Topic == contract.TopicPayment {
			fmt.Fprintf(&b, "| `%s` | %s |\n", d.Type(), d.Summary)
		}
	}
	return b.String()
}

func routeTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Route | Operation | Who |\n|---|---|---|\n")
	for _, r := range newWorld(t).router.Routes() {
		who := r.Access.String()
		if p := r.Access.Permission(); p != "" {
			who = "`" + string(p) + "`"
		}
		if callers := r.Access.Callers(); len(callers) > 0 {
			who += ": " + strings.Join(callers, ", ")
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", r.Method, r.Path, r.ID, who)
	}
	return b.String()
}

// TestEveryEventIsEmitted: an event that is declared and that nothing emits would be
// waited for in vain.
func TestEveryEventIsEmitted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../billing/*.go")
	require.NoError(t, err)
	var source strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f) // our own sources
		require.NoError(t, err)
		source.Write(raw)
	}
	for _, d := range contract.All() {
		if d.Topic == contract.TopicPayment {
			name := reflect.TypeOf(d.Example).Name()
			require.Contains(t, source.String(), "events."+name+"{", "%s is never emitted", d.Type())
		}
	}
}

func callTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Call | From |\n|---|---|\n")
	calls := newWorld(t).inbox.CallNames()
	for _, name := range []string{"person-status", "erase-person", "export-person"} {
		require.Contains(t, calls, name)
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(calls[name], ", "))
		delete(calls, name)
	}
	require.Empty(t, calls, "calls that the README does not name")
	return b.String()
}
