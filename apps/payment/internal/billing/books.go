package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/money"
	"lms/shared/contracts/events"
)

// Accounts of the ledger. Debits are positive, credits negative.
const (
	accountReceivable  = "receivable"  // what buyers owe
	accountClearing    = "clearing"    // what the provider holds for us
	accountRevenue     = "revenue"     //
	accountTax         = "tax_payable" // what the tax office gets
	accountBadDebt     = "bad_debt"    // what will not be paid any more
	accountUnallocated = "unallocated" // money for which nothing was due
)

// line is one entry of a booking.
type line struct {
	account string
	amount  int64
}

// book writes a booking of an order. The database refuses one that does not sum to
// zero, and a second one of the same kind and reference.
func (s *Service) book(ctx context.Context, tx Tx, o Order, kind string, reference uuid.UUID, lines ...line) error {
	now := s.Now()
	t := LedgerTransaction{
		ID: s.NewID(), TenantID: o.TenantID, OrgUnitID: o.OrgUnitID, LegalEntityID: o.LegalEntityID, Kind: kind, ReferenceID: reference, OrderID: o.ID, At: now,
	}
	var entries []LedgerEntry
	for _, l := range lines {
		if l.amount == 0 {
			continue
		}
		entries = append(entries, LedgerEntry{
			ID: s.NewID(), TransactionID: t.ID, TenantID: o.TenantID, Account: l.account, Currency: o.Currency, Amount: l.amount, At: now,
		})
	}
	if len(entries) == 0 {
		return nil
	}
	return tx.InsertLedger(ctx, t, entries)
}

// Kinds of a document's number range.
const (
	rangeInvoice    = "invoice"
	rangeCreditNote = "credit_note"
)

func number(prefix string, n int64) string { return fmt.Sprintf("%s-%06d", prefix, n) }

// invoice writes the invoice of an order. Its number is drawn last: the range is
// locked from there to the commit.
func (s *Service) invoice(ctx context.Context, tx Tx, o Order, plan Plan, now time.Time) error {
	entity, err := tx.LegalEntity(ctx, o.LegalEntityID)
	if err != nil {
		return err
	}
	i := Invoice{
		ID: s.NewID(), TenantID: o.TenantID, OrgUnitID: o.OrgUnitID, LegalEntityID: o.LegalEntityID, OrderID: o.ID, UserID: o.UserID,
		Seller: sellerOf(entity), Buyer: o.Billing, TaxLines: o.TaxLines, Currency: o.Currency, Subtotal: o.Subtotal,
		Discount: o.Discount + o.Credit, Tax: o.Tax, TaxInclusive: o.TaxInclusive, Total: o.Total,
		PeriodStart: o.PeriodStart, PeriodEnd: o.PeriodEnd, IssuedAt: now,
		Lines: []DocumentLine{{Text: o.Description, Quantity: o.Quantity, UnitAmount: o.UnitAmount, Amount: o.Subtotal}},
	}
	if err := s.book(ctx, tx, o, "invoice", i.ID, line{accountReceivable, o.Total}, line{accountRevenue, -(o.Total - o.Tax)}, line{accountTax, -o.Tax}); err != nil {
		return err
	}
	if i.N, err = tx.DrawNumber(ctx, o.LegalEntityID, rangeInvoice); err != nil {
		return err
	}
	i.Number = number(entity.InvoicePrefix, i.N)
	if err := tx.InsertInvoice(ctx, i); err != nil {
		return err
	}
	e := events.InvoiceIssued{OrderState: orderEvent(o, plan, o.Total, o.Tax, now), InvoiceID: i.ID, InvoiceNumber: i.Number, LegalEntityID: o.LegalEntityID}
	return emit(ctx, tx, e, e.Commerce)
}

func sellerOf(e LegalEntity) Seller {
	return Seller{Name: e.Name, Address: e.Address, Country: e.Country, TaxID: e.TaxID}
}

// creditNote writes down a refund against the invoice.
func (s *Service) creditNote(ctx context.Context, tx Tx, o Order, plan Plan, r Refund, now time.Time) error {
	i, err := tx.InvoiceOfOrder(ctx, o.ID)
	if err != nil || i == nil {
		return err
	}
	entity, err := tx.LegalEntity(ctx, o.LegalEntityID)
	if err != nil {
		return err
	}
	n := CreditNote{
		ID: s.NewID(), TenantID: o.TenantID, OrgUnitID: o.OrgUnitID, LegalEntityID: o.LegalEntityID, InvoiceID: i.ID, InvoiceNumber: i.Number,
		OrderID: o.ID, RefundID: r.ID, UserID: o.UserID, Seller: sellerOf(entity), Buyer: i.Buyer, Reason: r.Reason, Currency: o.Currency,
		Tax: r.Tax, Total: r.Amount, IssuedAt: now,
	}
	if err := s.book(ctx, tx, o, "credit_note", n.ID, line{accountRevenue, r.Amount - r.Tax}, line{accountTax, r.Tax}, line{accountReceivable, -r.Amount}); err != nil {
		return err
	}
	if n.N, err = tx.DrawNumber(ctx, o.LegalEntityID, rangeCreditNote); err != nil {
		return err
	}
	n.Number = number(entity.CreditNotePrefix, n.N)
	if err := tx.InsertCreditNote(ctx, n); err != nil {
		return err
	}
	e := events.CreditNoteIssued{
		OrderState: orderEvent(o, plan, r.Amount, r.Tax, now), CreditNoteID: n.ID, CreditNoteNumber: n.Number, InvoiceID: i.ID, LegalEntityID: o.LegalEntityID,
	}
	return emit(ctx, tx, e, e.Commerce)
}

// stepTax is the tax in what an order's sum moves from before to after; the steps of
// an order add up to its tax.
func stepTax(o Order, before, after int64) int64 {
	return money.Share(o.Tax, o.Total, before, after)
}
