package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/web"
)

const typePDF = "application/pdf"

// FormatQuery is embedded where an answer may be a PDF.
type FormatQuery struct {
	Format string `query:"format" enum:"json,pdf" doc:"Instead of Accept"`
}

// pdf says whether the caller wants a PDF: by the query, or by naming it in Accept
// before JSON or anything.
func (f FormatQuery) pdf(r *http.Request) bool {
	if f.Format != "" {
		return f.Format == "pdf"
	}
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.TrimSpace(kind) {
		case typePDF:
			return true
		case "application/json", "*/*", "application/*":
			return false
		}
	}
	return false
}

func write(w http.ResponseWriter, media string, raw []byte) error {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Header().Add("Vary", "Accept")
	_, err := w.Write(raw)
	return err
}

// document answers with JSON or a PDF of the same.
func document(w http.ResponseWriter, r *http.Request, f FormatQuery, body any, name string, printed func() ([]byte, error)) error {
	if !f.pdf(r) {
		raw, err := json.Marshal(body)
		if err != nil {
			return apperr.Internal(err)
		}
		return write(w, "application/json", raw)
	}
	raw, err := printed()
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.pdf"`)
	return write(w, typePDF, raw)
}

// Seller is a legal entity as a document names it.
type Seller struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Country string `json:"country"`
	TaxID   string `json:"tax_id"`
}

// InvoiceLine is one line of an invoice.
type InvoiceLine struct {
	Text       string `json:"text"`
	Quantity   int    `json:"quantity"`
	UnitAmount int64  `json:"unit_amount"`
	Amount     int64  `json:"amount"`
}

// Invoice says what was sold to whom; names are those at issue.
type Invoice struct {
	ID           uuid.UUID     `json:"id"`
	Number       string        `json:"number"`
	OrderID      uuid.UUID     `json:"order_id"`
	UserID       uuid.UUID     `json:"user_id"`
	Seller       Seller        `json:"seller"`
	Buyer        Billing       `json:"buyer"`
	Lines        []InvoiceLine `json:"lines"`
	Currency     string        `json:"currency"`
	Subtotal     int64         `json:"subtotal"`
	Discount     int64         `json:"discount"`
	Tax          int64         `json:"tax"`
	TaxInclusive bool          `json:"tax_inclusive"`
	TaxLines     []TaxLine     `json:"tax_lines"`
	Total        int64         `json:"total"`
	PeriodStart  *time.Time    `json:"period_start"`
	PeriodEnd    *time.Time    `json:"period_end"`
	IssuedAt     time.Time     `json:"issued_at"`
}

func showInvoice(i billing.Invoice) Invoice {
	out := Invoice{
		ID: i.ID, Number: i.Number, OrderID: i.OrderID, UserID: i.UserID, Seller: Seller(i.Seller), Buyer: Billing(i.Buyer), Lines: []InvoiceLine{}, Currency: i.Currency,
		Subtotal: i.Subtotal, Discount: i.Discount, Tax: i.Tax, TaxInclusive: i.TaxInclusive, TaxLines: taxLines(i.TaxLines), Total: i.Total,
		PeriodStart: i.PeriodStart, PeriodEnd: i.PeriodEnd, IssuedAt: i.IssuedAt,
	}
	for _, l := range i.Lines {
		out.Lines = append(out.Lines, InvoiceLine(l))
	}
	return out
}

type documentsInput struct {
	web.ByTime
	Whose
	OrderID uuid.UUID `query:"order_id"`
	Number  string    `query:"number" maxLength:"40"`
}

func (a *API) listInvoices(ctx context.Context, in *documentsInput) (*web.List[Invoice], error) {
	f := billing.DocumentFilter{OrderID: given(in.OrderID), Number: in.Number}
	p, err := a.Service.Invoices(ctx, web.Actor(ctx), given(in.UserID), in.Everyone, f, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showInvoice), nil
}

type documentInput struct {
	web.ByID
	FormatQuery
}

func (a *API) getInvoice(ctx context.Context, in *documentInput, w http.ResponseWriter, r *http.Request) error {
	i, err := a.Service.Invoice(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return err
	}
	return document(w, r, in.FormatQuery, showInvoice(i), i.Number, func() ([]byte, error) { return a.Printer.Invoice(i) })
}

// CreditNote takes back a part of an invoice.
type CreditNote struct {
	ID            uuid.UUID `json:"id"`
	Number        string    `json:"number"`
	InvoiceID     uuid.UUID `json:"invoice_id"`
	InvoiceNumber string    `json:"invoice_number"`
	OrderID       uuid.UUID `json:"order_id"`
	RefundID      uuid.UUID `json:"refund_id"`
	UserID        uuid.UUID `json:"user_id"`
	Seller        Seller    `json:"seller"`
	Buyer         Billing   `json:"buyer"`
	Reason        string    `json:"reason"`
	Currency      string    `json:"currency"`
	Tax           int64     `json:"tax"`
	Total         int64     `json:"total"`
	IssuedAt      time.Time `json:"issued_at"`
}

func showCreditNote(n billing.CreditNote) CreditNote {
	return CreditNote{
		ID: n.ID, Number: n.Number, InvoiceID: n.InvoiceID, InvoiceNumber: n.InvoiceNumber, OrderID: n.OrderID, RefundID: n.RefundID, UserID: n.UserID,
		Seller: Seller(n.Seller), Buyer: Billing(n.Buyer), Reason: n.Reason, Currency: n.Currency, Tax: n.Tax, Total: n.Total, IssuedAt: n.IssuedAt,
	}
}

func (a *API) listCreditNotes(ctx context.Context, in *documentsInput) (*web.List[CreditNote], error) {
	f := billing.DocumentFilter{OrderID: given(in.OrderID), Number: in.Number}
	p, err := a.Service.CreditNotes(ctx, web.Actor(ctx), given(in.UserID), in.Everyone, f, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showCreditNote), nil
}

func (a *API) getCreditNote(ctx context.Context, in *documentInput, w http.ResponseWriter, r *http.Request) error {
	n, err := a.Service.CreditNote(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return err
	}
	return document(w, r, in.FormatQuery, showCreditNote(n), n.Number, func() ([]byte, error) { return a.Printer.CreditNote(n) })
}

// LedgerEntry is one line of a booking: debits are positive, credits negative.
type LedgerEntry struct {
	ID            uuid.UUID `json:"id"`
	TransactionID uuid.UUID `json:"transaction_id"`
	Kind          string    `json:"kind" enum:"invoice,payment,credit_note,refund,write_off,surplus,surplus_returned"`
	ReferenceID   uuid.UUID `json:"reference_id" doc:"The invoice, payment, credit note, refund or order"`
	OrderID       uuid.UUID `json:"order_id"`
	LegalEntityID uuid.UUID `json:"legal_entity_id"`
	Account       string    `json:"account" enum:"receivable,clearing,revenue,tax_payable,bad_debt,unallocated"`
	Currency      string    `json:"currency"`
	Amount        int64     `json:"amount"`
	At            time.Time `json:"at"`
}

// LedgerQuery narrows entries and balances.
type LedgerQuery struct {
	LegalEntityID uuid.UUID `query:"legal_entity_id"`
	OrderID       uuid.UUID `query:"order_id"`
	Account       string    `query:"account" enum:"receivable,clearing,revenue,tax_payable,bad_debt,unallocated"`
	Currency      string    `query:"currency" maxLength:"3"`
	From          time.Time `query:"from"`
	Until         time.Time `query:"until" doc:"Exclusive"`
}

func (q LedgerQuery) filter() billing.LedgerFilter {
	f := billing.LedgerFilter{LegalEntityID: given(q.LegalEntityID), OrderID: given(q.OrderID), Account: q.Account, Currency: q.Currency}
	if !q.From.IsZero() {
		f.From = utc(&q.From)
	}
	if !q.Until.IsZero() {
		f.Until = utc(&q.Until)
	}
	return f
}

type entriesInput struct {
	web.ByTime
	LedgerQuery
}

func (a *API) listEntries(ctx context.Context, in *entriesInput) (*web.List[LedgerEntry], error) {
	p, err := a.Service.LedgerEntries(ctx, web.Actor(ctx), in.filter(), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, func(l billing.LedgerLine) LedgerEntry {
		return LedgerEntry{
			ID: l.ID, TransactionID: l.TransactionID, Kind: l.Kind, ReferenceID: l.ReferenceID, OrderID: l.OrderID, LegalEntityID: l.LegalEntityID,
			Account: l.Account, Currency: l.Currency, Amount: l.Amount, At: l.At,
		}
	}), nil
}

// AccountBalance is the sum of an account in a currency.
type AccountBalance struct {
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Debit    int64  `json:"debit"`
	Credit   int64  `json:"credit"`
	Balance  int64  `json:"balance"`
}

// Balances are all accounts, and what they are together: zero.
type Balances struct {
	Accounts []AccountBalance `json:"accounts"`
	Sums     map[string]int64 `json:"sums" doc:"Of all accounts by currency"`
}

type balanceInput struct{ LedgerQuery }

func (a *API) balance(ctx context.Context, in *balanceInput) (*web.Resource[Balances], error) {
	list, err := a.Service.LedgerBalance(ctx, web.Actor(ctx), in.filter())
	if err != nil {
		return nil, err
	}
	out := Balances{Accounts: []AccountBalance{}, Sums: map[string]int64{}}
	for _, b := range list {
		out.Accounts = append(out.Accounts, AccountBalance(b))
		out.Sums[b.Currency] += b.Balance
	}
	return web.Res(out, 0), nil
}

// Reconciliation is one comparison; its differences are the rows of its job.
type Reconciliation struct {
	ID          uuid.UUID        `json:"id"`
	Everywhere  bool             `json:"everywhere" doc:"All organisations"`
	State       string           `json:"state" enum:"running,finished"`
	Checked     map[string]int64 `json:"checked"`
	Differences int              `json:"differences"`
	StartedAt   time.Time        `json:"started_at"`
	FinishedAt  *time.Time       `json:"finished_at"`
}

func (a *API) listReconciliations(ctx context.Context, in *web.ByTime) (*web.List[Reconciliation], error) {
	p, err := a.Service.Reconciliations(ctx, web.Actor(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, func(r billing.Reconciliation) Reconciliation {
		return Reconciliation{
			ID: r.ID, Everywhere: r.Everywhere, State: r.State, Checked: r.Checked, Differences: r.Differences, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		}
	}), nil
}

func (a *API) reconcile(ctx context.Context, _ *web.Empty) (*web.JobAccepted, error) {
	job, err := a.Service.StartReconciliation(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return web.Accepted(job), nil
}
