//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
)

// TestKilled is about processes that are killed with SIGKILL and started again
// by the supervisor. Its scenarios share one installation.
func TestKilled(t *testing.T) {
	s := start(t)
	people := s.people(t, 1000)
	t.Run("1 services killed during 10k enrollments", func(t *testing.T) { s.killedUnderLoad(t, "1", "service", people) })
	t.Run("2 sidecars killed during 10k enrollments", func(t *testing.T) { s.killedUnderLoad(t, "2", "sidecar", people) })
	t.Run("26 retries of a POST", s.retriedPost)
	t.Run("any process at any step", s.killedOnTheGoldenPath)
	t.Run("20 reconciliation", s.reconciled)
}

// killedUnderLoad fails when an enrollment that was answered with 201 is not in
// the roster or not told by one event, when one is there twice, when one that
// got no answer is in one of both only, or when anything is refused.
func (s *school) killedUnderLoad(t *testing.T, scenario, kind string, people []string) {
	courses := s.courses(t, 10, nil)
	since := time.Now()
	l := &enrollments{school: s, courses: courses, people: people, keys: make([]string, len(courses)*len(people))}
	l.history = make([]chaos.Command, len(l.keys))
	for i := range l.keys {
		l.keys[i] = uuid.NewString()
	}
	finished := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(finished)
		each(len(l.keys), lanes, l.once)
	}()
	names := serviceNames(t)
	kills := 0
	for i, name := range names {
		due := int64(len(l.keys)) * int64(2*i+1) / int64(2*len(names)+1)
		await(t, 3*time.Minute, "the load goes on", func() bool { return l.answered.Load() >= due })
		s.Kill(t, name, kind)
		kills++
	}
	<-finished
	took := time.Since(began)
	s.AwaitReady(t)
	s.quiet(t)

	v := l.judge(t, since)
	t.Log(v)
	measured(t, scenario+" kill -9 of each "+kind, "0 lost, doubled, halfway, refused", v.Bad() == 0 && kills == len(names),
		"%d kills, %d acknowledged, %d without answer: %d lost, %d doubled, %d halfway, %d refused (%.0f/s)",
		kills, v.Acknowledged, v.Unanswered, len(v.Lost), len(v.Doubled), len(v.Halfway)+len(v.Foreign), len(v.Refusals), float64(len(l.keys))/took.Seconds())

	// Who got no answer asks again with the same key: now everything is there once.
	open := 0
	each(len(l.history), lanes, func(i int) {
		if l.history[i].Outcome == chaos.Unanswered {
			l.once(i)
		}
	})
	s.quiet(t)
	v = l.judge(t, since)
	for _, c := range l.history {
		if c.Outcome == chaos.Unanswered {
			open++
		}
	}
	measured(t, scenario+" asked again with the same key", "all 10000 there once", v.Bad() == 0 && open == 0 && v.Acknowledged == len(l.keys),
		"%d acknowledged, %d open, %d wrong", v.Acknowledged, open, v.Bad())

	// The judge sees what is missing: one event withheld, one line of a roster twice.
	state, told := l.read(t, since)
	require.Len(t, chaos.Judge(l.history, state, told[1:]).Lost, 1, "a planted loss is found")
	require.Len(t, chaos.Judge(l.history, append(state, state[0]), told).Doubled, 1, "a planted double is found")
}

// enrollments is a load of enrollments: each person into each course, each asked
// for once.
type enrollments struct {
	*school
	courses, people, keys []string
	history               []chaos.Command
	answered              atomic.Int64
}

func (l *enrollments) pair(i int) (course, person string) {
	return l.courses[i%len(l.courses)], l.people[i/len(l.courses)]
}

// pause is how long a lane waits after it got no answer.
const pause = 250 * time.Millisecond

func (l *enrollments) once(i int) {
	course, person := l.pair(i)
	ans, err := l.Teacher.Try(http.MethodPost, "/api/v1/courses/"+course+"/enrollments", map[string]any{"user_id": person}, "Idempotency-Key", l.keys[i])
	c := chaos.Command{Key: course + " " + person}
	var body struct{ ID, State string }
	switch {
	case err != nil || ans.Status >= 500 || ans.Status == http.StatusTooManyRequests:
		c.Detail = fmt.Sprintf("%v %d %.200s", err, ans.Status, ans.Body)
		<-time.After(pause)
	case ans.Status == http.StatusCreated && json.Unmarshal(ans.Body, &body) == nil && body.State == "active":
		c.Outcome, c.ID = chaos.Acknowledged, body.ID
	default:
		c.Outcome, c.Detail = chaos.Refused, fmt.Sprintf("%d %.200s", ans.Status, ans.Body)
	}
	l.history[i] = c
	l.answered.Add(1)
}

// read is what the rosters show and what the events tell.
func (l *enrollments) read(t testing.TB, since time.Time) (state, told []chaos.Seen) {
	t.Helper()
	mine := map[string]bool{}
	for _, course := range l.courses {
		mine[course] = true
		type line struct {
			ID     string `json:"id"`
			UserID string `json:"user_id"`
			State  string `json:"state"`
		}
		for _, e := range list[line](t, l.Teacher.API, "/api/v1/courses/"+course+"/enrollments") {
			if e.State == "active" {
				state = append(state, chaos.Seen{Key: course + " " + e.UserID, ID: e.ID})
			}
		}
	}
	for _, e := range l.events(t, "enrollment.events", "--since", (time.Since(since) + time.Minute).String()) {
		var d struct {
			EnrollmentID string `json:"enrollment_id"`
			CourseID     string `json:"course_id"`
			UserID       string `json:"user_id"`
		}
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if e.Type == "lms.enrollment.activated.v1" && mine[d.CourseID] {
			told = append(told, chaos.Seen{Key: d.CourseID + " " + d.UserID, ID: d.EnrollmentID})
		}
	}
	return state, told
}

func (l *enrollments) judge(t testing.TB, since time.Time) chaos.Verdict {
	t.Helper()
	state, told := l.read(t, since)
	return chaos.Judge(l.history, state, told)
}

// retriedPost sends POSTs without a key while the service that answers them is
// stopped and then killed: the connections that break are what makes a sidecar
// send a request again. It fails when an announcement is there twice, or an
// acknowledged one is not there.
func (s *school) retriedPost(t *testing.T) {
	course := s.courses(t, 1, nil)[0]
	path := "/api/v1/courses/" + course + "/announcements"
	const n = 600
	history := make([]chaos.Command, n)
	var sent atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		each(n, lanes, func(i int) {
			title := fmt.Sprintf("Notice %d", i)
			sent.Add(1)
			ans, err := s.Teacher.Try(http.MethodPost, path, map[string]any{"title": title, "body": "<p>x</p>"})
			c := chaos.Command{Key: title}
			switch {
			case err != nil || ans.Status >= 500 || ans.Status == http.StatusTooManyRequests:
				<-time.After(pause)
			case ans.Status == http.StatusCreated:
				c.Outcome, c.ID = chaos.Acknowledged, ans.ID(t)
			default:
				c.Outcome, c.Detail = chaos.Refused, fmt.Sprintf("%d %.200s", ans.Status, ans.Body)
			}
			history[i] = c
		})
	}()
	for i := range 3 {
		due := int64(n * (2*i + 1) / 8)
		await(t, time.Minute, "the load goes on", func() bool { return sent.Load() >= due })
		s.Pause(t, "course", "service")
		<-time.After(300 * time.Millisecond) // requests pile up in the stopped process
		s.Kill(t, "course", "service")
	}
	<-finished
	s.AwaitReady(t)
	s.quiet(t)
	state, told := s.announcements(t, course)
	v := chaos.Judge(history, state, told)
	t.Log(v)
	measured(t, "26 POST without a key, its service killed", "0 twice, 0 lost", v.Bad() == 0 && v.Unanswered > 0,
		"%d acknowledged, %d without answer: %d twice, %d lost, %d halfway", v.Acknowledged, v.Unanswered, len(v.Doubled), len(v.Lost), len(v.Halfway)+len(v.Foreign))
}

// announcements are what a course shows, and what the events tell of it.
func (s *school) announcements(t testing.TB, course string) (state, told []chaos.Seen) {
	t.Helper()
	for _, a := range list[struct{ ID, Title string }](t, s.Teacher.API, "/api/v1/courses/"+course+"/announcements") {
		state = append(state, chaos.Seen{Key: a.Title, ID: a.ID})
	}
	for _, e := range s.events(t, "course.events", "--since", "10m") {
		var d struct {
			ID       string `json:"announcement_id"`
			CourseID string `json:"course_id"`
			Title    string `json:"title"`
		}
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if e.Type == "lms.course.announcement_published.v1" && d.CourseID == course {
			told = append(told, chaos.Seen{Key: d.Title, ID: d.ID})
		}
	}
	return state, told
}
