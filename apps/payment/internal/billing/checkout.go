package billing

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// NewCheckout asks for a payment page.
type NewCheckout struct {
	PlanID        uuid.UUID
	Currency      string // the plan's own if empty
	Quantity      int    // seats; 1 for a person
	Coupon        string
	Billing       Billing
	ForOrgUnitID  *uuid.UUID
	SuccessURL    string
	CancelURL     string
	ExpectedTotal *int64
}

// MaxSeats is how many seats one order may buy.
const MaxSeats = 10_000

// started is what a repeated request finds again.
type started struct {
	SessionID uuid.UUID   `json:"session_id"`
	Calls     []uuid.UUID `json:"-"` // only the process that made them can wait
}

// StartCheckout holds the seats, reserves the coupon and makes the payment page. The
// answer is open with an address, completed where nothing is to be paid, or preparing
// while enrollment does not answer. Refusals are 409 with enrollment's code (rule 35).
func (s *Service) StartCheckout(ctx context.Context, actor authz.Principal, in NewCheckout) (Checkout, error) {
	var f apperr.Fields
	s.checkReturn(&f, "success_url", in.SuccessURL)
	s.checkReturn(&f, "cancel_url", in.CancelURL)
	checkBilling(&f, in.Billing)
	f.Require(in.Quantity >= 1 && in.Quantity <= MaxSeats, "quantity", "range", "From 1 to 10,000.")
	f.Require(in.ForOrgUnitID != nil || in.Quantity == 1, "quantity", "not_here", "More than one only for an org unit.")
	if err := f.Err(); err != nil {
		return Checkout{}, err
	}
	if in.ForOrgUnitID != nil {
		if err := s.may(ctx, actor, authz.SeatManage, *in.ForOrgUnitID, false, "org unit"); err != nil {
			return Checkout{}, err
		}
	}
	if in.Billing.Name == "" {
		cards, err := s.People.Cards(ctx, []uuid.UUID{actor.UserID})
		if err != nil {
			return Checkout{}, err
		}
		in.Billing.Name = cards[actor.UserID].Name
	}
	var out started
	err := s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() (err error) {
			out, err = s.prepare(ctx, tx, actor, in)
			return err
		})
	})
	if err != nil {
		return Checkout{}, err
	}
	for _, call := range out.Calls {
		s.Calls.Settled(ctx, call, s.Settings.WaitFor)
	}
	return s.advance(ctx, out.SessionID)
}

func (s *Service) checkReturn(f *apperr.Fields, path, raw string) {
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	ok := err == nil && len(raw) <= 2000 && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
	if ok {
		origin := u.Scheme + "://" + u.Host
		ok = slices.Contains(s.Settings.ReturnOrigins, origin) || sameOrigin(s.Settings.PublicURL, origin)
	}
	f.Require(ok, path, "url", "An address at an origin that buyers may be sent back to.")
}

func sameOrigin(public, origin string) bool {
	u, err := url.Parse(public)
	return err == nil && u.Scheme+"://"+u.Host == origin
}

func checkBilling(f *apperr.Fields, b Billing) {
	text(f, "billing.name", b.Name, 0, maxName)
	text(f, "billing.company", b.Company, 0, maxName)
	text(f, "billing.address", b.Address, 0, maxAddress)
	text(f, "billing.tax_id", b.TaxID, 0, 60)
	f.Require(b.Country == "" || countryPattern.MatchString(b.Country), "billing.country", "pattern", "An ISO 3166-1 code of two letters, such as DE.")
	f.Require(regionPattern.MatchString(b.Region), "billing.region", "pattern", "The part of an ISO 3166-2 code after the hyphen, such as QC.")
}

// prepare writes a session, and asks enrollment for the seats.
func (s *Service) prepare(ctx context.Context, tx Tx, actor authz.Principal, in NewCheckout) (started, error) {
	now := s.Now()
	plan, err := tx.Plan(ctx, in.PlanID)
	if err != nil {
		return started{}, err
	}
	if !plan.State.Is(PlanActive) {
		return started{}, apperr.NotFound("plan")
	}
	if !plan.OnSale() {
		return started{}, errNotOnSale
	}
	replaced, err := s.mayBuy(ctx, tx, actor, plan, in.ForOrgUnitID, now)
	if err != nil {
		return started{}, err
	}
	q, coupon, err := s.quote(ctx, tx, plan, in.Currency, in.Quantity, in.Coupon, in.Billing, now)
	if err != nil {
		return started{}, err
	}
	if in.ExpectedTotal != nil && *in.ExpectedTotal != q.Total {
		return started{}, apperr.Conflict("price_changed", "It costs something else by now.").Detail("total", q.Total).Detail("currency", q.Currency)
	}
	c := Checkout{
		ID: s.NewID(), TenantID: plan.TenantID, OrgUnitID: plan.OrgUnitID, UserID: actor.UserID, PlanID: plan.ID, ForOrgUnitID: in.ForOrgUnitID,
		Mode: provider.ModePayment, Quote: q, Currency: q.Currency, Total: q.Total, DueNow: q.DueNow, CouponID: q.CouponID, Billing: in.Billing,
		State: Begin(CheckoutPreparing), Missing: []uuid.UUID{}, Provider: s.Provider.Name(), SuccessURL: in.SuccessURL, CancelURL: in.CancelURL,
		ExpiresAt: now.Add(s.Settings.SessionFor), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if plan.Kind == events.PlanSubscription && q.DueNow == 0 && q.UnitAmount > 0 {
		c.Mode = provider.ModeSetup // nothing now, but later
	}
	if c.DueNow > 0 || c.Mode == provider.ModeSetup {
		if err := s.takesPayments(); err != nil {
			return started{}, err
		}
	}
	if c.SuccessURL == "" {
		c.SuccessURL = s.Settings.PublicURL + "/"
	}
	if c.CancelURL == "" {
		c.CancelURL = s.Settings.PublicURL + "/"
	}
	if err := tx.InsertCheckout(ctx, c); err != nil {
		return started{}, err
	}
	if coupon != nil {
		if err := tx.ReserveCoupon(ctx, *coupon, c.ID, c.UserID, now); err != nil {
			return started{}, err
		}
	}
	out := started{SessionID: c.ID}
	if in.ForOrgUnitID == nil {
		out.Calls, err = s.askSeats(ctx, tx, c, plan, replaced)
	}
	if err != nil {
		return started{}, err
	}
	return out, audit(ctx, tx, "checkout.start", "checkout_session", c.ID, c.TenantID, c.OrgUnitID, nil)
}

// takesPayments refuses what costs money before a seat is held for it, where nobody
// takes money.
func (s *Service) takesPayments() error {
	if s.Provider.Name() == provider.NoneName {
		return apperr.Conflict("payments_unavailable", "Nothing can be paid here: this installation takes no payments.")
	}
	return nil
}

// mayBuy refuses who has it already, and gives up what the person left open before:
// the newest page counts. The seats of that go over to the newer one, by course.
func (s *Service) mayBuy(ctx context.Context, tx Tx, actor authz.Principal, plan Plan, unit *uuid.UUID, now time.Time) (map[uuid.UUID][]uuid.UUID, error) {
	if unit != nil {
		if !plan.ForOrgUnits {
			return nil, apperr.Invalid(apperr.Field{Path: "plan_id", Code: "not_for_org_units", Message: "The plan is for people only."})
		}
		return nil, nil
	}
	if !plan.ForPeople {
		return nil, apperr.Invalid(apperr.Field{Path: "plan_id", Code: "not_for_people", Message: "The plan is for org units only."})
	}
	running, err := tx.RunningSubscription(ctx, actor.UserID, plan.ID)
	if err != nil {
		return nil, err
	}
	if running != nil {
		return nil, apperr.Conflict("already_subscribed", "You have this subscription already.").Detail("subscription_id", running.ID)
	}
	has, err := tx.Entitled(ctx, actor.UserID, plan.CourseIDs(), now)
	if err != nil {
		return nil, err
	}
	if len(has) == len(plan.Courses) {
		return nil, apperr.Conflict("already_entitled", "You have all of this already.").Detail("course_ids", has)
	}
	open, err := tx.RunningCheckouts(ctx, actor.UserID, plan.ID)
	if err != nil {
		return nil, err
	}
	replaced := map[uuid.UUID][]uuid.UUID{}
	for i := range open {
		if err := s.handOver(ctx, tx, open[i], plan, replaced); err != nil {
			return nil, err
		}
		if err := s.giveUp(ctx, tx, &open[i], plan, "canceled"); err != nil {
			return nil, err
		}
	}
	return replaced, nil
}

// advance brings a prepared session to its page, or says why there is none. It may
// be called again at any time.
func (s *Service) advance(ctx context.Context, id uuid.UUID) (c Checkout, err error) {
	var plan Plan
	ready := false
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		if c, err = tx.Checkout(ctx, id); err != nil {
			return err
		}
		if plan, err = tx.Plan(ctx, c.PlanID); err != nil {
			return err
		}
		holds, err := tx.Holds(ctx, id)
		ready = !slices.ContainsFunc(holds, func(h Hold) bool { return !h.State.Is(HoldHeld) })
		return err
	})
	if err != nil {
		return c, err
	}
	switch {
	case c.State.Is(CheckoutRefused):
		return c, refused(c)
	case !c.State.Is(CheckoutPreparing) || !ready:
		return c, nil
	case c.DueNow == 0 && c.Mode == provider.ModePayment:
		return s.open(ctx, id, provider.Session{}, true)
	}
	page, err := s.Provider.CreateSession(ctx, provider.NewSession{
		Reference: c.ID.String(), Mode: c.Mode, Customer: c.UserID.String(), Description: plan.Name, Amount: c.DueNow, Currency: c.Currency,
		SaveMethod: plan.Kind != events.PlanOneOff, SuccessURL: c.SuccessURL, CancelURL: c.CancelURL, ExpiresAt: c.ExpiresAt,
		Metadata: provider.Metadata{TenantID: c.TenantID.String(), SessionID: c.ID.String()},
	})
	if err != nil {
		return c, err
	}
	return s.open(ctx, id, page, false)
}

func refused(c Checkout) error {
	e := apperr.Conflict(c.Refusal, "You cannot be taken into the course at the moment.")
	if c.Refusal == "course_full" {
		e = apperr.Conflict(c.Refusal, "The course has no free seat.")
	}
	if len(c.Missing) > 0 {
		e = e.Detail("missing", c.Missing)
	}
	return e.Detail("checkout_session_id", c.ID)
}

// open makes the order and opens the session; what costs nothing is completed at
// once.
func (s *Service) open(ctx context.Context, id uuid.UUID, page provider.Session, free bool) (c Checkout, err error) {
	err = s.system(ctx, func(ctx context.Context, tx Tx) error {
		if c, err = tx.LockCheckout(ctx, id); err != nil {
			return err
		}
		if !c.State.Is(CheckoutPreparing) {
			return nil // somebody else was faster
		}
		plan, err := tx.Plan(ctx, c.PlanID)
		if err != nil {
			return err
		}
		c.ProviderSession, c.URL, c.UpdatedAt = page.ID, page.URL, s.Now()
		if c.Quote.TrialUntil == nil {
			if err := s.orderOf(ctx, tx, c, plan); err != nil {
				return err
			}
		}
		e := checkoutEvent(c, plan)
		if err := emit(ctx, tx, events.CheckoutStarted{CheckoutState: e}, e.Commerce); err != nil {
			return err
		}
		if free {
			return s.complete(ctx, tx, &c, plan, nil, nil)
		}
		if err := c.State.To(CheckoutOpen); err != nil {
			return err
		}
		return tx.UpdateCheckout(ctx, &c)
	})
	if err == nil && c.State.Is(CheckoutRefused) {
		err = refused(c)
	}
	return c, err
}

// orderOf writes the order of a session, to be paid for.
func (s *Service) orderOf(ctx context.Context, tx Tx, c Checkout, plan Plan) error {
	now := s.Now()
	o := newOrder(s.NewID(), plan, c.Quote, c.Billing, now)
	o.UserID, o.SessionID, o.ForOrgUnitID, o.Kind = c.UserID, &c.ID, c.ForOrgUnitID, events.OrderPurchase
	if c.ForOrgUnitID != nil {
		o.Kind = events.OrderSeats
	}
	if err := tx.InsertOrder(ctx, o); err != nil {
		return err
	}
	if len(c.Quote.Parts) > 0 {
		list := make([]Instalment, len(c.Quote.Parts))
		for i, p := range c.Quote.Parts {
			list[i] = Instalment{OrderID: o.ID, N: p.N, TenantID: o.TenantID, Amount: p.Amount, DueAt: p.DueAt, State: Begin(InstalmentScheduled)}
		}
		if err := tx.InsertInstalments(ctx, list); err != nil {
			return err
		}
	}
	e := orderEvent(o, plan, o.Total, o.Tax, now)
	return emit(ctx, tx, events.OrderCreated{OrderState: e}, e.Commerce)
}
