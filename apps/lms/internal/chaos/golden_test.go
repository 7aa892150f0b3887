//go:build chaos

package chaos_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
)

// seedVariable names the seed of a former run, to get its moments again.
const seedVariable = "LMS_TEST_CHAOS_SEED"

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv(seedVariable); v != "" {
		var err error
		seed, err = strconv.ParseUint(v, 10, 64)
		require.NoError(t, err, seedVariable)
	}
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// killedOnTheGoldenPath walks the golden path as often as there are processes
// and kills one at each step, another one in each round: in the end every
// process was killed in every step. Half of the kills fall between two steps,
// half into the step that follows. It fails when a step does not come out as it
// does without, or when a process and a step did not meet.
func (s *school) killedOnTheGoldenPath(t *testing.T) {
	chance, began := seeded(t), time.Now()
	all := victims(t)
	var steps []string
	met := map[[2]string]bool{} // process and step
	var slowest time.Duration
	slow := ""
	for round := range all {
		s.again(t)
		step, at := 0, time.Now()
		struck := func() {}
		e2e.Golden(t, s.World, func(t testing.TB, name string) {
			struck()
			v := all[(round+step)%len(all)]
			if d := time.Since(at); step > 0 && d > slowest {
				before := all[(round+step-1)%len(all)]
				slowest, slow = d, "before "+name+", with "+before[0]+" "+before[1]+" killed"
			}
			if round == 0 {
				steps = append(steps, name)
			}
			met[[2]string{v[0] + " " + v[1], name}] = true
			var delay time.Duration
			if chance.IntN(2) == 1 {
				delay = time.Duration(chance.IntN(150)) * time.Millisecond
			}
			struck = s.strike(t, v[0], v[1], delay)
			step, at = step+1, time.Now()
		})
		struck()
		t.Logf("round %d of %d after %s", round+1, len(all), time.Since(began).Round(time.Second))
	}
	s.AwaitReady(t)
	s.again(t)
	s.quiet(t)
	measured(t, "kill -9 of each process at each step of the golden path", "every step comes out as without, all pairs", len(met) == len(steps)*len(all) && len(steps) >= 13,
		"%d processes x %d steps: %d of %d pairs, %d walks in %s, the slowest step %s (%s)",
		len(all), len(steps), len(met), len(steps)*len(all), len(all), time.Since(began).Round(time.Second), slowest.Round(100*time.Millisecond), slow)
}

// strike kills a process after a delay. The returned function waits until that
// is done.
func (s *school) strike(t testing.TB, service, kind string, delay time.Duration) (struck func()) {
	t.Helper()
	pid := s.Running(t, service, kind).PID
	done := make(chan error, 1)
	time.AfterFunc(delay, func() { done <- syscall.Kill(pid, syscall.SIGKILL) })
	return func() {
		if err := <-done; err != nil && !errors.Is(err, syscall.ESRCH) {
			require.NoError(t, err)
		}
	}
}
