// Package e2e runs the whole product and uses it as its users do: through the
// gateway alone, over real sidecars, a real broker protocol and a real
// database.
package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// World is an installation with an organisation to act in.
type World struct {
	*system.System
	Admin *system.API
	Org   string // root org unit
}

// NewWorld signs the administrator of a fresh installation in.
func NewWorld(t testing.TB, s *system.System) *World {
	t.Helper()
	w := &World{System: s}
	var accounts struct {
		AdminEmail    string `json:"admin_email"`
		AdminPassword string `json:"admin_password"`
		TenantID      string `json:"tenant_id"`
	}
	raw, err := os.ReadFile(filepath.Join(s.Home, "accounts.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &accounts))
	w.Admin = w.SignIn(t, accounts.AdminEmail, accounts.AdminPassword)
	w.Org = accounts.TenantID
	return w
}

// SignIn signs in with a password and returns a client with the access token.
func (w *World) SignIn(t testing.TB, email, password string) *system.API {
	t.Helper()
	ans := w.API().DoKeyed(t, http.MethodPost, "/api/v1/auth/login", map[string]any{"email": email, "password": password}, http.StatusOK)
	token, ok := ans.Map(t)["access_token"].(string)
	require.True(t, ok, "%s", ans.Body)
	return w.API().As(token)
}

// Password is good enough for the rules and the same for all test people.
const Password = "correct horse battery 7"

// Person is somebody with an account.
type Person struct {
	ID    string
	Email string
	*system.API
}

// Invite makes an account in an org unit through an invitation, as an
// administrator does, and accepts it with the link from the mail.
func (w *World) Invite(t testing.TB, name, org string, roles ...string) Person {
	t.Helper()
	email := fmt.Sprintf("%s.%s@example.test", strings.ToLower(strings.ReplaceAll(name, " ", ".")), uuid.NewString()[:8])
	ans := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/users", map[string]any{
		"email": email, "name": name, "org_unit_id": org, "invite": true,
	}, http.StatusCreated)
	p := Person{ID: ans.ID(t), Email: email}
	for _, role := range roles {
		w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/users/"+p.ID+"/roles", map[string]any{
			"role": role, "scope": map[string]any{"kind": "org_unit", "id": org},
		}, http.StatusCreated)
	}
	token := w.MailToken(t, email)
	w.API().DoKeyed(t, http.MethodPost, "/api/v1/auth/invitations/accept", map[string]any{"token": token, "password": Password})
	p.API = w.SignIn(t, email, Password)
	return p
}

// Register makes an account as a stranger does: register, verify the address
// with the link from the mail, sign in.
func (w *World) Register(t testing.TB, name string) Person {
	t.Helper()
	email := fmt.Sprintf("%s.%s@example.test", strings.ToLower(strings.ReplaceAll(name, " ", ".")), uuid.NewString()[:8])
	ans := w.API().DoKeyed(t, http.MethodPost, "/api/v1/users/register", map[string]any{
		"email": email, "name": name, "password": Password,
	}, http.StatusCreated, http.StatusAccepted)
	_ = ans
	w.API().DoKeyed(t, http.MethodPost, "/api/v1/auth/email/verify", map[string]any{"token": w.MailToken(t, email)})
	p := Person{Email: email, API: w.SignIn(t, email, Password)}
	p.ID = p.Read(t, "/api/v1/me").ID(t)
	return p
}

var link = regexp.MustCompile(`[?&#]token=([A-Za-z0-9_%.-]+)`)

// MailToken waits for the newest mail to an address in the outbox folder and
// returns the token of its link.
func (w *World) MailToken(t testing.TB, email string) (token string) {
	t.Helper()
	others := map[string]bool{} // mails to others, of which there may be thousands
	require.Eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(w.Home, "mail", "*.eml"))
		if err != nil {
			return false
		}
		slices.Sort(files)
		slices.Reverse(files)
		for _, f := range files {
			if others[f] {
				continue
			}
			info, statErr := os.Stat(f)
			raw, err := os.ReadFile(f)
			if err != nil || !strings.Contains(string(raw), email) || strings.Contains(string(raw), unsubscribable) {
				others[f] = statErr == nil && time.Since(info.ModTime()) > time.Second // it is written to its end
				continue
			}
			// Quoted-printable: soft breaks, and "=" as =3D.
			text := strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(string(raw), "=\r\n", ""), "=\n", ""), "=3D", "=")
			if m := link.FindStringSubmatch(text); m != nil {
				token = m[1]
				return true
			}
		}
		return false
	}, 30*time.Second, 50*time.Millisecond, "mail to %s", email)
	return token
}

// Course is a published course of an instructor.
type Course struct {
	ID      string
	Modules []Module
}

// Module is a module of a course with its items.
type Module struct {
	ID    string `json:"id"`
	Items []struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	} `json:"items"`
}

// ThreeModules is a curriculum in which each module needs the one before it.
func ThreeModules() map[string]any {
	page := func(title, requirement string) map[string]any {
		return map[string]any{"kind": "page", "title": title, "body": "<p>" + title + "</p>", "requirement": map[string]any{"kind": requirement}}
	}
	return map[string]any{"modules": []any{
		map[string]any{"key": "one", "title": "Basics", "items": []any{page("Read me", "view"), page("Do me", "done")}},
		map[string]any{"key": "two", "title": "Middle", "prerequisites": []string{"one"}, "items": []any{page("Go on", "view")}},
		map[string]any{"key": "three", "title": "End", "prerequisites": []string{"two"}, "items": []any{page("Finish", "done")}},
	}}
}

// Publish makes a course of a curriculum and publishes it.
func (w *World) Publish(t testing.TB, instructor *system.API, org string, curriculum, settings map[string]any) Course {
	t.Helper()
	body := map[string]any{
		"org_unit_id": org, "code": "C-" + uuid.NewString()[:8], "title": "A course", "visibility": "organisation", "enrollment_mode": "self",
	}
	for k, v := range settings {
		body[k] = v
	}
	c := Course{ID: instructor.DoKeyed(t, http.MethodPost, "/api/v1/courses", body, http.StatusCreated).ID(t)}
	path := "/api/v1/courses/" + c.ID
	w.Replace(t, instructor, path+"/curriculum", curriculum)
	etag := instructor.Read(t, path).Header.Get("ETag")
	key := uuid.NewString() // one for all tries: an answer that was lost is given again
	require.Eventually(t, func() bool {
		ans, err := instructor.Try(http.MethodPost, path+"/publish", map[string]any{}, "If-Match", etag, "Idempotency-Key", key)
		return err == nil && (ans.Status == http.StatusOK || ans.Status == http.StatusConflict)
	}, time.Minute, 100*time.Millisecond, "the course is published")
	var doc struct {
		Modules []Module `json:"modules"`
	}
	instructor.Read(t, path+"/curriculum").JSON(t, &doc)
	c.Modules = doc.Modules
	return c
}

// Replace puts a document with the current ETag, again until it is answered.
func (w *World) Replace(t testing.TB, as *system.API, path string, body map[string]any) {
	t.Helper()
	require.Eventually(t, func() bool {
		cur, err := as.Try(http.MethodGet, path, nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		ans, err := as.Try(http.MethodPut, path, body, "If-Match", cur.Header.Get("ETag"))
		if err == nil && ans.Status >= 400 && ans.Status < 500 && ans.Status != http.StatusPreconditionFailed {
			require.Fail(t, "refused", "PUT %s: %d %s", path, ans.Status, ans.Body)
		}
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "PUT %s", path)
}
