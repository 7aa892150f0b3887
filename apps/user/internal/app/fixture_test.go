package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/events"
	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/mails"
	"lms/apps/user/internal/passwords"
	"lms/apps/user/internal/postgres"
	"lms/apps/user/internal/seal"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

const goodPassword = "seven quiet otters"

// wire stands for the sidecar: it remembers what went out, and answers reliable
// calls as the other services would.
type wire struct {
	mu      sync.Mutex
	calls   []sent
	answers map[string]func(internalapi.ErasePerson) (any, error) // by service; nil: the plain answer
}

type sent struct {
	App, Name string
	Data      json.RawMessage
}

func (w *wire) PublishBulk(context.Context, string, string, []outbox.Message) ([]string, error) {
	return nil, nil
}

func (w *wire) Send(context.Context, string, []byte, map[string]string) error { return nil }

func (w *wire) Call(_ context.Context, app, path string, body []byte) ([]byte, error) {
	var env outbox.CallEnvelope
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, err
	}
	name := strings.TrimPrefix(path, "/internal/calls/")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, sent{App: app, Name: name, Data: env.Data})
	var in internalapi.ErasePerson
	if err := json.Unmarshal(env.Data, &in); err != nil {
		return nil, err
	}
	if fn := w.answers[app]; fn != nil && (name == internalapi.CallErasePerson || name == internalapi.CallExportPerson) {
		out, err := fn(in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
	switch name {
	case internalapi.CallErasePerson:
		return json.Marshal(internalapi.ErasePersonReply{Erased: []string{"things"}, Kept: []internalapi.KeptData{{Category: "records", Reason: "the law of " + app}}})
	case internalapi.CallExportPerson:
		return json.Marshal(internalapi.ExportPersonReply{Sections: map[string]json.RawMessage{"things": json.RawMessage(`["of ` + app + `"]`)}})
	}
	return []byte("{}"), nil
}

func (w *wire) answer(app string, fn func(internalapi.ErasePerson) (any, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[app] = fn
}

// made are the calls of a name, by destination.
func (w *wire) made(name string) map[string][]json.RawMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string][]json.RawMessage{}
	for _, c := range w.calls {
		if c.Name == name {
			out[c.App] = append(out[c.App], c.Data)
		}
	}
	return out
}

// letters writes the real texts, and remembers the newest link of each kind and
// address.
type letters struct {
	identity.Mails
	mu    sync.Mutex
	links map[string]string
}

func (l *letters) Render(kind identity.MailKind, locale string, d identity.MailData) (subject, text, html string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.Link != "" {
		l.links[string(kind)+" "+d.Email] = d.Link
	}
	return l.Mails.Render(kind, locale, d)
}

// token is the newest one that was sent to an address. A letter is written before
// the transaction ends that makes its token.
func (w *world) token(kind identity.MailKind, email string) (token string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		w.letters.mu.Lock()
		link := w.letters.links[string(kind)+" "+email]
		w.letters.mu.Unlock()
		if link == "" {
			return false
		}
		token = tokenOf(w.t, link)
		hash := sha256.Sum256([]byte(token))
		return column[bool](w, `select exists (select 1 from one_time_tokens where hash = $1)`, hash[:])[0]
	}, 10*time.Second, 5*time.Millisecond, "no %s for %s", kind, email)
	return token
}

// school stands for enrollment.
type school struct {
	access   map[uuid.UUID]identity.CourseAccess
	learners []uuid.UUID
}

func (s *school) Access(_ context.Context, actor authz.Principal, _ uuid.UUID) (identity.CourseAccess, error) {
	if a, ok := s.access[actor.UserID]; ok {
		return a, nil
	}
	return identity.CourseAccess{}, apperr.NotFound("course")
}

func (s *school) Learners(context.Context, uuid.UUID) ([]uuid.UUID, error) {
	return slices.Clone(s.learners), nil
}

// world is the service with its store, jobs and outbox on a database of its own.
type world struct {
	t       *testing.T
	svc     *identity.Service
	db      *pg.DB
	clock   *clock.Manual
	wire    *wire
	school  *school
	letters *letters
	objects *objects.Store
	b       *background

	tenant uuid.UUID
	root   authz.Principal
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(time.Now()), wire: &wire{answers: map[string]func(internalapi.ErasePerson) (any, error){}}, school: &school{access: map[uuid.UUID]identity.CourseAccess{}}}
	w.db = pg.From(testkit.DB(t, "user"), pg.Options{Service: "user", Now: w.clock.Now})
	store := postgres.NewStore(w.db)
	hasher, err := passwords.New(passwords.Params{Memory: 64, Time: 1, Threads: 1}, 8, 10*time.Second)
	require.NoError(t, err)
	texts, err := mails.New()
	require.NoError(t, err)
	w.letters = &letters{Mails: texts, links: map[string]string{}}
	w.objects, err = objects.Open(t.Context(), "file://"+t.TempDir(), objects.Options{
		PublicURL: "http://lms.test", SigningKey: func(context.Context) ([]byte, error) { return make([]byte, 32), nil }, Now: w.clock.Now,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	cfg := identity.DefaultConfig()
	cfg.Registration, cfg.PersonServices = true, []string{"course", "enrollment"}
	w.svc = &identity.Service{
		Store: store, Policy: &identity.Snapshots{Store: store}, Passwords: hasher, Mails: w.letters,
		Sealer: &seal.Box{Secret: func(context.Context) (string, error) { return strings.Repeat("5a", 32), nil }},
		Calls:  events.Calls{Services: cfg.PersonServices}, Courses: w.school, Files: files{w.objects},
		Now: w.clock.Now, NewID: clock.NewID, Random: func(b []byte) { _, _ = rand.Read(b) }, Config: cfg,
	}
	w.b = &background{svc: w.svc, objects: w.objects, now: w.clock.Now, patience: time.Minute}
	w.run()
	tenant, admin, created, err := w.svc.MakeFirst(t.Context(), identity.Bootstrap{Organisation: "First", Email: "root@example.org", Password: goodPassword})
	require.NoError(t, err)
	require.True(t, created)
	w.tenant = tenant
	w.root = w.principal(admin)
	return w
}

// run runs outbox and jobs until the test ends.
func (w *world) run() {
	ob := outbox.New(outbox.Options{
		DB: w.db, Transport: w.wire, Poll: 20 * time.Millisecond,
		Compose: func(uuid.UUID, pg.PendingCall) ([]byte, map[string]string, error) { return []byte("mail"), nil, nil },
	})
	events.Replies(ob, w.svc, postgres.NewTx)
	runner := jobs.New(jobs.Options{DB: w.db, Parallel: 2})
	w.b.mails(runner)
	w.b.long(runner)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var wg sync.WaitGroup
	for _, fn := range []func(context.Context) error{ob.Run, runner.Run} {
		wg.Go(func() { _ = fn(ctx) })
	}
	w.t.Cleanup(func() { cancel(); wg.Wait() })
}

// principal is a person as a fresh token says.
func (w *world) principal(id uuid.UUID) authz.Principal {
	w.t.Helper()
	sub, err := w.svc.SubjectOf(w.t.Context(), id)
	require.NoError(w.t, err)
	return authz.Principal{UserID: id, SessionID: uuid.New(), TenantID: sub.User.TenantID, OrgUnitID: sub.User.OrgUnitID, Grants: sub.Grants}
}

// as is a context in which a person acts.
func (w *world) as(p authz.Principal) context.Context {
	return work.WithActor(w.t.Context(), work.Actor{Principal: p, IP: "192.0.2.7", UserAgent: "test", RequestID: "r-1"})
}

func (w *world) user(email string, unit uuid.UUID) identity.User {
	w.t.Helper()
	u, err := w.svc.CreateUser(w.as(w.root), w.root, identity.NewUser{OrgUnitID: unit, Email: email, Name: "Person " + email, Password: goodPassword, EmailVerified: true})
	require.NoError(w.t, err)
	return u
}

func (w *world) unit(name string, parent uuid.UUID) identity.OrgUnit {
	w.t.Helper()
	u, err := w.svc.CreateOrgUnit(w.as(w.root), w.root, identity.NewOrgUnit{ParentID: &parent, Kind: "department", Name: name, Code: name})
	require.NoError(w.t, err)
	return u
}

const (
	typesSQL  = `select type from outbox where aggregate_id = $1 order by seq`
	allSQL    = `select distinct type from outbox order by type`
	newestSQL = `select event->'data' from outbox where type = $1 order by ord desc limit 1`
	mailSQL   = `select count(*)::int from outbox_call where destination = 'binding:email' and name = $1`
)

func column[T any](w *world, sql string, args ...any) (out []T) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		out, err = pg.Column[T](ctx, u, sql, args...)
		return err
	}))
	return out
}

// types are the events of an aggregate, in order.
func (w *world) types(aggregate uuid.UUID) []string {
	out := column[string](w, typesSQL, aggregate)
	for i := range out {
		out[i] = strings.TrimSuffix(strings.TrimPrefix(out[i], "lms.user."), ".v1")
	}
	return out
}

// newest decodes the newest event of a type.
func newest[T contract.Event](w *world) (out T) {
	w.t.Helper()
	rows := column[[]byte](w, newestSQL, out.EventType())
	require.NotEmpty(w.t, rows, "no %s", out.EventType())
	require.NoError(w.t, json.Unmarshal(rows[0], &out))
	return out
}

func (w *world) mailed(kind identity.MailKind) int { return column[int](w, mailSQL, string(kind))[0] }

// finished waits for the end of a job.
func (w *world) finished(job work.Job) (work.Job, json.RawMessage) {
	w.t.Helper()
	r := jobs.New(jobs.Options{DB: w.db})
	var j work.Job
	require.Eventually(w.t, func() bool {
		var err error
		j, err = r.Get(w.t.Context(), job.ID, uuid.Nil)
		return err == nil && j.FinishedAt != nil
	}, 20*time.Second, 10*time.Millisecond, "the job does not end: %+v", job)
	if j.State != work.JobSucceeded {
		return j, nil
	}
	result, err := r.Result(w.t.Context(), job.ID, uuid.Nil)
	require.NoError(w.t, err)
	return j, result
}

func tokenOf(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	require.NoError(t, err)
	q, err := url.ParseQuery(u.Fragment)
	require.NoError(t, err)
	return q.Get("token")
}

const (
	waitLong = 10 * time.Second
	tick     = 5 * time.Millisecond
)

// codeAt is what an authenticator shows (RFC 6238).
func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	require.NoError(t, err)
	return code
}
