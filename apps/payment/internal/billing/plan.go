package billing

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/apps/payment/internal/money"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// LegalEntity is who sells: the name on an invoice, with number ranges of its own.
type LegalEntity struct {
	ID               uuid.UUID
	TenantID         uuid.UUID
	OrgUnitID        uuid.UUID
	Name             string
	Address          string
	Country          string // ISO 3166-1 alpha-2
	TaxID            string
	InvoicePrefix    string
	CreditNotePrefix string
	CreatedAt        time.Time
	Version          int64
}

// errNotOnSale: enrollment is away, and does not know yet that the courses cost
// something.
var errNotOnSale = apperr.Conflict("plan_preparing", "It cannot be bought yet. Try again in a moment.").After(time.Second)

// PlanCourse is a course that a plan opens, as it was called when the plan was last
// changed.
type PlanCourse struct {
	CourseID  uuid.UUID `json:"course_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	Title     string    `json:"title"`
	// Known: enrollment has acknowledged that the course costs something.
	Known bool `json:"-"`
}

// Price is what a plan costs in a currency, in minor units. It never changes.
type Price struct {
	ID       uuid.UUID `json:"id"`
	Currency string    `json:"currency"`
	Amount   int64     `json:"amount"`
}

// Period is a stretch of the calendar, such as 1 month or 2 weeks.
type Period struct {
	Unit  string
	Count int
}

// After is n periods after an anchor. A month has the anchor's day or its own last
// one: from January 31 on February 28, and on March 31 again.
func (p Period) After(anchor time.Time, n int) time.Time {
	n *= p.Count
	switch p.Unit {
	case "day":
		return anchor.AddDate(0, 0, n)
	case "week":
		return anchor.AddDate(0, 0, 7*n)
	case "year":
		n *= 12
	}
	first := time.Date(anchor.Year(), anchor.Month()+time.Month(n), 1, anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), anchor.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(anchor.Day(), last)-1)
}

// Plan is something to buy.
type Plan struct {
	ID            uuid.UUID
	TenantID      uuid.UUID
	OrgUnitID     uuid.UUID
	LegalEntityID uuid.UUID
	Name          string
	Description   string
	Kind          string
	State         Status[PlanState]
	TaxInclusive  bool
	TaxCategory   string
	AccessDays    *int
	PeriodUnit    string
	PeriodCount   int
	TrialDays     int
	Instalments   int
	RefundDays    int
	ForPeople     bool
	ForOrgUnits   bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Version       int64

	// Courses and Prices are rows of their own; the first price is the plan's own
	// currency.
	Courses []PlanCourse `db:"-"`
	Prices  []Price      `db:"-"`
}

// OnSale says whether the plan can be bought: only once enrollment lets nobody into its
// courses any more who has not paid. What only org units buy closes no course.
func (p Plan) OnSale() bool {
	return p.State.Is(PlanActive) && (!p.ForPeople || !slices.ContainsFunc(p.Courses, func(c PlanCourse) bool { return !c.Known }))
}

// Period is the plan's period.
func (p Plan) Period() Period { return Period{p.PeriodUnit, p.PeriodCount} }

// Price in a currency; the plan's own for "".
func (p Plan) Price(currency string) (Price, bool) {
	if currency == "" && len(p.Prices) > 0 {
		return p.Prices[0], true
	}
	i := slices.IndexFunc(p.Prices, func(x Price) bool { return x.Currency == currency })
	if i < 0 {
		return Price{}, false
	}
	return p.Prices[i], true
}

// CourseIDs of the plan.
func (p Plan) CourseIDs() []uuid.UUID {
	out := make([]uuid.UUID, len(p.Courses))
	for i, c := range p.Courses {
		out[i] = c.CourseID
	}
	return out
}

// Limits of a plan.
const (
	MaxPlanCourses = 50
	maxPrices      = 30
	maxName        = 200
	maxText        = 5000
	maxAddress     = 1000
)

// Check collects everything that is wrong with a plan.
func (p Plan) Check() error {
	var f apperr.Fields
	text(&f, "name", p.Name, 1, maxName)
	text(&f, "description", p.Description, 0, maxText)
	text(&f, "tax_category", p.TaxCategory, 0, 60)
	f.Require(len(p.Courses) > 0, "course_ids", "required", "A plan opens at least one course.")
	f.Require(len(p.Courses) <= MaxPlanCourses, "course_ids", "too_many", fmt.Sprintf("At most %d courses.", MaxPlanCourses))
	f.Require(p.ForPeople || p.ForOrgUnits, "for_people", "required", "A plan is for people, for org units, or for both.")
	p.checkPrices(&f)
	p.checkKind(&f)
	return f.Err()
}

func (p Plan) checkPrices(f *apperr.Fields) {
	f.Require(len(p.Prices) > 0, "prices", "required", "A plan has at least one price.")
	f.Require(len(p.Prices) <= maxPrices, "prices", "too_many", fmt.Sprintf("At most %d prices.", maxPrices))
	seen := map[string]bool{}
	for i, x := range p.Prices {
		path := fmt.Sprintf("prices[%d]", i)
		_, known := money.ParseCurrency(x.Currency)
		f.Require(known, path+".currency", "unknown_currency", "An ISO 4217 code in use, such as EUR.")
		f.Require(!seen[x.Currency], path+".currency", "repeated", "One price per currency.")
		f.Require(x.Amount >= 0 && x.Amount <= money.Max, path+".amount", "range", "Minor units from 0 to 999,999,999,999.")
		seen[x.Currency] = true
	}
}

func (p Plan) checkKind(f *apperr.Fields) {
	switch p.Kind {
	case events.PlanOneOff:
		f.Require(p.PeriodUnit == "" && p.PeriodCount == 0, "period", "not_here", "Only subscriptions and instalments have a period.")
	case events.PlanSubscription, events.PlanInstalments:
		f.Require(slices.Contains([]string{"day", "week", "month", "year"}, p.PeriodUnit), "period.unit", "enum", "day, week, month or year.")
		f.Require(p.PeriodCount >= 1 && p.PeriodCount <= 366, "period.count", "range", "From 1 to 366.")
	default:
		f.Add("kind", "enum", "one_off, subscription or instalments.")
	}
	f.Require(p.Kind == events.PlanSubscription || p.TrialDays == 0, "trial_days", "not_here", "Only a subscription has a trial.")
	f.Require(p.TrialDays >= 0 && p.TrialDays <= 730, "trial_days", "range", "From 0 to 730.")
	f.Require((p.Kind == events.PlanInstalments) == (p.Instalments != 0), "instalments", "not_here", "Set for plans of instalments, and only there.")
	f.Require(p.Instalments == 0 || p.Instalments >= 2 && p.Instalments <= 60, "instalments", "range", "From 2 to 60.")
	f.Require(p.Kind != events.PlanSubscription || p.AccessDays == nil, "access_days", "not_here", "The access of a subscription lasts as long as it is paid.")
	f.Require(p.AccessDays == nil || *p.AccessDays >= 1 && *p.AccessDays <= 36500, "access_days", "range", "From 1 to 36,500.")
	f.Require(p.RefundDays >= 0 && p.RefundDays <= 3650, "refund_days", "range", "From 0 to 3,650.")
	f.Require(p.Kind == events.PlanOneOff || !p.ForOrgUnits, "for_org_units", "not_here", "Seats are bought by plans paid once.")
}

func text(f *apperr.Fields, path, value string, least, most int) {
	n := utf8.RuneCountInString(value)
	switch {
	case n < least:
		f.Add(path, "required", "Must not be empty.")
	case n > most:
		f.Add(path, "too_long", fmt.Sprintf("At most %d characters.", most))
	case strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' }) >= 0:
		f.Add(path, "invalid_character", "Has control characters.")
	}
}

// TaxComponent is one tax of a rule.
type TaxComponent struct {
	Name string     `json:"name"` // "VAT", "GST"
	Rate money.Rate `json:"rate"`
}

// TaxRule says which taxes a place asks for from a time on, until the next rule of
// the same place and category. An empty Region or Category is for all that have no
// rule of their own.
type TaxRule struct {
	ID         uuid.UUID
	TenantID   uuid.UUID
	Country    string
	Region     string
	Category   string
	Components []TaxComponent
	ValidFrom  time.Time
	CreatedAt  time.Time
}

// PickTax chooses the rule for a place and category at a time: a region's own before
// the country's, a category's own before the general, and of these the one that began
// last. Nil is no tax.
func PickTax(rules []TaxRule, country, region, category string, now time.Time) *TaxRule {
	var found *TaxRule
	rank := func(r *TaxRule) int {
		n := 0
		if r.Region != "" {
			n += 2
		}
		if r.Category != "" {
			n++
		}
		return n
	}
	for i := range rules {
		r := &rules[i]
		if r.Country != country || r.Region != "" && r.Region != region || r.Category != "" && r.Category != category || r.ValidFrom.After(now) {
			continue
		}
		if found == nil || rank(r) > rank(found) || rank(r) == rank(found) && r.ValidFrom.After(found.ValidFrom) {
			found = r
		}
	}
	return found
}

// Coupon takes something off.
type Coupon struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	OrgUnitID      uuid.UUID
	Code           string
	State          Status[CouponState]
	PercentPpm     *int64
	Amount         *int64
	Currency       string
	PlanIDs        []uuid.UUID
	CourseIDs      []uuid.UUID
	StartsAt       *time.Time
	ExpiresAt      *time.Time
	MaxUses        *int
	MaxUsesPerUser *int
	Periods        *int // of a subscription; nil is all
	Uses           int
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Version        int64
}

// NormalizeCoupon reads a code as people type it.
func NormalizeCoupon(code string) string { return strings.ToUpper(strings.TrimSpace(code)) }

var errCouponUsedUp = apperr.Conflict("coupon_used_up", "The coupon is used up.")

func couponField(code, message string) error {
	return apperr.Invalid(apperr.Field{Path: "coupon", Code: code, Message: message})
}

// Fits says why the coupon cannot be used for a plan in a currency at now; whether it
// is used up is known only once it is reserved.
func (c Coupon) Fits(p Plan, currency string, now time.Time) error {
	switch {
	case !c.State.Is(CouponActive), c.StartsAt != nil && now.Before(*c.StartsAt):
		return couponField("unknown", "There is no such coupon.")
	case c.ExpiresAt != nil && now.After(*c.ExpiresAt):
		return couponField("expired", "The coupon has expired.")
	case c.Amount != nil && c.Currency != currency:
		return couponField("other_currency", "The coupon is for another currency.")
	}
	inPlan := len(c.PlanIDs) == 0 || slices.Contains(c.PlanIDs, p.ID)
	inCourse := len(c.CourseIDs) == 0 || slices.ContainsFunc(p.Courses, func(x PlanCourse) bool { return slices.Contains(c.CourseIDs, x.CourseID) })
	if !inPlan || !inCourse {
		return couponField("not_applicable", "The coupon is not for this.")
	}
	return nil
}

// Off is what the coupon takes off a subtotal.
func (c Coupon) Off(subtotal int64) int64 {
	if c.PercentPpm != nil {
		return money.Rate(*c.PercentPpm).Of(subtotal)
	}
	return min(*c.Amount, subtotal)
}

// CouponUse is a coupon reserved at a checkout, and redeemed by its payment. It has
// the session's id.
type CouponUse struct {
	ID        uuid.UUID
	CouponID  uuid.UUID
	TenantID  uuid.UUID
	UserID    uuid.UUID
	Slot      int
	State     Status[UseState]
	CreatedAt time.Time
	UpdatedAt time.Time
}
