package mockgateway

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"lms/apps/payment/internal/money"
	"lms/apps/payment/internal/provider"
	"lms/shared/apperr"
	"lms/shared/pg"
	"lms/shared/web"
)

//go:embed page.html
var pageHTML string

// Pages is the hosted page as HTTP.
type Pages struct {
	gateway *Gateway
	page    *template.Template
}

// NewPages makes the pages of a gateway.
func NewPages(g *Gateway) (*Pages, error) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("page of the mock gateway: %w", err)
	}
	return &Pages{gateway: g, page: t}, nil
}

const formType = "application/x-www-form-urlencoded"

// Mount adds the routes. They are for everybody who has the address, which cannot be
// guessed, and they take forms, since the page works without scripts.
func (p *Pages) Mount(r *web.Router) {
	web.Raw(r, web.Op{
		Method: http.MethodGet, Path: "/mock-gateway/{session}", ID: "show-mock-page", Tag: "Mock gateway",
		Summary: "The page where a person pays", Access: web.Public(), Produces: []string{"text/html"}, AnyQuery: true,
	}, p.show)
	web.Raw(r, web.Op{
		Method: http.MethodPost, Path: "/mock-gateway/{session}", ID: "act-on-mock-page", Tag: "Mock gateway",
		Summary: "Pay, prove oneself, or give up", Access: web.Public(), Accepts: []string{formType}, Status: http.StatusSeeOther, MaxBody: 16 << 10,
	}, p.act)
}

// token goes with every form of a page and names what the page showed: a form made
// elsewhere, or of an earlier state, is refused. There is no cookie that a form made
// elsewhere could ride on.
func (p *Pages) token(ctx context.Context, s session) (string, error) {
	secrets, err := p.gateway.o.Secrets(ctx)
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, []byte(secrets[0]))
	h.Write([]byte("form\x00" + s.ID + "\x00" + s.State))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

type shownCard struct {
	Number, Label string
	Checked       bool
}

type view struct {
	Title, Description, Amount, Action, Token string
	State, Declined                           string
	Setup, Saves                              bool // nothing is paid now; the card is kept for later
	Cards                                     []shownCard
	SuccessURL, CancelURL                     string
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request) error {
	s, err := p.read(r.Context(), web.PathParam(r, "session"))
	if err != nil {
		return err
	}
	return p.render(w, r, s, http.StatusOK)
}

func (p *Pages) read(ctx context.Context, id string) (s session, err error) {
	err = p.gateway.tx(ctx, func(ctx context.Context, u *pg.Unit) (err error) {
		s, err = pg.One[session](ctx, u, "payment page", sessionSQL, id)
		return err
	})
	if err == nil && s.expired(p.gateway) {
		s.State = provider.SessionExpired
	}
	return s, err
}

func (s session) expired(g *Gateway) bool {
	return (s.State == provider.SessionOpen || s.State == stateChallenged) && !g.o.Now().Before(s.ExpiresAt)
}

func (p *Pages) render(w http.ResponseWriter, r *http.Request, s session, status int) error {
	token, err := p.token(r.Context(), s)
	if err != nil {
		return err
	}
	v := view{
		Title: "Payment", Description: s.Description, Amount: money.Format(s.Amount, money.Currency(s.Currency)), Token: token,
		Action: "/mock-gateway/" + s.ID, State: s.State, Declined: refusals()[s.Declined], Setup: s.Mode == provider.ModeSetup, Saves: s.SaveMethod,
		SuccessURL: s.SuccessURL, CancelURL: s.CancelURL,
	}
	if s.Declined != "" && v.Declined == "" {
		v.Declined = "The payment was refused."
	}
	for i, c := range cards() {
		v.Cards = append(v.Cards, shownCard{c.number, c.label, c.number == s.Card || s.Card == "" && i == 0})
	}
	var out bytes.Buffer
	if err := p.page.Execute(&out, v); err != nil {
		return apperr.Internal(err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, err = w.Write(out.Bytes())
	return err
}

func refusals() map[string]string {
	return map[string]string{
		"card_declined":         "The card was declined. Choose another card, or try again.",
		"insufficient_funds":    "The card has insufficient funds. Choose another card.",
		"authentication_failed": "You could not be authenticated. Choose another card, or try again.",
		"card_unknown":          "There is no such card.",
	}
}

// act is the one form handler: it answers by sending the browser back to the page,
// so that reloading repeats nothing.
func (p *Pages) act(w http.ResponseWriter, r *http.Request) error {
	id := web.PathParam(r, "session")
	form, err := readForm(r)
	if err != nil {
		return err
	}
	s, err := p.read(r.Context(), id)
	if err != nil {
		return err
	}
	want, err := p.token(r.Context(), s)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(form.Get("token"))) {
		return p.render(w, r, s, http.StatusForbidden) // an old page: show the present one
	}
	if err := p.gateway.press(r.Context(), id, form.Get("action"), form.Get("card")); err != nil {
		return err
	}
	w.Header().Set("Location", "/mock-gateway/"+id)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// readForm reads the body, which the kit has bounded.
func readForm(r *http.Request) (url.Values, error) {
	unreadable := apperr.Malformed("body_unreadable", "The form could not be read.")
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unreadable.With(err)
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, unreadable.With(err)
	}
	return form, nil
}

// press is what a person does on the page. What the state does not allow, such as
// paying twice, changes nothing.
func (g *Gateway) press(ctx context.Context, id, action, number string) error {
	return g.tx(ctx, func(ctx context.Context, u *pg.Unit) error {
		s, err := pg.One[session](ctx, u, "payment page", lockSessionSQL, id)
		if err != nil {
			return err
		}
		if s.expired(g) {
			return nil
		}
		switch {
		case action == "pay" && s.State == provider.SessionOpen:
			s.Card = number
			c := cardByNumber(number)
			if c.page == "" && c.challenge {
				s.State, s.Declined = stateChallenged, ""
				return update(ctx, u, s)
			}
			return g.pay(ctx, u, s, c, c.page)
		case action == "confirm" && s.State == stateChallenged:
			return g.pay(ctx, u, s, cardByNumber(s.Card), "")
		case action == "fail" && s.State == stateChallenged:
			s.State = provider.SessionOpen
			return g.pay(ctx, u, s, cardByNumber(s.Card), "authentication_failed")
		case action == "abandon" && (s.State == provider.SessionOpen || s.State == stateChallenged):
			s.State = provider.SessionAbandoned
			if err := update(ctx, u, s); err != nil {
				return err
			}
			return g.tellSession(ctx, u, provider.EventSessionAbandoned, s, nil)
		}
		return nil
	})
}

// pay completes a page, or notes the refusal.
func (g *Gateway) pay(ctx context.Context, u *pg.Unit, s session, c card, failure string) error {
	var paid *provider.Payment
	if s.Mode == provider.ModePayment {
		p := payment{Key: newID("page:"), Reference: s.Reference, Amount: s.Amount, Currency: s.Currency, State: provider.PaymentSucceeded, Failure: failure, Metadata: s.Metadata}
		if failure != "" {
			p.State = provider.PaymentFailed
		}
		made, _, err := g.attempt(ctx, u, p, s.ID, "")
		if err != nil {
			return err
		}
		shown := made.show()
		paid = &shown
	}
	if failure != "" {
		s.Declined = failure
		if err := update(ctx, u, s); err != nil || paid == nil {
			return err
		}
		return g.tellSession(ctx, u, provider.EventSessionFailed, s, paid)
	}
	s.State, s.Declined = provider.SessionCompleted, ""
	if paid != nil {
		s.PaymentID = paid.ID
	}
	if s.SaveMethod {
		s.MethodID = newID("mgm_")
		if _, err := pg.Exec(ctx, u, insertMethodSQL, s.MethodID, s.Customer, c.number, c.brand, c.number[len(c.number)-4:], g.o.Now()); err != nil {
			return err
		}
	}
	if err := update(ctx, u, s); err != nil {
		return err
	}
	return g.tellSession(ctx, u, provider.EventSessionCompleted, s, paid)
}

func (g *Gateway) tellSession(ctx context.Context, u *pg.Unit, kind string, s session, paid *provider.Payment) error {
	shown, err := g.show(ctx, u, s)
	if err != nil {
		return err
	}
	return g.tell(ctx, u, kind, eventData{
		Session: &eventSession{ID: s.ID, Reference: s.Reference, State: shown.State, Customer: s.Customer, Method: shown.Method, Metadata: s.Metadata},
		Payment: paid,
	})
}
