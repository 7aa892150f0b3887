package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/client"
	"lms/apps/lms/internal/demo"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/seed"
)

func newSeed(e *env) *cobra.Command {
	var size string
	var number uint64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Load a made-up organisation through the public API",
		Long: `Loads a made-up organisation: faculties, people, courses with curricula,
enrollments with progress. The same size and number give the same organisation.
small: 8 courses, 60 learners; medium: 50 courses, 2,000 learners, 20,000
enrollments; large: 200 courses, 20,000 learners, 200,000 enrollments.`,
		Example: "  lms seed --size medium --seed 7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := demo.SizeOf(size)
			if err != nil {
				return usageError(cmd, err)
			}
			home, r, err := e.running()
			if err != nil {
				return err
			}
			result, err := e.seed(cmd.Context(), home, r.Address, s, number)
			if err != nil {
				return err
			}
			if asJSON {
				return e.printJSON(result)
			}
			_, err = fmt.Fprintf(e.out, "%d people, %d courses, %d enrollments, %d steps of progress\n", result.Users, result.Courses, result.Enrollments, result.Steps)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&size, "size", "small", "small, medium or large")
	fl.Uint64Var(&number, "seed", 1, "the number that decides what is made up")
	fl.BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

// seed loads an organisation and notes its accounts.
func (e *env) seed(ctx context.Context, home installation.Home, address string, size demo.Size, number uint64) (seed.Result, error) {
	a, err := readAccounts(home)
	if err != nil {
		return seed.Result{}, err
	}
	if a.DemoPassword == "" {
		a.DemoPassword = rand.Text()
		if err := writeAccounts(home, a); err != nil {
			return seed.Result{}, err
		}
	}
	bar := &bars{e: e}
	result, err := seed.Load(ctx, seed.Options{
		API: client.New(address), AdminEmail: a.AdminEmail, AdminPassword: a.AdminPassword, TenantID: a.TenantID.String(),
		Password: a.DemoPassword, Step: bar.step,
	}, demo.Make(size, number))
	bar.finish()
	if err != nil {
		return result, fmt.Errorf("load the organisation: %w", err)
	}
	a.Demo = result.Accounts
	return result, writeAccounts(home, a)
}

// bars shows one progress bar after the other, on standard error.
type bars struct {
	e    *env
	mu   sync.Mutex
	what string
	bar  *progressbar.ProgressBar
}

func (b *bars) step(what string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.what != what {
		b.close()
		b.what = what
		b.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(b.e.err), progressbar.OptionSetDescription(fmt.Sprintf("%-10s", what)),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(what), progressbar.OptionThrottle(200*time.Millisecond),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetRenderBlankState(true)) // from then on time counts
	}
	if b.bar.State().CurrentNum < done {
		_ = b.bar.Set64(done) // a terminal that is gone cannot be told so
	}
}

func (b *bars) close() {
	if b.bar != nil {
		_ = b.bar.Finish() // as above
		b.e.say("")
	}
}

func (b *bars) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
	b.bar = nil
}
