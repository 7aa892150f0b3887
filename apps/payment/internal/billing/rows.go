package billing

import (
	"time"

	"github.com/google/uuid"
)

// Billing is who an invoice is made out to. Country and region decide the tax.
type Billing struct {
	Name    string `json:"name"`
	Company string `json:"company,omitempty"`
	Address string `json:"address,omitempty"`
	Country string `json:"country"`
	Region  string `json:"region,omitempty"`
	TaxID   string `json:"tax_id,omitempty"`
}

// Checkout is a checkout session.
type Checkout struct {
	ID              uuid.UUID
	TenantID        uuid.UUID
	OrgUnitID       uuid.UUID
	UserID          uuid.UUID
	PlanID          uuid.UUID
	ForOrgUnitID    *uuid.UUID
	Mode            string
	Quote           Quote
	Currency        string
	Total           int64
	DueNow          int64
	CouponID        *uuid.UUID
	Billing         Billing
	State           Status[CheckoutState]
	Refusal         string
	Missing         []uuid.UUID
	Provider        string
	ProviderSession string
	URL             string `db:"url"`
	SuccessURL      string `db:"success_url"`
	CancelURL       string `db:"cancel_url"`
	ExpiresAt       time.Time
	CompletedAt     *time.Time
	CreatedAt       time.Time
	UpdatedAt       time.Time
	Version         int64
}

// Hold is a seat that enrollment is asked to hold for a session (rule 35).
type Hold struct {
	ID        uuid.UUID
	SessionID uuid.UUID
	CourseID  uuid.UUID
	TenantID  uuid.UUID
	UserID    uuid.UUID
	State     Status[HoldState]
	ExpiresAt *time.Time
	UpdatedAt time.Time
}

// Order is something that is paid for.
type Order struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	OrgUnitID      uuid.UUID
	LegalEntityID  uuid.UUID
	UserID         uuid.UUID
	PlanID         uuid.UUID
	SessionID      *uuid.UUID
	SubscriptionID *uuid.UUID
	ForOrgUnitID   *uuid.UUID
	Kind           string
	Description    string
	Quantity       int
	Currency       string
	UnitAmount     int64
	Subtotal       int64
	Discount       int64
	Credit         int64
	Tax            int64
	TaxInclusive   bool
	TaxLines       []TaxLine
	Total          int64
	Paid           int64
	Refunded       int64 // also what is about to be refunded
	CouponID       *uuid.UUID
	Billing        Billing
	PeriodStart    *time.Time
	PeriodEnd      *time.Time
	State          Status[OrderState]
	PaidAt         *time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Version        int64
}

// Instalment is a part of an order that is due at a time.
type Instalment struct {
	OrderID   uuid.UUID
	N         int
	TenantID  uuid.UUID
	Amount    int64
	DueAt     time.Time
	State     Status[InstalmentState]
	Attempts  int
	NextTryAt *time.Time
	PaidAt    *time.Time
}

// States of a payment.
const (
	PaymentSucceeded = "succeeded"
	PaymentFailed    = "failed"
	// PaymentSurplus was paid although nothing was due any more; it goes back.
	PaymentSurplus = "surplus"
)

// Payment is money that a provider took for an order, or could not.
type Payment struct {
	ID              uuid.UUID
	TenantID        uuid.UUID
	OrderID         uuid.UUID
	Provider        string
	ProviderPayment string
	Instalment      *int
	Amount          int64
	Currency        string
	State           string
	Failure         string
	Refunded        int64
	CreatedAt       time.Time
}

// Refund is money that goes back.
type Refund struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	OrderID     uuid.UUID
	UserID      uuid.UUID
	Kind        string
	Amount      int64
	Tax         int64
	Currency    string
	Reason      string
	Note        string
	EndAccess   bool
	RequestedBy *uuid.UUID
	State       Status[RefundState]
	Failure     string
	CompletedAt *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// RefundPart is what a refund takes from one payment.
type RefundPart struct {
	ID             uuid.UUID
	RefundID       uuid.UUID
	PaymentID      uuid.UUID
	TenantID       uuid.UUID
	Amount         int64
	ProviderRefund string
}

// How far enrollment knows of an entitlement.
const (
	ToldPending  = "pending"
	ToldEnrolled = "enrolled"
	ToldKnown    = "known" // stored there, without a seat taken by it
	ToldRefused  = "refused"
)

// Entitlement is a right to be in a course.
type Entitlement struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	OrgUnitID      uuid.UUID
	UserID         uuid.UUID
	CourseID       uuid.UUID
	PlanID         uuid.UUID
	OrderID        *uuid.UUID
	SubscriptionID *uuid.UUID
	SeatID         *uuid.UUID
	HoldID         *uuid.UUID
	State          Status[EntitlementState]
	Reason         string
	KeepAccess     bool
	ValidFrom      time.Time
	ValidUntil     *time.Time
	Told           string
	Refusal        string
	EnrollmentID   *uuid.UUID
	Certified      bool
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Version        int64
}

// Subscription is a plan that renews itself.
type Subscription struct {
	ID                uuid.UUID
	TenantID          uuid.UUID
	OrgUnitID         uuid.UUID
	UserID            uuid.UUID
	PlanID            uuid.UUID
	PriceID           uuid.UUID
	State             Status[SubscriptionState]
	Currency          string
	CouponID          *uuid.UUID
	CouponPeriodsLeft *int
	Billing           Billing
	// AnchorAt is what periods are counted from; PeriodN is the number of the
	// present one, 0 the first, so that months never drift.
	AnchorAt          time.Time
	PeriodN           int
	PeriodStart       time.Time
	PeriodEnd         time.Time
	TrialToldAt       *time.Time
	CancelAtPeriodEnd bool
	CanceledAt        *time.Time
	EndedAt           *time.Time
	EndReason         string
	PausedAt          *time.Time
	// Credit is what an earlier change left over, for the next period.
	Credit       int64
	Attempts     int
	NextActionAt *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Version      int64
}

// PaymentMethod is a saved way to pay.
type PaymentMethod struct {
	ID             uuid.UUID
	TenantID       uuid.UUID
	UserID         uuid.UUID
	Provider       string
	ProviderMethod string
	Brand          string
	Last4          string
	Preferred      bool
	RemovedAt      *time.Time
	CreatedAt      time.Time
}

// Pool is seats that an org unit has bought.
type Pool struct {
	ID         uuid.UUID
	TenantID   uuid.UUID
	OrgUnitID  uuid.UUID
	PlanID     uuid.UUID
	OrderID    uuid.UUID
	Seats      int
	Used       int
	State      Status[PoolState]
	ValidUntil *time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Version    int64
}

// Seat is a seat of a pool that a person has, or had.
type Seat struct {
	ID         uuid.UUID
	PoolID     uuid.UUID
	TenantID   uuid.UUID
	UserID     uuid.UUID
	State      Status[SeatState]
	Reason     string
	AssignedBy *uuid.UUID
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Seller is a legal entity as a document names it.
type Seller struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Country string `json:"country"`
	TaxID   string `json:"tax_id,omitempty"`
}

// DocumentLine is one line of an invoice.
type DocumentLine struct {
	Text       string `json:"text"`
	Quantity   int    `json:"quantity"`
	UnitAmount int64  `json:"unit_amount"`
	Amount     int64  `json:"amount"`
}

// Invoice says what was sold to whom; it is never altered (rule 34).
type Invoice struct {
	ID            uuid.UUID
	TenantID      uuid.UUID
	OrgUnitID     uuid.UUID
	LegalEntityID uuid.UUID
	N             int64
	Number        string
	OrderID       uuid.UUID
	UserID        uuid.UUID
	Seller        Seller
	Buyer         Billing
	Lines         []DocumentLine
	TaxLines      []TaxLine
	Currency      string
	Subtotal      int64
	Discount      int64
	Tax           int64
	TaxInclusive  bool
	Total         int64
	PeriodStart   *time.Time
	PeriodEnd     *time.Time
	IssuedAt      time.Time
}

// CreditNote takes back a part of an invoice, with a number of its own (rule 34).
type CreditNote struct {
	ID            uuid.UUID
	TenantID      uuid.UUID
	OrgUnitID     uuid.UUID
	LegalEntityID uuid.UUID
	N             int64
	Number        string
	InvoiceID     uuid.UUID
	InvoiceNumber string
	OrderID       uuid.UUID
	RefundID      uuid.UUID
	UserID        uuid.UUID
	Seller        Seller
	Buyer         Billing
	Reason        string
	Currency      string
	Tax           int64
	Total         int64
	IssuedAt      time.Time
}

// LedgerTransaction is one booking; its entries sum to zero per currency.
type LedgerTransaction struct {
	ID            uuid.UUID
	TenantID      uuid.UUID
	OrgUnitID     uuid.UUID
	LegalEntityID uuid.UUID
	Kind          string
	ReferenceID   uuid.UUID
	OrderID       uuid.UUID
	At            time.Time
}

// LedgerEntry is one line of a booking: debits are positive, credits negative.
type LedgerEntry struct {
	ID            uuid.UUID
	TransactionID uuid.UUID
	TenantID      uuid.UUID
	Account       string
	Currency      string
	Amount        int64
	At            time.Time
}
