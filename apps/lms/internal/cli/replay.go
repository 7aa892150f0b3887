package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/operator"
	"lms/shared/contracts/internalapi"
)

func newReplay(e *env) *cobra.Command {
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "replay <service> <handler>",
		Short: "Give one handler its history again, from the publishers' kept outboxes",
		Long: `Gives one handler all events that its publisher has kept, as if it had seen none
of them. Other handlers and services are not touched.`,
		Example: "  lms replay enrollment course-copy\n  lms replay enrollment course-copy --since 24h",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := time.Time{}
			if since > 0 {
				from = time.Now().Add(-since)
			}
			return e.operate(func(o *operator.Operator) error {
				n, err := o.Replay(cmd.Context(), args[0], args[1], from)
				if err == nil {
					_, err = fmt.Fprintf(e.out, "%d events replayed to %s in %s\n", n, args[1], args[0])
				}
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&since, "since", 0, "only events of this last stretch of time; 0: all that is kept")
	return cmd
}

func newKeys(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Manage the keys that sign access tokens", Example: "  lms keys rotate", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var compromised, asJSON bool
	rotate := &cobra.Command{
		Use: "rotate", Short: "Order a new signing key", Args: cobra.NoArgs,
		Long: `Orders a new signing key. It is published at once and signs after the lead, so
that no valid token is ever rejected. --compromised drops all old keys at once,
and with them every access token: people go on with their refresh token.`,
		Example: "  lms keys rotate\n  lms keys rotate --compromised",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.operate(func(o *operator.Operator) error {
				r, err := o.RotateKeys(cmd.Context(), internalapi.RotateKeysRequest{Compromised: compromised, Reason: "lms keys rotate"})
				if err != nil {
					return err
				}
				if asJSON {
					return e.printJSON(r)
				}
				_, err = fmt.Fprintf(e.out, "key %s signs from %s; %d keys are published\n", r.KID, r.SignsFrom.Local().Format(time.DateTime), len(r.Published))
				return err
			})
		},
	}
	rotate.Flags().BoolVar(&compromised, "compromised", false, "drop all old keys at once")
	rotate.Flags().BoolVar(&asJSON, "json", false, "for a program")
	cmd.AddCommand(rotate)
	return cmd
}
