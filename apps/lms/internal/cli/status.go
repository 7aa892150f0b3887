package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/childproc"
	"lms/shared/freeport"
)

// statusReport is the result of lms status.
type statusReport struct {
	Home       string            `json:"home"`
	Address    string            `json:"address"`
	Phase      supervisor.Phase  `json:"phase"`
	Ready      bool              `json:"ready"` // every service says so now
	Supervisor processReport     `json:"supervisor"`
	Processes  []processReport   `json:"processes"`
	Totals     map[string]totals `json:"totals"` // by kind, and "all"
	StartedAt  time.Time         `json:"started_at"`
	ReadyAt    *time.Time        `json:"ready_at,omitempty"`
	ReadyMS    int64             `json:"ready_ms,omitempty"` // from start to ready
}

type processReport struct {
	Name    string           `json:"name"`
	Service string           `json:"service"`
	Kind    supervisor.Kind  `json:"kind"`
	PID     int              `json:"pid"`
	Ports   map[string]int   `json:"ports"`
	State   supervisor.State `json:"state"`
	// Ready is the answer of the process itself; null for those that have none.
	Ready *bool `json:"ready"`
	childproc.Memory
	Restarts  int       `json:"restarts"`
	Crashes   int       `json:"crashes"`
	LastExit  string    `json:"last_exit,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Log       string    `json:"log"`
}

type totals struct {
	Processes int `json:"processes"`
	childproc.Memory
}

func newStatus(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs, where, and how much memory it takes",
		Long: `Shows every process of the installation with its ports, state and memory. RSS
counts shared pages in full; PSS divides them among those who share them, so
that the sum is what the installation really takes. The exit code is 3 where
nothing runs.`,
		Example: "  lms status\n  lms status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, r, err := e.running()
			if err != nil {
				return err
			}
			report := statusOf(cmd.Context(), home, r)
			if asJSON {
				return e.printJSON(report)
			}
			return e.printStatus(report)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func statusOf(ctx context.Context, home installation.Home, r supervisor.Record) statusReport {
	report := statusReport{
		Home: home.Dir, Address: r.Address, Phase: r.Phase, StartedAt: r.StartedAt, ReadyAt: r.ReadyAt,
		Totals: map[string]totals{}, Processes: make([]processReport, len(r.Processes)),
		Supervisor: processReport{
			Name: "lms", Service: "lms", Kind: "supervisor", PID: r.Supervisor.PID, State: supervisor.Running, Ports: map[string]int{},
			Memory: childproc.Usage(r.Supervisor.PID), StartedAt: r.StartedAt, Log: home.Log("lms"),
		},
	}
	if r.ReadyAt != nil {
		report.ReadyMS = r.ReadyAt.Sub(r.StartedAt).Milliseconds()
	}
	var wg sync.WaitGroup
	for i, p := range r.Processes {
		wg.Go(func() { report.Processes[i] = look(ctx, p) })
	}
	wg.Wait()
	report.Ready = r.Phase == supervisor.PhaseReady
	for _, p := range append(slices.Clone(report.Processes), report.Supervisor) {
		if p.State != supervisor.Running || (p.Ready != nil && !*p.Ready) {
			report.Ready = false
		}
		for _, key := range []string{string(p.Kind), "all"} {
			t := report.Totals[key]
			t.Processes++
			t.Memory = t.Add(p.Memory)
			report.Totals[key] = t
		}
	}
	return report
}

// look asks one process how it is.
func look(ctx context.Context, p supervisor.Status) processReport {
	out := processReport{
		Name: p.Name, Service: p.Service, Kind: p.Kind, PID: p.PID, Ports: p.Ports, State: p.State,
		Restarts: p.Restarts, Crashes: p.Crashes, LastExit: p.LastExit, StartedAt: p.StartedAt, Log: p.LogFile,
	}
	if !p.Alive() {
		out.PID = 0
		if out.State == supervisor.Running {
			out.State = supervisor.Waiting // it ended this moment
		}
		return out
	}
	switch p.Kind {
	case supervisor.KindDatabase: // its connections are processes of their own
		out.Memory = childproc.TreeUsage(p.PID)
	case supervisor.KindService:
		out.Memory = childproc.Usage(p.PID)
		out.Ready = answers(ctx, "http://"+freeport.Address(p.Ports["http"])+"/readyz")
	case supervisor.KindSidecar:
		out.Memory = childproc.Usage(p.PID)
		out.Ready = answers(ctx, "http://"+freeport.Address(p.Ports["http"])+"/v1.0/healthz")
	default:
		out.Memory = childproc.Usage(p.PID)
	}
	return out
}

func answers(ctx context.Context, url string) *bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ok := false
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return &ok
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &ok
	}
	_ = res.Body.Close() // only the status counts
	ok = res.StatusCode >= 200 && res.StatusCode < 300
	return &ok
}

func (e *env) printStatus(r statusReport) error {
	if _, err := fmt.Fprintf(e.out, "%s at %s, in %s\n\n", r.Phase, r.Address, r.Home); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tPID\tSTATE\tREADY\tRSS\tPSS\tRESTARTS\tUP\tPORTS")
	for _, p := range append(slices.Clone(r.Processes), r.Supervisor) {
		ready := "-"
		if p.Ready != nil {
			ready = map[bool]string{true: "yes", false: "no"}[*p.Ready]
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, p.Kind, p.PID, p.State, ready,
			megabytes(p.RSS), megabytes(p.PSS), p.Restarts, time.Since(p.StartedAt).Round(time.Second), portList(p.Ports))
	}
	all := r.Totals["all"]
	fmt.Fprintf(w, "\t\t%d processes\t\t\t%s\t%s\n", all.Processes, megabytes(all.RSS), megabytes(all.PSS))
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func megabytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%d MB", (n+1<<19)>>20)
}

func portList(ports map[string]int) string {
	var parts []string
	for name, port := range ports {
		parts = append(parts, fmt.Sprintf("%s:%d", name, port))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
