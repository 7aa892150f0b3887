package verify

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/require"
)

func TestImagesAreSmallPinnedAndWithoutRoot(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../images/*.Dockerfile")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, f := range files {
		raw := read(t, f)
		require.Regexp(t, `^# syntax=docker/dockerfile:[0-9]`, string(raw), f)
		parsed, err := parser.Parse(bytes.NewReader(raw))
		require.NoError(t, err, f)
		require.Empty(t, parsed.Warnings, f)
		stages, _, err := instructions.Parse(parsed.AST, nil)
		require.NoError(t, err, f)
		require.Len(t, stages, 2, f)
		for _, s := range stages {
			_, tag, ok := strings.Cut(s.BaseName, ":")
			require.True(t, ok && tag != "latest", "%s: %s names no version", f, s.BaseName)
		}
		require.Contains(t, string(raw), "CGO_ENABLED=0", f)
		require.Contains(t, string(raw), "-trimpath", f)
		last := stages[1]
		require.True(t, strings.HasPrefix(last.BaseName, "gcr.io/distroless/static") && strings.HasSuffix(last.BaseName, ":nonroot"), f)
		var user, entry bool
		for _, c := range last.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				user = c.User == "65532:65532"
			case *instructions.EntrypointCommand:
				entry = !c.PrependShell && len(c.CmdLine) == 1
			case *instructions.CopyCommand:
				require.Equal(t, "build", c.From, "%s: only what was built", f)
			case *instructions.WorkdirCommand:
			default:
				require.Fail(t, "too much in the last stage", "%s: %s", f, c.Name())
			}
		}
		require.True(t, user, "%s runs as root", f)
		require.True(t, entry, "%s: a list with the program alone, there is no shell", f)
	}
}
