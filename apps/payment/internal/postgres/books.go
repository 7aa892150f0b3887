package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	drawNumberSQL = `update document_counters set last = last + 1 where legal_entity_id = $1 and kind = $2 returning last`

	invoiceColumns = `
id, tenant_id, org_unit_id, legal_entity_id, n, number, order_id, user_id, seller, buyer, lines, tax_lines, currency, subtotal, discount, tax,
tax_inclusive, total, period_start, period_end, issued_at `
	insertInvoiceSQL = `
insert into invoices (id, tenant_id, org_unit_id, legal_entity_id, n, number, order_id, user_id, seller, buyer, lines, tax_lines, currency,
  subtotal, discount, tax, tax_inclusive, total, period_start, period_end, issued_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`
	invoiceSQL        = `select` + invoiceColumns + `from invoices where id = $1`
	invoiceOfOrderSQL = `select` + invoiceColumns + `from invoices where order_id = $1`
	invoicesSQL       = `
select` + invoiceColumns + `from invoices
where ` + seen + ` and ($4::uuid is null or order_id = $4) and ($5::text is null or number = $5) and ($6::uuid is null or id < $6)
order by id desc limit $7`

	creditNoteColumns = `
id, tenant_id, org_unit_id, legal_entity_id, n, number, invoice_id, invoice_number, order_id, refund_id, user_id, seller, buyer, reason,
currency, tax, total, issued_at `
	insertCreditNoteSQL = `
insert into credit_notes (id, tenant_id, org_unit_id, legal_entity_id, n, number, invoice_id, invoice_number, order_id, refund_id, user_id,
  seller, buyer, reason, currency, tax, total, issued_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`
	creditNoteSQL  = `select` + creditNoteColumns + `from credit_notes where id = $1`
	creditNotesSQL = `
select` + creditNoteColumns + `from credit_notes
where ` + seen + ` and ($4::uuid is null or order_id = $4) and ($5::text is null or number = $5) and ($6::uuid is null or id < $6)
order by id desc limit $7`
)

// DrawNumber implements billing.BooksTx.
func (t tx) DrawNumber(ctx context.Context, entity uuid.UUID, kind string) (int64, error) {
	return pg.Scalar[int64](ctx, t, "number range", drawNumberSQL, entity, kind)
}

// InsertInvoice implements billing.BooksTx.
func (t tx) InsertInvoice(ctx context.Context, i billing.Invoice) error {
	return exec(ctx, t, insertInvoiceSQL, i.ID, i.TenantID, i.OrgUnitID, i.LegalEntityID, i.N, i.Number, i.OrderID, i.UserID, i.Seller, i.Buyer, list(i.Lines),
		list(i.TaxLines), i.Currency, i.Subtotal, i.Discount, i.Tax, i.TaxInclusive, i.Total, i.PeriodStart, i.PeriodEnd, i.IssuedAt)
}

// Invoice implements billing.BooksTx.
func (t tx) Invoice(ctx context.Context, id uuid.UUID) (billing.Invoice, error) {
	return pg.One[billing.Invoice](ctx, t, "invoice", invoiceSQL, id)
}

// InvoiceOfOrder implements billing.BooksTx.
func (t tx) InvoiceOfOrder(ctx context.Context, order uuid.UUID) (*billing.Invoice, error) {
	return none(pg.One[billing.Invoice](ctx, t, "invoice", invoiceOfOrderSQL, order))
}

// Invoices implements billing.BooksTx.
func (t tx) Invoices(ctx context.Context, f billing.DocumentFilter, p page.Request) (page.Page[billing.Invoice], error) {
	user, all, units := reached(f.Reach)
	return listed(ctx, t, p, func(i billing.Invoice) uuid.UUID { return i.ID }, invoicesSQL, user, all, units, f.OrderID, optional(f.Number))
}

// InsertCreditNote implements billing.BooksTx.
func (t tx) InsertCreditNote(ctx context.Context, n billing.CreditNote) error {
	return exec(ctx, t, insertCreditNoteSQL, n.ID, n.TenantID, n.OrgUnitID, n.LegalEntityID, n.N, n.Number, n.InvoiceID, n.InvoiceNumber, n.OrderID, n.RefundID,
		n.UserID, n.Seller, n.Buyer, n.Reason, n.Currency, n.Tax, n.Total, n.IssuedAt)
}

// CreditNote implements billing.BooksTx.
func (t tx) CreditNote(ctx context.Context, id uuid.UUID) (billing.CreditNote, error) {
	return pg.One[billing.CreditNote](ctx, t, "credit note", creditNoteSQL, id)
}

// CreditNotes implements billing.BooksTx.
func (t tx) CreditNotes(ctx context.Context, f billing.DocumentFilter, p page.Request) (page.Page[billing.CreditNote], error) {
	user, all, units := reached(f.Reach)
	return listed(ctx, t, p, func(n billing.CreditNote) uuid.UUID { return n.ID }, creditNotesSQL, user, all, units, f.OrderID, optional(f.Number))
}

const (
	insertTransactionSQL = `
insert into ledger_transactions (id, tenant_id, org_unit_id, legal_entity_id, kind, reference_id, order_id, at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	insertEntrySQL = `insert into ledger_entries (id, transaction_id, tenant_id, account, currency, amount, at) values ($1, $2, $3, $4, $5, $6, $7)`

	entryFilter = `
from ledger_entries e join ledger_transactions t on t.id = e.transaction_id
where ($1::uuid is null or t.legal_entity_id = $1) and ($2::uuid is null or t.order_id = $2) and ($3::text is null or e.account = $3)
  and ($4::text is null or e.currency = $4) and ($5::timestamptz is null or e.at >= $5) and ($6::timestamptz is null or e.at < $6) `
	entriesSQL = `
select e.id, e.transaction_id, e.tenant_id, e.account, e.currency, e.amount, e.at, t.kind, t.reference_id, t.order_id, t.legal_entity_id` + entryFilter + `
  and ($7::uuid is null or e.id < $7)
order by e.id desc limit $8`
	balanceSQL = `
select e.account, e.currency, coalesce(sum(e.amount) filter (where e.amount > 0), 0)::bigint as debit,
  coalesce(-sum(e.amount) filter (where e.amount < 0), 0)::bigint as credit, sum(e.amount)::bigint as balance` + entryFilter + `
group by e.account, e.currency order by e.currency, e.account`
)

// InsertLedger implements billing.BooksTx.
func (t tx) InsertLedger(ctx context.Context, b billing.LedgerTransaction, entries []billing.LedgerEntry) error {
	if err := exec(ctx, t, insertTransactionSQL, b.ID, b.TenantID, b.OrgUnitID, b.LegalEntityID, b.Kind, b.ReferenceID, b.OrderID, b.At); err != nil {
		return err
	}
	for _, e := range entries {
		if err := exec(ctx, t, insertEntrySQL, e.ID, e.TransactionID, e.TenantID, e.Account, e.Currency, e.Amount, e.At); err != nil {
			return err
		}
	}
	return nil
}

func ledgerArgs(f billing.LedgerFilter) []any {
	return []any{f.LegalEntityID, f.OrderID, optional(f.Account), optional(f.Currency), f.From, f.Until}
}

// LedgerEntries implements billing.BooksTx.
func (t tx) LedgerEntries(ctx context.Context, f billing.LedgerFilter, p page.Request) (page.Page[billing.LedgerLine], error) {
	return listed(ctx, t, p, func(l billing.LedgerLine) uuid.UUID { return l.ID }, entriesSQL, ledgerArgs(f)...)
}

// LedgerBalance implements billing.BooksTx.
func (t tx) LedgerBalance(ctx context.Context, f billing.LedgerFilter) ([]billing.Balance, error) {
	return pg.Many[billing.Balance](ctx, t, balanceSQL, ledgerArgs(f)...)
}

const (
	insertReconciliationSQL = `
insert into reconciliations (id, tenant_id, everywhere, state, checked, started_at, requested_by) values ($1, $2, $3, $4, $5, $6, $7)`
	updateReconciliationSQL = `update reconciliations set state = $2, checked = $3, differences = $4, finished_at = $5 where id = $1`
	reconciliationsSQL      = `
select id, tenant_id, everywhere, state, checked, differences, started_at, finished_at, requested_by from reconciliations
where ($1::uuid is null or id < $1) order by id desc limit $2`

	orderSumsSQL = `
select o.id, o.state, o.total, o.paid, o.refunded,
  coalesce((select sum(r.amount) from refunds r where r.order_id = o.id and r.state = 'succeeded'), 0)::bigint as refunds_succeeded,
  coalesce((select sum(p.amount) from payments p where p.order_id = o.id and p.state = 'succeeded'), 0)::bigint as payments_total,
  coalesce((select sum(e.amount) from ledger_transactions t join ledger_entries e on e.transaction_id = t.id
    where t.order_id = o.id and e.account = 'clearing' and t.kind in ('payment', 'refund')), 0)::bigint as clearing,
  coalesce((select sum(e.amount) from ledger_transactions t join ledger_entries e on e.transaction_id = t.id
    where t.order_id = o.id and e.account = 'receivable'), 0)::bigint as receivable,
  coalesce((select sum(e.amount) from ledger_transactions t join ledger_entries e on e.transaction_id = t.id
    where t.order_id = o.id and e.account = 'bad_debt'), 0)::bigint as written_off,
  coalesce((select i.total from invoices i where i.order_id = o.id), 0)::bigint as invoiced,
  coalesce((select sum(n.total) from credit_notes n where n.order_id = o.id), 0)::bigint as credit_notes
from orders o where o.id > $1 order by o.id limit $2`
	counterSumsSQL = `
select 'coupon_uses' as kind, c.id, count(u.id)::bigint as expected, c.uses::bigint as actual
from coupons c left join coupon_uses u on u.coupon_id = c.id and u.state <> 'released'
group by c.id having count(u.id) <> c.uses
union all
select 'pool_seats', p.id, count(s.id)::bigint, p.used::bigint
from seat_pools p left join pool_seats s on s.pool_id = p.id and s.state = 'assigned'
group by p.id having count(s.id) <> p.used`
	numberGapsSQL = `
select 'invoice_numbers' as kind, c.legal_entity_id as id, c.last as expected, count(i.n)::bigint as actual
from document_counters c left join invoices i on i.legal_entity_id = c.legal_entity_id
where c.kind = 'invoice' group by c.legal_entity_id, c.last having count(i.n) <> c.last
union all
select 'credit_note_numbers', c.legal_entity_id, c.last, count(n.n)::bigint
from document_counters c left join credit_notes n on n.legal_entity_id = c.legal_entity_id
where c.kind = 'credit_note' group by c.legal_entity_id, c.last having count(n.n) <> c.last`
)

// InsertReconciliation implements billing.BooksTx.
func (t tx) InsertReconciliation(ctx context.Context, r billing.Reconciliation) error {
	return exec(ctx, t, insertReconciliationSQL, r.ID, r.TenantID, r.Everywhere, r.State, r.Checked, r.StartedAt, r.RequestedBy)
}

// UpdateReconciliation implements billing.BooksTx.
func (t tx) UpdateReconciliation(ctx context.Context, r billing.Reconciliation) error {
	return exec(ctx, t, updateReconciliationSQL, r.ID, r.State, r.Checked, r.Differences, r.FinishedAt)
}

// Reconciliations implements billing.BooksTx.
func (t tx) Reconciliations(ctx context.Context, p page.Request) (page.Page[billing.Reconciliation], error) {
	return listed(ctx, t, p, func(r billing.Reconciliation) uuid.UUID { return r.ID }, reconciliationsSQL)
}

// OrderSums implements billing.BooksTx.
func (t tx) OrderSums(ctx context.Context, after uuid.UUID, limit int) ([]billing.OrderSum, error) {
	return pg.Many[billing.OrderSum](ctx, t, orderSumsSQL, after, limit)
}

// CounterSums implements billing.BooksTx.
func (t tx) CounterSums(ctx context.Context) ([]billing.CounterSum, error) {
	return pg.Many[billing.CounterSum](ctx, t, counterSumsSQL)
}

// NumberGaps implements billing.BooksTx.
func (t tx) NumberGaps(ctx context.Context) ([]billing.CounterSum, error) {
	return pg.Many[billing.CounterSum](ctx, t, numberGapsSQL)
}
