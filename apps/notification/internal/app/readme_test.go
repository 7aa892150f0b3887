package app

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/events"
	"lms/apps/notification/internal/httpapi"
	"lms/shared/config"
	contract "lms/shared/contracts/events"
	"lms/shared/web"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const readme = "../../README.md"

// TestTheREADMEIsTrue compares the tables with the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err)
	want := string(raw)
	for section, table := range map[string]string{
		"settings": settingTable(t), "messages": messageTable(), "events": eventTable(), "routes": routeTable(),
	} {
		want = replace(t, want, section, table)
	}
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile(readme)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./apps/notification/internal/app -run README -update")
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
	require.NoError(t, config.Env{}.Load("LMS_NOTIFICATION", &c))
	lines, err := config.Describe("LMS_NOTIFICATION", &c)
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | Meaning |\n|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, l.Default, l.Description)
	}
	return b.String()
}

func messageTable() string {
	var b strings.Builder
	b.WriteString("| Kind | List | Mail | Variables |\n|---|---|---|---|\n")
	for _, k := range catalog.New().Kinds() {
		email := string(k.Default.Email)
		if k.Default.Transactional {
			email += ", always"
		}
		var vars []string
		for _, v := range k.Variables {
			vars = append(vars, "`"+v.Name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Key, k.Default.InApp, email, strings.Join(vars, " "))
	}
	return b.String()
}

// eventTable lets the golden examples make their messages.
func eventTable() string {
	c := catalog.New()
	var b strings.Builder
	b.WriteString("| Event | Message, for whom, or why none |\n|---|---|\n")
	for _, d := range contract.All() {
		rule, ok := c.Rule(d.Type())
		switch {
		case !ok:
			fmt.Fprintf(&b, "| `%s` | – |\n", d.Type())
		case rule.None != "":
			fmt.Fprintf(&b, "| `%s` | none: %s |\n", d.Type(), rule.None)
		default:
			fmt.Fprintf(&b, "| `%s` | %s |\n", d.Type(), messagesOf(c, d))
		}
	}
	return b.String()
}

func routeTable() string {
	r := web.NewRouter(web.Options{Service: "notification"})
	httpapi.Mount(r, httpapi.Options{})
	events.MountCalls(r, nil)
	var b strings.Builder
	b.WriteString("| Route | Operation | Who |\n|---|---|---|\n")
	for _, route := range r.Routes() {
		who := route.Access.String()
		if p := route.Access.Permission(); p != "" {
			who = "`" + string(p) + "`"
		}
		if callers := route.Access.Callers(); len(callers) > 0 {
			who += ": " + strings.Join(callers, ", ")
		}
		fmt.Fprintf(&b, "| `%s %s` | %s | %s |\n", route.Method, route.Path, route.ID, who)
	}
	return b.String()
}

func messagesOf(c *catalog.Catalog, d contract.Definition) string {
	var out []string
	for _, n := range noticesOf(c, d) {
		whom := "the person"
		if n.Audience != catalog.Named {
			whom = string(n.Audience) + " of the course"
		}
		text := "`" + n.Kind + "` for " + whom
		if n.LaterToo {
			text += ", also those who come later"
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

func noticesOf(c *catalog.Catalog, d contract.Definition) []catalog.Notice {
	raw, err := json.Marshal(d.Example)
	if err != nil {
		panic(err) // the contracts' own test would have failed
	}
	notices, err := c.Notices(catalog.Event{Type: d.Type(), Data: raw})
	if err != nil {
		panic(err)
	}
	return notices
}
