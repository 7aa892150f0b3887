package session_test

import (
	"context"
	"encoding/base64"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/auth/internal/session"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
	"lms/shared/record/recordtest"
)

var (
	start   = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	limits  = session.Limits{Idle: time.Hour, Absolute: 10 * time.Hour, Impersonation: 30 * time.Minute, Client: time.Hour}
	secretA = []byte("the first sealing secret of a test")
	secretB = []byte("another sealing secret, for a test")
)

// people is the user service as sessions see it.
type people struct {
	mu       sync.Mutex
	subjects map[uuid.UUID]internalapi.LoginSubject
	reports  []internalapi.SecurityEvent
	away     bool
	asked    func()
}

func newPeople() *people { return &people{subjects: map[uuid.UUID]internalapi.LoginSubject{}} }

func (p *people) add(change ...func(*internalapi.LoginSubject)) internalapi.LoginSubject {
	s := internalapi.LoginSubject{
		UserID: uuid.New(), TenantID: uuid.New(), OrgUnitID: uuid.New(), Status: internalapi.PersonActive, Epoch: 1, Email: "ada@example.org",
	}
	for _, c := range change {
		c(&s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subjects[s.UserID] = s
	return s
}

func (p *people) change(id uuid.UUID, fn func(*internalapi.LoginSubject)) internalapi.LoginSubject {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subjects[id]
	fn(&s)
	p.subjects[id] = s
	return s
}

func (p *people) Subject(_ context.Context, id uuid.UUID) (internalapi.LoginSubject, error) {
	p.mu.Lock()
	asked, away := p.asked, p.away
	p.mu.Unlock()
	if asked != nil {
		asked()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if away {
		return internalapi.LoginSubject{}, apperr.Unavailable("service_unavailable", "away")
	}
	s, ok := p.subjects[id]
	if !ok {
		return s, apperr.NotFound("user")
	}
	return s, nil
}

func (p *people) Report(_ context.Context, e internalapi.SecurityEvent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = append(p.reports, e)
	return nil
}

func (p *people) reported() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var kinds []string
	for _, e := range p.reports {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

type world struct {
	clock    *clock.Manual
	store    *recordtest.Memory
	people   *people
	sessions *session.Sessions
}

func newWorld(t recordtest.T) *world {
	w := &world{clock: clock.NewManual(start), people: newPeople()}
	w.store = recordtest.New(t, w.clock.Now)
	w.sessions = w.replica(t, secretA)
	return w
}

// replica is a further process on the same store.
func (w *world) replica(t require.TestingT, secrets ...[]byte) *session.Sessions {
	chain, err := session.NewChain(secrets...)
	require.NoError(t, err)
	policy := authz.NewPolicy(authz.Snapshot{Roles: authz.BuiltinRoles()})
	return &session.Sessions{
		Book: record.NewBook[session.Document](w.store, w.clock.Now, session.Ends), Chain: chain, Users: w.people,
		Policy: authz.Fixed{P: policy}, Limits: limits, Now: w.clock.Now, NewID: uuid.New, Log: slog.New(slog.DiscardHandler),
	}
}

func (w *world) login(t require.TestingT, s internalapi.LoginSubject) session.Grant {
	g, err := w.sessions.Open(context.Background(), session.Opening{Subject: s, Kind: internalapi.SessionLogin, Device: "laptop"})
	require.NoError(t, err)
	return g
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return apperr.Code(err)
}

func TestRefreshGivesASuccessorAndEndsAFamilyThatWasStolen(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	first := w.login(t, ada)

	second, err := w.sessions.Refresh(ctx, first.Refresh.Raw(), session.From{IP: "192.0.2.1"})
	require.NoError(t, err)
	require.Equal(t, session.Rotated, second.Verdict)
	require.NotEqual(t, first.Refresh.Raw(), second.Refresh.Raw())

	// The answer was lost: the same token gives the same successor.
	again, err := w.sessions.Refresh(ctx, first.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	require.Equal(t, session.Repeated, again.Verdict)
	require.Equal(t, second.Refresh.Raw(), again.Refresh.Raw())

	// The successor is used: from now on the first one is a stolen one.
	third, err := w.sessions.Refresh(ctx, second.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	_, err = w.sessions.Refresh(ctx, first.Refresh.Raw(), session.From{})
	require.Equal(t, "refresh_token_reused", code(err))
	require.Equal(t, []string{internalapi.SecurityRefreshReused}, w.people.reported())
	_, err = w.sessions.Refresh(ctx, third.Refresh.Raw(), session.From{})
	require.Equal(t, "session_ended", code(err))
	good, err := w.sessions.Good(ctx, ada.UserID, first.Session.ID, 1)
	require.NoError(t, err)
	require.False(t, good, "access tokens of a stolen family are over too")
}

func TestMadeUpTokensEndNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	g := w.login(t, ada)
	raw := g.Refresh.Raw()
	body, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(raw, "lms_rt_"))
	require.NoError(t, err)

	forged := map[string]string{"empty": "", "no prefix": raw[7:], "short": raw[:40], "long": raw + "A", "not base64": raw[:60] + "!" + raw[61:]}
	for i := range body { // every byte of subject, session, secret and tag
		b := append([]byte(nil), body...)
		b[i] ^= 1
		forged["byte "+string(rune('0'+i))] = "lms_rt_" + base64.RawURLEncoding.EncodeToString(b)
	}
	for name, f := range forged {
		_, err := w.sessions.Refresh(ctx, f, session.From{})
		require.Equal(t, "invalid_refresh_token", code(err), name)
	}
	_, err = w.sessions.Refresh(ctx, raw, session.From{})
	require.NoError(t, err, "the session is untouched")
}

func TestParallelRefreshOnTwoReplicasLosesNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*session.Sessions{w.sessions, w.replica(t, secretA)}
	g := w.login(t, w.people.add())
	token := g.Refresh.Raw()
	for range 5 {
		var mu sync.Mutex
		got := map[string]int{}
		rotated := 0
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				r, err := replicas[i%2].Refresh(t.Context(), token, session.From{})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					got["error "+err.Error()]++
					return
				}
				got[r.Refresh.Raw()]++
				if r.Verdict == session.Rotated {
					rotated++
				}
			})
		}
		wg.Wait()
		require.Len(t, got, 1, "every one of them is given the same successor")
		require.Equal(t, 1, rotated)
		for token = range got {
		}
	}
}

func TestTwoRequestsCannotBothRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.login(t, w.people.add())
	other := w.replica(t, secretA)
	var acted atomic.Bool
	w.people.asked = func() { // while the first is asking for the subject
		if acted.Swap(true) {
			return
		}
		between, err := other.Refresh(context.Background(), g.Refresh.Raw(), session.From{})
		require.NoError(t, err)
		// … and its successor is used, too
		_, err = other.Refresh(context.Background(), between.Refresh.Raw(), session.From{})
		require.NoError(t, err)
	}
	_, err := w.sessions.Refresh(t.Context(), g.Refresh.Raw(), session.From{})
	require.Equal(t, "refresh_token_reused", code(err), "decided on the document as it is when it is written")
}

func TestARefreshReadsRolesStatusAndPasswordAnew(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	g := w.login(t, ada)

	w.people.change(ada.UserID, func(s *internalapi.LoginSubject) {
		s.Epoch = 2
		s.Grants = []authz.Grant{{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: s.OrgUnitID}}}
	})
	g, err := w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	require.Len(t, g.Subject.Grants, 1)
	require.EqualValues(t, 2, g.Epoch)
	good, err := w.sessions.Good(ctx, ada.UserID, g.Session.ID, 1)
	require.NoError(t, err)
	require.False(t, good, "tokens of the earlier epoch are over, although no order came")

	changed := w.clock.Now()
	w.people.change(ada.UserID, func(s *internalapi.LoginSubject) { s.PasswordChangedAt = &changed })
	_, err = w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
	require.Equal(t, "session_ended", code(err), "the password was changed elsewhere")

	for _, status := range []string{internalapi.PersonDeactivated, internalapi.PersonDeleted, internalapi.PersonErased, internalapi.PersonInvited} {
		bob := w.people.add()
		g := w.login(t, bob)
		w.people.change(bob.UserID, func(s *internalapi.LoginSubject) { s.Status = status })
		_, err = w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
		require.Equal(t, "session_ended", code(err), status)
		w.people.change(bob.UserID, func(s *internalapi.LoginSubject) { s.Status = internalapi.PersonActive })
		_, err = w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
		require.Equal(t, "session_ended", code(err), "it stays ended")
	}
}

func TestNobodyToAskKeepsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.login(t, w.people.add())
	w.people.away = true
	_, err := w.sessions.Refresh(t.Context(), g.Refresh.Raw(), session.From{})
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	w.people.away = false
	_, err = w.sessions.Refresh(t.Context(), g.Refresh.Raw(), session.From{})
	require.NoError(t, err)

	w.store.SetFail(true)
	_, err = w.sessions.Refresh(t.Context(), g.Refresh.Raw(), session.From{})
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
}

func TestAnEndThatComesDuringALoginWins(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	keep := w.login(t, ada)

	n, err := w.sessions.EndAll(ctx, internalapi.EndSessions{UserID: ada.UserID, Epoch: 2, Reason: "password_changed"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = w.sessions.Open(ctx, session.Opening{Subject: ada, Kind: internalapi.SessionLogin}) // the password was checked at epoch 1
	require.Equal(t, "session_ended", code(err))
	_, err = w.sessions.Refresh(ctx, keep.Refresh.Raw(), session.From{})
	require.Equal(t, "session_ended", code(err))

	ada = w.people.change(ada.UserID, func(s *internalapi.LoginSubject) { s.Epoch = 2 })
	w.login(t, ada)

	// A second factor entered late rests on the first factor's moment.
	_, err = w.sessions.Open(ctx, session.Opening{Subject: ada, ProofEpoch: 1, Kind: internalapi.SessionLogin})
	require.Equal(t, "session_ended", code(err))
}

func TestALoginWithRolesOfBeforeReadsThemAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.people.add()
	_, err := w.sessions.EndAll(t.Context(), internalapi.EndSessions{UserID: ada.UserID, Epoch: 5, EpochOnly: true})
	require.NoError(t, err)
	w.people.change(ada.UserID, func(s *internalapi.LoginSubject) { s.Epoch, s.Name = 5, "Ada, promoted" })
	g := w.login(t, ada) // still the subject of epoch 1
	require.EqualValues(t, 5, g.Epoch)
	require.Equal(t, "Ada, promoted", g.Subject.Name)
}

func TestOrdersToEndCommuteAndRepeat(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	a, b := w.login(t, ada), w.login(t, ada)
	w.people.change(ada.UserID, func(s *internalapi.LoginSubject) { s.Epoch = 3 })
	order := internalapi.EndSessions{UserID: ada.UserID, ExceptSession: a.Session.ID, Epoch: 3}
	for want := 1; want >= 0; want-- {
		n, err := w.sessions.EndAll(ctx, order)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	_, err := w.sessions.EndAll(ctx, internalapi.EndSessions{UserID: ada.UserID, EpochOnly: true, Epoch: 2})
	require.NoError(t, err, "an older order that comes late")
	_, err = w.sessions.Refresh(ctx, b.Refresh.Raw(), session.From{})
	require.Equal(t, "session_ended", code(err))
	g, err := w.sessions.Refresh(ctx, a.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	require.EqualValues(t, 3, g.Epoch)
}

func TestAnOrderThatComesLateSparesWhatWasProvedAfterIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	before := w.login(t, ada)
	ada = w.people.change(ada.UserID, func(s *internalapi.LoginSubject) { s.Epoch = 2 })
	after := w.login(t, ada) // with the new password, while the order is on its way
	for want := 1; want >= 0; want-- {
		n, err := w.sessions.EndAll(ctx, internalapi.EndSessions{UserID: ada.UserID, Epoch: 2, Reason: "password_reset"})
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Error(t, w.sessions.Live(ctx, ada.UserID, before.Session.ID))
	require.NoError(t, w.sessions.Live(ctx, ada.UserID, after.Session.ID))
	n, err := w.sessions.EndAll(ctx, internalapi.EndSessions{UserID: ada.UserID})
	require.NoError(t, err)
	require.Equal(t, 1, n, "without an epoch every session ends")
}

func TestTheHundredAndFirstSessionEndsTheFirst(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	ada := w.people.add()
	var all []session.Grant
	for range session.MaxPerSubject + 3 {
		all = append(all, w.login(t, ada))
		w.clock.Advance(time.Second)
	}
	list, err := w.sessions.List(ctx, ada.UserID)
	require.NoError(t, err)
	require.Len(t, list, session.MaxPerSubject)
	require.Equal(t, all[len(all)-1].Session.ID, list[0].ID, "the newest first")
	for i, g := range all {
		err := w.sessions.Live(ctx, ada.UserID, g.Session.ID)
		require.Equal(t, i < 3, err != nil, "session %d", i)
	}
	e, err := w.store.Get(ctx, internalapi.SessionKey(ada.UserID))
	require.NoError(t, err)
	require.Less(t, len(e.Value), 128<<10, "the document stays small")
}

func TestASealingSecretCanBeReplaced(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newWorld(t)
	g := w.login(t, w.people.add())
	second, err := w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
	require.NoError(t, err)

	w.sessions = w.replica(t, secretB, secretA)
	again, err := w.sessions.Refresh(ctx, g.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	require.Equal(t, second.Refresh.Raw(), again.Refresh.Raw(), "a successor that was made with the earlier secret")
	third, err := w.sessions.Refresh(ctx, second.Refresh.Raw(), session.From{})
	require.NoError(t, err)

	w.sessions = w.replica(t, secretB)
	_, err = w.sessions.Refresh(ctx, second.Refresh.Raw(), session.From{})
	require.Equal(t, "invalid_refresh_token", code(err), "made with the earlier secret: sign in again, nothing ends")
	_, err = w.sessions.Refresh(ctx, third.Refresh.Raw(), session.From{})
	require.NoError(t, err)
	_, err = session.NewChain([]byte("short"))
	require.Error(t, err)
	_, err = session.NewChain()
	require.Error(t, err)
}

func TestErrorsOfAStoreComeThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.people.add()
	w.store.SetFail(true)
	_, err := w.sessions.Open(t.Context(), session.Opening{Subject: ada})
	require.True(t, apperr.IsKind(err, apperr.KindUnavailable))
	_, err = w.sessions.Good(t.Context(), ada.UserID, uuid.New(), 1)
	require.Error(t, err, "not knowing is not a no")
	require.NotErrorIs(t, err, record.ErrConflict)
}
