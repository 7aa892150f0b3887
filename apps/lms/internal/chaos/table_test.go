//go:build chaos

package chaos_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// figures is the table that is printed when everything has run.
var figures table //nolint:gochecknoglobals // TestMain prints what all scenarios have measured

type table struct {
	mu   sync.Mutex
	rows []row
}

type row struct {
	scenario, figure, bound string
	ok                      bool
}

// measured reports the figure of a scenario and fails the test where it is
// beyond its bound.
func measured(t testing.TB, scenario, bound string, ok bool, format string, args ...any) {
	t.Helper()
	figure := fmt.Sprintf(format, args...)
	figures.mu.Lock()
	figures.rows = append(figures.rows, row{scenario, figure, bound, ok})
	figures.mu.Unlock()
	t.Logf("%s: %s (bound: %s)", scenario, figure, bound)
	if !ok {
		t.Errorf("%s: %s is beyond the bound: %s", scenario, figure, bound)
	}
}

func TestMain(m *testing.M) {
	began := time.Now()
	code := m.Run()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSCENARIO\tFIGURE\tBOUND\tRESULT")
	for _, r := range figures.rows {
		result := "holds"
		if !r.ok {
			result = "FAILS"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.scenario, r.figure, r.bound, result)
	}
	if err := w.Flush(); err != nil {
		code = 1
	}
	fmt.Printf("%d figures in %s\n", len(figures.rows), time.Since(began).Round(time.Second))
	os.Exit(code)
}
