package app

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"lms/apps/analytics/internal/report"
	"lms/apps/analytics/internal/tally"
	contract "lms/shared/contracts/events"
	"lms/shared/testkit"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

// TestTheREADMEIsTrue compares the tables of settings, reports, events, calls and
// routes with the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.README(t, "../../README.md", *update, map[string]string{
		"settings": testkit.SettingTable(t, "LMS_ANALYTICS", &Config{}), "routes": testkit.RouteTable(w.router), "reports": reportTable(), "uncounted": uncountedTable(),
		"calls": testkit.CallTable(t, w.inbox.CallNames(), "person-status", "erase-person", "export-person"),
	})
}

func reportTable() string {
	var b strings.Builder
	b.WriteString("| Report | What it says |\n|---|---|\n")
	for _, r := range report.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, r.Definition)
	}
	return b.String()
}

func uncountedTable() string {
	var b strings.Builder
	b.WriteString("| Event | Why it changes no number |\n|---|---|\n")
	why := tally.Uncounted()
	for _, d := range contract.All() {
		if reason, ok := why[d.Type()]; ok {
			fmt.Fprintf(&b, "| `%s` | %s |\n", d.Type(), reason)
		}
	}
	return b.String()
}
