package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/page"
	"lms/shared/web"
)

// Whose is embedded by a list that shows one's own, or for staff those of others.
type Whose struct {
	UserID   uuid.UUID `query:"user_id" doc:"Of this person, for staff; one's own if left out"`
	Everyone bool      `query:"everyone" doc:"Of everybody, for staff"`
}

// Order is something that is paid for.
type Order struct {
	ID             uuid.UUID  `json:"id"`
	UserID         uuid.UUID  `json:"user_id"`
	OrgUnitID      uuid.UUID  `json:"org_unit_id"`
	PlanID         uuid.UUID  `json:"plan_id"`
	SessionID      *uuid.UUID `json:"checkout_session_id"`
	SubscriptionID *uuid.UUID `json:"subscription_id"`
	ForOrgUnitID   *uuid.UUID `json:"for_org_unit_id"`
	Kind           string     `json:"kind" enum:"purchase,seats,renewal,change"`
	State          string     `json:"state" enum:"pending,paying,paid,canceled,defaulted,partially_refunded,refunded"`
	Description    string     `json:"description"`
	Quantity       int        `json:"quantity"`
	Currency       string     `json:"currency"`
	Subtotal       int64      `json:"subtotal"`
	Discount       int64      `json:"discount"`
	Credit         int64      `json:"credit" doc:"Set off from an earlier period"`
	Tax            int64      `json:"tax"`
	TaxInclusive   bool       `json:"tax_inclusive"`
	TaxLines       []TaxLine  `json:"tax_lines"`
	Total          int64      `json:"total"`
	Paid           int64      `json:"paid"`
	Refunded       int64      `json:"refunded" doc:"Also what is about to be refunded"`
	PeriodStart    *time.Time `json:"period_start"`
	PeriodEnd      *time.Time `json:"period_end"`
	PaidAt         *time.Time `json:"paid_at"`
	CreatedAt      time.Time  `json:"created_at"`
}

func showOrder(o billing.Order) Order {
	return Order{
		ID: o.ID, UserID: o.UserID, OrgUnitID: o.OrgUnitID, PlanID: o.PlanID, SessionID: o.SessionID, SubscriptionID: o.SubscriptionID, ForOrgUnitID: o.ForOrgUnitID,
		Kind: o.Kind, State: string(o.State.At()), Description: o.Description, Quantity: o.Quantity, Currency: o.Currency, Subtotal: o.Subtotal, Discount: o.Discount,
		Credit: o.Credit, Tax: o.Tax, TaxInclusive: o.TaxInclusive, TaxLines: taxLines(o.TaxLines), Total: o.Total, Paid: o.Paid, Refunded: o.Refunded,
		PeriodStart: o.PeriodStart, PeriodEnd: o.PeriodEnd, PaidAt: o.PaidAt, CreatedAt: o.CreatedAt,
	}
}

type listOrdersInput struct {
	web.ByTime
	Whose
	State          string    `query:"state" enum:"pending,paying,paid,canceled,defaulted,partially_refunded,refunded"`
	Kind           string    `query:"kind" enum:"purchase,seats,renewal,change"`
	PlanID         uuid.UUID `query:"plan_id"`
	SubscriptionID uuid.UUID `query:"subscription_id"`
}

func (a *API) listOrders(ctx context.Context, in *listOrdersInput) (*web.List[Order], error) {
	f := billing.OrderFilter{State: in.State, Kind: in.Kind, PlanID: given(in.PlanID), SubscriptionID: given(in.SubscriptionID)}
	p, err := a.Service.Orders(ctx, web.Actor(ctx), given(in.UserID), in.Everyone, f, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showOrder), nil
}

func (a *API) getOrder(ctx context.Context, in *web.ByID) (*web.Resource[Order], error) {
	o, err := a.Service.Order(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showOrder(o), o.Version), nil
}

// Due is a part of an order with its time.
type Due struct {
	N         int        `json:"n"`
	Amount    int64      `json:"amount"`
	DueAt     time.Time  `json:"due_at"`
	State     string     `json:"state" enum:"scheduled,paid,past_due,canceled"`
	PaidAt    *time.Time `json:"paid_at"`
	NextTryAt *time.Time `json:"next_try_at"`
}

func (a *API) schedule(ctx context.Context, in *web.ByID) (*web.List[Due], error) {
	o, list, err := a.Service.Schedule(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := page.Page[Due]{}
	for _, i := range list {
		out.Items = append(out.Items, Due{i.N, i.Amount, i.DueAt, string(i.State.At()), i.PaidAt, i.NextTryAt})
	}
	if len(list) == 0 {
		d := Due{N: 1, Amount: o.Total, DueAt: o.CreatedAt, State: "scheduled", PaidAt: o.PaidAt}
		switch {
		case o.PaidAt != nil:
			d.State = "paid"
		case o.State.Is(billing.OrderCanceled):
			d.State = "canceled"
		}
		out.Items = append(out.Items, d)
	}
	return web.ListOf(out, func(d Due) Due { return d }), nil
}

// Refund is money that goes back.
type Refund struct {
	ID          uuid.UUID  `json:"id"`
	OrderID     uuid.UUID  `json:"order_id"`
	Kind        string     `json:"kind" enum:"self_service,staff,automatic"`
	State       string     `json:"state" enum:"pending,succeeded,failed"`
	Amount      int64      `json:"amount"`
	Tax         int64      `json:"tax"`
	Currency    string     `json:"currency"`
	Reason      string     `json:"reason"`
	EndsAccess  bool       `json:"ends_access"`
	Failure     string     `json:"failure,omitempty"`
	CompletedAt *time.Time `json:"completed_at"`
	CreatedAt   time.Time  `json:"created_at"`
}

func showRefund(r billing.Refund) Refund {
	return Refund{
		ID: r.ID, OrderID: r.OrderID, Kind: r.Kind, State: string(r.State.At()), Amount: r.Amount, Tax: r.Tax, Currency: r.Currency, Reason: r.Reason,
		EndsAccess: r.EndAccess, Failure: r.Failure, CompletedAt: r.CompletedAt, CreatedAt: r.CreatedAt,
	}
}

type createRefundInput struct {
	web.ByID
	Body struct {
		Amount     *int64 `json:"amount,omitempty" minimum:"1" doc:"All that is left if left out; a part only by staff"`
		Reason     string `json:"reason" minLength:"1" maxLength:"100"`
		Note       string `json:"note,omitempty" maxLength:"1000"`
		EndsAccess *bool  `json:"ends_access,omitempty" doc:"By staff: whether the access ends; by rule 33 if left out"`
	}
}

func (a *API) createRefund(ctx context.Context, in *createRefundInput) (*web.Resource[Refund], error) {
	b := in.Body
	r, err := a.Service.RequestRefund(ctx, web.Actor(ctx), billing.NewRefund{OrderID: in.ID, Amount: b.Amount, Reason: b.Reason, Note: b.Note, EndAccess: b.EndsAccess})
	if err != nil {
		return nil, err
	}
	return web.Created(showRefund(r), r.Version, "/api/v1/refunds/"+r.ID.String()), nil
}

type listRefundsInput struct {
	web.ByID
	web.ByTime
}

func (a *API) listRefunds(ctx context.Context, in *listRefundsInput) (*web.List[Refund], error) {
	p, err := a.Service.RefundsOfOrder(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showRefund), nil
}

func (a *API) getRefund(ctx context.Context, in *web.ByID) (*web.Resource[Refund], error) {
	r, err := a.Service.Refund(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showRefund(r), r.Version), nil
}

// Entitlement is a right to be in a course.
type Entitlement struct {
	ID             uuid.UUID  `json:"id"`
	UserID         uuid.UUID  `json:"user_id"`
	CourseID       uuid.UUID  `json:"course_id"`
	PlanID         uuid.UUID  `json:"plan_id"`
	OrderID        *uuid.UUID `json:"order_id"`
	SubscriptionID *uuid.UUID `json:"subscription_id"`
	State          string     `json:"state" enum:"granted,revoked"`
	Reason         string     `json:"reason,omitempty" doc:"Why it ended"`
	ValidFrom      time.Time  `json:"valid_from"`
	ValidUntil     *time.Time `json:"valid_until"`
	Enrolled       bool       `json:"enrolled" doc:"Enrollment has taken a seat for it"`
	Refusal        string     `json:"refusal,omitempty" doc:"Why no seat could be taken"`
	EnrollmentID   *uuid.UUID `json:"enrollment_id"`
	CreatedAt      time.Time  `json:"created_at"`
}

func showEntitlement(e billing.Entitlement) Entitlement {
	return Entitlement{
		ID: e.ID, UserID: e.UserID, CourseID: e.CourseID, PlanID: e.PlanID, OrderID: e.OrderID, SubscriptionID: e.SubscriptionID, State: string(e.State.At()),
		Reason: e.Reason, ValidFrom: e.ValidFrom, ValidUntil: e.ValidUntil, Enrolled: e.Told == billing.ToldEnrolled, Refusal: e.Refusal,
		EnrollmentID: e.EnrollmentID, CreatedAt: e.CreatedAt,
	}
}

type listEntitlementsInput struct {
	web.ByTime
	Whose
	CourseID uuid.UUID `query:"course_id"`
	State    string    `query:"state" enum:"granted,revoked"`
}

func (a *API) listEntitlements(ctx context.Context, in *listEntitlementsInput) (*web.List[Entitlement], error) {
	f := billing.EntitlementFilter{CourseID: given(in.CourseID), State: in.State}
	p, err := a.Service.Entitlements(ctx, web.Actor(ctx), given(in.UserID), in.Everyone, f, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showEntitlement), nil
}
