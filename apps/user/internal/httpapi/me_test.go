package httpapi_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/web"
	"lms/shared/work"
)

func TestMe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	me := w.as(w.principal(u.ID))
	r := me.GET("/api/v1/me").Expect(http.StatusOK)
	first := read[httpapi.Me](r)
	require.Equal(t, u.ID, first.It.ID)
	require.Empty(t, first.It.Roles)
	w.grant(u.ID, authz.RoleInstructor, w.tenant)
	second := read[httpapi.Me](me.With("If-None-Match", first.Tag).GET("/api/v1/me").Expect(http.StatusOK))
	require.Len(t, second.It.Roles, 1, "a new role shows although the account has not changed")
	require.Equal(t, "Instructor", second.It.Roles[0].RoleName)
	require.Equal(t, w.tenant, *second.It.Roles[0].Scope.ID)

	changed := read[httpapi.User](me.With("If-Match", first.Tag).PATCH("/api/v1/me/profile", body{"name": "Ada L.", "locale": "de-AT", "time_zone": "Europe/Vienna"}).Expect(http.StatusOK))
	require.Equal(t, "de-AT", changed.It.Locale)
	me.With("If-Match", first.Tag).PATCH("/api/v1/me/profile", body{"name": "Late"}).Expect(http.StatusPreconditionFailed)
	me.With("If-Match", changed.Tag).PATCH("/api/v1/me/profile", body{"email": "x@example.org"}).Expect(http.StatusUnprocessableEntity).Field("email", "unknown_field")
	me.With("If-Match", changed.Tag).PATCH("/api/v1/me/profile", body{"attributes": body{"org.salary": "1"}}).Expect(http.StatusUnprocessableEntity).
		Field("attributes.org.salary", "read_only")
	me.GET("/api/v1/me/profile").Expect(http.StatusOK)

	watching := w.principal(u.ID)
	watching.Impersonator, watching.ReadOnly = w.root.UserID, true
	w.as(watching).GET("/api/v1/me").Expect(http.StatusOK)
	w.as(watching).With("If-Match", changed.Tag).PATCH("/api/v1/me/profile", body{"name": "x"}).Expect(http.StatusForbidden).Code("impersonation_read_only")
}

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))))
	return b.Bytes()
}

func TestAvatar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	me := w.as(w.principal(u.ID))
	me.With("Content-Type", "image/png").PUT("/api/v1/me/avatar", []byte("<svg>")).Expect(http.StatusUnsupportedMediaType).Code("avatar_unreadable")
	me.With("Content-Type", "text/html").PUT("/api/v1/me/avatar", picture(t, 4, 4)).Expect(http.StatusUnsupportedMediaType)
	set := read[httpapi.User](me.With("Content-Type", "image/png").PUT("/api/v1/me/avatar", picture(t, 1000, 500)).Expect(http.StatusOK))
	require.NotEmpty(t, set.It.AvatarURL)
	shown := w.as(w.root).GET(set.It.AvatarURL).Expect(http.StatusOK)
	require.Equal(t, "image/png", shown.Header.Get("Content-Type"))
	require.Contains(t, shown.Header.Get("Cache-Control"), "immutable")
	cfg, err := png.DecodeConfig(bytes.NewReader(shown.Body))
	require.NoError(t, err)
	require.Equal(t, [2]int{512, 256}, [2]int{cfg.Width, cfg.Height})
	w.as(w.root).With("If-None-Match", shown.ETag()).GET(userPath(u.ID, "/avatar")).Expect(http.StatusNotModified)
	alien := authz.Principal{UserID: uuid.New(), SessionID: uuid.New(), TenantID: uuid.New(), OrgUnitID: uuid.New()}
	w.as(alien).GET(set.It.AvatarURL).Expect(http.StatusNotFound)
	me.DELETE("/api/v1/me/avatar").Expect(http.StatusNoContent)
	w.as(w.root).GET(set.It.AvatarURL).Expect(http.StatusNotFound)
}

func TestEmailChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	p := w.principal(u.ID)
	me := w.as(p)
	me.POST("/api/v1/me/email-change", body{"email": "new@example.org", "password": "wrong one"}).Expect(http.StatusUnprocessableEntity).Field("password", "wrong")
	acted := p
	acted.Impersonator = w.root.UserID
	w.as(acted).POST("/api/v1/me/email-change", body{"email": "new@example.org", "password": password}).Expect(http.StatusForbidden).Code("impersonating")
	me.POST("/api/v1/me/email-change", body{"email": "new@example.org", "password": password}).Expect(http.StatusAccepted)
	me.POST("/api/v1/me/email-change", body{"email": "root@example.org", "password": password}).Expect(http.StatusAccepted) // a known one looks the same
	me.POST("/api/v1/me/email-change", body{"email": "new@example.org", "password": password}).Expect(http.StatusAccepted)
	require.True(t, w.login("ada@example.org", password).OK, "the present address stays")
	token := w.token(identity.MailEmailChange, "new@example.org")
	var done httpapi.Confirmed
	w.client.Anonymous().POST("/api/v1/me/email-change/confirm", body{"token": token}).Expect(http.StatusOK).JSON(&done)
	require.Equal(t, httpapi.Confirmed{UserID: u.ID, Email: "new@example.org"}, done)
	require.True(t, w.login("new@example.org", password).OK)
	require.False(t, w.login("ada@example.org", password).OK)
	w.client.Anonymous().POST("/api/v1/me/email-change/confirm", body{"token": token}).Expect(http.StatusUnprocessableEntity).Code("token_invalid")
}

func TestPersonalData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.Config.PersonServices = []string{"course", "enrollment"}
	u := w.person(w.tenant, "ada@example.org").It
	me := w.as(w.principal(u.ID))
	r := me.With("Idempotency-Key", "k").POST("/api/v1/me/data-export", nil).Expect(http.StatusAccepted)
	var job, again work.Job
	r.JSON(&job)
	require.Equal(t, "/api/v1/jobs/user/"+job.ID.String(), r.Header.Get("Location"))
	me.With("Idempotency-Key", "k").POST("/api/v1/me/data-export", nil).Expect(http.StatusAccepted).JSON(&again)
	require.Equal(t, job.ID, again.ID)
	me.POST("/api/v1/me/data-export", nil).Expect(http.StatusConflict).Code("request_running")
	var list web.Items[httpapi.DataRequest]
	me.GET("/api/v1/me/data-requests").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	require.Equal(t, []string{"course", "enrollment"}, list.Items[0].WaitingFor)
	path := "/api/v1/me/data-requests/" + list.Items[0].ID.String() + "/download"
	me.GET(path).Expect(http.StatusConflict).Code("export_not_ready")
	w.as(w.root).GET(path).Expect(http.StatusNotFound)

	me.POST(userPath(u.ID, "/erasure"), nil).Expect(http.StatusForbidden)
	w.as(w.root).POST(userPath(u.ID, "/erasure"), body{"reason": "asked for"}).Expect(http.StatusAccepted)
	w.as(w.root).POST(userPath(u.ID, "/erasure"), nil).Expect(http.StatusConflict).Code("request_running")
	w.as(w.root).GET(userPath(u.ID, "/data-requests")).Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	require.False(t, w.login("ada@example.org", password).OK)
}

func TestMergeAndImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.person(w.tenant, "a@example.org").It.ID, w.person(w.tenant, "b@example.org").It.ID
	admin := w.as(w.root)
	admin.POST(userPath(a, "/merge"), body{"into": a}).Expect(http.StatusUnprocessableEntity).Field("into", "same")
	admin.POST(userPath(a, "/merge"), body{"into": uuid.New()}).Expect(http.StatusUnprocessableEntity).Field("into", "not_found")
	admin.POST(userPath(a, "/merge"), body{"into": b}).Expect(http.StatusAccepted)

	up := admin.POST("/api/v1/imports/users/uploads", body{"filename": "people.csv", "size": 3, "sha256": "00"}).Expect(http.StatusUnprocessableEntity)
	up.Field("sha256", "too_short")
	var upload httpapi.Upload
	admin.POST("/api/v1/imports/users/uploads", body{"filename": "people.csv", "size": 3, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}).
		Expect(http.StatusCreated).JSON(&upload)
	require.NotEmpty(t, upload.Upload.URL)
	settings := body{"upload_id": upload.ID, "org_unit_id": w.tenant, "dry_run": true}
	r := admin.POST("/api/v1/imports/users", settings).Expect(http.StatusAccepted)
	require.Contains(t, r.Header.Get("Location"), "/api/v1/jobs/user/")
	admin.POST("/api/v1/imports/users", body{"upload_id": uuid.New(), "org_unit_id": w.tenant}).Expect(http.StatusUnprocessableEntity).Field("upload_id", "not_found")
	admin.POST("/api/v1/imports/users", `{"upload_id":"`+upload.ID.String()+`","colour":1}`).Expect(http.StatusBadRequest)

	csv := admin.With("Content-Type", "text/csv").With("Idempotency-Key", "csv")
	path := "/api/v1/imports/users?dry_run=true&source=sis&org_unit_id=" + w.tenant.String()
	var one, two work.Job
	csv.POST(path, "email,name\nc@example.org,C\n").Expect(http.StatusAccepted).JSON(&one)
	csv.POST(path, "email,name\nc@example.org,C\n").Expect(http.StatusAccepted).JSON(&two)
	require.Equal(t, one.ID, two.ID)
	w.friends.mu.Lock()
	require.Len(t, w.friends.files, 1)
	w.friends.mu.Unlock()
	admin.With("Content-Type", "text/csv").POST("/api/v1/imports/users?dry_run=perhaps", "email\n").Expect(http.StatusUnprocessableEntity).
		Field("query.dry_run", "invalid_type").Field("query.org_unit_id", "required")
	w.as(w.principal(a)).With("Content-Type", "text/csv").POST(path, "email\n").Expect(http.StatusForbidden)
}
