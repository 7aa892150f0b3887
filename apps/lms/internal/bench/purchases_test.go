//go:build bench

package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/load"
	"lms/apps/lms/internal/system"
)

// TestBenchPurchases measures checkouts, each with a seat held at enrollment, and the
// webhooks of their payments, each with order, invoice, ledger and entitlement.
func TestBenchPurchases(t *testing.T) {
	const conns, plans = 16, 20
	t.Setenv("LMS_PAYMENT_MOCK_WEBHOOK_DELAY", "10h") // they are sent by this test
	t.Setenv("LMS_GATEWAY_ADDRESS_RATE", "1000000")
	w := market{e2e.NewWorld(t, system.Start(t))}
	r := &report{t: t}
	defer r.print()
	teacher := w.Invite(t, "Bench Teacher", w.Org, "instructor")
	w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/legal-entities", map[string]any{"org_unit_id": w.Org, "name": "Seller", "address": "Quay 1", "country": "DE"}, http.StatusCreated)
	ids := make([]string, plans)
	for i := range ids {
		c := w.Publish(t, teacher.API, w.Org, e2e.ThreeModules(), map[string]any{"capacity": 1000})
		ids[i] = w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/plans", map[string]any{
			"org_unit_id": w.Org, "name": fmt.Sprintf("Plan %d", i), "kind": "one_off", "course_ids": []string{c.ID}, "prices": []any{map[string]any{"currency": "EUR", "amount": 5000}},
		}, http.StatusCreated).ID(t)
	}
	buyers := make([]e2e.Person, conns)
	fourAtATime(conns, func(i int) { buyers[i] = w.Invite(t, fmt.Sprintf("Bench Buyer %d", i), w.Org) })

	res := w.sold(t, conns, func(c, i int) (*http.Request, error) {
		if i == plans {
			return nil, io.EOF
		}
		req := post(w.URL+"/api/v1/checkout-sessions", buyers[c].Token, `{"plan_id":"`+ids[i]+`"}`)
		req.Header.Set("Idempotency-Key", uuid.NewString())
		return req, nil
	})
	r.add("checkouts with a held seat, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), "")

	pages := w.column(t, "select url from checkout_sessions where state = 'open'")
	require.Len(t, pages, conns*plans)
	fourAtATime(len(pages), func(i int) {
		if !e2e.TryPress(t, pages[i], "pay", "4242424242424242") {
			t.Errorf("page %s could not be paid", pages[i])
		}
	})
	hooks := w.column(t, "select body::text from mock_deliveries where done_at is null")
	require.Len(t, hooks, conns*plans)
	secret := w.webhookSecret(t)
	var next atomic.Int64
	res = w.sold(t, conns, func(_, _ int) (*http.Request, error) {
		i := int(next.Add(1)) - 1
		if i >= len(hooks) {
			return nil, io.EOF
		}
		req, err := http.NewRequest(http.MethodPost, w.URL+"/api/v1/payments/webhooks/mock", strings.NewReader(hooks[i]))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Mock-Signature", signed(secret, hooks[i]))
		return req, nil
	})
	r.add("webhooks of payments, 16 connections", fmt.Sprintf("%.0f per s, p50 %s, p99 %s", res.PerSecond(), round(res.P50), round(res.P99)), "")
	require.Equal(t, []string{strconv.Itoa(conns * plans)}, w.column(t, "select count(*)::text from orders where state = 'paid'"))
}

// market is the world with payment's own database.
type market struct{ *e2e.World }

// sold sends all requests that there are, none of which may fail.
func (w market) sold(t *testing.T, conns int, next func(c, i int) (*http.Request, error)) load.Result {
	t.Helper()
	res, err := load.Run(t.Context(), load.Options{Connections: conns, Duration: 2 * time.Minute, Next: next})
	require.NoError(t, err)
	require.Zero(t, res.Errors, "%v", res.Statuses)
	return res
}

// column reads texts of payment's database.
func (w market) column(t *testing.T, sql string) []string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.Process(t, "payment", "service").PID))
	require.NoError(t, err)
	var address string
	for kv := range strings.SplitSeq(string(raw), "\x00") {
		if v, ok := strings.CutPrefix(kv, "LMS_DATABASE_URL="); ok {
			address = v
		}
	}
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "set local lms.tenant = '*'")
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), sql)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return out
}

func (w market) webhookSecret(t *testing.T) string {
	t.Helper()
	var secrets map[string]string
	raw, err := os.ReadFile(filepath.Join(w.Home, "secrets.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &secrets))
	newest, _, _ := strings.Cut(secrets["payment-webhook-secrets"], ",")
	return newest
}

// signed is the header of a webhook.
func signed(secret, body string) string {
	t := strconv.FormatInt(time.Now().Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "." + body))
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}
