package billing

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/money"
	"lms/shared/contracts/events"
)

// TaxLine is one tax of a sum.
type TaxLine struct {
	Name   string     `json:"name"`
	Rate   money.Rate `json:"rate"`
	Amount int64      `json:"amount"`
}

// Part is one instalment of a quote.
type Part struct {
	N      int       `json:"n"`
	Amount int64     `json:"amount"`
	DueAt  time.Time `json:"due_at"`
}

// Quote is what something costs, in minor units: Total = Subtotal − Discount − Credit,
// and Tax on top where prices are without it. Rounding happens once, at the sum of all
// taxes; TaxLines split it.
type Quote struct {
	PriceID      uuid.UUID  `json:"price_id"`
	Currency     string     `json:"currency"`
	Quantity     int        `json:"quantity"`
	UnitAmount   int64      `json:"unit_amount"`
	Subtotal     int64      `json:"subtotal"`
	Discount     int64      `json:"discount"`
	Credit       int64      `json:"credit"`
	Tax          int64      `json:"tax"`
	TaxInclusive bool       `json:"tax_inclusive"`
	TaxLines     []TaxLine  `json:"tax_lines"`
	Total        int64      `json:"total"`
	DueNow       int64      `json:"due_now"`
	Parts        []Part     `json:"parts"`
	TrialUntil   *time.Time `json:"trial_until"`
	CouponID     *uuid.UUID `json:"coupon_id"`
}

// taxed fills in tax and total from what stands above them.
func (q *Quote) taxed(rule *TaxRule) {
	q.TaxLines = []TaxLine{}
	base := q.Subtotal - q.Discount - q.Credit
	q.Total = base
	if rule == nil {
		return
	}
	var rate money.Rate
	weights := make([]int64, len(rule.Components))
	for i, c := range rule.Components {
		rate += c.Rate
		weights[i] = int64(c.Rate)
	}
	if q.TaxInclusive {
		q.Tax = rate.Within(base)
	} else {
		q.Tax = rate.Of(base)
		q.Total += q.Tax
	}
	for i, amount := range money.Allocate(q.Tax, weights) {
		q.TaxLines = append(q.TaxLines, TaxLine{rule.Components[i].Name, rule.Components[i].Rate, amount})
	}
}

// Ask is what a price is asked for.
type Ask struct {
	Plan     Plan
	Price    Price
	Quantity int
	Coupon   *Coupon
	Tax      *TaxRule
	Credit   int64
	At       time.Time
}

// NewQuote computes a price.
func NewQuote(a Ask) Quote {
	q := Quote{
		PriceID: a.Price.ID, Currency: a.Price.Currency, Quantity: a.Quantity, UnitAmount: a.Price.Amount,
		Subtotal: a.Price.Amount * int64(a.Quantity), TaxInclusive: a.Plan.TaxInclusive, Parts: []Part{},
	}
	if a.Coupon != nil {
		q.Discount, q.CouponID = a.Coupon.Off(q.Subtotal), &a.Coupon.ID
	}
	q.Credit = min(a.Credit, q.Subtotal-q.Discount)
	q.taxed(a.Tax)
	q.DueNow = q.Total
	switch {
	case a.Plan.Kind == events.PlanInstalments && q.Total > 0:
		for i, amount := range money.Even(q.Total, a.Plan.Instalments) {
			q.Parts = append(q.Parts, Part{N: i + 1, Amount: amount, DueAt: a.Plan.Period().After(a.At, i)})
		}
		q.DueNow = q.Parts[0].Amount
	case a.Plan.Kind == events.PlanSubscription && a.Plan.TrialDays > 0:
		until := a.At.AddDate(0, 0, a.Plan.TrialDays)
		q.TrialUntil, q.DueNow = &until, 0
	}
	return q
}
