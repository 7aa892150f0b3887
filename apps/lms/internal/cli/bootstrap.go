package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"lms/apps/lms/internal/operator"
	"lms/shared/contracts/internalapi"
)

// passwordVariable keeps a password out of the list of processes.
const passwordVariable = "LMS_ADMIN_PASSWORD"

type bootstrapped struct {
	TenantID uuid.UUID `json:"tenant_id"`
	AdminID  uuid.UUID `json:"admin_id"`
	Created  bool      `json:"created"`
	Password string    `json:"password,omitempty"` // only where it was made here
}

func newBootstrap(e *env) *cobra.Command {
	var (
		in     internalapi.BootstrapRequest
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make the first organisation and the first administrator",
		Long: `Makes the first organisation and the first administrator of an installation
that has none; lms up does it by itself. The password is ` + passwordVariable + `,
else one is made and printed, once. Where there is an administrator nothing is
changed.`,
		Example: "  lms bootstrap --organisation \"Northfield University\" --email admin@northfield.example",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Organisation == "" || in.AdminEmail == "" {
				return usageError(cmd, errors.New("--organisation and --email are needed"))
			}
			var made string
			if in.AdminPassword = os.Getenv(passwordVariable); in.AdminPassword == "" {
				made = rand.Text()
				in.AdminPassword = made
			}
			var out bootstrapped
			err := e.operate(func(o *operator.Operator) error {
				reply, err := o.Bootstrap(cmd.Context(), in)
				out = bootstrapped{TenantID: reply.TenantID, AdminID: reply.AdminID, Created: reply.Created}
				return err
			})
			if err != nil {
				return err
			}
			if out.Created {
				out.Password = made
			}
			if asJSON {
				return e.printJSON(out)
			}
			return e.printBootstrapped(in, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Organisation, "organisation", "", "name of the organisation")
	f.StringVar(&in.AdminEmail, "email", "", "the administrator's address")
	f.StringVar(&in.AdminName, "name", "", "the administrator's name")
	f.StringVar(&in.Locale, "locale", "en", "the administrator's language")
	f.StringVar(&in.TimeZone, "time-zone", "UTC", "the administrator's time zone")
	f.BoolVar(&asJSON, "json", false, "for a program")
	return cmd
}

func (e *env) printBootstrapped(in internalapi.BootstrapRequest, out bootstrapped) error {
	var err error
	switch {
	case !out.Created:
		_, err = fmt.Fprintf(e.out, "nothing was changed: there is an administrator (%s) of an organisation (%s)\n", out.AdminID, out.TenantID)
	case out.Password == "":
		_, err = fmt.Fprintf(e.out, "organisation   %s\nadministrator  %s\n", out.TenantID, in.AdminEmail)
	default:
		_, err = fmt.Fprintf(e.out, "organisation   %s\nadministrator  %s\npassword       %s\n", out.TenantID, in.AdminEmail, out.Password)
	}
	return err
}
