package session_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/auth/internal/session"
	"lms/shared/contracts/internalapi"
)

// family is a session as the plain model sees it: every token that was ever
// given out, in order.
type family struct {
	id         uuid.UUID
	tokens     []string
	current    int
	ended      bool
	opened     time.Time
	used       time.Time
	passwordAt *time.Time
}

func (f *family) live(now time.Time) bool {
	return !f.ended && now.Before(f.opened.Add(limits.Absolute)) && now.Before(f.used.Add(limits.Idle))
}

// model checks Sessions against a list of families and a person.
type model struct {
	w        *world
	person   internalapi.LoginSubject
	families []*family
	epoch    int64 // of the document
}

func (m *model) sync() {
	m.person = m.w.people.change(m.person.UserID, func(s *internalapi.LoginSubject) { *s = m.person })
}

func (m *model) login(t *rapid.T) {
	before := len(m.liveOnes())
	g, err := m.w.sessions.Open(context.Background(), session.Opening{Subject: m.person, Kind: internalapi.SessionLogin})
	if m.person.Status != internalapi.PersonActive {
		// Only a proof gets here, and user proves active people alone; the
		// refresh is what finds out later.
		require.NoError(t, err)
	}
	require.NoError(t, err)
	if before == session.MaxPerSubject {
		m.liveOnes()[0].ended = true
	}
	now := m.w.clock.Now()
	m.families = append(m.families, &family{
		id: g.Session.ID, tokens: []string{g.Refresh.Raw()}, opened: now, used: now, passwordAt: m.person.PasswordChangedAt,
	})
	m.epoch = m.person.Epoch
}

func (m *model) liveOnes() []*family {
	now := m.w.clock.Now()
	return slices.DeleteFunc(slices.Clone(m.families), func(f *family) bool { return !f.live(now) })
}

func (m *model) pick(t *rapid.T) *family {
	if len(m.families) == 0 {
		t.Skip("no session yet")
	}
	return m.families[rapid.IntRange(0, len(m.families)-1).Draw(t, "session")]
}

// refresh presents any token that was ever given out.
func (m *model) refresh(t *rapid.T) {
	f := m.pick(t)
	// Recent tokens are more interesting than old ones.
	back := rapid.IntRange(0, min(3, len(f.tokens)-1)).Draw(t, "back")
	i := len(f.tokens) - 1 - back
	got, err := m.w.sessions.Refresh(context.Background(), f.tokens[i], session.From{})
	now := m.w.clock.Now()
	switch {
	case !f.live(now):
		require.Equal(t, "session_ended", code(err))
	case i != f.current && i != f.current-1:
		require.Equal(t, "refresh_token_reused", code(err))
		f.ended = true
	case m.person.Status != internalapi.PersonActive, m.passwordIsNewer(f):
		require.Equal(t, "session_ended", code(err))
		f.ended = true
	case i == f.current:
		require.NoError(t, err)
		require.NotContains(t, f.tokens, got.Refresh.Raw(), "a new token")
		f.tokens = append(f.tokens, got.Refresh.Raw())
		f.current++
		m.touched(f, now)
	default:
		require.NoError(t, err)
		require.Equal(t, f.tokens[f.current], got.Refresh.Raw(), "the same successor")
		if m.epoch != m.person.Epoch {
			m.touched(f, now)
		}
	}
}

func (m *model) passwordIsNewer(f *family) bool {
	p := m.person.PasswordChangedAt
	return p != nil && (f.passwordAt == nil || p.After(*f.passwordAt))
}

func (m *model) touched(f *family, now time.Time) {
	f.used = now
	m.epoch = m.person.Epoch
}

// check compares what lives, and whose access tokens are good.
func (m *model) check(t *rapid.T) {
	ctx := context.Background()
	var want []uuid.UUID
	for _, f := range m.liveOnes() {
		want = append(want, f.id)
	}
	list, err := m.w.sessions.List(ctx, m.person.UserID)
	require.NoError(t, err)
	var got []uuid.UUID
	for _, v := range list {
		got = append(got, v.ID)
	}
	require.ElementsMatch(t, want, got)
	for _, f := range m.families {
		for _, epoch := range []int64{m.epoch - 1, m.epoch, m.epoch + 1} {
			good, err := m.w.sessions.Good(ctx, m.person.UserID, f.id, epoch)
			require.NoError(t, err)
			require.Equal(t, f.live(m.w.clock.Now()) && epoch == m.epoch, good)
		}
	}
}

func (m *model) endAll(t *rapid.T, except *family) {
	o := internalapi.EndSessions{UserID: m.person.UserID, Epoch: m.person.Epoch}
	if except != nil {
		o.ExceptSession = except.id
	}
	_, err := m.w.sessions.EndAll(context.Background(), o)
	require.NoError(t, err)
	for _, f := range m.families {
		f.ended = f.ended || f != except
	}
	m.epoch = max(m.epoch, m.person.Epoch)
}

func (m *model) lose() {
	m.w.store.Flush()
	for _, f := range m.families {
		f.ended = true
	}
	m.epoch = 0
}

func TestSessionsBehaveAsThePlainModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		m := &model{w: w, person: w.people.add()}
		t.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"login":    m.login,
			"refresh":  m.refresh,
			"refresh2": m.refresh,
			"refresh3": m.refresh,
			"time": func(t *rapid.T) {
				w.clock.Advance(time.Duration(rapid.IntRange(1, int(limits.Idle.Seconds())).Draw(t, "seconds")) * time.Second)
			},
			"logout": func(t *rapid.T) {
				f := m.pick(t)
				ended, err := w.sessions.End(context.Background(), m.person.UserID, f.id)
				require.NoError(t, err)
				require.Equal(t, f.live(w.clock.Now()), ended)
				f.ended = true
			},
			"roles, the order comes": func(t *rapid.T) {
				m.person.Epoch++
				m.sync()
				_, err := w.sessions.EndAll(context.Background(), internalapi.EndSessions{UserID: m.person.UserID, EpochOnly: true, Epoch: m.person.Epoch})
				require.NoError(t, err)
				m.epoch = m.person.Epoch
			},
			"roles, the order is late": func(*rapid.T) {
				m.person.Epoch++
				m.sync()
			},
			"password, the order comes": func(t *rapid.T) {
				at := w.clock.Advance(time.Millisecond)
				m.person.PasswordChangedAt = &at
				m.person.Epoch++
				m.sync()
				m.endAll(t, nil)
			},
			"password by this session": func(t *rapid.T) {
				f := m.pick(t)
				if !f.live(w.clock.Now()) {
					t.Skip("not live")
				}
				at := w.clock.Advance(time.Millisecond)
				if !f.live(at) {
					t.Skip("not live")
				}
				m.person.PasswordChangedAt = &at
				m.person.Epoch++
				m.sync()
				require.NoError(t, w.sessions.KnowPassword(context.Background(), m.person.UserID, f.id, &at))
				f.passwordAt = &at
				m.endAll(t, f)
			},
			"password, the order is late": func(*rapid.T) {
				at := w.clock.Advance(time.Millisecond)
				m.person.PasswordChangedAt = &at
				m.person.Epoch++
				m.sync()
			},
			"deactivate": func(*rapid.T) { m.person.Status = internalapi.PersonDeactivated; m.sync() },
			"reactivate": func(*rapid.T) { m.person.Status = internalapi.PersonActive; m.sync() },
			"flush":      func(*rapid.T) { m.lose() },
		})
	})
}
