package billing

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
)

// Order reads an order; its buyer may, and who may read orders.
func (s *Service) Order(ctx context.Context, actor authz.Principal, id uuid.UUID) (o Order, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		o, err = tx.Order(ctx, id)
		return err
	})
	if err != nil {
		return o, err
	}
	return o, s.owns(ctx, actor, o.UserID, o.OrgUnitID, authz.OrderRead, "order")
}

// Orders lists orders: the caller's own, one person's, or everybody's.
func (s *Service) Orders(ctx context.Context, actor authz.Principal, user *uuid.UUID, everybody bool, f OrderFilter, p page.Request) (out page.Page[Order], err error) {
	if f.Reach, err = s.reach(ctx, actor, user, everybody, authz.OrderRead); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Orders(ctx, f, p)
		return err
	})
	return out, err
}

// Invoice reads an invoice; its buyer may, and who may read orders.
func (s *Service) Invoice(ctx context.Context, actor authz.Principal, id uuid.UUID) (i Invoice, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		i, err = tx.Invoice(ctx, id)
		return err
	})
	if err != nil {
		return i, err
	}
	return i, s.owns(ctx, actor, i.UserID, i.OrgUnitID, authz.OrderRead, "invoice")
}

// Invoices lists invoices.
func (s *Service) Invoices(ctx context.Context, actor authz.Principal, user *uuid.UUID, everybody bool, f DocumentFilter, p page.Request) (out page.Page[Invoice], err error) {
	if f.Reach, err = s.reach(ctx, actor, user, everybody, authz.OrderRead); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Invoices(ctx, f, p)
		return err
	})
	return out, err
}

// CreditNote reads a credit note; its buyer may, and who may read orders.
func (s *Service) CreditNote(ctx context.Context, actor authz.Principal, id uuid.UUID) (n CreditNote, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		n, err = tx.CreditNote(ctx, id)
		return err
	})
	if err != nil {
		return n, err
	}
	return n, s.owns(ctx, actor, n.UserID, n.OrgUnitID, authz.OrderRead, "credit note")
}

// Entitlements lists rights.
func (s *Service) Entitlements(ctx context.Context, actor authz.Principal, user *uuid.UUID, everybody bool, f EntitlementFilter, p page.Request) (out page.Page[Entitlement], err error) {
	if f.Reach, err = s.reach(ctx, actor, user, everybody, authz.OrderRead); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Entitlements(ctx, f, p)
		return err
	})
	return out, err
}

// LedgerEntries lists the ledger, the newest first.
func (s *Service) LedgerEntries(ctx context.Context, actor authz.Principal, f LedgerFilter, p page.Request) (out page.Page[LedgerLine], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.LedgerEntries(ctx, f, p)
		return err
	})
	return out, err
}

// LedgerBalance sums the accounts; all together are zero per currency.
func (s *Service) LedgerBalance(ctx context.Context, actor authz.Principal, f LedgerFilter) (out []Balance, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.LedgerBalance(ctx, f)
		return err
	})
	return out, err
}

// Methods lists the caller's saved ways to pay.
func (s *Service) Methods(ctx context.Context, actor authz.Principal, p page.Request) (out page.Page[PaymentMethod], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Methods(ctx, actor.UserID, p)
		return err
	})
	return out, err
}

// SetupMethod makes a page where the caller saves a way to pay; it becomes the one
// that is charged.
func (s *Service) SetupMethod(ctx context.Context, actor authz.Principal, successURL, cancelURL string) (provider.Session, error) {
	var f apperr.Fields
	s.checkReturn(&f, "success_url", successURL)
	s.checkReturn(&f, "cancel_url", cancelURL)
	if err := f.Err(); err != nil {
		return provider.Session{}, err
	}
	if err := s.takesPayments(); err != nil {
		return provider.Session{}, err
	}
	home := s.Settings.PublicURL + "/"
	for _, u := range []*string{&successURL, &cancelURL} {
		if *u == "" {
			*u = home
		}
	}
	var made struct {
		Reference uuid.UUID `json:"reference"`
	}
	err := s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &made, func() error {
			made.Reference = s.NewID()
			return audit(ctx, tx, "payment_method.setup", "payment_method", made.Reference, actor.TenantID, actor.OrgUnitID, nil)
		})
	})
	if err != nil {
		return provider.Session{}, err
	}
	return s.Provider.CreateSession(ctx, provider.NewSession{
		Reference: methodReference + made.Reference.String(), Mode: provider.ModeSetup, Customer: actor.UserID.String(), Description: "Payment method",
		Currency: "EUR", SaveMethod: true, SuccessURL: successURL, CancelURL: cancelURL, ExpiresAt: s.Now().Add(s.Settings.SessionFor),
		Metadata: provider.Metadata{TenantID: actor.TenantID.String()},
	})
}

// methodReference begins the reference of a page that only saves a method.
const methodReference = "method:"

// RemoveMethod forgets a saved way to pay, here and at the provider.
func (s *Service) RemoveMethod(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	var m PaymentMethod
	err := s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		if m, err = tx.Method(ctx, id); err != nil {
			return err
		}
		if m.UserID != actor.UserID || m.RemovedAt != nil {
			return apperr.NotFound("payment method")
		}
		if err := tx.RemoveMethod(ctx, id, s.Now()); err != nil {
			return err
		}
		return audit(ctx, tx, "payment_method.delete", "payment_method", id, m.TenantID, actor.OrgUnitID, nil)
	})
	if err != nil {
		return err
	}
	return s.Provider.DetachMethod(ctx, m.ProviderMethod)
}

// saved takes a method that was saved without buying anything.
func (s *Service) saved(ctx context.Context, tx Tx, page provider.Session) error {
	user, err := uuid.Parse(page.Customer)
	if err != nil {
		return errNotOurs
	}
	tenant, err := uuid.Parse(page.Metadata.TenantID)
	if err != nil {
		return errNotOurs
	}
	if page.Method == nil {
		return nil
	}
	return s.keepMethod(ctx, tx, Checkout{TenantID: tenant, UserID: user}, *page.Method, s.Now())
}
