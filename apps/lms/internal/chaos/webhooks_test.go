//go:build chaos

package chaos_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

const hookPath = "/api/v1/payments/webhooks/mock"

// sale is a purchase that was paid, and one whose page stands open.
type sale struct {
	*school
	buyer   e2e.Person
	genuine string // a webhook as it was sent, of the paid one
	paid    string // the paid one's page
	open    string // the open one's page
	session string // the open one
	secret  string
}

func (s *school) sale(t *testing.T) *sale {
	x := &sale{school: s}
	course := s.courses(t, 1, nil)[0]
	entity := made(t, s.Admin, "/api/v1/legal-entities", map[string]any{
		"org_unit_id": s.Org, "name": "Seller", "address": "Quay 1", "country": "DE", "invoice_prefix": coupon(), "credit_note_prefix": coupon(),
	})
	plan := made(t, s.Admin, "/api/v1/plans", map[string]any{
		"org_unit_id": s.Org, "name": "For sale", "kind": "one_off", "course_ids": []string{course}, "legal_entity_id": entity,
		"prices": []any{map[string]any{"currency": "EUR", "amount": 5000}},
	})
	purchase := func() (buyer e2e.Person, session, page string) {
		buyer = s.Register(t, "Buy Er")
		session = made(t, buyer.API, "/api/v1/checkout-sessions", map[string]any{"plan_id": plan})
		await(t, time.Minute, "the page is made", func() bool {
			page, _ = buyer.Read(t, "/api/v1/checkout-sessions/"+session).Map(t)["url"].(string)
			return page != ""
		})
		return buyer, session, page
	}
	first, _, page := purchase()
	x.paid = page
	require.True(t, e2e.TryPress(t, page, "pay", "4242424242424242"))
	await1(t, first.API, "/api/v1/invoices")
	x.buyer, x.session, x.open = purchase()
	x.genuine = x.query(t, "select body::text from mock_deliveries where body::text like '%' || $1 || '%' order by id desc limit 1", path.Base(page))

	var secrets map[string]string
	raw, err := os.ReadFile(filepath.Join(s.Home, "secrets.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &secrets))
	x.secret, _, _ = strings.Cut(secrets["payment-webhook-secrets"], ",")
	require.NotEmpty(t, x.secret)
	return x
}

func (x *sale) query(t testing.TB, sql string, args ...any) (out string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), x.setting(t, "payment", "LMS_DATABASE_URL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "set local lms.tenant = '*'")
	require.NoError(t, err)
	require.NoError(t, tx.QueryRow(t.Context(), sql, args...).Scan(&out))
	return out
}

// signed is the header of a webhook, as the interface's README describes it.
func signed(secret string, at time.Time, body string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "." + body))
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// forOpen is the genuine webhook, rewritten so that it says that the open page was paid.
func (x *sale) forOpen() string {
	var e struct{ ID string }
	_ = json.Unmarshal([]byte(x.genuine), &e) // it was one
	return strings.NewReplacer(path.Base(x.paid), path.Base(x.open), e.ID, "evt_"+uuid.NewString()).Replace(x.genuine)
}

func (x *sale) send(body, header string) (system.Answer, error) {
	h := []string{}
	if header != "" {
		h = append(h, "Mock-Signature", header)
	}
	return x.API().Try(http.MethodPost, hookPath, []byte(body), h...)
}

// forgedWebhooks sends what says that a page was paid which nobody paid, with every
// signature that is not right, and a genuine webhook again and again. It fails when one
// of the former is taken, or when the latter has an effect once more.
func (s *school) forgedWebhooks(t *testing.T) {
	x := s.sale(t)
	now, forged := time.Now(), x.forOpen()
	header := signed(x.secret, now, forged)
	refused := map[string]string{}
	for name, try := range map[string]struct{ body, header string }{
		"none": {forged, ""}, "another secret": {forged, signed("whsec_guess", now, forged)}, "no scheme": {forged, "t=1"},
		"another body": {forged + " ", header}, "another time": {forged, strings.Replace(header, "t=", "t=1", 1)}, "too long ago": {forged, signed(x.secret, now.Add(-301*time.Second), forged)},
		"in the future": {forged, signed(x.secret, now.Add(400*time.Second), forged)}, "empty secret": {forged, signed("", now, forged)},
	} {
		ans, err := x.send(try.body, try.header)
		require.NoError(t, err)
		refused[name] = codeOf(ans)
		require.Equal(t, http.StatusBadRequest, ans.Status, "%s: %s", name, ans.Body)
	}
	await(t, 10*time.Second, "the page stands open", func() bool { return x.buyer.Read(t, "/api/v1/checkout-sessions/"+x.session).Map(t)["state"] == "open" })
	require.Empty(t, list[struct{ ID string }](t, x.buyer.API, "/api/v1/entitlements"))

	before := x.query(t, "select concat_ws(' ', (select count(*) from payments), (select count(*) from invoices), (select count(*) from ledger_entries), (select count(*) from entitlements))")
	var duplicate atomic.Int64
	each(50, lanes, func(int) {
		ans, err := x.send(x.genuine, signed(x.secret, time.Now(), x.genuine))
		if err == nil && ans.Status == http.StatusOK && strings.Contains(string(ans.Body), "duplicate") {
			duplicate.Add(1)
		}
	})
	after := x.query(t, "select concat_ws(' ', (select count(*) from payments), (select count(*) from invoices), (select count(*) from ledger_entries), (select count(*) from entitlements))")
	measured(t, "40 webhooks: bad, old and replayed signatures", "all refused, a replay has no effect", len(refused) == 8 && duplicate.Load() == 50 && before == after,
		"%d kinds refused (%v); of 50 replays %d were told apart, books %q before, %q after", len(refused), refused, duplicate.Load(), before, after)
}

// TestGuesses is about somebody who tries what they do not know, against the limits of
// an installation that is in use; those of development let everything pass.
func TestGuesses(t *testing.T) {
	t.Setenv("LMS_GATEWAY_ADDRESS_RATE", "6000")
	s := start(t)
	t.Run("36 guesses", s.guessed)
}

// guesses are so many tries of somebody who does not know a secret.
const guesses = 10_000

// guessed lets somebody try signatures of webhooks, addresses of payment pages and
// tokens of unsubscribing, for what there is and for what there is not. It fails when
// a try has an effect, when nothing is throttled, when what there is can be told from
// what there is not by the time of the answer, or when a buyer's own payment does not
// go through afterwards.
func (s *school) guessed(t *testing.T) {
	x := s.sale(t)
	forged := x.forOpen()
	unknown := strings.ReplaceAll(forged, path.Base(x.open), "mgs_"+strings.Repeat("a", 32))
	tries := []func() (string, system.Answer, error){
		func() (string, system.Answer, error) {
			ans, err := x.send(forged, signed(uuid.NewString(), time.Now(), forged))
			return "webhook of a page", ans, err
		},
		func() (string, system.Answer, error) {
			ans, err := x.send(unknown, signed(uuid.NewString(), time.Now(), unknown))
			return "webhook of no page", ans, err
		},
		func() (string, system.Answer, error) {
			ans, err := x.API().Try(http.MethodGet, "/mock-gateway/mgs_"+strings.ReplaceAll(uuid.NewString(), "-", ""), nil)
			return "page", ans, err
		},
		func() (string, system.Answer, error) {
			ans, err := x.API().Try(http.MethodGet, "/api/v1/notification-preferences/unsubscribe?token="+uuid.NewString(), nil)
			return "unsubscribing", ans, err
		},
	}
	var taken, throttled, odd atomic.Int64
	took := make([]time.Duration, guesses)
	kind := make([]string, guesses)
	began := time.Now()
	each(guesses, lanes, func(i int) {
		at := time.Now()
		what, ans, err := tries[i%len(tries)]()
		switch {
		case err != nil:
			odd.Add(1)
		case ans.Status == http.StatusTooManyRequests:
			throttled.Add(1)
		case ans.Status < 300:
			taken.Add(1)
		case ans.Status >= 500:
			odd.Add(1)
		default:
			kind[i], took[i] = what, time.Since(at)
		}
	})
	rate := guesses / time.Since(began).Seconds()
	p50 := func(what string) time.Duration {
		var of []time.Duration
		for i, k := range kind {
			if k == what {
				of = append(of, took[i])
			}
		}
		if slices.Sort(of); len(of) == 0 {
			return 0
		}
		return of[len(of)/2]
	}
	there, nowhere := p50("webhook of a page"), p50("webhook of no page")
	apart := max(there, nowhere) - min(there, nowhere)

	freed := await(t, 3*time.Minute, "a buyer's payment goes through", func() bool {
		if !e2e.TryPress(t, x.open, "pay", "4242424242424242") {
			return false
		}
		ans, err := x.buyer.Try(http.MethodGet, "/api/v1/entitlements", nil)
		return err == nil && ans.Status == http.StatusOK && strings.Contains(string(ans.Body), `"granted"`)
	})
	measured(t, "36 10,000 guesses at webhooks, pages and links", "0 taken, throttled, p50 apart ≤ 5 ms, a buyer pays afterwards",
		taken.Load() == 0 && odd.Load() == 0 && throttled.Load() > guesses/10 && there > 0 && nowhere > 0 && apart <= 5*time.Millisecond,
		"%d taken, %d throttled, %d without a proper answer (%.0f/s); p50 %s for a page that there is, %s for none; paid %s after the flood",
		taken.Load(), throttled.Load(), odd.Load(), rate, there.Round(100*time.Microsecond), nowhere.Round(100*time.Microsecond), fmt.Sprint(freed.Round(100*time.Millisecond)))
}
