// Package app puts the payment service together.
package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/events"
	"lms/apps/payment/internal/httpapi"
	"lms/apps/payment/internal/mockgateway"
	"lms/apps/payment/internal/postgres"
	"lms/apps/payment/internal/printed"
	"lms/apps/payment/internal/provider"
	"lms/shared/service"
)

// Config is what can be set by environment variables, LMS_PAYMENT_….
type Config struct {
	Provider       string          `desc:"who takes the money: mock, or none, and then what costs money cannot be bought; if not set none in production, mock elsewhere"`
	MockAllowed    bool            `desc:"let the mock gateway run where LMS_ENVIRONMENT is production: it takes no real money"`
	WebhookSecrets []string        `secret:"true" desc:"active secrets of webhooks by commas, the newest first; the secret payment-webhook-secrets if not set"`
	ReturnOrigins  []string        `desc:"origins that buyers may be sent back to, such as https://shop.example.org, besides the public one"`
	SessionFor     time.Duration   `default:"30m" desc:"how long a payment page stands, and its seat is held (rule 35)"`
	HoldGrace      time.Duration   `default:"5m" desc:"how much longer the seat is held than the page stands"`
	WaitFor        time.Duration   `default:"5s" desc:"how long a checkout waits for enrollment before it answers preparing"`
	Dunning        []time.Duration `default:"24h,72h,120h,168h" desc:"pauses between the tries to charge a period or instalment that failed, by commas"`
	TrialNotice    time.Duration   `default:"72h" desc:"how long before its end a trial is told to end"`
	SweepEvery     time.Duration   `default:"10s" desc:"how often time is looked at: renewals, expiry, what got stuck"`

	MockWebhookDelay  time.Duration   `desc:"mock gateway: how late its webhooks are"`
	MockWebhookJitter time.Duration   `desc:"mock gateway: up to how much later still, so that they overtake each other"`
	MockWebhookTwice  float64         `desc:"mock gateway: share of webhooks that are sent twice, 0 to 1"`
	MockWebhookNever  float64         `desc:"mock gateway: share of webhooks that are never sent, 0 to 1"`
	MockRetries       []time.Duration `default:"1s,5s,30s,2m,10m,1h,6h" desc:"mock gateway: pauses after which an unanswered webhook is sent again, by commas"`
}

// Build wires the service into its kit.
func Build(_ context.Context, k *service.Kit) error {
	if err := k.NeedsDatabase(); err != nil {
		return err
	}
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	public := strings.TrimSuffix(k.Config.PublicURL, "/")
	taker, err := chosen(k, cfg, public)
	if err != nil {
		return err
	}
	svc := &billing.Service{
		Store: postgres.NewStore(k.DB), Authz: k.Authz, Courses: events.Courses{Invoker: k.Dapr}, People: events.People{Invoker: k.Dapr},
		Facts: events.Facts{Invoker: k.Dapr}, Provider: taker, Calls: k.Outbox,
		Settings: billing.Settings{
			PublicURL: public, ReturnOrigins: cfg.ReturnOrigins, SessionFor: cfg.SessionFor, HoldGrace: cfg.HoldGrace, WaitFor: cfg.WaitFor,
			Dunning: cfg.Dunning, TrialNotice: cfg.TrialNotice,
		},
		Now: k.Now, NewID: k.NewID,
		Telemetry: billing.Telemetry{Webhook: func(outcome string) { k.Metrics.Inbox("webhook/"+taker.Name(), outcome, 1) }},
	}
	(&httpapi.API{Service: svc, Printer: printed.Printer{}, Now: k.Now}).Mount(k.Web)
	receivers := events.Receivers{Service: svc, Wrap: postgres.NewTx}
	receivers.Register(k.Inbox)
	receivers.Answers(k.Outbox)
	events.Jobs(k.Jobs, svc)
	k.Every("sweep", cfg.SweepEvery, svc.Sweep)
	return nil
}

// chosen is who takes the money. The mock gateway takes none that is real, so that
// production has to allow it.
func chosen(k *service.Kit, cfg Config, public string) (provider.Provider, error) {
	production := k.Config.Environment == "production"
	switch {
	case cfg.Provider == provider.NoneName || cfg.Provider == "" && production && !cfg.MockAllowed:
		return provider.None{}, nil
	case cfg.Provider != "" && cfg.Provider != mockgateway.Name:
		return nil, fmt.Errorf("configuration: LMS_PAYMENT_PROVIDER is %q: only mock and none are built in", cfg.Provider)
	case production && !cfg.MockAllowed:
		return nil, errors.New("configuration: the mock gateway takes no real money: in production it runs only with LMS_PAYMENT_MOCK_ALLOWED=true")
	}
	secrets := &webhookSecrets{fixed: cfg.WebhookSecrets, read: k.Dapr.Secret}
	gateway := mockgateway.New(mockgateway.Options{
		DB: k.DB, PublicURL: public, Secrets: secrets.get, Post: post(&http.Client{Timeout: 10 * time.Second}), Now: k.Now, Float: rand.Float64,
		Faults: mockgateway.Faults{
			Delay: cfg.MockWebhookDelay, Jitter: cfg.MockWebhookJitter, Twice: cfg.MockWebhookTwice, Never: cfg.MockWebhookNever, Retries: cfg.MockRetries,
		},
	})
	pages, err := mockgateway.NewPages(gateway)
	if err != nil {
		return nil, err
	}
	pages.Mount(k.Web)
	k.Go("mock gateway", gateway.Run)
	k.Every("mock gateway purge", time.Hour, gateway.Purge)
	return gateway, nil
}

// secretName is the secret that signs webhooks, several by commas.
const secretName = "payment-webhook-secrets"

// webhookSecrets are read once the sidecar answers, and again every minute, so that
// they can be rotated.
type webhookSecrets struct {
	fixed []string
	read  func(ctx context.Context, name string) (string, error)

	mu   sync.Mutex
	kept []string
	at   time.Time
}

func (s *webhookSecrets) get(ctx context.Context) ([]string, error) {
	if len(s.fixed) > 0 {
		return s.fixed, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) > 0 && time.Since(s.at) < time.Minute {
		return s.kept, nil
	}
	raw, err := s.read(ctx, secretName)
	if err != nil {
		if len(s.kept) > 0 {
			return s.kept, nil
		}
		return nil, err
	}
	all := strings.FieldsFunc(raw, func(c rune) bool { return c == ',' || c == ' ' })
	if len(all) == 0 {
		return nil, errors.New("the secret " + secretName + " is empty")
	}
	s.kept, s.at = all, time.Now()
	return all, nil
}

// post sends webhooks of the mock gateway, as a company elsewhere would: over HTTP to
// the public address. Redirects are not followed.
func post(client *http.Client) mockgateway.Poster {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, url string, header map[string]string, body []byte) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = res.Body.Close() }() // nothing is written to it
		_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
		return res.StatusCode, err
	}
}
