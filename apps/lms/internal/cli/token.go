package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lms/apps/lms/internal/client"
)

func newToken(e *env) *cobra.Command {
	var email, password string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Sign in and print an access token, for trying the API by hand",
		Long: `Signs in through the gateway and prints the access token alone. Without --email
it is the administrator that the installation was made with; a demo account
needs its address only. The token is good for five minutes.`,
		Example: `  curl -H "Authorization: Bearer $(lms token)" http://127.0.0.1:8080/api/v1/me`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, r, err := e.running()
			if err != nil {
				return err
			}
			a, err := readAccounts(home)
			if err != nil {
				return err
			}
			if email == "" {
				email = a.AdminEmail
			}
			switch {
			case password != "":
			case strings.EqualFold(email, a.AdminEmail):
				password = a.AdminPassword
			case a.DemoPassword != "":
				password = a.DemoPassword
			default:
				return errors.New("--password is missing: it is known only for the administrator and the demo accounts")
			}
			t, err := client.New(r.Address).Login(cmd.Context(), email, password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, t)
			return err
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "whose token; the administrator's if not given")
	cmd.Flags().StringVar(&password, "password", "", "their password, if it is no account of this command")
	return cmd
}
