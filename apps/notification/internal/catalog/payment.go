package catalog

import (
	"strconv"

	"github.com/google/uuid"

	contract "lms/shared/contracts/events"
)

const groupPayments = "payments"

func paymentKinds() []Kind {
	plan := Variable{Name: "plan", Type: Text, Sample: "Biology, monthly"}
	amount := Variable{Name: "amount", Type: Money, Sample: "4900 EUR"}
	at := func(name string) Variable {
		return Variable{Name: name, Type: Moment, Sample: "2026-03-29T01:30:00Z", Optional: true}
	}
	kind := func(key string, d func() personDefault, vars ...Variable) Kind {
		return Kind{Key: key, Group: groupPayments, Default: d(), Variables: append([]Variable{plan}, vars...)}
	}
	return []Kind{
		kind("payment.succeeded", pressing, amount),
		kind("payment.failed", pressing, amount, at("next_try_at")),
		kind("payment.refunded", pressing, amount, Variable{Name: "access_ends", Type: Text, Sample: "yes", Optional: true}),
		kind("subscription.trial_ending", pressing, amount, at("until")),
		kind("subscription.past_due", pressing, amount, at("next_try_at")),
		kind("subscription.paused", telling),
		kind("subscription.cancelled", telling, at("until")),
		kind("subscription.ended", pressing),
	}
}

// money is minor units with their currency (rule 34).
func money(amount int64, currency string) string {
	return strconv.FormatInt(amount, 10) + " " + currency
}

func paid(kind string, c contract.Commerce, path string, more ...string) []Notice {
	vars := map[string]string{"plan": c.PlanName}
	for i := 0; i+1 < len(more); i += 2 {
		vars[more[i]] = more[i+1]
	}
	return one(kind, c.UserID, c.CourseID, path, vars)
}

func orderPath(id uuid.UUID) string { return "/orders/" + id.String() }

func subscribed(kind string, s contract.SubscriptionState, more ...string) []Notice {
	return paid(kind, s.Commerce, "/subscriptions/"+s.SubscriptionID.String(), more...)
}

func paymentRules() []Rule {
	rules := []Rule{
		on(contract.TypePaymentSucceeded, func(_ Event, p contract.PaymentSucceeded) []Notice {
			if p.OrderKind == contract.OrderPurchase && p.Instalment <= 1 {
				return nil // the enrollment that it gives is told: one purchase, one message
			}
			return paid("payment.succeeded", p.Commerce, orderPath(p.OrderID), "amount", money(p.Amount, p.Currency))
		}),
		on(contract.TypePaymentFailed, func(_ Event, p contract.PaymentFailed) []Notice {
			switch p.OrderKind {
			case contract.OrderRenewal:
				return nil // what becomes of the subscription is told: one failure, one message
			case contract.OrderPurchase, contract.OrderSeats:
				if p.Instalment == 0 && p.NextTryAt == nil {
					return nil // the buyer is at the page, which says so and takes another try
				}
			}
			return paid("payment.failed", p.Commerce, orderPath(p.OrderID), "amount", money(p.Amount, p.Currency), "next_try_at", moment(p.NextTryAt))
		}),
		on(contract.TypePaymentRefunded, func(_ Event, p contract.PaymentRefunded) []Notice {
			ends := ""
			if p.AccessEnds {
				ends = "yes"
			}
			return paid("payment.refunded", p.Commerce, orderPath(p.OrderID), "amount", money(p.Amount, p.Currency), "access_ends", ends)
		}),
		on(contract.TypeSubscriptionTrialEnds, func(_ Event, s contract.SubscriptionTrialEnding) []Notice {
			return subscribed("subscription.trial_ending", s.SubscriptionState, "amount", money(s.Amount, s.Currency), "until", moment(s.PeriodEnd))
		}),
		on(contract.TypeSubscriptionPastDue, func(_ Event, s contract.SubscriptionPastDue) []Notice {
			return subscribed("subscription.past_due", s.SubscriptionState, "amount", money(s.Amount, s.Currency), "next_try_at", moment(s.NextActionAt))
		}),
		on(contract.TypeSubscriptionPaused, func(_ Event, s contract.SubscriptionPaused) []Notice {
			return subscribed("subscription.paused", s.SubscriptionState)
		}),
		on(contract.TypeSubscriptionCancelled, func(_ Event, s contract.SubscriptionCancelled) []Notice {
			return subscribed("subscription.cancelled", s.SubscriptionState, "until", moment(s.PeriodEnd))
		}),
		on(contract.TypeSubscriptionEnded, func(_ Event, s contract.SubscriptionEnded) []Notice {
			return subscribed("subscription.ended", s.SubscriptionState)
		}),
	}
	return append(rules, silentPayments()...)
}

func silentPayments() []Rule {
	return []Rule{
		none(contract.TypePlanCreated, "The catalogue shows it."),
		none(contract.TypePlanUpdated, "The catalogue shows it; a running subscription keeps its price."),
		none(contract.TypeCheckoutStarted, "A person's own act."),
		none(contract.TypeCheckoutExpired, "Nothing was bought."),
		none(contract.TypeOrderCreated, "What becomes of it is told."),
		none(contract.TypeCreditNoteIssued, "The refund is told, and leads to it."),
		none(contract.TypeInvoiceIssued, "It is with the order, which the person sees."),
		none(contract.TypeSubscriptionStarted, "The enrollment that it gives is told."),
		none(contract.TypeSubscriptionRenewed, "The payment is told."),
		none(contract.TypeSubscriptionChanged, "A person's own act; what it costs is told when it is paid."),
		none(contract.TypeSubscriptionResumed, "A person's own act, or a payment, which is told."),
		none(contract.TypeEntitlementGranted, "The enrollment that it gives is told."),
		none(contract.TypeEntitlementChanged, "enrollment tells of changed dates."),
		none(contract.TypeEntitlementRevoked, "enrollment tells that the place ended."),
		none(contract.TypeSeatsBought, "The payment is told."),
		none(contract.TypeSeatAssigned, "The enrollment that it gives is told."),
		none(contract.TypeSeatReleased, "enrollment tells that the place ended."),
	}
}
