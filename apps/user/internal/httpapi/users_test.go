package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/httpapi"
	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

func userPath(id uuid.UUID, more string) string { return "/api/v1/users/" + id.String() + more }

func TestCreateUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.as(w.root)
	b := body{
		"email": "ada@example.org", "given_name": "Ada", "family_name": "Lovelace", "org_unit_id": w.tenant, "invite": true,
		"external_ids": []body{{"source": "sis", "id": "7"}}, "attributes": body{"org.cost_centre": "12"},
	}
	keyed := admin.With("Idempotency-Key", "one")
	first := keyed.POST("/api/v1/users", b).Expect(http.StatusCreated)
	u := read[httpapi.User](first)
	require.Equal(t, "Ada Lovelace", u.It.Name)
	require.Equal(t, "invited", u.It.Status)
	require.Equal(t, w.tenant, u.It.TenantID)
	require.Equal(t, userPath(u.It.ID, ""), first.Header.Get("Location"))
	again := read[httpapi.User](keyed.POST("/api/v1/users", b).Expect(http.StatusCreated))
	require.Equal(t, u, again)
	b["email"] = "other@example.org"
	keyed.POST("/api/v1/users", b).Expect(http.StatusUnprocessableEntity).Code("idempotency_key_reused")

	admin.POST("/api/v1/users", body{"email": "ADA@example.org", "name": "x", "org_unit_id": w.tenant}).Expect(http.StatusConflict).Code("email_taken")
	r := admin.POST("/api/v1/users", body{"email": "nobody", "name": " ", "org_unit_id": uuid.New(), "locale": "klingon", "time_zone": "Mars/Base", "password": "short"}).
		Expect(http.StatusUnprocessableEntity)
	r.Field("email", "invalid").Field("name", "required").Field("org_unit_id", "not_found").Field("locale", "invalid").
		Field("time_zone", "invalid").Field("password", "password_too_short")
	admin.POST("/api/v1/users", body{"name": "x", "org_unit_id": w.tenant, "is_admin": true}).Expect(http.StatusUnprocessableEntity).Field("is_admin", "unknown_field")
	w.client.Anonymous().POST("/api/v1/users", b).Expect(http.StatusUnauthorized)

	var account internalapi.AccountReply
	w.from("auth").POST(internalapi.PathInvitationAccept, internalapi.InvitationAccept{
		Token: w.token(identity.MailInvitation, "ada@example.org"), Password: password, Name: "Countess",
	}).Expect(http.StatusOK).JSON(&account)
	require.Equal(t, "active", account.Subject.Status)
	require.True(t, w.login("Ada@Example.org", password).OK)
}

func TestReadAndChangeUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	faculty, other := w.unit(w.tenant, "Faculty").It.ID, w.unit(w.tenant, "Other").It.ID
	u := w.person(faculty, "ada@example.org")
	w.person(other, "bob@example.org")
	boss := w.grant(w.person(faculty, "boss@example.org").It.ID, authz.RoleOrgAdmin, faculty)

	var list web.Items[httpapi.User]
	w.as(boss).GET("/api/v1/users?sort=email").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "ada@example.org", list.Items[0].Email)
	w.as(w.root).GET("/api/v1/users?limit=1&q=person").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	require.NotEmpty(t, list.NextCursor)
	w.as(w.root).GET("/api/v1/users?status=invited,deactivated").Expect(http.StatusOK).JSON(&list)
	require.Empty(t, list.Items)
	w.as(w.root).GET("/api/v1/users?sort=shoe_size").Expect(http.StatusUnprocessableEntity)
	w.as(w.root).GET("/api/v1/users?colour=red").Expect(http.StatusUnprocessableEntity)

	path := userPath(u.It.ID, "")
	got := w.as(boss).GET(path).Expect(http.StatusOK)
	w.as(boss).With("If-None-Match", got.ETag()).GET(path).Expect(http.StatusNotModified)
	w.as(boss).PATCH(path, body{"name": "Ada"}).Expect(http.StatusPreconditionRequired)
	w.as(boss).With("If-Match", `"v99"`).PATCH(path, body{"name": "Ada"}).Expect(http.StatusPreconditionFailed)
	changed := read[httpapi.User](w.as(boss).With("If-Match", u.Tag).PATCH(path, body{
		"name": "Ada", "bio": "Engines", "time_zone": nil, "attributes": body{"likes": "numbers"}, "external_ids": []body{{"source": "sis", "id": "1"}},
	}).Expect(http.StatusOK))
	require.Equal(t, "Ada", changed.It.Name)
	require.Equal(t, "UTC", changed.It.TimeZone)
	require.Equal(t, map[string]string{"likes": "numbers"}, changed.It.Attributes)
	changed = read[httpapi.User](w.as(boss).With("If-Match", changed.Tag).PATCH(path, body{"attributes": body{"likes": nil}}).Expect(http.StatusOK))
	require.Empty(t, changed.It.Attributes)
	w.as(boss).GET("/api/v1/users?external_source=sis&external_id=1").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)

	stranger := w.grant(w.person(other, "eve@example.org").It.ID, authz.RoleOrgAdmin, other)
	w.as(stranger).GET(path).Expect(http.StatusNotFound)
	w.as(stranger).With("If-Match", changed.Tag).PATCH(path, body{"name": "x"}).Expect(http.StatusNotFound)
	w.as(w.principal(u.It.ID)).GET("/api/v1/users").Expect(http.StatusForbidden)
}

func TestAccountEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org")
	path := userPath(u.It.ID, "")
	admin := w.as(w.root)
	off := read[httpapi.User](admin.POST(path+"/deactivate", body{"reason": "left"}).Expect(http.StatusOK))
	require.Equal(t, "deactivated", off.It.Status)
	require.Equal(t, internalapi.RefusalDeactivated, w.login("ada@example.org", password).Refusal)
	require.Equal(t, internalapi.RefusalInvalid, w.login("ada@example.org", "wrong password").Refusal, "told only to who knows the password")
	w.from("auth").POST(internalapi.PathTOTPBegin, internalapi.ActingRequest{Acting: internalapi.Acting{UserID: u.It.ID}}).
		Expect(http.StatusUnauthorized).Code("account_inactive")
	on := read[httpapi.User](admin.POST(path+"/reactivate", nil).Expect(http.StatusOK))
	require.Equal(t, "active", on.It.Status)
	admin.POST(path+"/deactivate", nil).Expect(http.StatusOK)
	admin.POST(path+"/reactivate", nil).Expect(http.StatusOK)
	admin.POST(path+"/invite", nil).Expect(http.StatusConflict).Code("already_active")
	admin.POST(userPath(w.root.UserID, "/deactivate"), nil).Expect(http.StatusConflict).Code("own_account")

	current := admin.GET(path).Expect(http.StatusOK).ETag()
	admin.DELETE(path).Expect(http.StatusPreconditionRequired)
	admin.With("If-Match", current).DELETE(path).Expect(http.StatusNoContent)
	require.False(t, w.login("ada@example.org", password).OK)
	w.person(w.tenant, "ada@example.org") // the address is free again
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	require.Equal(t, identity.StatusDeleted, w.friends.told[len(w.friends.told)-1].Status)
}

func TestRegisterTellsNobodyWhoIsHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anonymous := w.client.Anonymous()
	for _, email := range []string{"new@example.org", "root@example.org"} {
		r := anonymous.POST("/api/v1/users/register", body{"email": email, "name": "Somebody", "password": password}).Expect(http.StatusAccepted)
		require.Empty(t, r.Body)
	}
	w.work(2)
	require.Contains(t, w.friends.links, string(identity.MailAlreadyHere)+" root@example.org")
	require.False(t, w.login("new@example.org", password).OK, "no account before the address is proved")
	verify := func() int {
		return w.from("auth").POST(internalapi.PathEmailVerify, internalapi.TokenRequest{Token: w.token(identity.MailRegistration, "new@example.org")}).Status
	}
	require.Equal(t, http.StatusOK, verify())
	require.Equal(t, http.StatusUnprocessableEntity, verify(), "a link works once")
	require.True(t, w.login("new@example.org", password).OK)
	anonymous.POST("/api/v1/users/register", body{"email": "x", "name": "", "password": "12345678"}).Expect(http.StatusUnprocessableEntity).
		Field("email", "invalid").Field("name", "required").Field("password", "password_common")

	// Where nobody can be taken in, everybody is told so, and not left to wait for a mail.
	z := body{"email": "z@example.org", "name": "Z", "password": password}
	w.as(w.root).POST("/api/v1/org-units", body{"name": "Another organisation"}).Expect(http.StatusCreated)
	anonymous.POST("/api/v1/users/register", z).Expect(http.StatusConflict).Code("registration_unit_unknown")
	w.service.Config.RegistrationOrgUnit = w.tenant
	anonymous.POST("/api/v1/users/register", z).Expect(http.StatusAccepted)
	w.service.Config.Registration = false
	anonymous.POST("/api/v1/users/register", z).Expect(http.StatusForbidden)
}

func TestAdministratorsSecureAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.person(w.tenant, "ada@example.org").It
	admin := w.as(w.root)
	w.friends.sessions[u.ID] = []identity.Session{{ID: uuid.New(), Method: "password"}, {ID: uuid.New()}}
	var sessions web.Items[httpapi.Session]
	admin.GET(userPath(u.ID, "/sessions")).Expect(http.StatusOK).JSON(&sessions)
	require.Len(t, sessions.Items, 2)
	admin.DELETE(userPath(u.ID, "/sessions")).Expect(http.StatusNoContent)
	admin.DELETE(userPath(u.ID, "/mfa")).Expect(http.StatusNoContent)
	admin.POST(userPath(u.ID, "/password-reset"), nil).Expect(http.StatusAccepted)
	w.friends.mu.Lock()
	require.Equal(t, u.ID, w.friends.ended[len(w.friends.ended)-1].Subject)
	w.friends.mu.Unlock()
	w.from("auth").POST(internalapi.PathPasswordReset, internalapi.TokenPassword{
		Token: w.token(identity.MailReset, "ada@example.org"), Password: "another good one",
	}).Expect(http.StatusOK)
	require.True(t, w.login("ada@example.org", "another good one").OK)

	var lines web.Items[httpapi.AuditLine]
	admin.GET(userPath(u.ID, "/audit?limit=200")).Expect(http.StatusOK).JSON(&lines)
	actions := map[string]bool{}
	for _, l := range lines.Items {
		actions[l.Source+" "+l.Action] = true
	}
	require.True(t, actions["audit user.create"] && actions["audit user.send_password_reset"] && actions["security login"], "%v", actions)
	w.as(w.principal(u.ID)).GET(userPath(u.ID, "/audit")).Expect(http.StatusOK)
	w.as(w.principal(u.ID)).GET(userPath(w.root.UserID, "/audit")).Expect(http.StatusNotFound)

	// Who may do less takes over nobody who may do more.
	boss := w.grant(u.ID, authz.RoleOrgAdmin, w.tenant)
	w.as(boss).POST(userPath(w.root.UserID, "/password-reset"), nil).Expect(http.StatusForbidden).Code("outranked")
	w.as(boss).POST(userPath(w.root.UserID, "/deactivate"), nil).Expect(http.StatusForbidden).Code("outranked")
}
