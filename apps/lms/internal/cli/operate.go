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

// operator is a client of the running installation.
func (e *env) operator() (*operator.Operator, error) {
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
