package cli

import (
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/broker"
)

func newBroker(e *env) *cobra.Command {
	o := broker.Options{Log: e.err}
	cmd := &cobra.Command{
		Use:     "broker",
		Hidden:  true,
		Short:   "Run the Kafka-protocol broker for development",
		Example: "  lms broker --data-dir /tmp/broker --port 9092",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.say("this broker is for development and tests, not for production: one process without replication")
			return broker.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.DataDir, "data-dir", "", "where the log is kept")
	cmd.Flags().IntVar(&o.Port, "port", 9092, "port on 127.0.0.1")
	cmd.Flags().Float64Var(&o.DropShare, "drop-share", 0, "for fault tests: share of the acknowledged records that is lost, 0 to 1")
	if err := cmd.MarkFlagRequired("data-dir"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}
