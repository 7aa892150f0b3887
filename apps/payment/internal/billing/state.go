// Package billing is who may buy what at which price, and what follows: checkout
// sessions, orders, payments, invoices, refunds, subscriptions, seats of
// organisations, the rights that enrollment is told of, and the ledger in which it
// all adds up (rules 33–35). It decides; storage, providers and neighbours are
// interfaces.
package billing

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"

	"lms/shared/apperr"
)

// machine is a state that says which states may follow it; "" is before the row is
// there. The database holds the same table (state_moves) and refuses every other
// step; a test compares the two.
type machine[S any] interface {
	~string
	next() []S
}

// Status is a state that can only be moved along its machine.
type Status[S machine[S]] struct{ at S }

// Begin is the state of something new.
func Begin[S machine[S]](s S) Status[S] {
	var none S
	if !slices.Contains(none.next(), s) {
		panic(fmt.Sprintf("billing: nothing begins as %q", string(s)))
	}
	return Status[S]{s}
}

// At is the present state.
func (s Status[S]) At() S { return s.at }

// Is says whether the present state is one of some.
func (s Status[S]) Is(some ...S) bool { return slices.Contains(some, s.at) }

// To moves on, or is 409 `invalid_state`.
func (s *Status[S]) To(next S) error {
	if !slices.Contains(s.at.next(), next) {
		return apperr.Conflict("invalid_state", "This is not possible in the present state.").Detail("state", string(s.at)).Detail("wanted", string(next))
	}
	s.at = next
	return nil
}

// Scan implements sql.Scanner.
func (s *Status[S]) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("state: cannot read %T", v)
	}
	s.at = S(text)
	return nil
}

// Value implements driver.Valuer.
func (s Status[S]) Value() (driver.Value, error) { return string(s.at), nil }

// MarshalJSON writes the state's name.
func (s Status[S]) MarshalJSON() ([]byte, error) { return json.Marshal(string(s.at)) }

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Status[S]) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	s.at = S(text)
	return nil
}

// PlanState is whether a plan can be bought.
type PlanState string

// States of a plan.
const (
	PlanActive   PlanState = "active"
	PlanArchived PlanState = "archived"
)

func (s PlanState) next() []PlanState {
	return map[PlanState][]PlanState{"": {PlanActive}, PlanActive: {PlanArchived}, PlanArchived: {PlanActive}}[s]
}

// CouponState is whether a coupon can be used.
type CouponState string

// States of a coupon.
const (
	CouponActive   CouponState = "active"
	CouponArchived CouponState = "archived"
)

func (s CouponState) next() []CouponState {
	return map[CouponState][]CouponState{"": {CouponActive}, CouponActive: {CouponArchived}, CouponArchived: {CouponActive}}[s]
}

// UseState is what became of a coupon's use.
type UseState string

// States of a use.
const (
	UseReserved UseState = "reserved"
	UseRedeemed UseState = "redeemed"
	UseReleased UseState = "released"
)

func (s UseState) next() []UseState {
	return map[UseState][]UseState{"": {UseReserved}, UseReserved: {UseRedeemed, UseReleased}, UseReleased: {UseReserved}}[s]
}

// HoldState is what is known of a seat held for a session (rule 35).
type HoldState string

// States of a hold.
const (
	HoldAsked    HoldState = "asked"
	HoldHeld     HoldState = "held"
	HoldRefused  HoldState = "refused"
	HoldReleased HoldState = "released"
	HoldUsed     HoldState = "used"
)

func (s HoldState) next() []HoldState {
	return map[HoldState][]HoldState{
		"": {HoldAsked}, HoldAsked: {HoldHeld, HoldRefused, HoldReleased}, HoldHeld: {HoldReleased, HoldUsed}, HoldReleased: {HoldUsed},
	}[s]
}

// CheckoutState is where a checkout session stands.
type CheckoutState string

// States of a session. Preparing: seats are being held, the page is being made.
const (
	CheckoutPreparing CheckoutState = "preparing"
	CheckoutOpen      CheckoutState = "open"
	CheckoutCompleted CheckoutState = "completed"
	CheckoutExpired   CheckoutState = "expired"
	CheckoutRefused   CheckoutState = "refused"
)

func (s CheckoutState) next() []CheckoutState {
	return map[CheckoutState][]CheckoutState{
		"":                {CheckoutPreparing},
		CheckoutPreparing: {CheckoutOpen, CheckoutRefused, CheckoutExpired, CheckoutCompleted},
		CheckoutOpen:      {CheckoutCompleted, CheckoutExpired},
		CheckoutExpired:   {CheckoutCompleted}, // paid after all: rule 35
	}[s]
}

// OrderState is where an order stands.
type OrderState string

// States of an order. Paying: some instalments are paid.
const (
	OrderPending           OrderState = "pending"
	OrderPaying            OrderState = "paying"
	OrderPaid              OrderState = "paid"
	OrderCanceled          OrderState = "canceled"
	OrderDefaulted         OrderState = "defaulted"
	OrderPartiallyRefunded OrderState = "partially_refunded"
	OrderRefunded          OrderState = "refunded"
)

func (s OrderState) next() []OrderState {
	return map[OrderState][]OrderState{
		"":                     {OrderPending},
		OrderPending:           {OrderPaying, OrderPaid, OrderCanceled},
		OrderCanceled:          {OrderPaying, OrderPaid},
		OrderPaying:            {OrderPaid, OrderDefaulted, OrderRefunded},
		OrderPaid:              {OrderPartiallyRefunded, OrderRefunded},
		OrderPartiallyRefunded: {OrderRefunded},
		OrderDefaulted:         {OrderRefunded},
	}[s]
}

// InstalmentState is where an instalment stands.
type InstalmentState string

// States of an instalment.
const (
	InstalmentScheduled InstalmentState = "scheduled"
	InstalmentPaid      InstalmentState = "paid"
	InstalmentPastDue   InstalmentState = "past_due"
	InstalmentCanceled  InstalmentState = "canceled"
)

func (s InstalmentState) next() []InstalmentState {
	return map[InstalmentState][]InstalmentState{
		"":                  {InstalmentScheduled},
		InstalmentScheduled: {InstalmentPaid, InstalmentPastDue, InstalmentCanceled},
		InstalmentPastDue:   {InstalmentPaid, InstalmentCanceled},
	}[s]
}

// RefundState is where a refund stands.
type RefundState string

// States of a refund.
const (
	RefundPending   RefundState = "pending"
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed"
)

func (s RefundState) next() []RefundState {
	return map[RefundState][]RefundState{"": {RefundPending}, RefundPending: {RefundSucceeded, RefundFailed}}[s]
}

// EntitlementState is whether a right holds.
type EntitlementState string

// States of an entitlement.
const (
	EntitlementGranted EntitlementState = "granted"
	EntitlementRevoked EntitlementState = "revoked"
)

func (s EntitlementState) next() []EntitlementState {
	return map[EntitlementState][]EntitlementState{"": {EntitlementGranted}, EntitlementGranted: {EntitlementRevoked}}[s]
}

// SubscriptionState is where a subscription stands.
type SubscriptionState string

// States of a subscription.
const (
	SubscriptionTrialing SubscriptionState = "trialing"
	SubscriptionActive   SubscriptionState = "active"
	SubscriptionPastDue  SubscriptionState = "past_due"
	SubscriptionPaused   SubscriptionState = "paused"
	SubscriptionEnded    SubscriptionState = "ended"
)

func (s SubscriptionState) next() []SubscriptionState {
	return map[SubscriptionState][]SubscriptionState{
		"":                   {SubscriptionTrialing, SubscriptionActive},
		SubscriptionTrialing: {SubscriptionActive, SubscriptionPastDue, SubscriptionPaused, SubscriptionEnded},
		SubscriptionActive:   {SubscriptionPastDue, SubscriptionPaused, SubscriptionEnded},
		SubscriptionPastDue:  {SubscriptionActive, SubscriptionPaused, SubscriptionEnded},
		SubscriptionPaused:   {SubscriptionActive, SubscriptionEnded},
	}[s]
}

// PoolState is whether seats of a pool can be given.
type PoolState string

// States of a pool.
const (
	PoolActive PoolState = "active"
	PoolClosed PoolState = "closed"
)

func (s PoolState) next() []PoolState {
	return map[PoolState][]PoolState{"": {PoolActive}, PoolActive: {PoolClosed}}[s]
}

// SeatState is whether a person has a seat.
type SeatState string

// States of a seat.
const (
	SeatAssigned SeatState = "assigned"
	SeatReleased SeatState = "released"
)

func (s SeatState) next() []SeatState {
	return map[SeatState][]SeatState{"": {SeatAssigned}, SeatAssigned: {SeatReleased}}[s]
}

// Move is one allowed step of one machine.
type Move struct{ Machine, From, To string }

// Moves are all steps that are allowed, for the comparison with the database.
func Moves() []Move {
	return slices.Concat(
		moves("plan", PlanState("")), moves("coupon", CouponState("")), moves("coupon_use", UseState("")), moves("hold", HoldState("")),
		moves("checkout", CheckoutState("")), moves("order", OrderState("")), moves("instalment", InstalmentState("")),
		moves("refund", RefundState("")), moves("entitlement", EntitlementState("")), moves("subscription", SubscriptionState("")),
		moves("pool", PoolState("")), moves("seat", SeatState("")),
	)
}

// moves walks a machine from its beginning.
func moves[S machine[S]](name string, begin S) (out []Move) {
	seen := map[string]bool{}
	todo := []S{begin}
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		if seen[string(s)] {
			continue
		}
		seen[string(s)] = true
		for _, n := range s.next() {
			out = append(out, Move{name, string(s), string(n)})
			todo = append(todo, n)
		}
	}
	return out
}
