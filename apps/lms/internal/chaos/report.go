package chaos

import (
	"fmt"
	"strings"
	"time"
)

// Run is what one profile did under one generated history.
type Run struct {
	Profile, Products string

	Suite  int // parts of the functional suite that passed
	Suites int // of so many

	Commands     int // sent
	Acknowledged int
	Faults       int
	Without      string // faults that this profile is spared, and why

	Committed    int // events in the outboxes
	Delivered    int // of these, distinct ones that the broker brought a bystander
	Redelivered  int // brought once more
	OutOfOrder   int // brought after a newer one of the same aggregate
	NotDelivered int // never brought to the bystander: lost by the broker
	Fetched      int // found missing by consumers, and fetched from the outboxes

	// In the application, for every kind of effect together.
	Lost, Doubled, Stale int

	PerSecond float64       // commands, without faults
	P50, P99  time.Duration // from commit to effect, without faults
	Outage    time.Duration // of the broker
	Drain     time.Duration // until every effect was there, after it
	Memory    int64         // bytes of all processes, shared pages divided
}

// Holds says whether the application kept its promise.
func (r Run) Holds() bool {
	return r.Lost == 0 && r.Doubled == 0 && r.Stale == 0 && r.Suite == r.Suites
}

// columns of the table, in order.
func columns() []string {
	return []string{
		"Profile", "Suite", "Commands", "Faults", "Events committed", "delivered", "redelivered", "out of order", "lost by the broker", "fetched",
		"**Effects lost**", "**doubled**", "**stale**", "Commands/s", "Commit → effect p50 / p99", "Drain", "Memory",
	}
}

func (r Run) cells() []string {
	return []string{
		fmt.Sprintf("`%s`: %s", r.Profile, r.Products), fmt.Sprintf("%d of %d", r.Suite, r.Suites),
		fmt.Sprintf("%d, %d acknowledged", r.Commands, r.Acknowledged), r.faults(),
		fmt.Sprint(r.Committed), fmt.Sprint(r.Delivered), fmt.Sprint(r.Redelivered), fmt.Sprint(r.OutOfOrder), fmt.Sprint(r.NotDelivered), fmt.Sprint(r.Fetched),
		fmt.Sprint(r.Lost), fmt.Sprint(r.Doubled), fmt.Sprint(r.Stale),
		fmt.Sprintf("%.0f", r.PerSecond), fmt.Sprintf("%d / %d ms", r.P50.Milliseconds(), r.P99.Milliseconds()),
		fmt.Sprintf("%.1f s after %d s", r.Drain.Seconds(), int(r.Outage.Seconds())), fmt.Sprintf("%d MB", r.Memory>>20),
	}
}

func (r Run) faults() string {
	if r.Without == "" {
		return fmt.Sprint(r.Faults)
	}
	return fmt.Sprintf("%d, %s", r.Faults, r.Without)
}

// Table is the matrix in Markdown.
func Table(runs []Run) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(columns())
	b.WriteString(strings.Repeat("|---", len(columns())) + "|\n")
	for _, r := range runs {
		line(r.cells())
	}
	return b.String()
}

// Delivery is one event as a broker brought it.
type Delivery struct {
	ID, Aggregate string
	Seq           int64
}

// Deliveries fills in what a broker did: the ids of what was committed, against
// what it brought in the order in which that came.
func (r *Run) Deliveries(committed map[string]bool, brought []Delivery) {
	r.Committed = len(committed)
	seen, newest := map[string]bool{}, map[string]int64{}
	for _, d := range brought {
		switch {
		case seen[d.ID]:
			r.Redelivered++
		case d.Seq < newest[d.Aggregate]:
			r.OutOfOrder++
		}
		newest[d.Aggregate] = max(newest[d.Aggregate], d.Seq)
		seen[d.ID] = true
	}
	for id := range committed {
		if seen[id] {
			r.Delivered++
		} else {
			r.NotDelivered++
		}
	}
}

// Percentile of durations that are sorted; 0 for none.
func Percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
