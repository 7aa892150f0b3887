package notification_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/journal"
	"lms/shared/page"
)

var errSMTP = errors.New("451 try again later")

func admin(tenant uuid.UUID) authz.Principal {
	return authz.Principal{UserID: uuid.New(), TenantID: tenant, Grants: []authz.Grant{{Role: authz.RolePlatformAdmin, Scope: authz.Scope{Kind: authz.ScopePlatform}}}}
}

func (w *world) log(f notification.DeliveryFilter) []journal.Entry[notification.Delivery] {
	w.t.Helper()
	p, err := w.s.Deliveries(w.t.Context(), admin(w.tenant), f, page.Request{Limit: 200})
	require.NoError(w.t, err)
	return p.Items
}

func TestAPoisonRecipientBlocksNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.person("en", "UTC")
	var batch []catalog.Event
	batch = append(batch, w.activated(bad.ID, uuid.New()))
	for range 40 {
		batch = append(batch, w.activated(w.person("en", "UTC").ID, uuid.New()))
	}
	w.post.fail = func(l notification.Letter) error {
		if l.To == bad.Email {
			return errors.New("550 no such user " + bad.Email)
		}
		return nil
	}
	w.apply(w.s, batch...)
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 40)
	lines := w.log(notification.DeliveryFilter{UserID: bad.ID})
	require.Len(t, lines, 1)
	require.Equal(t, person.Pending, lines[0].Body.Status)
	require.NotContains(t, lines[0].Body.Error, "@", "no address in the log")
	require.Equal(t, w.clock.Now().Add(30*time.Second), lines[0].Body.NextAt)
	for range 10 {
		w.clock.Advance(25 * time.Hour)
		w.deliver(w.s)
	}
	lines = w.log(notification.DeliveryFilter{UserID: bad.ID})
	require.Len(t, lines, 1, "one line per mail")
	require.Equal(t, person.Failed, lines[0].Body.Status)
	require.Equal(t, 10, lines[0].Body.Attempts)
	require.Len(t, w.log(notification.DeliveryFilter{Status: person.Sent}), 40)
}

func TestAMailServerThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 30 {
		w.apply(w.s, w.activated(w.person("en", "UTC").ID, uuid.New()))
	}
	w.post.fail = func(notification.Letter) error { return errSMTP }
	w.deliver(w.s)
	require.Empty(t, w.post.letters())
	w.post.fail = nil
	w.clock.Advance(time.Hour)
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 30)
}

func TestAddressesThatMailCannotBeSentTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		card func(*notification.Card)
		want person.MailState
	}{
		"a line break":        {func(c *notification.Card) { c.Email = "a@example.test\r\nBcc: all@example.test" }, person.Failed},
		"two addresses":       {func(c *notification.Card) { c.Email = "a@example.test,b@example.test" }, person.Failed},
		"a name around it":    {func(c *notification.Card) { c.Email = "Ada <a@example.test>" }, person.Failed},
		"none":                {func(c *notification.Card) { c.Email = "" }, person.Dropped},
		"one not confirmed":   {func(c *notification.Card) { c.EmailVerified = false }, person.Dropped},
		"a person since gone": {func(c *notification.Card) { c.Status = "deactivated" }, person.Dropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ada := w.person("en", "UTC")
			w.apply(w.s, w.activated(ada.ID, uuid.New()))
			c.card(&ada)
			w.people.set(ada)
			w.deliver(w.s)
			require.Empty(t, w.post.letters())
			lines := w.log(notification.DeliveryFilter{UserID: ada.ID})
			require.Len(t, lines, 1)
			require.Equal(t, c.want, lines[0].Body.Status)
		})
	}
}

// A process that dies while it sends leaves a lease. The mail is sent once more,
// under the same id, and that is counted.
func TestACrashInTheSendWindowIsOneDuplicateAndCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	w.apply(w.s, w.activated(ada.ID, uuid.New()))
	w.post.hook = func(notification.Letter) { w.store.SetFail(true) } // it is sent, and nothing can be written any more
	mail, _ := w.s.Queues()
	for shard := range mail.Shards() {
		_, _ = w.s.MailTurn(t.Context(), shard) // the process dies here
	}
	require.Len(t, w.post.letters(), 1)
	w.store.SetFail(false)
	w.post.hook = nil
	other := w.replica(w.store)
	w.deliver(other)
	require.Len(t, w.post.letters(), 1, "as long as the lease runs nobody else sends")
	for range 4 {
		w.clock.Advance(2 * time.Minute)
		w.deliver(other)
	}
	sent := w.post.letters()
	require.Len(t, sent, 2)
	require.Equal(t, sent[0].ID, sent[1].ID, "the same Message-ID")
	lines := w.log(notification.DeliveryFilter{UserID: ada.ID})
	require.Len(t, lines, 1)
	require.Equal(t, person.Sent, lines[0].Body.Status)
	require.Equal(t, 1, lines[0].Body.Uncertain)
}

func TestDigestsAndQuietHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "Europe/Berlin")
	set := func(p person.Preferences) {
		t.Helper()
		now, err := w.s.Preferences(t.Context(), as(ada))
		require.NoError(t, err)
		_, err = w.s.SetPreferences(t.Context(), as(ada), now.Version, p)
		require.NoError(t, err)
	}
	set(person.Preferences{Kinds: map[string]map[person.Channel]person.Frequency{"enrollment.activated": {person.Email: person.Daily}}})
	for range 3 {
		w.apply(w.s, w.activated(ada.ID, uuid.New()))
	}
	w.deliver(w.s)
	require.Empty(t, w.post.letters())
	w.clock.Set(time.Date(2026, 3, 11, 6, 59, 59, 0, time.UTC))
	w.deliver(w.s)
	require.Empty(t, w.post.letters())
	w.clock.Set(time.Date(2026, 3, 11, 7, 0, 0, 0, time.UTC)) // 8:00 in Berlin
	w.deliver(w.s)
	sent := w.post.letters()
	require.Len(t, sent, 1)
	require.Contains(t, sent[0].Written.Subject, "3")
	require.Equal(t, 3, strings.Count(sent[0].Written.Text, "* You are enrolled in Biology"))
	require.Equal(t, "https://learn.example/u/", sent[0].Unsubscribe)

	set(person.Preferences{Quiet: &person.Quiet{From: 22 * 60, To: 7 * 60}})
	w.clock.Set(time.Date(2026, 3, 28, 22, 30, 0, 0, time.UTC)) // 23:30, the night into summer time
	w.apply(w.s, w.activated(ada.ID, uuid.New()), w.event(uuid.New(), contract.UserReactivatedEvent{UserState: contract.UserState{ID: ada.ID}}, uuid.Nil))
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 2, "what is transactional goes in the night")
	w.clock.Set(time.Date(2026, 3, 29, 5, 0, 0, 0, time.UTC)) // 7:00 in Berlin
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 3)
}

func TestStoppingMailByALink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	require.NoError(t, w.s.StopMail(t.Context(), ada.ID, "enrollment.activated"))
	require.NoError(t, w.s.StopMail(t.Context(), ada.ID, "enrollment.activated"), "it may come again")
	require.True(t, apperr.IsKind(w.s.StopMail(t.Context(), ada.ID, "certificate.revoked"), apperr.KindNotFound), "what is transactional cannot be stopped")
	w.apply(w.s, w.activated(ada.ID, uuid.New()))
	w.deliver(w.s)
	require.Empty(t, w.post.letters())
	require.Len(t, w.list(ada), 1)
	require.NoError(t, w.s.StopMail(t.Context(), ada.ID, ""))
	w.apply(w.s, w.event(uuid.New(), contract.EnrollmentExpired{EnrollmentState: contract.EnrollmentState{UserID: ada.ID, CourseTitle: "B"}}, uuid.Nil),
		w.event(uuid.New(), contract.UserReactivatedEvent{UserState: contract.UserState{ID: ada.ID}}, uuid.Nil))
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 1, "what is transactional still goes")
}

func TestPreferencesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	for name, kinds := range map[string]map[string]map[person.Channel]person.Frequency{
		"unknown kind":     {"nope": {person.Email: person.Never}},
		"transactional":    {"certificate.revoked": {person.Email: person.Never}},
		"digest in a list": {"enrollment.activated": {person.InApp: person.Daily}},
		"unknown channel":  {"enrollment.activated": {"pigeon": person.Never}},
		"unknown word":     {"enrollment.activated": {person.Email: "sometimes"}},
	} {
		_, err := w.s.SetPreferences(t.Context(), as(ada), 0, person.Preferences{Kinds: kinds})
		require.True(t, apperr.IsKind(err, apperr.KindInvalid), name)
	}
	_, err := w.s.SetPreferences(t.Context(), as(ada), 0, person.Preferences{})
	require.NoError(t, err)
	_, err = w.s.SetPreferences(t.Context(), as(ada), 0, person.Preferences{})
	require.Equal(t, "version_mismatch", apperr.Code(err))
}

func TestWhoMayReadTheDeliveryLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	_, err := w.s.Deliveries(t.Context(), as(ada), notification.DeliveryFilter{}, page.Request{})
	require.True(t, apperr.IsKind(err, apperr.KindForbidden))
	_, err = w.s.Deliveries(t.Context(), as(ada), notification.DeliveryFilter{TenantID: uuid.New()}, page.Request{})
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "another organisation is not known of")
}

func TestExportAndMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old, stays := w.person("en", "UTC"), w.person("en", "UTC")
	w.apply(w.s, w.activated(old.ID, uuid.New()), w.activated(stays.ID, uuid.New()))
	w.deliver(w.s)
	for range 2 {
		require.NoError(t, w.s.SetStatus(t.Context(), old.ID, &stays.ID))
	}
	require.Empty(t, w.list(old))
	require.Len(t, w.list(stays), 2)
	sections, err := w.s.Export(t.Context(), stays.ID, w.tenant)
	require.NoError(t, err)
	require.Contains(t, string(sections["notifications"]), "You are enrolled in Biology")
	require.Contains(t, string(sections["notification_deliveries"]), `"status":"sent"`)
}

// A mail costs one write of the person's document besides that of its event, however
// many there are: the claim of the queue keeps others away, and needs no write of its own.
func TestAMailIsOneWriteOfItsDocument(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ people, mails int }{"one to each of many": {40, 1}, "many to one": {1, 10}, "more than a turn": {1, 50}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var batch []catalog.Event
			for range tc.people {
				ada := w.person("en", "UTC")
				for range tc.mails {
					batch = append(batch, w.activated(ada.ID, uuid.New()))
				}
			}
			w.apply(w.s, batch...)
			var writes atomic.Int64
			w.store.Before(func(op, key string) {
				if op == "put" && strings.HasPrefix(key, "person.") {
					writes.Add(1)
				}
			})
			w.deliver(w.s)
			require.Len(t, w.post.letters(), len(batch))
			require.EqualValues(t, len(batch), writes.Load())
		})
	}
}

// Who has a person gives them back before another worker may have them: a mail is
// begun only where there is time enough to end it.
func TestASlowMailServerLeavesThePersonToTheNextTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	for range 5 {
		w.apply(w.s, w.activated(ada.ID, uuid.New()))
	}
	w.post.hook = func(notification.Letter) { w.clock.Advance(time.Minute) }
	mail, _ := w.s.Queues()
	for shard := range mail.Shards() {
		_, err := w.s.MailTurn(t.Context(), shard)
		require.NoError(t, err)
	}
	require.Len(t, w.post.letters(), 2, "of three minutes the third would need the rest")
	w.deliver(w.replica(w.store))
	sent := w.post.letters()
	require.Len(t, sent, 5)
	for _, l := range w.log(notification.DeliveryFilter{UserID: ada.ID}) {
		require.Equal(t, person.Sent, l.Body.Status)
		require.Zero(t, l.Body.Uncertain, "each was given back")
	}
}
