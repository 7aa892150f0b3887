package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicPayment is the topic of every event of the payment service.
const TopicPayment = "payment.events"

func examplePaymentID(last byte) uuid.UUID {
	id := uuid.MustParse("0197e2d0-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleCommerce() Commerce {
	at := time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)
	return Commerce{
		TenantID: examplePaymentID(2), OrgUnitID: examplePaymentID(3), UserID: examplePaymentID(5), PlanID: examplePaymentID(6),
		PlanName: "Introduction to biology", PlanKind: PlanOneOff, CourseID: examplePaymentID(4), CourseTitle: "Introduction to biology",
		CourseIDs: []uuid.UUID{examplePaymentID(4)}, Quantity: 1, Currency: "EUR", Amount: 11900, Tax: 1900, At: at,
	}
}

func exampleOrder(state string, paid, refunded int64) OrderState {
	return OrderState{
		Commerce: exampleCommerce(), OrderID: examplePaymentID(8), OrderKind: OrderPurchase, State: state,
		Total: 11900, Paid: paid, Refunded: refunded,
	}
}

func exampleSubscription(state string) SubscriptionState {
	c := exampleCommerce()
	start := c.At
	end := start.AddDate(0, 1, 0)
	c.PlanKind, c.PeriodStart, c.PeriodEnd = PlanSubscription, &start, &end
	return SubscriptionState{
		Commerce: c, SubscriptionID: examplePaymentID(9), State: state, PeriodUnit: "month", PeriodCount: 1, NextActionAt: &end,
	}
}

func paymentEvents() []Definition {
	c := exampleCommerce()
	in := c.At.Add(72 * time.Hour)
	order := examplePaymentID(8)
	plan := PlanState{
		PlanID: c.PlanID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, LegalEntityID: examplePaymentID(7), Name: c.PlanName,
		Kind: PlanOneOff, State: "active", CourseIDs: c.CourseIDs,
		Prices: []PlanPrice{{PriceID: examplePaymentID(10), Currency: "EUR", Amount: 10000}}, At: c.At, Version: 1,
	}
	checkout := CheckoutState{Commerce: c, SessionID: examplePaymentID(1), ExpiresAt: c.At.Add(30 * time.Minute)}
	entitlement := EntitlementState{Commerce: c, EntitlementID: examplePaymentID(11), State: "granted", OrderID: &order, ValidFrom: c.At}
	revoked := entitlement
	revoked.State = "revoked"
	changed := entitlement
	changed.ValidUntil = &in
	seats := SeatsState{Commerce: c, PoolID: examplePaymentID(12), OrderID: order, ForOrgUnitID: examplePaymentID(3), Seats: 25}
	seats.Quantity = 25
	used := seats
	used.Used = 1
	cancelled, over := exampleSubscription("active"), exampleSubscription("ended")
	cancelled.CancelAtPeriodEnd, over.NextActionAt = true, nil
	paused := exampleSubscription("paused")
	paused.NextActionAt = nil
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicPayment, Summary: summary, Example: e}
	}
	return []Definition{
		{Topic: TopicPayment, Summary: "A plan was made.", State: true, Example: PlanCreated{plan}},
		{Topic: TopicPayment, Summary: "A plan or its prices changed.", State: true, Example: PlanUpdated{plan}},
		fact("A person was sent to the payment page.", CheckoutStarted{checkout}),
		fact("A checkout ended without a payment.", CheckoutExpired{checkout, "expired"}),
		fact("An order was made, to be paid for.", OrderCreated{exampleOrder("pending", 0, 0)}),
		fact("A payment was taken.", PaymentSucceeded{exampleOrder("paid", 11900, 0), examplePaymentID(13), 0}),
		fact("A payment could not be taken.", PaymentFailed{exampleOrder("pending", 0, 0), "card_declined", 0, &in}),
		fact("Money was given back.", PaymentRefunded{exampleOrder("refunded", 11900, 11900), examplePaymentID(14), "self_service", "changed_mind", true}),
		fact("An invoice was issued.", InvoiceIssued{exampleOrder("paid", 11900, 0), examplePaymentID(15), "INV-000042", examplePaymentID(7)}),
		fact("A credit note was issued for a refund.", CreditNoteIssued{exampleOrder("refunded", 11900, 11900), examplePaymentID(16), "CN-000007", examplePaymentID(15), examplePaymentID(7)}),
		fact("A subscription began.", SubscriptionStarted{exampleSubscription("trialing")}),
		fact("The trial of a subscription ends in some days.", SubscriptionTrialEnding{exampleSubscription("trialing")}),
		fact("A further period of a subscription was paid.", SubscriptionRenewed{exampleSubscription("active")}),
		fact("A subscription went on under another plan.", SubscriptionChanged{exampleSubscription("active"), examplePaymentID(17), 9900}),
		fact("A period of a subscription could not be charged.", SubscriptionPastDue{exampleSubscription("past_due"), 1, "insufficient_funds"}),
		fact("A subscription was paused.", SubscriptionPaused{paused}),
		fact("A subscription goes on after a pause or a cancellation.", SubscriptionResumed{exampleSubscription("active")}),
		fact("A subscription was cancelled and ends with its period.", SubscriptionCancelled{cancelled}),
		fact("A subscription is over.", SubscriptionEnded{over, "cancelled"}),
		fact("A person got the right to be in a course.", EntitlementGranted{entitlement}),
		fact("The end of a right to be in a course moved.", EntitlementChanged{changed}),
		fact("A right to be in a course ended.", EntitlementRevoked{revoked, "refund"}),
		fact("An org unit bought seats.", SeatsBought{seats}),
		fact("A person got a seat of an org unit.", SeatAssigned{used}),
		fact("A seat of an org unit is free again.", SeatReleased{seats, "taken_back"}),
	}
}
