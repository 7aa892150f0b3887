package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/profile"
	"lms/shared/contracts"
)

func TestProfileCheckTellsPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	run := func(args ...string) (int, string, string) {
		var out, errOut bytes.Buffer
		code := Main(append([]string{"profile", "check"}, args...), &out, &errOut)
		return code, out.String(), errOut.String()
	}
	code, out, _ := run("--offline", "kafka")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "it can be used")
	require.Equal(t, 1, strings.Count(out, "a producer that repeats may write"), "what is true of six topics is said once")

	code, out, _ = run("--offline", "--json", "../../../../components/kafka")
	require.Equal(t, exitOK, code)
	var report profile.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Components, len(contracts.Topics())+len(contracts.BuildingBlocks()))

	code, out, _ = run("--offline", t.TempDir())
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "REFUSED")
	require.Contains(t, out, "there is no component of this name")

	var told bytes.Buffer
	e := &env{out: &told, err: &told}
	require.NoError(t, e.admitProfile(t.Context(), "../../../../components/embedded", false))
	require.ErrorContains(t, e.admitProfile(t.Context(), t.TempDir(), false), "are refused: lms profile check")
	require.Contains(t, told.String(), "cache: there is no component of this name")

	code, _, errOut := run("--offline", "nowhere")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "is no folder of components")
	code, _, _ = run()
	require.Equal(t, exitUsage, code)
}
