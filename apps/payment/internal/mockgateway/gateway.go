// Package mockgateway is a payment company in a box: a hosted page where a person
// pays, declines, proves themselves (3-D Secure) or gives up, saved cards, charges
// without the buyer, refunds, signed webhooks over HTTP that may come late, twice, out
// of order or never, and lists to compare with. It moves no money. It stands behind
// provider.Provider as a real company's adapter would, keeps its own tables, which
// nobody else reads, and knows nothing of courses or orders.
package mockgateway

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

// Name of the provider.
const Name = "mock"

// Secrets gives the active signing secrets, the newest first.
type Secrets func(ctx context.Context) ([]string, error)

// Faults say how webhooks go wrong, for tests and demonstrations. Shares are from 0
// to 1.
type Faults struct {
	Delay   time.Duration // before the first try
	Jitter  time.Duration // up to that much more, so that they overtake each other
	Twice   float64
	Never   float64
	Refuse  bool // the gateway answers nothing: it is down
	Retries []time.Duration
}

// Options of a gateway.
type Options struct {
	DB        *pg.DB
	PublicURL string // where buyers and webhooks reach payment, without a slash at the end
	Secrets   Secrets
	Post      Poster
	Faults    Faults
	Now       func() time.Time
	// Float draws from [0, 1): what goes wrong.
	Float func() float64
}

// Gateway is the company.
type Gateway struct{ o Options }

var _ provider.Provider = (*Gateway)(nil)

// New makes the gateway.
func New(o Options) *Gateway { return &Gateway{o} }

// Name implements provider.Provider.
func (g *Gateway) Name() string { return Name }

func newID(prefix string) string {
	b := make([]byte, 20) // rand.Read never fails
	_, _ = rand.Read(b)
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

func (g *Gateway) tx(ctx context.Context, fn func(context.Context, *pg.Unit) error) error {
	return g.o.DB.InTx(ctx, work.AllTenants(), fn)
}

// States of a session that only the page knows.
const (
	stateChallenged = "challenged" // waits for 3-D Secure
)

// session is a hosted page as it is kept.
type session struct {
	ID          string
	Reference   string
	Mode        string
	Customer    string
	Description string
	Amount      int64
	Currency    string
	SaveMethod  bool
	Metadata    provider.Metadata
	State       string
	Card        string
	PaymentID   string
	MethodID    string
	Declined    string
	SuccessURL  string `db:"success_url"`
	CancelURL   string `db:"cancel_url"`
	ExpiresAt   time.Time
	CreatedAt   time.Time
}

const (
	sessionColumns = `
id, reference, mode, customer, description, amount, currency, save_method, metadata, state, card, payment_id, method_id, declined,
success_url, cancel_url, expires_at, created_at `
	insertSessionSQL = `
insert into mock_sessions (id, reference, mode, customer, description, amount, currency, save_method, metadata, state, success_url,
  cancel_url, expires_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10, $11, $12, $13)
on conflict (reference) do nothing`
	sessionByReferenceSQL = `select` + sessionColumns + `from mock_sessions where reference = $1`
	sessionSQL            = `select` + sessionColumns + `from mock_sessions where id = $1`
	lockSessionSQL        = `select` + sessionColumns + `from mock_sessions where id = $1 for update`
	updateSessionSQL      = `update mock_sessions set state = $2, card = $3, payment_id = $4, method_id = $5, declined = $6 where id = $1`

	methodColumns   = ` id, brand, last4 `
	methodSQL       = `select` + methodColumns + `from mock_methods where id = $1`
	insertMethodSQL = `insert into mock_methods (id, customer, card, brand, last4, created_at) values ($1, $2, $3, $4, $5, $6)`
	cardOfMethodSQL = `select card from mock_methods where id = $1 and not detached`
	detachSQL       = `update mock_methods set detached = true where id = $1`

	paymentColumns   = ` ord, id, key, reference, amount, currency, refunded, state, failure, metadata, created_at `
	insertPaymentSQL = `
insert into mock_payments (id, key, session_id, reference, method_id, amount, currency, state, failure, metadata, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (key) do nothing`
	paymentByKeySQL = `select` + paymentColumns + `from mock_payments where key = $1`
	paymentSQL      = `select` + paymentColumns + `from mock_payments where id = $1 for update`
	paymentsSQL     = `select` + paymentColumns + `from mock_payments where created_at >= $1 and ord > $2 order by ord limit $3`
	addRefundSQL    = `update mock_payments set refunded = refunded + $2 where id = $1`
	refundColumns   = ` ord, id, key, payment_id, amount, currency, metadata, created_at `
	insertRefundSQL = `insert into mock_refunds (id, key, payment_id, amount, currency, metadata, created_at) values ($1, $2, $3, $4, $5, $6, $7)`
	refundByKeySQL  = `select` + refundColumns + `from mock_refunds where key = $1`
	refundsSQL      = `select` + refundColumns + `from mock_refunds where created_at >= $1 and ord > $2 order by ord limit $3`
)

// CreateSession implements provider.Provider.
func (g *Gateway) CreateSession(ctx context.Context, in provider.NewSession) (out provider.Session, err error) {
	err = g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, insertSessionSQL, newID("mgs_"), in.Reference, in.Mode, in.Customer, in.Description, in.Amount, in.Currency, in.SaveMethod,
			in.Metadata, in.SuccessURL, in.CancelURL, in.ExpiresAt, g.o.Now())
		if err != nil {
			return err
		}
		s, err := pg.One[session](ctx, u, "session", sessionByReferenceSQL, in.Reference)
		if err != nil {
			return err
		}
		out, err = g.show(ctx, u, s)
		return err
	})
	return out, err
}

func (g *Gateway) show(ctx context.Context, u *pg.Unit, s session) (provider.Session, error) {
	out := provider.Session{ID: s.ID, Reference: s.Reference, URL: g.url(s.ID), State: s.State, Customer: s.Customer, Metadata: s.Metadata}
	if s.State == stateChallenged {
		out.State = provider.SessionOpen
	}
	if s.PaymentID != "" {
		p, err := pg.One[payment](ctx, u, "payment", paymentSQL, s.PaymentID)
		if err != nil {
			return out, err
		}
		shown := p.show()
		out.Payment = &shown
	}
	if s.MethodID != "" {
		m, err := pg.One[provider.Method](ctx, u, "method", methodSQL, s.MethodID)
		if err != nil {
			return out, err
		}
		out.Method = &m
	}
	return out, nil
}

func (g *Gateway) url(id string) string { return g.o.PublicURL + "/mock-gateway/" + id }

// Session implements provider.Provider.
func (g *Gateway) Session(ctx context.Context, id string) (out provider.Session, err error) {
	err = g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		s, err := pg.One[session](ctx, u, "session", sessionSQL, id)
		if err != nil {
			return err
		}
		out, err = g.show(ctx, u, s)
		return err
	})
	return out, err
}

// ExpireSession implements provider.Provider.
func (g *Gateway) ExpireSession(ctx context.Context, id string) (out provider.Session, err error) {
	err = g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		s, err := pg.One[session](ctx, u, "session", lockSessionSQL, id)
		if err != nil {
			return err
		}
		if s.State == provider.SessionOpen || s.State == stateChallenged {
			s.State = provider.SessionExpired
			if err := update(ctx, u, s); err != nil {
				return err
			}
		}
		out, err = g.show(ctx, u, s)
		return err
	})
	return out, err
}

func update(ctx context.Context, u *pg.Unit, s session) error {
	_, err := pg.Exec(ctx, u, updateSessionSQL, s.ID, s.State, s.Card, s.PaymentID, s.MethodID, s.Declined)
	return err
}

// payment is an attempt as it is kept.
type payment struct {
	Ord       int64
	ID        string
	Key       string
	Reference string
	Amount    int64
	Currency  string
	Refunded  int64
	State     string
	Failure   string
	Metadata  provider.Metadata
	CreatedAt time.Time
}

func (p payment) show() provider.Payment {
	return provider.Payment{
		ID: p.ID, Key: p.Key, Reference: p.Reference, Amount: p.Amount, Currency: p.Currency, Refunded: p.Refunded, State: p.State, Failure: p.Failure,
		Metadata: p.Metadata, CreatedAt: p.CreatedAt,
	}
}

// attempt writes a payment by its key, or finds the one that was made with it.
func (g *Gateway) attempt(ctx context.Context, u *pg.Unit, p payment, session, method string) (payment, bool, error) {
	n, err := pg.Exec(ctx, u, insertPaymentSQL, newID("mgp_"), p.Key, session, p.Reference, method, p.Amount, p.Currency, p.State, p.Failure, p.Metadata, g.o.Now())
	if err != nil {
		return p, false, err
	}
	p, err = pg.One[payment](ctx, u, "payment", paymentByKeySQL, p.Key)
	return p, n > 0, err
}

// Charge implements provider.Provider.
func (g *Gateway) Charge(ctx context.Context, in provider.NewCharge) (out provider.Payment, err error) {
	err = g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		var number string
		err := u.QueryRow(ctx, cardOfMethodSQL, in.Method).Scan(&number)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		p := payment{Key: in.Key, Reference: in.Reference, Amount: in.Amount, Currency: in.Currency, State: provider.PaymentSucceeded, Metadata: in.Metadata}
		if p.Failure = cardByNumber(number).away; p.Failure != "" {
			p.State = provider.PaymentFailed
		}
		made, fresh, err := g.attempt(ctx, u, p, "", in.Method)
		if err != nil {
			return err
		}
		out = made.show()
		if !fresh {
			return nil
		}
		kind := provider.EventPaymentSucceeded
		if made.State == provider.PaymentFailed {
			kind = provider.EventPaymentFailed
		}
		return g.tell(ctx, u, kind, eventData{Payment: &out})
	})
	return out, err
}

type refund struct {
	Ord       int64
	ID        string
	Key       string
	PaymentID string
	Amount    int64
	Currency  string
	Metadata  provider.Metadata
	CreatedAt time.Time
}

func (r refund) show() provider.Refund {
	return provider.Refund{ID: r.ID, Key: r.Key, PaymentID: r.PaymentID, Amount: r.Amount, Currency: r.Currency, Metadata: r.Metadata, CreatedAt: r.CreatedAt}
}

// Refund implements provider.Provider.
func (g *Gateway) Refund(ctx context.Context, in provider.NewRefund) (out provider.Refund, err error) {
	err = g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		p, err := pg.One[payment](ctx, u, "payment", paymentSQL, in.Payment)
		if err != nil {
			return err
		}
		known, err := pg.One[refund](ctx, u, "refund", refundByKeySQL, in.Key)
		if err == nil {
			out = known.show()
			return nil
		}
		if !apperr.IsKind(err, apperr.KindNotFound) {
			return err
		}
		if p.State != provider.PaymentSucceeded || in.Amount > p.Amount-p.Refunded || in.Currency != p.Currency {
			return apperr.New(apperr.KindInvalid, "refund_refused", "The payment does not have that much left.")
		}
		r := refund{ID: newID("mgr_"), Key: in.Key, PaymentID: p.ID, Amount: in.Amount, Currency: in.Currency, Metadata: in.Metadata, CreatedAt: g.o.Now()}
		if _, err := pg.Exec(ctx, u, insertRefundSQL, r.ID, r.Key, r.PaymentID, r.Amount, r.Currency, r.Metadata, r.CreatedAt); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, u, addRefundSQL, p.ID, r.Amount); err != nil {
			return err
		}
		out = r.show()
		return g.tell(ctx, u, provider.EventRefundSucceeded, eventData{Refund: &out})
	})
	return out, err
}

// DetachMethod implements provider.Provider.
func (g *Gateway) DetachMethod(ctx context.Context, id string) error {
	return g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, detachSQL, id)
		return err
	})
}

// pageSize of the lists for reconciliation.
const pageSize = 500

// Payments implements provider.Provider.
func (g *Gateway) Payments(ctx context.Context, since time.Time, cursor string) (out []provider.Payment, next string, err error) {
	rows, next, err := listed[payment](ctx, g, paymentsSQL, since, cursor, func(p payment) int64 { return p.Ord })
	for _, p := range rows {
		out = append(out, p.show())
	}
	return out, next, err
}

// Refunds implements provider.Provider.
func (g *Gateway) Refunds(ctx context.Context, since time.Time, cursor string) (out []provider.Refund, next string, err error) {
	rows, next, err := listed[refund](ctx, g, refundsSQL, since, cursor, func(r refund) int64 { return r.Ord })
	for _, r := range rows {
		out = append(out, r.show())
	}
	return out, next, err
}

func listed[T any](ctx context.Context, g *Gateway, sql string, since time.Time, cursor string, ord func(T) int64) (rows []T, next string, err error) {
	var after int64
	if _, err := page.Decode(cursor, &after); err != nil {
		return nil, "", err
	}
	err = g.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		rows, err = pg.Many[T](ctx, u, sql, since, after, pageSize)
		return err
	})
	if len(rows) == pageSize {
		next = page.Encode(ord(rows[pageSize-1]))
	}
	return rows, next, err
}

// card is a test card: what it does on the page, and what when it is charged later.
type card struct {
	number, label, brand string
	page                 string // "": pays; else the code of the refusal
	challenge            bool
	away                 string // failure when charged without the buyer
}

// cards are the numbers that people know from the test mode of real companies.
func cards() []card {
	return []card{
		{number: "4242424242424242", label: "Visa ending in 4242: pays", brand: "Visa"},
		{number: "4000002760003184", label: "Visa ending in 3184: asks for 3-D Secure", brand: "Visa", challenge: true},
		{number: "4000000000000002", label: "Visa ending in 0002: is declined", brand: "Visa", page: "card_declined", away: "card_declined"},
		{number: "4000000000009995", label: "Visa ending in 9995: has insufficient funds", brand: "Visa", page: "insufficient_funds", away: "insufficient_funds"},
		{number: "4000000000000341", label: "Visa ending in 0341: pays now, fails when charged later", brand: "Visa", away: "card_declined"},
	}
}

func cardByNumber(number string) card {
	all := cards()
	i := slices.IndexFunc(all, func(c card) bool { return c.number == number })
	if i < 0 {
		return card{page: "card_unknown", away: "no_such_method"}
	}
	return all[i]
}

// eventData is the `data` of a webhook.
type eventData struct {
	Session *eventSession     `json:"session,omitempty"`
	Payment *provider.Payment `json:"payment,omitempty"`
	Refund  *provider.Refund  `json:"refund,omitempty"`
}

type eventSession struct {
	ID        string            `json:"id"`
	Reference string            `json:"reference"`
	State     string            `json:"state"`
	Customer  string            `json:"customer"`
	Method    *provider.Method  `json:"method,omitempty"`
	Metadata  provider.Metadata `json:"metadata"`
}

// event is the body of a webhook.
type event struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	CreatedAt time.Time `json:"created_at"`
	Data      eventData `json:"data"`
}

// SignatureHeader carries the signature of a webhook.
const SignatureHeader = "Mock-Signature"

// Webhook implements provider.Provider.
func (g *Gateway) Webhook(ctx context.Context, header func(string) string, body []byte) (out provider.Event, err error) {
	secrets, err := g.o.Secrets(ctx)
	if err != nil {
		return out, err
	}
	if err := provider.Verify(header(SignatureHeader), body, secrets, g.o.Now()); err != nil {
		return out, err
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || e.Type == "" {
		return out, apperr.Malformed("webhook_unreadable", "The webhook cannot be read.").With(err)
	}
	out = provider.Event{ID: e.ID, Type: e.Type, CreatedAt: e.CreatedAt, Payment: e.Data.Payment, Refund: e.Data.Refund}
	if s := e.Data.Session; s != nil {
		out.Session = &provider.Session{ID: s.ID, Reference: s.Reference, State: s.State, Customer: s.Customer, Method: s.Method, Metadata: s.Metadata, Payment: e.Data.Payment}
	}
	return out, nil
}
