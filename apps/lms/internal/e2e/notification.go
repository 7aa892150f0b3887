package e2e

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Notified is the path of a message: an enrollment gives one line in the list and
// one mail in the person's language, a stream tells it at once, and neither a killed
// process nor the whole history delivered again makes a second one.
func Notified(t testing.TB, w *World) {
	teacher := w.Invite(t, "Nora Tice", w.Org, "instructor")
	c := w.Publish(t, teacher.API, w.Org, ThreeModules(), nil)
	student := w.Register(t, "Stu Dent")
	tag := student.Read(t, "/api/v1/me").Header.Get("ETag")
	ans, err := student.Try(http.MethodPatch, "/api/v1/me/profile", map[string]any{"locale": "de-AT", "time_zone": "Europe/Vienna"}, "If-Match", tag)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)

	live := w.follow(t, student)
	student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)
	require.Contains(t, awaitLine(t, live, `"kind":"enrollment.activated"`), "Sie sind in", "the stream tells it at once, in the person's language")
	require.Contains(t, awaitLine(t, live, `"unread":`), `"unread":1`)
	once := func() {
		t.Helper()
		require.Eventually(t, func() bool { return len(w.told(student)) == 1 && len(w.MailsTo(t, student.Email)) == 1 }, 30*time.Second, 100*time.Millisecond, "one line, one mail")
	}
	once()
	mail := w.MailsTo(t, student.Email)[0]
	require.Contains(t, mail, "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	require.Contains(t, mail, "multipart/alternative")
	require.Contains(t, mail, "Guten Tag Stu Dent")

	w.Kill(t, "notification", "service")
	w.AwaitReady(t)
	require.Eventually(t, func() bool {
		_, err := w.TryLms("replay", "notification", "enrollment.events")
		return err == nil
	}, time.Minute, time.Second, "all that was ever published comes again")
	once()
}

// told is the list of a person, by what happened: only about enrollments.
func (w *World) told(p Person) (out []string) {
	ans, err := p.Try(http.MethodGet, "/api/v1/notifications", nil)
	if err != nil || ans.Status != http.StatusOK {
		return nil
	}
	for part := range strings.SplitSeq(string(ans.Body), `"kind":"`) {
		if strings.HasPrefix(part, "enrollment.") {
			out = append(out, part)
		}
	}
	return out
}

// MailsTo are the messages to an address that may be unsubscribed from: not those
// about the account's security.
func (w *World) MailsTo(t testing.TB, email string) (out []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.Home, "mail", "*.eml"))
	require.NoError(t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(raw), "To: <"+email+">") && strings.Contains(string(raw), unsubscribable) {
			out = append(out, string(raw))
		}
	}
	return out
}

// unsubscribable is the header of mails that notification sends.
const unsubscribable = "List-Unsubscribe:"

// follow opens a stream, and returns its lines as they come.
func (w *World) follow(t testing.TB, p Person) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/api/v1/notifications/stream", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("X-Request-Id", uuid.NewString())
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // its reader below closes it
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		defer func() { _ = res.Body.Close() }()
		in := bufio.NewScanner(res.Body)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	require.Contains(t, awaitLine(t, lines, `"unread":`), `"unread":0`, "the stream is open")
	return lines
}

func awaitLine(t testing.TB, lines <-chan string, part string) string {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		select {
		case line, ok := <-lines:
			require.True(t, ok, "the stream ended before %s", part)
			if strings.Contains(line, part) {
				return line
			}
		case <-limit.C:
			require.Fail(t, "the stream never told", part)
		}
	}
}
