package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/record/recordtest"
	"lms/shared/testkit"
)

// TestAChangeAndItsLineAreOne lets the process die before each of the writes of an act:
// afterwards there is one line in the audit trail if something was changed, and none if
// not.
func TestAChangeAndItsLineAreOne(t *testing.T) {
	t.Parallel()
	const template, preferences, endpoints = api + "/notification-templates/account.reactivated.de", api + "/notification-preferences", api + "/webhook-endpoints"
	title := map[string]any{"title": "Willkommen zurück"}
	hook := map[string]any{"url": "https://a.example/x"}
	first := func(c *testkit.Client) string {
		var list struct{ Items []struct{ ID uuid.UUID } }
		c.GET(endpoints).Expect(http.StatusOK).JSON(&list)
		return endpoints + "/" + list.Items[0].ID.String()
	}
	for name, tc := range map[string]struct {
		action, shown string
		before        func(c *testkit.Client)
		act           func(c *testkit.Client, tag func(string) string)
	}{
		"a template is set": {
			"notification_template.set", template, nil,
			func(c *testkit.Client, tag func(string) string) {
				c.With("If-Match", tag(template)).PUT(template, title)
			},
		},
		"a template is taken back": {
			"notification_template.delete", template,
			func(c *testkit.Client) {
				c.With("If-Match", c.GET(template).ETag()).PUT(template, title).Expect(http.StatusOK)
			},
			func(c *testkit.Client, tag func(string) string) { c.With("If-Match", tag(template)).DELETE(template) },
		},
		"preferences are chosen": {
			"notification_preferences.update", preferences, nil,
			func(c *testkit.Client, tag func(string) string) {
				c.With("If-Match", tag(preferences)).PUT(preferences, map[string]any{"kinds": []any{}, "no_email": true})
			},
		},
		"an endpoint is made": {
			"webhook_endpoint.create", endpoints, nil,
			func(c *testkit.Client, _ func(string) string) { c.POST(endpoints, hook) },
		},
		"an endpoint is removed": {
			"webhook_endpoint.delete", endpoints,
			func(c *testkit.Client) { c.POST(endpoints, hook).Expect(http.StatusCreated) },
			func(c *testkit.Client, tag func(string) string) {
				one := tag("")
				c.With("If-Match", tag(one)).DELETE(one)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deaths := 0
			for survived := false; !survived; deaths++ {
				c := clock.NewManual(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
				w := worldOn(t, recordtest.NewMemory(c.Now), c.Now)
				who := testkit.User(w.tenant, authz.RoleOrgAdmin)
				who.Grants = append(who.Grants, testkit.PlatformAdmin().Grants...)
				healthy := w.As(who)
				if tc.before != nil {
					tc.before(healthy)
				}
				shown := string(healthy.GET(tc.shown).Expect(http.StatusOK).Body)
				store := recordtest.NewDying(w.store, deaths)
				_, router := w.replica(store)
				tc.act(testkit.Server(t, router, w.tokens).As(who), func(path string) string {
					if path == "" {
						return first(healthy)
					}
					return healthy.GET(path).Expect(http.StatusOK).ETag()
				})
				survived = !store.Dead()

				c.Advance(2 * time.Minute)
				w.audit(w.built)
				lines := pages(t, healthy, api+"/audit/notification?action="+tc.action, "")
				if string(healthy.GET(tc.shown).Expect(http.StatusOK).Body) == shown {
					require.False(t, survived)
					require.Empty(t, lines, "before write %d", deaths)
				} else {
					require.Len(t, lines, 1, "before write %d", deaths)
				}
			}
			require.Greater(t, deaths, 3, "the queue, the change, the line, and that it is there")
		})
	}
}

// audit lets a replica write the lines that others have left.
func (w *world) audit(b *built) {
	w.t.Helper()
	q := b.service.Trail.Queue()
	for shard := range q.Shards() {
		claims, _, err := q.Claim(w.t.Context(), shard, auditEach, auditLease)
		require.NoError(w.t, err)
		require.NoError(w.t, q.Done(w.t.Context(), shard, b.service.Trail.Serve(w.t.Context(), claims)))
	}
}
