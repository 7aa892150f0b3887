package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// Step is called between the steps of the golden path: the fault tests kill a
// process there.
type Step func(t testing.TB, name string)

// Golden is the path of the whole product: an organisation, a course, a
// learner who is told what is locked, completes and gets a certificate, and a
// full course with its waiting list.
func Golden(t testing.TB, w *World, at Step) {
	at(t, "begin")
	faculty := w.Admin.DoKeyed(t, http.MethodPost, "/api/v1/org-units", map[string]any{
		"name": "Faculty of Tests", "parent_id": w.Org,
	}, http.StatusCreated).ID(t)
	at(t, "org unit created")
	teacher := w.Invite(t, "Ines Structor", faculty, "instructor")
	at(t, "instructor invited")

	c := w.Publish(t, teacher.API, faculty, ThreeModules(), nil)
	at(t, "course published")
	w.Replace(t, teacher.API, "/api/v1/courses/"+c.ID+"/completion-settings", map[string]any{
		"mode": "all_modules", "certificate": map[string]any{"enabled": true, "title": "A course"},
	})

	student := w.Register(t, "Stu Dent")
	at(t, "student registered")
	ans := student.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/enrollments", map[string]any{}, http.StatusCreated)
	enrollment := ans.ID(t)
	require.Equal(t, "active", ans.Map(t)["state"])
	at(t, "enrolled")

	lockedWithReasons(t, student.API, c)
	learn(t, student.API, c, at)
	completed(t, student.API, c)
	at(t, "completed")
	certificate(t, w, student.API, enrollment)
	at(t, "certified")

	waitlist(t, w, teacher, faculty, at)
	eventsAreReadable(t, w, c, enrollment)
}

// progress is the answer of GET …/progress as far as it is looked at.
type progress struct {
	State    string `json:"state"`
	Progress struct {
		Percent float64 `json:"percent"`
	} `json:"progress"`
	Modules []struct {
		ID      string `json:"id"`
		State   string `json:"state"`
		Reasons []struct {
			Code string `json:"code"`
		} `json:"reasons"`
		Items []struct {
			ID     string `json:"id"`
			Locked bool   `json:"locked"`
		} `json:"items"`
	} `json:"modules"`
}

func readProgress(t testing.TB, s *system.API, c Course) (p progress) {
	t.Helper()
	s.Read(t, "/api/v1/courses/"+c.ID+"/progress").JSON(t, &p)
	return p
}

func lockedWithReasons(t testing.TB, s *system.API, c Course) {
	p := readProgress(t, s, c)
	require.Len(t, p.Modules, 3)
	require.Equal(t, "unlocked", p.Modules[0].State)
	require.Equal(t, "locked", p.Modules[1].State)
	require.NotEmpty(t, p.Modules[1].Reasons, "a locked module says why")
	view := "/api/v1/courses/" + c.ID + "/items/" + c.Modules[1].Items[0].ID + "/view"
	refusal := s.DoKeyed(t, http.MethodPost, view, map[string]any{}, http.StatusForbidden)
	require.Equal(t, "item_locked", refusal.Code(t))
	require.Contains(t, string(refusal.Body), c.Modules[0].ID, "the refusal names what is missing")
}

func learn(t testing.TB, s *system.API, c Course, at Step) {
	item := func(m, i int, verb string) {
		s.DoKeyed(t, http.MethodPost, "/api/v1/courses/"+c.ID+"/items/"+c.Modules[m].Items[i].ID+"/"+verb, map[string]any{})
	}
	item(0, 0, "view")
	at(t, "first item viewed")
	item(0, 1, "done")
	require.Equal(t, "completed", readProgress(t, s, c).Modules[0].State, "one reads one's own write")
	at(t, "first module completed")
	item(1, 0, "view")
	item(2, 0, "done")
}

func completed(t testing.TB, s *system.API, c Course) {
	p := readProgress(t, s, c)
	require.InDelta(t, 100, p.Progress.Percent, 0.001)
	for _, m := range p.Modules {
		require.Equal(t, "completed", m.State)
	}
}

func certificate(t testing.TB, w *World, s *system.API, enrollment string) {
	var cert struct {
		Code string `json:"code"`
	}
	require.Eventually(t, func() bool {
		ans, err := s.Try(http.MethodGet, "/api/v1/enrollments/"+enrollment+"/certificate", nil)
		return err == nil && ans.Status == http.StatusOK && json.Unmarshal(ans.Body, &cert) == nil
	}, 90*time.Second, 100*time.Millisecond, "a certificate is issued") // a process that dies with the job keeps it for its lease of 30 s
	require.GreaterOrEqual(t, len(cert.Code), 22, "at least 128 bits")

	verify := "/api/v1/certificates/verify/" + cert.Code
	public := answered(t, w.API(), verify, http.StatusOK, "Accept", "text/html")
	require.Contains(t, string(public.Body), "Stu Dent")
	pdf := answered(t, s, "/api/v1/enrollments/"+enrollment+"/certificate", http.StatusOK, "Accept", "application/pdf")
	require.True(t, strings.HasPrefix(string(pdf.Body), "%PDF"))
	answered(t, w.API(), "/api/v1/certificates/verify/"+strings.Repeat("A", len(cert.Code)), http.StatusNotFound)
}

// answered is a GET, repeated while nobody can answer it.
func answered(t testing.TB, s *system.API, path string, status int, header ...string) (ans system.Answer) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		ans, err = s.Try(http.MethodGet, path, nil, header...)
		return err == nil && ans.Status < http.StatusInternalServerError
	}, time.Minute, 100*time.Millisecond, "GET %s is answered", path)
	require.Equal(t, status, ans.Status, "GET %s: %s", path, ans.Body)
	return ans
}

func waitlist(t testing.TB, w *World, teacher Person, org string, at Step) {
	full := w.Publish(t, teacher.API, org, ThreeModules(), map[string]any{"capacity": 1, "waitlist_enabled": true})
	first, second := w.Register(t, "First Comer"), w.Register(t, "Second Comer")
	path := "/api/v1/courses/" + full.ID + "/enrollments"
	a := first.DoKeyed(t, http.MethodPost, path, map[string]any{}, http.StatusCreated)
	require.Equal(t, "active", a.Map(t)["state"])
	at(t, "seat taken")
	b := second.DoKeyed(t, http.MethodPost, path, map[string]any{}, http.StatusCreated)
	require.Equal(t, "waitlisted", b.Map(t)["state"])
	at(t, "waitlisted")
	withdraw(t, first.API, a.ID(t))
	at(t, "withdrawn")
	require.Eventually(t, func() bool {
		ans, err := second.Try(http.MethodGet, "/api/v1/enrollments/"+b.ID(t), nil)
		return err == nil && ans.Status == http.StatusOK && ans.Map(t)["state"] == "active"
	}, 90*time.Second, 200*time.Millisecond, "the next one is promoted")
}

func withdraw(t testing.TB, s *system.API, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		cur, err := s.Try(http.MethodGet, "/api/v1/enrollments/"+id, nil)
		if err != nil || cur.Status != http.StatusOK {
			return false
		}
		if cur.Map(t)["state"] == "withdrawn" {
			return true
		}
		ans, err := s.Try(http.MethodPost, "/api/v1/enrollments/"+id+"/withdraw", map[string]any{}, "If-Match", cur.Header.Get("ETag"), "Idempotency-Key", uuid.NewString())
		return err == nil && ans.Status == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "withdrawn")
}

// eventsAreReadable reads with `lms events` what the path has told.
func eventsAreReadable(t testing.TB, w *World, c Course, enrollment string) {
	w.AwaitReady(t)
	for topic, wanted := range map[string][]string{
		"user.events":       {"lms.user.created.v1", "lms.user.role_granted.v1", "lms.user.org_unit_created.v1"},
		"course.events":     {"lms.course.created.v1", "lms.course.curriculum_changed.v1", "lms.course.published.v1", c.ID},
		"enrollment.events": {"lms.enrollment.activated.v1", "lms.enrollment.module_completed.v1", "lms.enrollment.course_completed.v1", "lms.enrollment.certificate_issued.v1", enrollment},
	} {
		require.Eventually(t, func() bool {
			out, err := w.TryLms("events", topic, "--json")
			return err == nil && !slices.ContainsFunc(wanted, func(part string) bool { return !strings.Contains(out, `"`+part+`"`) })
		}, 30*time.Second, 250*time.Millisecond, "%s tells of %v", topic, wanted)
	}
}
