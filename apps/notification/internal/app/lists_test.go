package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/notification"
	"lms/shared/authz"
	"lms/shared/clock"
	contract "lms/shared/contracts/events"
	"lms/shared/inbox"
	"lms/shared/record/recordtest"
	"lms/shared/testkit"
)

// TestListsAreReadFromEitherEnd: every list has the same items in both orders, page by
// page, each once.
func TestListsAreReadFromEitherEnd(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Now().UTC().Truncate(24 * time.Hour).Add(10 * time.Hour))
	w := worldOn(t, recordtest.NewMemory(c.Now), c.Now)
	admin := w.As(testkit.User(w.tenant, authz.RoleOrgAdmin))
	ada := w.person("en")
	began(w)
	var hook struct{ ID uuid.UUID }
	for range 5 { // over three days
		c.Advance(13 * time.Hour)
		admin.POST(api+"/webhook-endpoints", map[string]any{"url": "https://a.example/x", "types": []string{contract.TypeEnrollmentActivated}}).Expect(http.StatusCreated).JSON(&hook)
	}
	w.serve(w.built)
	w.hooks(w.built)
	var batch []inbox.Event
	for range 5 {
		c.Advance(time.Hour)
		batch = append(batch, w.enrolled(ada))
	}
	w.consume(w.built, batch...)
	w.consume(w.built, batch...)

	deliveries := api + "/webhook-endpoints/" + hook.ID.String() + "/deliveries"
	for path, sorts := range map[string][2]string{
		api + "/notifications":      {"-created_at", "created_at"},
		api + "/webhook-endpoints":  {"created_at", "-created_at"},
		api + "/audit/notification": {"-at", "at"},
		api + "/audit/notification?action=webhook_endpoint.create&since=" + c.Now().Add(-60*time.Hour).Format(time.RFC3339): {"-at", "at"},
		api + "/notification-deliveries": {"-created_at", "created_at"},
		deliveries:                       {"-created_at", "created_at"},
	} {
		reader := admin
		if path == api+"/notifications" {
			reader = w.As(ada)
		}
		var usual []string
		require.Eventually(t, func() bool {
			usual = pages(t, reader, path, "")
			return len(usual) >= 4
		}, 15*time.Second, 20*time.Millisecond, path)
		require.Equal(t, usual, pages(t, reader, path, sorts[0]), "%s: the order without a wish", path)
		other := pages(t, reader, path, sorts[1])
		slices.Reverse(other)
		require.Equal(t, usual, other, path)
	}
	platform := w.As(testkit.PlatformAdmin())
	keys := pages(t, platform, api+"/notification-templates?locale=de", "")
	require.True(t, slices.IsSorted(keys))
	other := pages(t, platform, api+"/notification-templates?locale=de", "-key")
	slices.Reverse(other)
	require.Equal(t, keys, other)
}

// hooks runs the webhook loops of a replica until the test ends.
func (w *world) hooks(b *built) {
	w.loop(b.webhooks.Queue().Shards(), func(ctx context.Context, shard int) error {
		return notification.Work(ctx, b.webhooks.Queue(), shard, webhooksEach, b.webhooks.Lease(), w.now, b.webhooks.Serve)
	})
}

// pages are the items of a list, two at a time.
func pages(t *testing.T, c *testkit.Client, path, sort string) (out []string) {
	t.Helper()
	glue := "?"
	if strings.Contains(path, "?") {
		glue = "&"
	}
	cursor := ""
	for {
		var list struct {
			Items []struct {
				ID  uuid.UUID
				Key string
			}
			NextCursor string `json:"next_cursor"`
		}
		address := path + glue + "limit=2&cursor=" + cursor
		if sort != "" {
			address += "&sort=" + sort
		}
		c.GET(address).Expect(http.StatusOK).JSON(&list)
		require.LessOrEqual(t, len(list.Items), 2)
		for _, i := range list.Items {
			if i.Key != "" {
				out = append(out, i.Key)
			} else {
				out = append(out, i.ID.String())
			}
		}
		if cursor = list.NextCursor; cursor == "" {
			return out
		}
		require.Less(t, len(out), 300, "the pages come to an end")
	}
}
