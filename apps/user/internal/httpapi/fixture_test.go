package httpapi_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/passwords"
	"lms/apps/user/internal/postgres"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/web"
	"lms/shared/work"
)

type body = map[string]any

const password = "correct horse battery"

// world is the routes on a database of their own, with neighbours that answer
// what a test tells them to.
type world struct {
	t       testing.TB
	service *identity.Service
	router  *web.Router
	client  *testkit.Client
	clock   *clock.Manual
	friends *neighbours
	jobs    *jobs.Runner
	done    atomic.Int32 // jobs that ended well

	tenant uuid.UUID
	root   authz.Principal // the platform's administrator
}

// neighbours stand for auth, enrollment, the object store and the mail texts.
type neighbours struct {
	mu       sync.Mutex
	ended    []identity.SessionEnd
	told     []identity.User
	links    map[string]string // newest link by kind and address
	access   map[uuid.UUID]map[uuid.UUID]identity.CourseAccess
	learners map[uuid.UUID][]uuid.UUID
	sessions map[uuid.UUID][]identity.Session
	files    map[string][]byte
}

func (n *neighbours) EndSessions(_ context.Context, _ work.Unit, e identity.SessionEnd) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = append(n.ended, e)
	return nil
}

func (n *neighbours) PersonStatus(_ context.Context, _ work.Unit, p identity.User) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, p)
	return nil
}

func (n *neighbours) Erase(context.Context, work.Unit, string, identity.PersonRequest) (uuid.UUID, error) {
	return uuid.New(), nil
}

func (n *neighbours) Export(context.Context, work.Unit, string, identity.PersonRequest) (uuid.UUID, error) {
	return uuid.New(), nil
}

func (n *neighbours) Render(kind identity.MailKind, _ string, d identity.MailData) (subject, text, html string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[string(kind)+" "+strings.ToLower(d.Email)] = d.Link
	return string(kind), d.Link + ".", "<p></p>", nil
}

// token is the newest link of a kind that was sent to an address.
func (w *world) token(kind identity.MailKind, email string) string {
	w.t.Helper()
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	_, token, ok := strings.Cut(w.friends.links[string(kind)+" "+email], "#token=")
	require.True(w.t, ok, "no %s for %s in %v", kind, email, w.friends.links)
	return token
}

func (n *neighbours) Access(_ context.Context, actor authz.Principal, course uuid.UUID) (identity.CourseAccess, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.access[course][actor.UserID]; ok {
		return a, nil
	}
	return identity.CourseAccess{}, apperr.NotFound("course")
}

func (n *neighbours) Learners(_ context.Context, course uuid.UUID) ([]uuid.UUID, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.learners[course]), nil
}

func (n *neighbours) List(_ context.Context, user uuid.UUID) ([]identity.Session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sessions[user]), nil
}

func (n *neighbours) End(_ context.Context, user, _ uuid.UUID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sessions, user)
	return nil
}

func (n *neighbours) Put(_ context.Context, key, _ string, content []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files[key] = content
	return nil
}

func (n *neighbours) Get(_ context.Context, key string, limit int64) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	content, ok := n.files[key]
	if !ok || int64(len(content)) > limit {
		return nil, apperr.NotFound("file")
	}
	return content, nil
}

func (n *neighbours) Delete(_ context.Context, key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.files, key)
	return nil
}

func (n *neighbours) Link(_ context.Context, key, filename, _ string) (string, error) {
	return "http://files.test/" + key + "?as=" + filename, nil
}

func (n *neighbours) PresignPut(_ context.Context, key string, _ int64, _, _ string, ttl time.Duration) (objects.Signed, error) {
	return objects.Signed{Method: http.MethodPut, URL: "http://files.test/" + key, ExpiresAt: time.Now().Add(ttl)}, nil
}

// sealer seals with a key of the test's own.
type sealer struct{ aead cipher.AEAD }

func newSealer(t testing.TB) sealer {
	block, err := aes.NewCipher([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return sealer{aead}
}

func (s sealer) Seal(plain []byte, where string) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, plain, []byte(where)), nil
}

func (s sealer) Open(sealed []byte, where string) ([]byte, error) {
	n := s.aead.NonceSize()
	return s.aead.Open(nil, sealed[:n], sealed[n:], []byte(where))
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(time.Now())}
	db := pg.From(testkit.DB(t, "user"), pg.Options{Service: "user", Now: w.clock.Now})
	w.friends = &neighbours{
		links: map[string]string{}, access: map[uuid.UUID]map[uuid.UUID]identity.CourseAccess{}, learners: map[uuid.UUID][]uuid.UUID{},
		sessions: map[uuid.UUID][]identity.Session{}, files: map[string][]byte{},
	}
	hasher, err := passwords.New(passwords.Params{Memory: 64, Time: 1, Threads: 1}, 4, 5*time.Second)
	require.NoError(t, err)
	store := postgres.NewStore(db)
	snapshots := &identity.Snapshots{Store: store}
	config := identity.DefaultConfig()
	config.Registration = true
	w.service = &identity.Service{
		Store: store, Policy: snapshots, Passwords: hasher, Sealer: newSealer(t), Mails: w.friends, Calls: w.friends, Courses: w.friends,
		Sessions: w.friends, Files: w.friends, Now: w.clock.Now, NewID: clock.NewID, Random: func(b []byte) { _, _ = rand.Read(b) }, Config: config,
	}
	tokens := testkit.NewTokens(t)
	w.router = web.NewRouter(web.Options{Service: "user", Verifier: tokens.Verifier(), Authz: snapshots})
	(&httpapi.API{Service: w.service, Snapshots: snapshots, Uploads: w.friends}).Mount(w.router)
	w.client = testkit.Server(t, w.router, tokens)
	w.jobs = jobs.New(jobs.Options{DB: db})
	jobs.Handle(w.jobs, identity.JobRegister, func(ctx context.Context, _ *jobs.Run, in identity.RegisterJob) (any, error) {
		return nil, w.ended(w.service.FinishRegister(ctx, in))
	})
	jobs.Handle(w.jobs, identity.JobSendLink, func(ctx context.Context, _ *jobs.Run, in identity.LinkRequest) (any, error) {
		return nil, w.ended(w.service.SendLink(ctx, in))
	})
	w.begin()
	return w
}

// begin makes the first organisation and its administrator.
func (w *world) begin() {
	w.t.Helper()
	var made internalapi.BootstrapReply
	w.from("lms").POST(internalapi.PathBootstrap, internalapi.BootstrapRequest{
		Organisation: "University", AdminEmail: "root@example.org", AdminPassword: password,
	}).Expect(http.StatusOK).JSON(&made)
	require.True(w.t, made.Created)
	w.tenant, w.root = made.TenantID, w.principal(made.AdminID)
}

// from is the client as another service.
func (w *world) from(service string) *testkit.Client { return w.client.As(testkit.Service(service)) }

func (w *world) as(p authz.Principal) *testkit.Client { return w.client.As(p) }

// principal is a person as a token would say it now.
func (w *world) principal(id uuid.UUID) authz.Principal {
	w.t.Helper()
	sub, err := w.service.SubjectOf(w.t.Context(), id)
	require.NoError(w.t, err)
	return authz.Principal{UserID: id, SessionID: uuid.New(), TenantID: sub.User.TenantID, OrgUnitID: sub.User.OrgUnitID, Grants: sub.Grants}
}

func acting(p authz.Principal) internalapi.Acting {
	return internalapi.Acting{UserID: p.UserID, SessionID: p.SessionID, Impersonator: p.Impersonator, ReadOnly: p.ReadOnly, IP: "203.0.113.7", UserAgent: "test"}
}

// made is a resource as it was answered, with its ETag.
type made[T any] struct {
	It  T
	Tag string
}

func read[T any](r *testkit.Response) made[T] {
	var m made[T]
	r.JSON(&m.It)
	m.Tag = r.Header.Get("ETag")
	return m
}

func (w *world) unit(parent uuid.UUID, name string) made[httpapi.OrgUnit] {
	w.t.Helper()
	return read[httpapi.OrgUnit](w.as(w.root).POST("/api/v1/org-units", body{"name": name, "parent_id": parent}).Expect(http.StatusCreated))
}

// person is an active user of an org unit, who can sign in with password.
func (w *world) person(unit uuid.UUID, email string) made[httpapi.User] {
	w.t.Helper()
	return read[httpapi.User](w.as(w.root).POST("/api/v1/users", body{
		"email": email, "name": "Person " + email, "org_unit_id": unit, "password": password, "email_verified": true,
	}).Expect(http.StatusCreated))
}

// grant gives a role in an org unit and returns the person as a new token has it.
func (w *world) grant(user uuid.UUID, role string, unit uuid.UUID) authz.Principal {
	w.t.Helper()
	w.as(w.root).POST("/api/v1/users/"+user.String()+"/roles", body{"role": role, "scope": body{"kind": "org_unit", "id": unit}}).Expect(http.StatusCreated)
	return w.principal(user)
}

func (w *world) ended(err error) error {
	if err == nil {
		w.done.Add(1)
	}
	return err
}

// work runs the jobs that are due until n have ended well, counted from the
// beginning of the test.
func (w *world) work(n int32) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ran := make(chan error, 1)
	go func() { ran <- w.jobs.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(w.t, <-ran)
	}()
	require.Eventually(w.t, func() bool { return w.done.Load() >= n }, 20*time.Second, 10*time.Millisecond)
}

func (w *world) login(email, pass string) internalapi.LoginReply {
	w.t.Helper()
	var out internalapi.LoginReply
	w.from("auth").POST(internalapi.PathCredentialsVerify, internalapi.CredentialsRequest{
		Email: email, Password: pass, From: internalapi.From{IP: "203.0.113.7", UserAgent: "test"},
	}).Expect(http.StatusOK).JSON(&out)
	return out
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.CheckRoutes(t, w.router)
}
