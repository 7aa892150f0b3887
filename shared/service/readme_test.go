package service_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
	"lms/shared/service"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

// TestTheREADMEIsTrue compares the table of settings and the least service
// with the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, found := strings.Cut(string(example), "package service_test\n\n")
	require.True(t, found)
	require.LessOrEqual(t, strings.Count(code, "\n"), 60, "the least service is short")

	want := replace(t, string(raw), "<!-- settings -->\n", "<!-- /settings -->", settings(t))
	want = replace(t, want, "```go\n", "```\n", code)
	if *update {
		require.NoError(t, os.WriteFile("../README.md", []byte(want), 0o644)) // a document
	}
	got, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Equal(t, want, string(got), "go test ./shared/service -run README -update")
}

func replace(t *testing.T, text, from, to, with string) string {
	t.Helper()
	head, rest, found := strings.Cut(text, from)
	require.True(t, found)
	_, tail, found := strings.Cut(rest, to)
	require.True(t, found)
	return head + from + with + to + tail
}

func settings(t *testing.T) string {
	t.Helper()
	lines, err := config.Describe("LMS", &service.Config{})
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| Variable | Default | What for |\n|---|---|---|\n")
	for _, l := range lines {
		require.NotEmpty(t, l.Description, l.Name)
		value := l.Default
		if value != "" {
			value = "`" + value + "`"
		}
		if l.Secret {
			l.Description += " (secret)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, value, l.Description)
	}
	return b.String()
}
