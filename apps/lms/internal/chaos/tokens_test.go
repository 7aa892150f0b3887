//go:build chaos

package chaos_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
	"lms/shared/authn"
)

// sessionBound is how long what ended a session may go on working.
const sessionBound = 3 * time.Second

// tokens are the answer to a sign-in.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session string `json:"session_id"`
}

func (s *school) login(t testing.TB, p e2e.Person, password string) tokens {
	t.Helper()
	var out tokens
	s.API().DoKeyed(t, http.MethodPost, "/api/v1/auth/login", map[string]any{"email": p.Email, "password": password}, http.StatusOK).JSON(t, &out)
	require.NotEmpty(t, out.Refresh)
	return out
}

func (s *school) refresh(t testing.TB, raw string) (tokens, system.Answer) {
	t.Helper()
	ans, err := s.API().Try(http.MethodPost, "/api/v1/auth/refresh", map[string]any{"refresh_token": raw})
	require.NoError(t, err)
	var out tokens
	if ans.Status == http.StatusOK {
		ans.JSON(t, &out)
	}
	return out, ans
}

// refusedAfter says how long an access token goes on working.
func (s *school) refusedAfter(t testing.TB, access string) time.Duration {
	t.Helper()
	api := s.API().As(access)
	began := time.Now()
	require.Eventually(t, func() bool {
		ans, err := api.Try(http.MethodGet, "/api/v1/me", nil)
		return err == nil && ans.Status == http.StatusUnauthorized
	}, 30*time.Second, 20*time.Millisecond, "the access token is refused")
	return time.Since(began)
}

// reusedRefresh presents a refresh token that was replaced and confirmed. It
// fails when the family still refreshes, when its access token works for longer
// than the bound, or when two who refresh at once with the same token lose the
// session.
func (s *school) reusedRefresh(t *testing.T) {
	p := s.Invite(t, "Ref Resh", s.Unit)
	first := s.login(t, p, e2e.Password)

	// A parallel refresh gives everybody the same successor and hurts nobody.
	var mu sync.Mutex
	successors, refused := map[string]int{}, 0
	each(8, 8, func(int) {
		next, ans := s.refresh(t, first.Refresh)
		mu.Lock()
		defer mu.Unlock()
		if ans.Status != http.StatusOK {
			refused++
			return
		}
		successors[next.Refresh]++
	})
	require.Len(t, successors, 1)
	second, ans := s.refresh(t, slices.Collect(maps.Keys(successors))[0])
	parallel := len(successors) == 1 && refused == 0 && ans.Status == http.StatusOK
	measured(t, "27 a parallel refresh x8", "one successor, the session lives", parallel, "%d successors, %d refused, then %d", len(successors), refused, ans.Status)

	third, ans := s.refresh(t, second.Refresh) // confirms the second: the first is spent for good
	require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
	require.Equal(t, http.StatusOK, s.API().As(third.Access).Do(t, http.MethodGet, "/api/v1/me", nil).Status)
	_, stolen := s.refresh(t, first.Refresh)
	_, after := s.refresh(t, third.Refresh)
	lag := s.refusedAfter(t, third.Access)
	measured(t, "27 refresh reuse", "the family ends at once, access within 3 s",
		stolen.Status == http.StatusUnauthorized && after.Status == http.StatusUnauthorized && lag < sessionBound,
		"reuse %d %s, the family then %d, access refused after %s", stolen.Status, stolen.Code(t), after.Status, lag.Round(10*time.Millisecond))
}

// endings measures how long an access token works after what should end it. It
// fails beyond the bound, or where somebody else's session ends too.
func (s *school) endings(t *testing.T) {
	p := s.Invite(t, "Ses Sion", s.Unit, "instructor")
	bystander := s.login(t, s.Teacher, e2e.Password)
	took := map[string]time.Duration{}

	out := s.login(t, p, e2e.Password)
	s.API().As(out.Access).Do(t, http.MethodPost, "/api/v1/auth/logout", map[string]any{})
	took["logout"] = s.refusedAfter(t, out.Access)

	here, there := s.login(t, p, e2e.Password), s.login(t, p, e2e.Password)
	const changed = "another horse, another battery 8"
	s.API().As(here.Access).Do(t, http.MethodPost, "/api/v1/auth/password/change", map[string]any{"current_password": e2e.Password, "new_password": changed})
	took["password change"] = s.refusedAfter(t, there.Access)
	_, kept := s.refresh(t, here.Refresh) // who changed it goes on, if with a new access token
	_, gone := s.refresh(t, there.Refresh)

	held := s.login(t, p, changed)
	before, err := s.API().As(held.Access).Try(http.MethodGet, "/api/v1/users", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, before.Status, "an instructor sees users: %s", before.Body)
	for _, g := range list[struct{ ID string }](t, s.Admin, "/api/v1/users/"+p.ID+"/roles") {
		s.Admin.Do(t, http.MethodDelete, "/api/v1/users/"+p.ID+"/roles/"+g.ID, nil)
	}
	took["role removal"] = s.refusedAfter(t, held.Access)
	anew, ans := s.refresh(t, held.Refresh)
	require.Equal(t, http.StatusOK, ans.Status, "a role change does not end the session: %s", ans.Body)
	denied, err := s.API().As(anew.Access).Try(http.MethodGet, "/api/v1/users", nil)
	require.NoError(t, err)

	last := s.login(t, p, changed)
	s.Admin.Do(t, http.MethodPost, "/api/v1/users/"+p.ID+"/deactivate", map[string]any{"reason": "a test"})
	took["deactivation"] = s.refusedAfter(t, last.Access)

	other, err := s.API().As(bystander.Access).Try(http.MethodGet, "/api/v1/me", nil)
	require.NoError(t, err)
	ok := kept.Status == http.StatusOK && gone.Status == http.StatusUnauthorized && denied.Status == http.StatusForbidden && other.Status == http.StatusOK
	var said []string
	for _, what := range slices.Sorted(maps.Keys(took)) {
		ok = ok && took[what] < sessionBound
		said = append(said, fmt.Sprintf("%s %s", what, took[what].Round(10*time.Millisecond)))
	}
	measured(t, "31 what ends a session", "each within 3 s, nobody else's ends", ok, "%s; own session refreshes after a change: %d, others %d", strings.Join(said, ", "), kept.Status, other.Status)
}

// b64 is base64url of bytes, or of JSON.
func b64(v any) string {
	raw, ok := v.([]byte)
	if !ok {
		raw, _ = json.Marshal(v) // maps of strings
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// forgeries are tokens that nobody signed, made from a good one.
func forgeries(t testing.TB, good string, keys authn.JWKS, jku string) map[string]string {
	t.Helper()
	parts := strings.Split(good, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	var head map[string]any
	require.NoError(t, json.Unmarshal(raw, &head))
	with := func(more map[string]any) map[string]any {
		h := maps.Clone(head)
		maps.Copy(h, more)
		return h
	}
	pub, own, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signed := func(h map[string]any, payload string) string {
		in := b64(h) + "." + payload
		return in + "." + b64(ed25519.Sign(own, []byte(in)))
	}
	mac := func(key []byte) string {
		in := b64(with(map[string]any{"alg": "HS256"})) + "." + parts[1]
		m := hmac.New(sha256.New, key)
		m.Write([]byte(in))
		return in + "." + b64(m.Sum(nil))
	}
	out := map[string]string{
		"no signature":             parts[0] + "." + parts[1] + ".",
		"own key":                  signed(head, parts[1]),
		"jwk header":               signed(with(map[string]any{"jwk": authn.PublicJWK("own", pub)}), parts[1]),
		"jwk header and its kid":   signed(with(map[string]any{"kid": "own", "jwk": authn.PublicJWK("own", pub)}), parts[1]),
		"jku":                      signed(with(map[string]any{"kid": "own", "jku": jku}), parts[1]),
		"x5u":                      signed(with(map[string]any{"kid": "own", "x5u": jku}), parts[1]),
		"kid a path":               signed(with(map[string]any{"kid": "../../../../dev/null"}), parts[1]),
		"kid an address":           signed(with(map[string]any{"kid": jku}), parts[1]),
		"kid SQL":                  signed(with(map[string]any{"kid": "' or '1'='1"}), parts[1]),
		"kid empty":                signed(with(map[string]any{"kid": ""}), parts[1]),
		"kid a list":               signed(with(map[string]any{"kid": []string{"own"}}), parts[1]),
		"crit":                     b64(with(map[string]any{"crit": []string{"exp"}})) + "." + parts[1] + "." + parts[2],
		"two tokens":               good + "." + parts[2],
		"HS256 with an empty key":  mac(nil),
		"the head of a refresh":    "lms_rt_" + good,
		"a personal token made up": "lms_pat_" + parts[2],
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		out["alg "+alg] = b64(with(map[string]any{"alg": alg})) + "." + parts[1] + "."
		out["alg "+alg+", signature kept"] = b64(with(map[string]any{"alg": alg})) + "." + parts[1] + "." + parts[2]
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(body, &claims))
	claims["roles"] = []any{map[string]any{"r": "platform_admin", "s": "platform"}}
	out["more roles"] = parts[0] + "." + b64(claims) + "." + parts[2]
	set, err := json.Marshal(keys)
	require.NoError(t, err)
	out["HS256 with the key set"] = mac(set)
	for _, k := range keys.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		require.NoError(t, err)
		der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(x))
		require.NoError(t, err)
		out["HS256 with the bytes of "+k.KeyID] = mac(x)
		out["HS256 with the text of "+k.KeyID] = mac([]byte(k.X))
		out["HS256 with the DER of "+k.KeyID] = mac(der)
		out["HS256 with the PEM of "+k.KeyID] = mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	return out
}

// forged presents forgeries to the gateway and to each service behind it. It
// fails when one is answered by anything but 401, or when the address in a
// header is fetched. The good token they are made from is taken everywhere.
func (s *school) forged(t *testing.T) {
	var fetched atomic.Int64
	lure := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fetched.Add(1); w.WriteHeader(http.StatusOK) }))
	defer lure.Close()
	forged := forgeries(t, s.Teacher.Token, s.jwks(t), lure.URL+"/jwks.json")
	places := s.places(t)
	tries, taken := 0, 0
	for name, path := range places {
		api := s.app(t, name)
		good, err := api.As(s.Teacher.Token).Try(http.MethodGet, path, nil)
		require.NoError(t, err)
		require.NotEqual(t, http.StatusUnauthorized, good.Status, "the good one is taken by %s", name)
		for what, token := range forged {
			ans, err := api.As(token).Try(http.MethodGet, path, nil)
			require.NoError(t, err)
			tries++
			if ans.Status != http.StatusUnauthorized {
				taken++
				t.Errorf("%s at %s: %d %s", what, name, ans.Status, ans.Body)
			}
		}
	}
	measured(t, "28 forged tokens", "all 401, no address fetched", taken == 0 && fetched.Load() == 0,
		"%d forgeries at %d places: %d of %d not refused, %d fetches", len(forged), len(places), taken, tries, fetched.Load())
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// places are a path of each service that nobody reads without a token; what it
// names need not be there.
func (s *school) places(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{installation.Gateway: "/api/v1/me"}
	for _, name := range serviceNames(t) {
		if name == installation.Gateway {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(system.Root(t), "shared", "contracts", "openapi", name+".json"))
		require.NoError(t, err)
		var doc struct {
			Paths map[string]map[string]struct {
				Access string `json:"x-access"`
			}
		}
		require.NoError(t, json.Unmarshal(raw, &doc))
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			if get, ok := doc.Paths[path]["get"]; ok && get.Access != "public" {
				out[name] = parameter.ReplaceAllString(path, uuid.NewString())
				break
			}
		}
		require.NotEmpty(t, out[name], "%s has something to read for who is signed in", name)
	}
	return out
}

func kidOf(t testing.TB, access string) string {
	t.Helper()
	head, _, _ := strings.Cut(access, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	require.NoError(t, err)
	var h struct {
		Kid string `json:"kid"`
	}
	require.NoError(t, json.Unmarshal(raw, &h))
	return h.Kid
}

func (s *school) jwks(t testing.TB) (keys authn.JWKS) {
	t.Helper()
	s.API().Read(t, "/.well-known/jwks.json").JSON(t, &keys)
	return keys
}

// rotation orders a new signing key while tokens are used, and then one because
// of a compromise. It fails when a valid token is refused during the first, or
// when a token of before works after the second for longer than the bound. That
// a retired key leaves after the longest life of a token is tested with a moved
// clock beside the ring (apps/auth/internal/keys).
func (s *school) rotation(t *testing.T) {
	p := s.Invite(t, "Ro Tation", s.Unit)
	before := s.login(t, p, e2e.Password)
	old := s.jwks(t)
	var used, rejected atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ans, err := s.API().As(before.Access).Try(http.MethodGet, "/api/v1/me", nil)
				used.Add(1)
				if err != nil || ans.Status != http.StatusOK {
					rejected.Add(1)
				}
			}
		})
	}
	s.Lms(t, "keys", "rotate")
	var published authn.JWKS
	await(t, 5*time.Second, "the next key is published", func() bool {
		published = s.jwks(t) // kept by the gateway for a second
		return len(published.Keys) > len(old.Keys)
	})
	fresh := s.login(t, p, e2e.Password)
	await(t, 10*time.Second, "the load has used tokens for a while", func() bool { return used.Load() > 1000 })
	close(stop)
	wg.Wait()
	ans, err := s.API().As(fresh.Access).Try(http.MethodGet, "/api/v1/me", nil)
	require.NoError(t, err)
	measured(t, "30 key rotation under load", "0 valid tokens refused, the next key is published before it signs",
		rejected.Load() == 0 && len(published.Keys) == len(old.Keys)+1 && ans.Status == http.StatusOK,
		"%d uses, %d refused; %d keys published, then %d", used.Load(), rejected.Load(), len(old.Keys), len(published.Keys))

	s.Lms(t, "keys", "rotate", "--compromised")
	next, ans := s.refresh(t, fresh.Refresh)
	require.Equal(t, http.StatusOK, ans.Status, "who is signed in goes on: %s", ans.Body)
	took := await(t, 30*time.Second, "the new token is taken", func() bool {
		ans, err := s.API().As(next.Access).Try(http.MethodGet, "/api/v1/me", nil)
		return err == nil && ans.Status == http.StatusOK
	})
	// A verifier learns of the new set from the first new token that it meets, and
	// where it meets none within five minutes.
	lag := s.refusedAfter(t, fresh.Access)
	await(t, 5*time.Second, "the key is gone from the set", func() bool { return !strings.Contains(fmt.Sprint(s.jwks(t)), kidOf(t, fresh.Access)) })
	left := 0
	for _, k := range s.jwks(t).Keys {
		if strings.Contains(fmt.Sprint(old.Keys), k.KeyID) {
			left++
		}
	}
	s.AwaitReady(t)
	// What stays is auth's own key, by which it speaks when it has no other.
	measured(t, "30 a compromised key", "old tokens refused within 3 s, people go on", lag < sessionBound && took < sessionBound && left <= 1,
		"old access refused after %s, new one taken after %s, %d of %d old keys left", lag.Round(10*time.Millisecond), took.Round(10*time.Millisecond), left, len(old.Keys))
}
