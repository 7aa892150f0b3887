package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/web"
)

// Subscription is a plan that renews itself.
type Subscription struct {
	ID                uuid.UUID  `json:"id"`
	UserID            uuid.UUID  `json:"user_id"`
	PlanID            uuid.UUID  `json:"plan_id"`
	State             string     `json:"state" enum:"trialing,active,past_due,paused,ended"`
	Currency          string     `json:"currency"`
	PeriodStart       time.Time  `json:"period_start"`
	PeriodEnd         time.Time  `json:"period_end"`
	CancelAtPeriodEnd bool       `json:"cancel_at_period_end"`
	CanceledAt        *time.Time `json:"canceled_at"`
	EndedAt           *time.Time `json:"ended_at"`
	EndReason         string     `json:"end_reason,omitempty"`
	Credit            int64      `json:"credit" doc:"Set off against the next periods, in minor units"`
	Attempts          int        `json:"attempts" doc:"Failed tries to charge the period that is due"`
	NextActionAt      *time.Time `json:"next_action_at"`
	CreatedAt         time.Time  `json:"created_at"`
}

func showSubscription(s billing.Subscription) Subscription {
	return Subscription{
		ID: s.ID, UserID: s.UserID, PlanID: s.PlanID, State: string(s.State.At()), Currency: s.Currency, PeriodStart: s.PeriodStart, PeriodEnd: s.PeriodEnd,
		CancelAtPeriodEnd: s.CancelAtPeriodEnd, CanceledAt: s.CanceledAt, EndedAt: s.EndedAt, EndReason: s.EndReason, Credit: s.Credit, Attempts: s.Attempts,
		NextActionAt: s.NextActionAt, CreatedAt: s.CreatedAt,
	}
}

type listSubscriptionsInput struct {
	web.ByTime
	Whose
	State string `query:"state" enum:"trialing,active,past_due,paused,ended"`
}

func (a *API) listSubscriptions(ctx context.Context, in *listSubscriptionsInput) (*web.List[Subscription], error) {
	p, err := a.Service.Subscriptions(ctx, web.Actor(ctx), given(in.UserID), in.Everyone, in.State, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showSubscription), nil
}

func (a *API) getSubscription(ctx context.Context, in *web.ByID) (*web.Resource[Subscription], error) {
	s, _, err := a.Service.Subscription(ctx, web.Actor(ctx), in.ID)
	return subscription(s, err)
}

func subscription(s billing.Subscription, err error) (*web.Resource[Subscription], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showSubscription(s), s.Version), nil
}

func (a *API) cancelSubscription(ctx context.Context, in *web.ByID) (*web.Resource[Subscription], error) {
	return subscription(a.Service.CancelSubscription(ctx, web.Actor(ctx), in.ID))
}

func (a *API) resumeSubscription(ctx context.Context, in *web.ByID) (*web.Resource[Subscription], error) {
	return subscription(a.Service.ResumeSubscription(ctx, web.Actor(ctx), in.ID))
}

type changeInput struct {
	web.ByID
	Body struct {
		PlanID uuid.UUID `json:"plan_id"`
	}
}

func (a *API) changeSubscription(ctx context.Context, in *changeInput) (*web.Resource[Subscription], error) {
	return subscription(a.Service.ChangeSubscription(ctx, web.Actor(ctx), in.ID, in.Body.PlanID))
}

// SeatPool is seats that an org unit has bought.
type SeatPool struct {
	ID         uuid.UUID  `json:"id"`
	OrgUnitID  uuid.UUID  `json:"org_unit_id"`
	PlanID     uuid.UUID  `json:"plan_id"`
	OrderID    uuid.UUID  `json:"order_id"`
	Seats      int        `json:"seats"`
	Used       int        `json:"used"`
	State      string     `json:"state" enum:"active,closed"`
	ValidUntil *time.Time `json:"valid_until"`
	CreatedAt  time.Time  `json:"created_at"`
}

func showPool(p billing.Pool) SeatPool {
	return SeatPool{
		ID: p.ID, OrgUnitID: p.OrgUnitID, PlanID: p.PlanID, OrderID: p.OrderID, Seats: p.Seats, Used: p.Used, State: string(p.State.At()),
		ValidUntil: p.ValidUntil, CreatedAt: p.CreatedAt,
	}
}

type poolsInput struct {
	web.ByID
	web.ByTime
}

func (a *API) listPools(ctx context.Context, in *poolsInput) (*web.List[SeatPool], error) {
	p, err := a.Service.Pools(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showPool), nil
}

type buySeatsInput struct {
	web.ByID
	Body struct {
		CheckoutBody
		Seats int `json:"seats" minimum:"1" maximum:"10000"`
	}
}

func (a *API) buySeats(ctx context.Context, in *buySeatsInput) (*web.Resource[Checkout], error) {
	c := in.Body.wanted()
	c.ForOrgUnitID, c.Quantity = &in.ID, in.Body.Seats
	return a.start(ctx, c)
}

// Seat is a seat that a person has.
type Seat struct {
	ID        uuid.UUID `json:"id"`
	PoolID    uuid.UUID `json:"pool_id"`
	UserID    uuid.UUID `json:"user_id"`
	State     string    `json:"state" enum:"assigned,released"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

type seatInput struct {
	ID     uuid.UUID `path:"id"`
	UserID uuid.UUID `path:"user_id"`
}

func (a *API) assignSeat(ctx context.Context, in *seatInput) (*web.Resource[Seat], error) {
	s, err := a.Service.AssignSeat(ctx, web.Actor(ctx), in.ID, in.UserID)
	if err != nil {
		return nil, err
	}
	return web.Res(Seat{ID: s.ID, PoolID: s.PoolID, UserID: s.UserID, State: string(s.State.At()), Reason: s.Reason, CreatedAt: s.CreatedAt}, 0), nil
}

func (a *API) releaseSeat(ctx context.Context, in *seatInput) (*web.Empty, error) {
	return nil, a.Service.ReleaseSeat(ctx, web.Actor(ctx), in.ID, in.UserID)
}
