package printed

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/payment/internal/billing"
)

func TestDocumentsArePrintedTheSameEachTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)
	end := at.AddDate(0, 1, 0)
	seller := billing.Seller{Name: "Hochschule Übersee", Address: "Kai 1\n20457 Hamburg", Country: "DE", TaxID: "DE123"}
	buyer := billing.Billing{Name: "Đặng Thị Ngọc", Company: "Ωmega 山田", Address: "Ulica 5", Country: "PL"}
	invoice := billing.Invoice{
		ID: uuid.MustParse("0197e2d0-0000-7000-8000-000000000001"), Number: "INV-000042", Seller: seller, Buyer: buyer, Currency: "EUR",
		Lines:    []billing.DocumentLine{{Text: "Введение в биологию", Quantity: 3, UnitAmount: 10000, Amount: 30000}},
		TaxLines: []billing.TaxLine{{Name: "VAT", Rate: 190_000, Amount: 5130}}, Subtotal: 30000, Discount: 3000, Tax: 5130, Total: 32130,
		PeriodStart: &at, PeriodEnd: &end, IssuedAt: at,
	}
	note := billing.CreditNote{Number: "CN-000001", InvoiceNumber: invoice.Number, Seller: seller, Buyer: buyer, Currency: "JPY", Tax: 100, Total: 1100, IssuedAt: at}
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return Printer{}.Invoice(invoice) }, func() ([]byte, error) { return Printer{}.CreditNote(note) },
	} {
		first, err := make()
		require.NoError(t, err)
		second, err := make()
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(first, []byte("%PDF-")))
		require.Equal(t, first, second)
	}
}
