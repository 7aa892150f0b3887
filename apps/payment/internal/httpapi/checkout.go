package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/web"
)

// Billing is who an invoice is made out to.
type Billing struct {
	Name    string `json:"name,omitempty" maxLength:"200" doc:"The buyer's own name if left out"`
	Company string `json:"company,omitempty" maxLength:"200"`
	Address string `json:"address,omitempty" maxLength:"1000"`
	Country string `json:"country,omitempty" pattern:"^([A-Z]{2})?$" doc:"ISO 3166-1; decides the tax, the seller's if left out"`
	Region  string `json:"region,omitempty" pattern:"^[A-Z0-9]{0,6}$"`
	TaxID   string `json:"tax_id,omitempty" maxLength:"60"`
}

func billingOf(b *Billing) billing.Billing {
	if b == nil {
		return billing.Billing{}
	}
	return billing.Billing(*b)
}

// TaxLine is one tax of a sum.
type TaxLine struct {
	Name    string `json:"name"`
	Percent string `json:"percent"`
	Amount  int64  `json:"amount"`
}

func taxLines(list []billing.TaxLine) []TaxLine {
	out := make([]TaxLine, len(list))
	for i, t := range list {
		out[i] = TaxLine{t.Name, t.Rate.Percent(), t.Amount}
	}
	return out
}

// Part is one instalment.
type Part struct {
	N      int       `json:"n"`
	Amount int64     `json:"amount"`
	DueAt  time.Time `json:"due_at"`
}

// Quote is what something costs, in minor units.
type Quote struct {
	Currency     string     `json:"currency"`
	Quantity     int        `json:"quantity"`
	UnitAmount   int64      `json:"unit_amount"`
	Subtotal     int64      `json:"subtotal"`
	Discount     int64      `json:"discount"`
	Tax          int64      `json:"tax"`
	TaxInclusive bool       `json:"tax_inclusive"`
	TaxLines     []TaxLine  `json:"tax_lines"`
	Total        int64      `json:"total"`
	DueNow       int64      `json:"due_now"`
	Schedule     []Part     `json:"schedule"`
	TrialUntil   *time.Time `json:"trial_until"`
}

func showQuote(q billing.Quote) Quote {
	out := Quote{
		Currency: q.Currency, Quantity: q.Quantity, UnitAmount: q.UnitAmount, Subtotal: q.Subtotal, Discount: q.Discount, Tax: q.Tax, TaxInclusive: q.TaxInclusive,
		TaxLines: taxLines(q.TaxLines), Total: q.Total, DueNow: q.DueNow, Schedule: []Part{}, TrialUntil: q.TrialUntil,
	}
	for _, p := range q.Parts {
		out.Schedule = append(out.Schedule, Part(p))
	}
	return out
}

// Wish is what somebody wants to buy.
type Wish struct {
	PlanID   uuid.UUID `json:"plan_id"`
	Currency string    `json:"currency,omitempty" pattern:"^([A-Z]{3})?$" doc:"The plan's own if left out"`
	Coupon   string    `json:"coupon,omitempty" maxLength:"40"`
	Billing  *Billing  `json:"billing,omitempty"`
}

type quoteInput struct {
	Body struct {
		Wish
		Quantity int `json:"quantity,omitempty" minimum:"1" maximum:"10000" doc:"Seats of an org unit; 1 if left out"`
	}
}

func (a *API) quote(ctx context.Context, in *quoteInput) (*web.Resource[Quote], error) {
	b := in.Body
	q, err := a.Service.PriceQuote(ctx, web.Actor(ctx), billing.QuoteRequest{
		PlanID: b.PlanID, Currency: b.Currency, Quantity: max(b.Quantity, 1), Coupon: b.Coupon, Billing: billingOf(b.Billing),
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showQuote(q), 0), nil
}

// Checkout is a checkout session.
type Checkout struct {
	ID           uuid.UUID  `json:"id"`
	PlanID       uuid.UUID  `json:"plan_id"`
	ForOrgUnitID *uuid.UUID `json:"for_org_unit_id"`
	State        string     `json:"state" enum:"preparing,open,completed,expired,refused"`
	Refusal      string     `json:"refusal,omitempty"`
	Quote        Quote      `json:"quote"`
	URL          string     `json:"url,omitempty" doc:"The page where it is paid, while open"`
	ExpiresAt    time.Time  `json:"expires_at"`
	CompletedAt  *time.Time `json:"completed_at"`
	CreatedAt    time.Time  `json:"created_at"`
}

func showCheckout(c billing.Checkout) Checkout {
	out := Checkout{
		ID: c.ID, PlanID: c.PlanID, ForOrgUnitID: c.ForOrgUnitID, State: string(c.State.At()), Refusal: c.Refusal, Quote: showQuote(c.Quote),
		ExpiresAt: c.ExpiresAt, CompletedAt: c.CompletedAt, CreatedAt: c.CreatedAt,
	}
	if c.State.Is(billing.CheckoutOpen) {
		out.URL = c.URL
	}
	return out
}

// Return is where a buyer goes afterwards.
type Return struct {
	SuccessURL string `json:"success_url,omitempty" maxLength:"2000" doc:"Where the buyer goes after paying"`
	CancelURL  string `json:"cancel_url,omitempty" maxLength:"2000"`
}

// CheckoutBody asks for a payment page.
type CheckoutBody struct {
	Wish
	Return
	ExpectedTotal *int64 `json:"expected_total,omitempty" doc:"409 price_changed if it costs something else by now"`
}

type startCheckoutInput struct {
	Body CheckoutBody
}

func (b CheckoutBody) wanted() billing.NewCheckout {
	return billing.NewCheckout{
		PlanID: b.PlanID, Currency: b.Currency, Quantity: 1, Coupon: b.Coupon, Billing: billingOf(b.Billing), SuccessURL: b.SuccessURL, CancelURL: b.CancelURL,
		ExpectedTotal: b.ExpectedTotal,
	}
}

func (a *API) startCheckout(ctx context.Context, in *startCheckoutInput) (*web.Resource[Checkout], error) {
	return a.start(ctx, in.Body.wanted())
}

func (a *API) start(ctx context.Context, in billing.NewCheckout) (*web.Resource[Checkout], error) {
	c, err := a.Service.StartCheckout(ctx, web.Actor(ctx), in)
	if err != nil {
		return nil, err
	}
	return web.Created(showCheckout(c), c.Version, "/api/v1/checkout-sessions/"+c.ID.String()), nil
}

func (a *API) getCheckout(ctx context.Context, in *web.ByID) (*web.Resource[Checkout], error) {
	c, err := a.Service.Checkout(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showCheckout(c), c.Version), nil
}

func (a *API) expireCheckout(ctx context.Context, in *web.ByID) (*web.Resource[Checkout], error) {
	c, err := a.Service.ExpireCheckout(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showCheckout(c), c.Version), nil
}

// webhook gives the domain the bytes as they came.
func (a *API) webhook(w http.ResponseWriter, r *http.Request) error {
	outcome, err := a.Service.Webhook(r.Context(), web.PathParam(r, "provider"), r.Header.Get, web.RawBody(r.Context()))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]string{"outcome": outcome})
}

// PaymentMethod is a saved way to pay.
type PaymentMethod struct {
	ID        uuid.UUID `json:"id"`
	Brand     string    `json:"brand"`
	Last4     string    `json:"last4"`
	Preferred bool      `json:"preferred" doc:"The one that is charged"`
	CreatedAt time.Time `json:"created_at"`
}

func showMethod(m billing.PaymentMethod) PaymentMethod {
	return PaymentMethod{ID: m.ID, Brand: m.Brand, Last4: m.Last4, Preferred: m.Preferred, CreatedAt: m.CreatedAt}
}

func (a *API) listMethods(ctx context.Context, in *web.ByTime) (*web.List[PaymentMethod], error) {
	p, err := a.Service.Methods(ctx, web.Actor(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showMethod), nil
}

type addMethodInput struct {
	Body *Return
}

// SetupPage is where a way to pay is saved.
type SetupPage struct {
	URL string `json:"url"`
}

func (a *API) addMethod(ctx context.Context, in *addMethodInput) (*web.Resource[SetupPage], error) {
	b := Return{}
	if in.Body != nil {
		b = *in.Body
	}
	page, err := a.Service.SetupMethod(ctx, web.Actor(ctx), b.SuccessURL, b.CancelURL)
	if err != nil {
		return nil, err
	}
	return web.Created(SetupPage{page.URL}, 0, ""), nil
}

func (a *API) removeMethod(ctx context.Context, in *web.ByID) (*web.Empty, error) {
	return nil, a.Service.RemoveMethod(ctx, web.Actor(ctx), in.ID)
}
