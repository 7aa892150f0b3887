package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/operator"
	"lms/shared/contracts/internalapi"
	"lms/shared/freeport"
)

// Variables by which the operator's commands find an installation that lms up did
// not start: they run beside the gateway's sidecar, with its DAPR_API_TOKEN.
const (
	// sidecarVariable is host:port of the gateway's sidecar's HTTP API.
	sidecarVariable = "LMS_OPERATOR_SIDECAR"
	// secretVariable is the secret service-lms, secretsVariable a JSON file of
	// secrets that has it.
	secretVariable  = "LMS_OPERATOR_SECRET"
	secretsVariable = "LMS_OPERATOR_SECRETS_FILE"
)

// operator is a client of the installation that the environment names, or of the
// one that runs on this machine.
func (e *env) operator() (*operator.Operator, error) {
	if sidecar := os.Getenv(sidecarVariable); sidecar != "" {
		return operatorAt(sidecar)
	}
	home, r, err := e.running()
	if err != nil {
		return nil, err
	}
	secrets, err := home.EnsureSecrets()
	if err != nil {
		return nil, err
	}
	for _, p := range r.Processes {
		if p.Name == installation.Sidecar(installation.Gateway) {
			return operator.New(operator.Options{
				Sidecar: freeport.Address(p.Ports["http"]), APIToken: r.Control.SidecarToken, Secret: secrets["service-"+internalapi.OperatorApp],
			})
		}
	}
	return nil, errors.New("the gateway's sidecar does not run: lms status shows what does")
}

func operatorAt(sidecar string) (*operator.Operator, error) {
	const name = "service-" + internalapi.OperatorApp
	secret := os.Getenv(secretVariable)
	if file := os.Getenv(secretsVariable); secret == "" && file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", secretsVariable, err)
		}
		var secrets map[string]string
		if err := json.Unmarshal(raw, &secrets); err != nil {
			return nil, fmt.Errorf("%s: %s has no JSON object of texts: %w", secretsVariable, file, err)
		}
		secret = secrets[name]
	}
	if secret == "" {
		return nil, fmt.Errorf("%s is set: the secret %s is needed too, by %s or in the file that %s names", sidecarVariable, name, secretVariable, secretsVariable)
	}
	return operator.New(operator.Options{Sidecar: sidecar, APIToken: os.Getenv("DAPR_API_TOKEN"), Secret: secret})
}

// operate runs fn with a client and closes it.
func (e *env) operate(fn func(o *operator.Operator) error) error {
	o, err := e.operator()
	if err != nil {
		return err
	}
	defer o.Close()
	return fn(o)
}

// accounts are what a new installation begins with; the file is read by its
// owner only.
type accounts struct {
	Organisation  string    `json:"organisation"`
	TenantID      uuid.UUID `json:"tenant_id"`
	AdminEmail    string    `json:"admin_email"`
	AdminPassword string    `json:"admin_password"`
	// DemoPassword is that of every account of the demo organisation; empty
	// where none was loaded.
	DemoPassword string            `json:"demo_password,omitempty"`
	Demo         map[string]string `json:"demo,omitempty"` // role to e-mail address
}

func readAccounts(home installation.Home) (a accounts, err error) {
	raw, err := os.ReadFile(home.AccountsFile())
	if err != nil {
		return a, fmt.Errorf("read the accounts: %w", err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("%s is damaged: %w", home.AccountsFile(), err)
	}
	return a, nil
}

func writeAccounts(home installation.Home, a accounts) error {
	raw, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the accounts: %w", err)
	}
	if err := os.WriteFile(home.AccountsFile(), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the accounts: %w", err)
	}
	return nil
}

// bootstrap makes the first organisation and its administrator, once. The
// password is written down before it is used, so that a crash in between does
// not lose it.
func (e *env) bootstrap(ctx context.Context, home installation.Home) error {
	a, err := readAccounts(home)
	switch {
	case err == nil && a.TenantID != uuid.Nil:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case a.AdminPassword == "":
		a = accounts{Organisation: "Northfield University", AdminEmail: "admin@northfield.example", AdminPassword: rand.Text()}
		if err := writeAccounts(home, a); err != nil {
			return err
		}
	}
	return e.operate(func(o *operator.Operator) error {
		reply, err := o.Bootstrap(ctx, internalapi.BootstrapRequest{
			Organisation: a.Organisation, AdminEmail: a.AdminEmail, AdminPassword: a.AdminPassword, AdminName: "Admin", Locale: "en", TimeZone: "UTC",
		})
		if err != nil {
			return fmt.Errorf("make the first organisation: %w", err)
		}
		a.TenantID = reply.TenantID
		return writeAccounts(home, a)
	})
}
