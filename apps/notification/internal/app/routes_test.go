package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/testkit"
)

type message struct {
	ID     uuid.UUID  `json:"id"`
	Kind   string     `json:"kind"`
	Title  string     `json:"title"`
	ReadAt *time.Time `json:"read_at"`
}

type messages struct {
	Items []message `json:"items"`
	Next  string    `json:"next_cursor"`
}

const api = "/api/v1"

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	testkit.CheckRoutes(t, newWorld(t).router)
}

func TestTheListOfAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, eve := w.person("es"), w.person("en")
	for range 3 {
		w.consume(w.built, w.enrolled(ada))
	}
	mine := w.As(ada)
	var list messages
	mine.GET(api + "/notifications?limit=2").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "Se ha inscrito en Biology", list.Items[0].Title)
	var rest messages
	mine.GET(api + "/notifications?limit=2&cursor=" + list.Next).Expect(http.StatusOK).JSON(&rest)
	require.Len(t, rest.Items, 1)
	require.Empty(t, rest.Next)
	var oldest, newer messages
	mine.GET(api + "/notifications?limit=2&sort=created_at").Expect(http.StatusOK).JSON(&oldest)
	mine.GET(api + "/notifications?limit=2&sort=created_at&cursor=" + oldest.Next).Expect(http.StatusOK).JSON(&newer)
	require.Equal(t, []message{rest.Items[0], list.Items[1], list.Items[0]}, append(oldest.Items, newer.Items...))
	mine.GET(api + "/notifications?sort=title").Expect(http.StatusUnprocessableEntity)
	id := list.Items[1].ID.String()

	res := mine.GET(api + "/notifications/unread-count").Expect(http.StatusOK)
	require.JSONEq(t, `{"unread":3}`, string(res.Body))
	mine.With("If-None-Match", res.ETag()).GET(api + "/notifications/unread-count").Expect(http.StatusNotModified)
	mine.POST(api+"/notifications/"+id+"/read", nil).Expect(http.StatusOK)
	mine.GET(api + "/notifications?unread=true").Expect(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 2)
	keyed := mine.With("Idempotency-Key", "one-key-of-a-test")
	first := keyed.POST(api+"/notifications/read-all", map[string]any{}).Expect(http.StatusOK)
	again := keyed.POST(api+"/notifications/read-all", map[string]any{}).Expect(http.StatusOK)
	require.JSONEq(t, `{"read":2}`, string(first.Body))
	require.JSONEq(t, string(first.Body), string(again.Body))

	w.As(eve).GET(api + "/notifications/" + id).Expect(http.StatusNotFound)
	w.As(eve).POST(api+"/notifications/"+id+"/read", nil).Expect(http.StatusNotFound)
	w.As(eve).DELETE(api + "/notifications/" + id).Expect(http.StatusNotFound)
	mine.DELETE(api + "/notifications/" + id).Expect(http.StatusNoContent)
	mine.GET(api + "/notifications/" + id).Expect(http.StatusNotFound)
	w.Anonymous().GET(api + "/notifications").Expect(http.StatusUnauthorized)
	mine.GET(api + "/notifications?cursor=x").Expect(http.StatusBadRequest).Code("bad_cursor")
	mine.With("Last-Event-ID", "x").GET(api + "/notifications/stream").Expect(http.StatusBadRequest).Code("bad_event_id")
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.As(w.person("en"))
	tag := mine.GET(api + "/notification-preferences").Expect(http.StatusOK).ETag()
	body := map[string]any{
		"kinds":       []map[string]any{{"kind": "announcement", "email": "weekly"}, {"kind": "module.completed", "in_app": "never"}},
		"digest_hour": 18, "digest_day": "friday", "quiet_hours": map[string]string{"from": "22:00", "to": "06:30"},
	}
	mine.PUT(api+"/notification-preferences", body).Expect(http.StatusPreconditionRequired)
	mine.With("If-Match", tag).PUT(api+"/notification-preferences", body).Expect(http.StatusOK)
	mine.With("If-Match", tag).PUT(api+"/notification-preferences", body).Expect(http.StatusPreconditionFailed)
	var got struct {
		Kinds []struct {
			Kind, Email string
			InApp       string `json:"in_app"`
		} `json:"kinds"`
		DigestDay  string            `json:"digest_day"`
		QuietHours map[string]string `json:"quiet_hours"`
	}
	res := mine.GET(api + "/notification-preferences").Expect(http.StatusOK).JSON(&got)
	require.Equal(t, "friday", got.DigestDay)
	require.Equal(t, "06:30", got.QuietHours["to"])
	for _, k := range got.Kinds {
		switch k.Kind {
		case "announcement":
			require.Equal(t, "weekly", k.Email)
		case "module.completed":
			require.Equal(t, "never", k.InApp)
		}
	}
	bad := map[string]any{"kinds": []map[string]any{{"kind": "certificate.revoked", "email": "never"}}}
	mine.With("If-Match", res.ETag()).PUT(api+"/notification-preferences", bad).Expect(http.StatusUnprocessableEntity)
	bad = map[string]any{"kinds": []map[string]any{}, "quiet_hours": map[string]string{"from": "25:00", "to": "x"}}
	mine.With("If-Match", res.ETag()).PUT(api+"/notification-preferences", bad).Expect(http.StatusUnprocessableEntity)
}

func TestOneClickUnsubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en")
	token, err := w.built.keys.Link(ada.UserID, "announcement")
	require.NoError(t, err)
	server := httptest.NewServer(w.router)
	t.Cleanup(server.Close)
	address := server.URL + api + "/notification-preferences/unsubscribe?token="
	email := func() string {
		p, err := w.built.service.Preferences(t.Context(), ada)
		require.NoError(t, err)
		return string(p.Kinds["announcement"]["email"])
	}
	res, err := http.Get(address + token)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Empty(t, email(), "looking at a link changes nothing")
	for _, bad := range []string{"", "x", token[1:], "A" + token[1:], token + "A"} {
		res, err := http.PostForm(address+url.QueryEscape(bad), url.Values{"List-Unsubscribe": {"One-Click"}})
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, bad)
	}
	res, err = http.PostForm(address+token, url.Values{"something": {"else"}})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
	for range 2 {
		res, err = http.PostForm(address+token, url.Values{"List-Unsubscribe": {"One-Click"}})
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "never", email())
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.As(testkit.PlatformAdmin())
	path := api + "/notification-templates/account.reactivated.de"
	res := admin.GET(path).Expect(http.StatusOK)
	admin.With("If-Match", res.ETag()).PUT(path, map[string]any{"title": "{{.nope}}"}).Expect(http.StatusUnprocessableEntity).Field("template", "template_invalid")
	admin.With("If-Match", res.ETag()).PUT(path, map[string]any{"title": "{{if}}"}).Expect(http.StatusUnprocessableEntity)
	set := admin.With("If-Match", res.ETag()).PUT(path, map[string]any{"title": "Willkommen zurück, {{.recipient}}"}).Expect(http.StatusOK)
	admin.With("If-Match", res.ETag()).PUT(path, map[string]any{"title": "x"}).Expect(http.StatusPreconditionFailed)
	admin.POST(path+"/preview", map[string]any{}).Expect(http.StatusOK)
	var preview struct{ Title, MailHTML string }
	admin.POST(path+"/preview", map[string]any{"title": "Nur ein Versuch"}).Expect(http.StatusOK).JSON(&preview)
	require.Equal(t, "Nur ein Versuch", preview.Title)
	admin.POST(path+"/preview", map[string]any{"html": "<a href='{{.link}}"}).Expect(http.StatusUnprocessableEntity)

	other, _ := w.replica(w.store)
	require.NoError(t, other.service.RefreshTemplates(t.Context()))
	title, _, _, err := other.texts.Sample(mustKind(t, other), "de", "UTC")
	require.NoError(t, err)
	require.Equal(t, "Willkommen zurück, Ada Lovelace", title, "another replica uses it")

	admin.With("If-Match", set.ETag()).DELETE(path).Expect(http.StatusNoContent)
	admin.GET(api + "/notification-templates/nope.de").Expect(http.StatusNotFound)
	w.As(w.person("en")).GET(path).Expect(http.StatusForbidden)
	var list struct{ Items []json.RawMessage }
	admin.GET(api + "/notification-templates?locale=de&limit=200").Expect(http.StatusOK).JSON(&list)
	require.Greater(t, len(list.Items), 40)
	var audit struct{ Items []struct{ Action string } }
	admin.GET(api + "/audit/notification").Expect(http.StatusOK).JSON(&audit)
	require.Equal(t, "notification_template.delete", audit.Items[0].Action)
}

func TestWebhookEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.As(testkit.User(w.tenant, authz.RoleOrgAdmin))
	path := api + "/webhook-endpoints"
	type endpoint struct {
		ID             uuid.UUID
		Secret, Status string
	}
	var a, b endpoint
	keyed := admin.With("Idempotency-Key", "one-key-of-a-test")
	keyed.POST(path, map[string]any{"url": "https://a.example/x"}).Expect(http.StatusCreated).JSON(&a)
	keyed.POST(path, map[string]any{"url": "https://a.example/x"}).Expect(http.StatusCreated).JSON(&b)
	require.Equal(t, a, b, "one endpoint, and its secret again")
	keyed.POST(path, map[string]any{"url": "https://b.example/x"}).Expect(http.StatusUnprocessableEntity).Code("idempotency_key_reused")
	admin.POST(path, map[string]any{"url": "https://localhost/x"}).Expect(http.StatusUnprocessableEntity).Field("url", "address_not_allowed")
	one := path + "/" + a.ID.String()
	res := admin.GET(one).Expect(http.StatusOK)
	require.NotContains(t, string(res.Body), a.Secret)
	admin.With("If-Match", res.ETag()).PATCH(one, map[string]any{"enabled": false}).Expect(http.StatusOK).JSON(&b)
	require.Equal(t, "disabled", b.Status)
	admin.With("If-Match", res.ETag()).PATCH(one, map[string]any{"enabled": true}).Expect(http.StatusPreconditionFailed)
	admin.POST(one+"/secrets", nil).Expect(http.StatusCreated).JSON(&b)
	require.NotEqual(t, a.Secret, b.Secret)
	admin.GET(one + "/deliveries").Expect(http.StatusOK)
	admin.POST(one+"/deliveries/"+uuid.NewString()+"/redeliver", nil).Expect(http.StatusConflict).Code("endpoint_disabled")
	w.As(testkit.User(uuid.New(), authz.RoleOrgAdmin)).GET(one).Expect(http.StatusNotFound)
	w.As(w.person("en")).GET(path).Expect(http.StatusForbidden)
	admin.With("If-Match", admin.GET(one).ETag()).DELETE(one).Expect(http.StatusNoContent)
	admin.GET(one).Expect(http.StatusNotFound)
}

func TestReliableCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en")
	w.consume(w.built, w.enrolled(ada))
	call := func(name string) string { return strings.Replace(internalapi.PathCalls, "{name}", name, 1) }
	user := w.As(testkit.Service("user"))
	export := map[string]any{"data": internalapi.ExportPerson{UserID: ada.UserID, TenantID: w.tenant}}
	var got internalapi.ExportPersonReply
	user.POST(call(internalapi.CallExportPerson), export).Expect(http.StatusOK).JSON(&got)
	require.Contains(t, string(got.Sections["notifications"]), "Biology")
	erase := map[string]any{"data": internalapi.ErasePerson{UserID: ada.UserID, TenantID: w.tenant, Pseudonym: uuid.New()}}
	for range 2 {
		var reply internalapi.ErasePersonReply
		user.POST(call(internalapi.CallErasePerson), erase).Expect(http.StatusOK).JSON(&reply)
		require.NotEmpty(t, reply.Erased)
	}
	w.consume(w.built, w.enrolled(ada))
	user.POST(call(internalapi.CallExportPerson), export).Expect(http.StatusOK).JSON(&got)
	require.Equal(t, "null", string(got.Sections["notifications"]), "a late event brings nothing back")
	user.POST(call(internalapi.CallPersonStatus), map[string]any{"data": internalapi.PersonStatus{UserID: ada.UserID, Status: "deactivated"}}).Expect(http.StatusOK)
	user.POST(call(internalapi.CallErasePerson), map[string]any{"data": map[string]any{}}).Expect(http.StatusUnprocessableEntity)
	w.As(testkit.Service("course")).POST(call(internalapi.CallErasePerson), erase).Expect(http.StatusForbidden)
	w.As(ada).POST(call(internalapi.CallErasePerson), erase).Expect(http.StatusNotFound)
}

// stream reads server-sent events of a person from a replica.
func (w *world) stream(router http.Handler, who authz.Principal, last string) (lines chan string, ended chan struct{}) {
	w.t.Helper()
	server := httptest.NewServer(router)
	w.t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, server.URL+api+"/notifications/stream", nil)
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.tokens.For(who))
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	require.Equal(w.t, "text/event-stream", res.Header.Get("Content-Type"))
	lines, ended = make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = res.Body.Close() }()
		for in := bufio.NewScanner(res.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines, ended
}

func (w *world) await(lines chan string, part string) string {
	w.t.Helper()
	limit := time.NewTimer(15 * time.Second)
	defer limit.Stop()
	for {
		select {
		case l := <-lines:
			if strings.Contains(l, part) {
				return l
			}
		case <-limit.C:
			require.Fail(w.t, "never told: "+part)
		}
	}
}

func TestAStreamTellsAtOnceAndResumesOnAnotherReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en")
	w.consume(w.built, w.enrolled(ada))
	lines, ended := w.stream(w.router, ada, "")
	require.Contains(t, w.await(lines, `"unread"`), `"unread":1`)
	w.consume(w.built, w.enrolled(ada))
	require.Equal(t, "id: 2", w.await(lines, "id: "))
	w.await(lines, `"kind":"enrollment.activated"`)
	w.await(lines, `"unread":2`)

	other, router := w.replica(w.store)
	more, _ := w.stream(router, ada, "1")
	require.Equal(t, "id: 2", w.await(more, "id: "), "it resumes behind what was seen")
	w.consume(other, w.enrolled(ada)) // the first replica learns of it by the pulse
	require.Equal(t, "id: 3", w.await(more, "id: 3"))
	require.Equal(t, "id: 3", w.await(lines, "id: 3"))
	_, err := other.service.ReadAll(t.Context(), ada, uuid.Nil)
	require.NoError(t, err)
	w.await(lines, `"unread":0`)
	close(w.draining)
	<-ended
}

func TestAPersonHasAFewStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.person("en")
	for range 8 {
		lines, _ := w.stream(w.router, ada, "")
		w.await(lines, `"unread"`)
	}
	res := w.As(ada).GET(api + "/notifications/stream").Expect(http.StatusTooManyRequests)
	require.Contains(t, string(res.Body), "too_many_streams", fmt.Sprint(res))
}
