package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	"lms/shared/contracts/events"
	"lms/shared/web"
)

// README holds the document at path against the code: what stands between
// <!-- name --> and <!-- /name --> is the table of that name. With update it is
// written instead.
func README(t testing.TB, path string, update bool, tables map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(path) // a document of the repository
	require.NoError(t, err)
	want := string(raw)
	for section, table := range tables {
		from, to := "<!-- "+section+" -->\n", "<!-- /"+section+" -->"
		head, rest, found := strings.Cut(want, from)
		require.True(t, found, section)
		_, tail, found := strings.Cut(rest, to)
		require.True(t, found, section)
		want = head + from + table + to + tail
	}
	if update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644)) // a document
		return
	}
	require.Equal(t, want, string(raw), "make generate writes it")
}

// SettingTable lists the settings of a service; c points to its empty Config.
func SettingTable(t testing.TB, prefix string, c any) string {
	t.Helper()
	require.NoError(t, config.Env{}.Load(prefix, c))
	lines, err := config.Describe(prefix, c)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, l.Default, l.Description)
	}
	return b.String()
}

// EventTable lists the events of a topic.
func EventTable(topic string) string {
	var b strings.Builder
	b.WriteString("| Event | What happened |\n|---|---|\n")
	for _, d := range events.All() {
		if d.Topic == topic {
			fmt.Fprintf(&b, "| `%s` | %s |\n", d.Type(), d.Summary)
		}
	}
	return b.String()
}

// RouteTable lists the routes of a service and who may call them.
func RouteTable(r *web.Router) string {
	var b strings.Builder
	b.WriteString("| Route | Operation | Who |\n|---|---|---|\n")
	for _, r := range r.Routes() {
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

// CallTable lists the reliable calls that a service receives, in the order of
// names, which must be all of them.
func CallTable(t testing.TB, calls map[string][]string, names ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Call | From |\n|---|---|\n")
	for _, name := range names {
		require.Contains(t, calls, name)
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(calls[name], ", "))
	}
	require.Len(t, calls, len(names), "calls that the README does not name")
	return b.String()
}

// EveryEventIsEmitted looks for each event of a topic in the sources that glob
// names: one that is declared and that nothing emits would be waited for in vain.
func EveryEventIsEmitted(t testing.TB, topic, glob string) {
	t.Helper()
	files, err := filepath.Glob(glob)
	require.NoError(t, err)
	var source strings.Builder
	for _, f := range files {
		raw, err := os.ReadFile(f) // our own sources
		require.NoError(t, err)
		source.Write(raw)
	}
	for _, d := range events.All() {
		if d.Topic == topic {
			emitted := strings.Contains(source.String(), "events."+reflect.TypeOf(d.Example).Name()+"{")
			require.True(t, emitted, "%s is never emitted", d.Type())
		}
	}
}
