package notification_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/page"
)

func TestAnEnrollmentIsToldOnceInTheListAndByMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("de-AT", "Europe/Vienna")
	w.apply(w.s, w.activated(ada.ID, uuid.New()))
	require.Equal(t, []line{{"enrollment.activated", "Sie sind in Biology eingeschrieben", "Sie nehmen jetzt an Biology (BIO-101) teil."}}, w.list(ada))
	w.deliver(w.s)
	sent := w.post.letters()
	require.Len(t, sent, 1)
	require.Equal(t, ada.Email, sent[0].To)
	require.Equal(t, "Sie sind in Biology eingeschrieben", sent[0].Written.Subject)
	require.Equal(t, "https://learn.example/u/enrollment.activated", sent[0].Unsubscribe)
}

// Reliability check 6 and the promise of this service: the same event a hundred
// times, in parallel, to two replicas.
func TestTheSameEventAHundredTimesToTwoReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	replicas := []*notification.Service{w.s, w.replica(w.store)}
	e := w.activated(ada.ID, uuid.New())
	var wg sync.WaitGroup
	failed := make(chan error, 100)
	for i := range 100 {
		wg.Go(func() {
			if err := replicas[i%2].Apply(t.Context(), []catalog.Event{e})[0]; err != nil && !apperr.IsKind(err, apperr.KindUnavailable) {
				failed <- err
			}
		})
	}
	wg.Wait()
	close(failed)
	require.NoError(t, <-failed)
	w.apply(w.s, e)
	w.deliver(w.s)
	w.deliver(replicas[1])
	require.Len(t, w.list(ada), 1)
	require.Len(t, w.post.letters(), 1)
	_, err := w.s.ReadAll(t.Context(), as(ada), uuid.Nil)
	require.NoError(t, err)
	p, _, err := w.s.Messages(t.Context(), as(ada), notification.Filter{}, page.Request{})
	require.NoError(t, err)
	require.NoError(t, w.s.Delete(t.Context(), as(ada), p.Items[0].ID))
	w.apply(replicas[1], e)
	w.deliver(w.s)
	require.Empty(t, w.list(ada), "what was deleted is still known")
	require.Len(t, w.post.letters(), 1)
}

func TestABatchIsOneWritePerPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	batch := make([]catalog.Event, 50)
	for i := range batch {
		batch[i] = w.activated(ada.ID, uuid.New())
	}
	before := w.store.Puts()
	w.apply(w.s, batch...)
	require.Len(t, w.list(ada), 50)
	require.LessOrEqual(t, w.store.Puts()-before, 2, "the person, and the shard of the queue")
	require.Equal(t, 1, w.people.asked)
}

func TestAnEventThatFailsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	bad := w.activated(ada.ID, uuid.New())
	bad.Data = []byte(`{"user_id": 7}`)
	unknown := w.activated(ada.ID, uuid.New())
	unknown.Type = "lms.enrollment.something_new.v9"
	errs := w.s.Apply(t.Context(), []catalog.Event{bad, w.activated(ada.ID, uuid.New()), unknown})
	require.True(t, apperr.Deterministic(errs[0]))
	require.NoError(t, errs[1])
	require.NoError(t, errs[2], "a type that is newer than this program makes nothing")
	require.Len(t, w.list(ada), 1)
}

func TestWhileUserIsAwayEventsComeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	e := w.activated(ada.ID, uuid.New())
	w.people.err = apperr.Unavailable("service_unavailable", "away")
	require.True(t, apperr.IsKind(w.s.Apply(t.Context(), []catalog.Event{e})[0], apperr.KindUnavailable))
	w.people.err = nil
	w.apply(w.s, e)
	require.Len(t, w.list(ada), 1)
}

// The write of the person has happened, that of the queue has not: the event comes
// again, and its mail must go.
func TestACrashBetweenTheDocumentAndTheQueueLosesNoMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	e := w.activated(ada.ID, uuid.New())
	w.store.Before(func(op, key string) {
		if strings.HasPrefix(key, "due.") {
			w.store.SetFail(true)
		}
	})
	require.Error(t, w.s.Apply(t.Context(), []catalog.Event{e})[0])
	w.store.Before(nil)
	w.store.SetFail(false)
	w.deliver(w.s)
	require.Empty(t, w.post.letters(), "nobody knows of it")
	w.apply(w.s, e)
	w.deliver(w.s)
	require.Len(t, w.post.letters(), 1)
	require.Len(t, w.list(ada), 1)
}

func TestWhoIsGoneIsToldNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	w.apply(w.s, w.activated(ada.ID, uuid.New()))
	require.NoError(t, w.s.Erase(t.Context(), ada.ID, ada.TenantID))
	require.NoError(t, w.s.Erase(t.Context(), ada.ID, ada.TenantID), "told twice it means the same")
	w.apply(w.s, w.activated(ada.ID, uuid.New()))
	w.apply(w.s, w.activated(uuid.New(), uuid.New()))
	w.deliver(w.s)
	require.Empty(t, w.list(ada))
	require.Empty(t, w.post.letters())

	for _, status := range []string{"deactivated", "deleted", "merged"} {
		gone := w.person("en", "UTC")
		gone.Status = status
		w.people.set(gone)
		w.apply(w.s, w.activated(gone.ID, uuid.New()))
		require.Empty(t, w.list(gone), status)
	}
}

func staff(ids ...uuid.UUID) []contract.CourseStaff {
	var out []contract.CourseStaff
	for _, id := range ids {
		out = append(out, contract.CourseStaff{UserID: id, Role: "instructor", Active: true})
	}
	return out
}

func (w *world) course(id uuid.UUID, seq int64, title string, who ...uuid.UUID) catalog.Event {
	e := w.event(uuid.New(), contract.CourseUpdated{CourseState: contract.CourseState{
		ID: id, TenantID: w.tenant, Code: "BIO-101", Title: title, Staff: staff(who...),
	}}, id)
	e.Seq = seq
	return e
}

func TestStaffAreThoseOfTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, old, now := uuid.New(), w.person("en", "UTC"), w.person("es", "UTC")
	w.apply(w.s, w.course(id, 7, "Biology", now.ID))
	w.apply(w.s, w.course(id, 3, "Old", old.ID))
	requested := contract.EnrollmentRequested{EnrollmentState: contract.EnrollmentState{
		EnrollmentID: uuid.New(), TenantID: w.tenant, CourseID: id, CourseTitle: "Biology", CourseCode: "BIO-101", UserID: uuid.New(),
	}}
	w.apply(w.s, w.event(uuid.New(), requested, id))
	require.Empty(t, w.list(old))
	require.Equal(t, "Alguien solicita una plaza en Biology", w.list(now)[0].Title)
}

func TestACourseWhoseEventsHaveNotComeIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, ada := uuid.New(), w.person("en", "UTC")
	w.source.known[id] = &notification.CourseSnapshot{Seq: 4, Title: "Physics", Code: "P"}
	done := contract.ModuleCompleted{ProgressState: contract.ProgressState{EnrollmentID: uuid.New(), CourseID: id, UserID: ada.ID}, ModuleTitle: "Light"}
	w.apply(w.s, w.event(uuid.New(), done, id))
	require.Equal(t, "You have completed Light in Physics.", w.list(ada)[0].Text)
}

func (w *world) announcement(course, author uuid.UUID, title string) catalog.Event {
	return w.event(uuid.New(), contract.AnnouncementPublished{
		AnnouncementID: uuid.New(), CourseID: course, TenantID: w.tenant, CourseCode: "BIO-101", CourseTitle: "Biology", AuthorID: author,
		Title: title, Text: "We meet in room 12.", PublishedAt: w.clock.Now(),
	}, course)
}

func TestAnnouncementsReachEveryoneAndThoseWhoComeLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, author := uuid.New(), w.person("en", "UTC")
	var learners []notification.Card
	w.roster.learners[id] = append(w.roster.learners[id], author.ID)
	for range 450 {
		c := w.person("en", "UTC")
		learners = append(learners, c)
		w.roster.learners[id] = append(w.roster.learners[id], c.ID)
	}
	e := w.announcement(id, author.ID, "Room change")
	w.apply(w.s, w.course(id, 1, "Biology", author.ID), e)
	w.roster.fail = 2 // two pages, then enrollment is away
	_, spread := w.s.Queues()
	for shard := range spread.Shards() {
		_, err := w.s.FanoutTurn(t.Context(), shard)
		require.NoError(t, err)
	}
	require.Equal(t, 2, w.roster.pages)
	w.roster.fail = -1
	other := w.replica(w.store) // the first one died
	w.clock.Advance(5 * time.Minute)
	w.deliver(other)
	require.Equal(t, 3, w.roster.pages, "the cursor survived: no page was asked for again")
	for _, c := range learners {
		require.Equal(t, "Biology: Room change", w.list(c)[0].Title)
	}
	require.Empty(t, w.list(author), "who wrote it knows it")
	require.Len(t, w.post.letters(), len(learners))

	w.apply(other, e) // the broker brings it again
	w.deliver(other)
	require.Len(t, w.post.letters(), len(learners))

	late := w.person("en", "UTC")
	w.apply(w.s, w.activated(late.ID, id))
	w.deliver(w.s)
	require.Equal(t, []string{"announcement", "enrollment.activated"}, kindsOf(w.list(late)))
	require.Len(t, w.post.letters(), len(learners)+1, "an old announcement is no mail")
	w.apply(w.s, w.activated(late.ID, id))
	require.Equal(t, []string{"enrollment.activated", "announcement", "enrollment.activated"}, kindsOf(w.list(late)), "once per person")
}

// What lies before the store's time was mailed on another one's memory.
func TestThePastIsListedAndNotMailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id, ada, staff := uuid.New(), w.person("en", "UTC"), w.person("en", "UTC")
	w.roster.learners[id] = []uuid.UUID{ada.ID}
	past := []catalog.Event{w.course(id, 1, "Biology", staff.ID), w.announcement(id, staff.ID, "Room change"), w.activated(ada.ID, id)}
	for i := range past {
		past[i].Past = true
	}
	w.apply(w.s, past...)
	w.deliver(w.s)
	require.ElementsMatch(t, []string{"announcement", "enrollment.activated"}, kindsOf(w.list(ada)))
	require.Empty(t, w.post.letters())

	w.apply(w.s, w.announcement(id, staff.ID, "Back again"))
	w.deliver(w.s)
	require.Len(t, w.list(ada), 3)
	require.Len(t, w.post.letters(), 1, "what is new is mailed")

	past[2].Past = false // an operator looks further back, and replays
	w.apply(w.s, past[2])
	w.deliver(w.s)
	require.Len(t, w.list(ada), 3)
	require.Len(t, w.post.letters(), 2)
}

func kindsOf(ls []line) (out []string) {
	for _, l := range ls {
		out = append(out, l.Kind)
	}
	return out
}

func TestAListIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	for range 11 {
		batch := make([]catalog.Event, 100)
		for i := range batch {
			batch[i] = w.activated(ada.ID, uuid.New())
		}
		w.apply(w.s, batch...)
	}
	unread, _, err := w.s.Unread(t.Context(), as(ada))
	require.NoError(t, err)
	require.Equal(t, person.MaxMessages, unread)
	e, err := w.store.Get(t.Context(), "person."+ada.ID.String())
	require.NoError(t, err)
	require.Less(t, len(e.Value), 1<<20)
}

func TestPagesOfAList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en", "UTC")
	for i := range 7 {
		w.apply(w.s, w.event(uuid.New(), contract.RoleGranted{GrantID: uuid.New(), UserID: ada.ID, RoleName: fmt.Sprint(i)}, uuid.Nil))
	}
	var seen []string
	cursor := ""
	for {
		p, _, err := w.s.Messages(t.Context(), as(ada), notification.Filter{}, page.Request{Limit: 3, Cursor: cursor})
		require.NoError(t, err)
		for _, m := range p.Items {
			seen = append(seen, m.Title[len(m.Title)-1:])
		}
		if cursor = p.NextCursor; cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"6", "5", "4", "3", "2", "1", "0"}, seen)
	_, _, err := w.s.Messages(t.Context(), as(ada), notification.Filter{}, page.Request{Cursor: "x"})
	require.Equal(t, "bad_cursor", apperr.Code(err))
}
