package app

import (
	"flag"
	"testing"

	contract "lms/shared/contracts/events"
	"lms/shared/testkit"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

// TestTheREADMEIsTrue compares the tables of settings, events, calls and routes
// with the code.
func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.README(t, "../../README.md", *update, map[string]string{
		"settings": testkit.SettingTable(t, "LMS_ENROLLMENT", &Config{}), "events": testkit.EventTable(contract.TopicEnrollment), "routes": testkit.RouteTable(w.router),
		"calls": testkit.CallTable(t, w.inbox.CallNames(), "progress-report", "course-grade", "seat-hold", "seat-release", "entitlement", "course-priced", "person-status", "erase-person", "export-person"),
	})
}

func TestEveryEventIsEmitted(t *testing.T) {
	t.Parallel()
	testkit.EveryEventIsEmitted(t, contract.TopicEnrollment, "../enrollment/*.go")
}
