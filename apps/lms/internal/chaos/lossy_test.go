//go:build chaos

package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLossyBroker runs everything over a broker that loses one record in a
// hundred after it has acknowledged it. It fails when it has lost none of
// course's events, when a hole is not filled, or when a copy is wrong after the
// healing time.
func TestLossyBroker(t *testing.T) {
	s := start(t, "--broker-drop-share", "0.01")
	courses := s.courses(t, 300, nil)
	r := s.reader(t, courses)
	titles := s.renaming(t, courses, 8, nil)
	s.quiet(t)
	began := time.Now()
	events := s.events(t, "course.events")
	lost := s.dropped(t, "course.events")
	// The last word about a course was lost where its copy would never have come right.
	atOnce := wrong(s.copies(t, r), titles)
	require.Eventually(t, func() bool { return wrong(s.copies(t, r), titles) == 0 && s.fetched(t) >= lost }, 2*healing, time.Second,
		"all copies come right, all holes are filled")
	took := time.Since(began)
	left, filled := wrong(s.copies(t, r), titles), s.fetched(t)
	measured(t, "43 a broker that drops 1 % of what it acknowledged", "every loss fetched, 0 effects lost", left == 0 && lost > 0 && filled >= lost,
		"%d of %d events lost by the broker, %d fetched, %d of %d copies wrong at once, %d in the end, healed in %s",
		lost, len(events), filled, atOnce, len(courses), left, took.Round(time.Second))
}

// dropped counts what the broker's log says it has lost of a topic.
func (s *school) dropped(t testing.TB, topic string) int {
	t.Helper()
	return strings.Count(s.log(t, "broker"), " topic="+topic+" ")
}

var fetchedEvents = regexp.MustCompile(`"msg":"events that the broker did not bring were fetched".*?"events":(\d+)`)

// fetched counts the events that enrollment has fetched from course's outbox.
func (s *school) fetched(t testing.TB) (n int) {
	t.Helper()
	for _, m := range fetchedEvents.FindAllStringSubmatch(s.log(t, "enrollment"), -1) {
		k, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		n += k
	}
	return n
}

func (s *school) log(t testing.TB, process string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.Home, "logs", fmt.Sprintf("%s.log", process)))
	require.NoError(t, err)
	return string(raw)
}
