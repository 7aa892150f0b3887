package cli

import (
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/infra"
)

func newMailServer(e *env) *cobra.Command {
	var listen, dir string
	cmd := &cobra.Command{
		Use:     "mail-server",
		Hidden:  true,
		Short:   "Run the mail server for development: it keeps every message as a file",
		Example: "  lms mail-server --listen 127.0.0.1:2525 --dir /tmp/mail",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.say("this mail server is for development and tests: it delivers nothing")
			return infra.ServeMail(cmd.Context(), listen, dir)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:2525", "host:port")
	cmd.Flags().StringVar(&dir, "dir", "", "where the messages are kept")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // the flag was defined above
	}
	return cmd
}
