package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// probeTimeout bounds one probe.
const probeTimeout = 3 * time.Second

// newProbe is the health check of an image that has no shell and no curl.
func newProbe(*env) *cobra.Command {
	return &cobra.Command{
		Use:     "probe URL",
		Short:   "Ask an address once; exit code 0 for an answer below 400",
		Example: "  lms probe http://127.0.0.1:8080/readyz",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return probe(cmd.Context(), args[0]) },
	}
}

func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if err := res.Body.Close(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
