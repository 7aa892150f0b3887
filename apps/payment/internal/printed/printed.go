// Package printed makes invoices and credit notes to look at and to keep, as PDF. The
// same document is the same file, byte by byte.
package printed

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/money"
	"lms/shared/fonts"
)

// Printer makes documents. It is safe for use by many at once.
type Printer struct{}

const (
	width  = 210.0 // A4, in mm
	margin = 20.0
	amount = 40.0 // the column of amounts
)

// document is a page being written from top to bottom.
type document struct {
	pdf      *fpdf.Fpdf
	currency money.Currency
}

func begin(title, currency string, at time.Time, texts ...string) (*document, error) {
	pdf := fpdf.New("P", "mm", "A4", "")
	if err := fonts.AddTo(pdf, texts...); err != nil {
		return nil, err
	}
	pdf.SetTitle(title, true)
	pdf.SetCreationDate(at)
	pdf.SetModificationDate(at)
	pdf.SetCatalogSort(true)
	pdf.SetMargins(margin, margin, margin)
	pdf.SetAutoPageBreak(true, margin)
	pdf.AddPage()
	return &document{pdf, money.Currency(currency)}, nil
}

// text writes lines from margin to margin, each part in the font that has its
// letters.
func (d *document) text(size float64, style, text string) {
	for _, l := range strings.Split(text, "\n") {
		for _, r := range fonts.Runs(l) {
			d.pdf.SetFont(r.Font, style, size)
			d.pdf.Write(size*0.5, r.Text)
		}
		d.pdf.Ln(size * 0.5)
	}
}

func (d *document) gap(mm float64) { d.pdf.Ln(mm) }

// pair is a line with something at its right end; a text that is too long for the
// line goes on below.
func (d *document) pair(style, left, right string) {
	y := d.pdf.GetY()
	d.pdf.SetRightMargin(margin + amount)
	d.text(10, style, left)
	d.pdf.SetRightMargin(margin)
	below := d.pdf.GetY() + 1
	d.pdf.SetFont(fonts.Family, style, 10)
	d.pdf.SetXY(width-margin-amount, y)
	d.pdf.CellFormat(amount, 5, right, "", 0, "R", false, 0, "")
	d.pdf.SetXY(margin, below)
}

func (d *document) rule() {
	y := d.pdf.GetY() + 1
	d.pdf.Line(margin, y, width-margin, y)
	d.pdf.SetY(y + 1)
}

func (d *document) money(v int64) string { return money.Format(v, d.currency) }

func (d *document) parties(s billing.Seller, b billing.Billing) {
	d.text(12, "B", s.Name)
	d.text(10, "", join(s.Address, s.Country, prefixed("Tax ID ", s.TaxID)))
	d.gap(8)
	d.text(10, "B", join(b.Company, b.Name))
	d.text(10, "", join(b.Address, strings.TrimSuffix(b.Country+"-"+b.Region, "-"), prefixed("Tax ID ", b.TaxID)))
	d.gap(8)
}

func names(s billing.Seller, b billing.Billing) []string {
	return []string{s.Name, s.Address, s.TaxID, b.Name, b.Company, b.Address, b.TaxID}
}

func join(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "\n")
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func (d *document) done(what string) ([]byte, error) {
	var out bytes.Buffer
	if err := d.pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out.Bytes(), nil
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }

// Invoice prints an invoice.
func (Printer) Invoice(i billing.Invoice) ([]byte, error) {
	texts := append(names(i.Seller, i.Buyer), i.Number)
	for _, l := range i.Lines {
		texts = append(texts, l.Text)
	}
	for _, t := range i.TaxLines {
		texts = append(texts, t.Name)
	}
	d, err := begin("Invoice "+i.Number, i.Currency, i.IssuedAt, texts...)
	if err != nil {
		return nil, err
	}
	d.parties(i.Seller, i.Buyer)
	d.text(20, "B", "Invoice "+i.Number)
	d.text(10, "", "Date: "+date(i.IssuedAt)+"\nOrder: "+i.OrderID.String())
	if i.PeriodStart != nil && i.PeriodEnd != nil {
		d.text(10, "", "Period: "+date(*i.PeriodStart)+" to "+date(*i.PeriodEnd))
	}
	d.gap(6)
	d.pair("B", "Description", "Amount")
	d.rule()
	for _, l := range i.Lines {
		text := l.Text
		if l.Quantity != 1 {
			text = fmt.Sprintf("%s\n%d × %s", text, l.Quantity, d.money(l.UnitAmount))
		}
		d.pair("", text, d.money(l.Amount))
	}
	d.rule()
	if i.Discount > 0 {
		d.pair("", "Subtotal", d.money(i.Subtotal))
		d.pair("", "Discount", d.money(-i.Discount))
	}
	d.taxes(i.TaxLines, i.TaxInclusive)
	d.pair("B", "Total", d.money(i.Total))
	return d.done("invoice " + i.Number)
}

func (d *document) taxes(lines []billing.TaxLine, inclusive bool) {
	for _, t := range lines {
		name := t.Name + " " + t.Rate.Percent() + " %"
		if inclusive {
			name = "Includes " + name
		}
		d.pair("", name, d.money(t.Amount))
	}
}

// CreditNote prints a credit note.
func (Printer) CreditNote(n billing.CreditNote) ([]byte, error) {
	d, err := begin("Credit note "+n.Number, n.Currency, n.IssuedAt, names(n.Seller, n.Buyer)...)
	if err != nil {
		return nil, err
	}
	d.parties(n.Seller, n.Buyer)
	d.text(20, "B", "Credit note "+n.Number)
	d.text(10, "", "Date: "+date(n.IssuedAt)+"\nFor invoice: "+n.InvoiceNumber+"\nOrder: "+n.OrderID.String())
	d.gap(6)
	d.pair("B", "Description", "Amount")
	d.rule()
	d.pair("", "Refund of invoice "+n.InvoiceNumber, d.money(n.Total))
	d.rule()
	if n.Tax > 0 {
		d.pair("", "Includes tax", d.money(n.Tax))
	}
	d.pair("B", "Total credited", d.money(n.Total))
	return d.done("credit note " + n.Number)
}
