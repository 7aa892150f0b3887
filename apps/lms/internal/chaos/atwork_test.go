//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/e2e"
	"lms/apps/lms/internal/system"
)

// TestKilledAtWork kills content and assignment, and their sidecars, while what
// learners do there is under way: answers of quizzes, work that is handed in, and
// grades. Its scenarios share one installation.
func TestKilledAtWork(t *testing.T) {
	s := start(t)
	c := s.class(t)
	t.Run("content killed during autosaves", c.savedAnswers)
	t.Run("content killed while quizzes are handed in", c.handedInQuizzes)
	t.Run("assignment killed while work is handed in", c.handedInWork)
	t.Run("assignment killed while work is graded", c.gradedWork)
	t.Run("what is stored", c.recomputed)
}

// class is a course with a quiz and an assignment, and those who take it.
type class struct {
	*school
	course, quiz, assignment string
	learners                 []e2e.Person
	sittings                 []e2e.Sitting
}

// kills is how often a scenario kills: a service and its sidecar in turns.
const kills = 4

func (s *school) class(t testing.TB) *class {
	t.Helper()
	c := &class{school: s, learners: make([]e2e.Person, lanes), sittings: make([]e2e.Sitting, lanes)}
	c.quiz, c.course = s.Quiz(t, s.Invite(t, "Quinn Master", s.Org, "instructor"))
	path := "/api/v1/quizzes/" + c.quiz
	must(t, s.Admin, http.MethodPatch, path, map[string]any{"time_limit_seconds": 3600, "unlimited_attempts": true}, "If-Match", s.Admin.Read(t, path).Header.Get("ETag")) // nobody's time is over here
	c.assignment = made(t, s.Admin, "/api/v1/courses/"+c.course+"/assignments", map[string]any{"title": "Essay", "points": 100, "submission_types": []string{"text"}})
	must(t, s.Admin, http.MethodPost, "/api/v1/assignments/"+c.assignment+"/publish", map[string]any{})
	for i := range c.learners {
		c.learners[i] = s.Invite(t, fmt.Sprintf("Lear Ner %d", i), s.Org)
	}
	each(lanes, 4, func(i int) {
		must(t, c.learners[i].API, http.MethodPost, "/api/v1/courses/"+c.course+"/enrollments", map[string]any{})
	})
	require.False(t, t.Failed(), "everybody is enrolled")
	return c
}

// while runs n requests in lanes and kills a service and its sidecar in turns
// while they run.
func (c *class) while(t *testing.T, service string, n int, once func(i int)) {
	t.Helper()
	var begun atomic.Int64
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		each(n, lanes, func(i int) {
			begun.Add(1)
			once(i)
		})
	}()
	for i := range kills {
		due := int64(n * (2*i + 1) / (2*kills + 1))
		await(t, time.Minute, "the load goes on", func() bool { return begun.Load() >= due })
		c.Kill(t, service, []string{"service", "sidecar"}[i%2])
	}
	<-finished
	c.AwaitReady(t)
}

// broken says that a request was not answered for good; it is worth another try
// after a pause.
func broken(ans system.Answer, err error) bool {
	if err == nil && ans.Status < 500 && ans.Status != http.StatusTooManyRequests {
		return false
	}
	<-time.After(pause)
	return true
}

// savedAnswers has everybody answer one question again and again. It fails when an
// attempt has an older answer than the last one that was acknowledged, or one that
// was never sent, or when an answer is refused.
func (c *class) savedAnswers(t *testing.T) {
	const rounds = 60
	sent, acknowledged := make([]int64, lanes), make([]int64, lanes)
	var unanswered, refused atomic.Int64
	for i, p := range c.learners {
		c.sittings[i] = e2e.StartQuiz(t, p, c.quiz)
	}
	c.while(t, "content", lanes*rounds, func(i int) {
		who := i % lanes
		s := c.sittings[who]
		seq := atomic.AddInt64(&sent[who], 1)
		ans, err := c.learners[who].Try(http.MethodPut, "/api/v1/attempts/"+s.ID+"/answers/"+s.Questions[0].QuestionID, map[string]any{"seq": seq, "answer": s.Right(0)})
		switch {
		case broken(ans, err):
			unanswered.Add(1)
		case ans.Status == http.StatusOK:
			higher(&acknowledged[who], seq)
		case ans.Status != http.StatusConflict || ans.Code(t) != "stale_answer": // a newer one was quicker
			refused.Add(1)
			t.Errorf("%d %.200s", ans.Status, ans.Body)
		}
	})
	lost, foreign := 0, 0
	var all int64
	for i, p := range c.learners {
		var now e2e.Sitting
		p.Read(t, "/api/v1/attempts/"+c.sittings[i].ID).JSON(t, &now)
		for _, q := range now.Questions {
			if q.QuestionID != c.sittings[i].Questions[0].QuestionID {
				continue
			}
			if q.Seq < acknowledged[i] {
				lost++
			}
			if q.Seq > sent[i] {
				foreign++
			}
			all += acknowledged[i]
		}
	}
	require.Positive(t, all, "answers were acknowledged")
	measured(t, "kill -9 of content during autosaves", "0 acknowledged answers lost, 0 refused", lost+foreign == 0 && refused.Load() == 0,
		"%d kills, %d autosaves, %d without answer: %d lost, %d foreign, %d refused", kills, lanes*rounds, unanswered.Load(), lost, foreign, refused.Load())
}

// higher raises a number to at least another one.
func higher(n *int64, to int64) {
	for {
		now := atomic.LoadInt64(n)
		if now >= to || atomic.CompareAndSwapInt64(n, now, to) {
			return
		}
	}
}

// handedInQuizzes has everybody take the quiz again and again, and hand each attempt
// in while content is killed, with one key until that is answered. It fails when an
// attempt is not handed in, or was so by an event that is missing or doubled.
func (c *class) handedInQuizzes(t *testing.T) {
	const n = 10 * lanes
	history := make([]chaos.Command, n)
	busy := make([]sync.Mutex, lanes) // who takes it has one attempt at a time
	var unanswered atomic.Int64
	c.while(t, "content", n, func(i int) {
		p := c.learners[i%lanes]
		busy[i%lanes].Lock()
		defer busy[i%lanes].Unlock()
		started, err := tryKeyed(p.API, http.MethodPost, "/api/v1/quizzes/"+c.quiz+"/attempts", map[string]any{})
		if err != nil || started.Status >= 300 {
			t.Errorf("%v %d %.200s", err, started.Status, started.Body)
			return
		}
		attempt, key := started.ID(t), uuid.NewString()
		history[i] = chaos.Command{Key: attempt}
		for range 60 {
			ans, err := p.Try(http.MethodPost, "/api/v1/attempts/"+attempt+"/submit", map[string]any{}, "Idempotency-Key", key)
			if broken(ans, err) || strings.Contains(string(ans.Body), "idempotency_in_progress") {
				unanswered.Add(1)
				continue
			}
			if ans.Status == http.StatusOK {
				history[i].Outcome, history[i].ID = chaos.Acknowledged, ans.ID(t)
				return
			}
			history[i].Outcome, history[i].Detail = chaos.Refused, fmt.Sprintf("%d %.200s", ans.Status, ans.Body)
			return
		}
	})
	require.False(t, t.Failed(), "attempts are started")
	c.quiet(t)
	var state, told []chaos.Seen
	for i, h := range history {
		var now e2e.Sitting
		c.learners[i%lanes].Read(t, "/api/v1/attempts/"+h.Key).JSON(t, &now)
		if now.State != "in_progress" {
			state = append(state, chaos.Seen{Key: now.ID, ID: now.ID})
		}
	}
	for _, e := range c.events(t, "content.events", "--since", "10m") {
		var d struct {
			AttemptID string `json:"attempt_id"`
			QuizID    string `json:"quiz_id"`
		}
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if d.QuizID == c.quiz && (e.Type == "lms.content.attempt_submitted.v1" || e.Type == "lms.content.attempt_closed.v1") {
			told = append(told, chaos.Seen{Key: d.AttemptID, ID: d.AttemptID})
		}
	}
	v := chaos.Judge(history, state, told)
	t.Log(v)
	measured(t, "kill -9 of content while quizzes are handed in", "each handed in once", v.Bad() == 0 && v.Acknowledged == n,
		"%d acknowledged after %d tries without answer: %d lost, %d doubled, %d halfway", v.Acknowledged, unanswered.Load(), len(v.Lost), len(v.Doubled), len(v.Halfway))
}

// handedInWork has everybody hand in texts, each once with its own key. It fails
// when one that was acknowledged is not stored and told exactly once, or when one
// that got no answer is in one of both only.
func (c *class) handedInWork(t *testing.T) {
	const n = 320
	history := make([]chaos.Command, n)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = uuid.NewString()
	}
	once := func(i int) {
		text := fmt.Sprintf("<p>Text %d</p>", i)
		ans, err := c.learners[i%lanes].Try(http.MethodPost, "/api/v1/assignments/"+c.assignment+"/submissions", map[string]any{"text": text}, "Idempotency-Key", keys[i])
		history[i] = chaos.Command{Key: text}
		switch {
		case broken(ans, err):
		case ans.Status == http.StatusCreated:
			history[i].Outcome, history[i].ID = chaos.Acknowledged, ans.ID(t)
		case strings.Contains(string(ans.Body), "idempotency_in_progress"):
		default:
			history[i].Outcome, history[i].Detail = chaos.Refused, fmt.Sprintf("%d %.200s", ans.Status, ans.Body)
		}
	}
	c.while(t, "assignment", n, once)
	v := c.judgeWork(t, history)
	measured(t, "kill -9 of assignment while work is handed in", "0 lost, doubled, halfway, refused", v.Bad() == 0,
		"%d kills, %d acknowledged, %d without answer: %d lost, %d doubled, %d halfway, %d refused",
		kills, v.Acknowledged, v.Unanswered, len(v.Lost), len(v.Doubled), len(v.Halfway)+len(v.Foreign), len(v.Refusals))
	each(n, lanes, func(i int) {
		for range 60 {
			if history[i].Outcome != chaos.Unanswered {
				return
			}
			once(i)
		}
	})
	v = c.judgeWork(t, history)
	measured(t, "asked again with the same key", "all there once", v.Bad() == 0 && v.Acknowledged == n, "%d acknowledged, %d wrong", v.Acknowledged, v.Bad())
}

func (c *class) judgeWork(t *testing.T, history []chaos.Command) chaos.Verdict {
	t.Helper()
	c.quiet(t)
	b := c.openBooks(t)
	texts := b.read(t, "assignment", "select id::text, body from submissions where assignment_id = '"+c.assignment+"'")
	require.NoError(t, b["assignment"].Conn().Close(t.Context()))
	var state, told []chaos.Seen
	for id, text := range texts {
		state = append(state, chaos.Seen{Key: text, ID: id})
	}
	for _, e := range c.events(t, "assignment.events", "--since", "10m") {
		var d struct {
			SubmissionID string `json:"submission_id"`
			AssignmentID string `json:"assignment_id"`
		}
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if e.Type == "lms.assignment.submission_submitted.v1" && d.AssignmentID == c.assignment {
			told = append(told, chaos.Seen{Key: texts[d.SubmissionID], ID: d.SubmissionID})
		}
	}
	v := chaos.Judge(history, state, told)
	t.Log(v)
	return v
}

// gradedWork gives each learner grade after grade. It fails when somebody's grade is
// older than the last one that was acknowledged, was never given, or when the
// gradebook shows another one.
func (c *class) gradedWork(t *testing.T) {
	const rounds = 20
	given, acknowledged := make([]int64, lanes), make([]int64, lanes)
	var unanswered, refused atomic.Int64
	c.while(t, "assignment", lanes*rounds, func(i int) {
		who := i % lanes
		path := "/api/v1/assignments/" + c.assignment + "/grades/" + c.learners[who].ID
		for range 60 {
			cur, err := c.Admin.Try(http.MethodGet, path, nil)
			if broken(cur, err) {
				unanswered.Add(1)
				continue
			}
			score := atomic.AddInt64(&given[who], 1)
			ans, err := c.Admin.Try(http.MethodPut, path, map[string]any{"score": score}, "If-Match", cur.Header.Get("ETag"))
			if broken(ans, err) {
				unanswered.Add(1)
				continue
			}
			if ans.Status == http.StatusPreconditionFailed { // two lanes graded the same person
				continue
			}
			if ans.Status != http.StatusOK {
				refused.Add(1)
				t.Errorf("%d %.200s", ans.Status, ans.Body)
				return
			}
			higher(&acknowledged[who], score)
			return
		}
	})
	c.quiet(t)
	var book struct {
		Columns []struct {
			ID string `json:"id"`
		} `json:"columns"`
		People []struct {
			UserID string `json:"user_id"`
			Grades []*struct {
				Entered int64 `json:"entered"`
			} `json:"grades"`
		} `json:"people"`
	}
	c.Admin.Read(t, "/api/v1/courses/"+c.course+"/gradebook").JSON(t, &book)
	inBook := map[string]int64{}
	for _, p := range book.People {
		for i, g := range p.Grades {
			if g != nil && book.Columns[i].ID == c.assignment {
				inBook[p.UserID] = g.Entered
			}
		}
	}
	lost, foreign, differ := 0, 0, 0
	for i, p := range c.learners {
		var now struct {
			Entered int64 `json:"entered_score"`
		}
		c.Admin.Read(t, "/api/v1/assignments/"+c.assignment+"/grades/"+p.ID).JSON(t, &now)
		if now.Entered < acknowledged[i] {
			lost++
		}
		if now.Entered > given[i] {
			foreign++
		}
		if inBook[p.ID] != now.Entered {
			differ++
		}
	}
	measured(t, "kill -9 of assignment while work is graded", "0 acknowledged grades lost, the gradebook agrees", lost+foreign+differ == 0 && refused.Load() == 0,
		"%d kills, %d grades, %d tries without answer: %d lost, %d foreign, %d otherwise in the gradebook", kills, lanes*rounds, unanswered.Load(), lost, foreign, differ)
}

// recomputed fails when a stored number is not what it is computed to be.
func (c *class) recomputed(t *testing.T) {
	c.AwaitReady(t)
	c.seen(t)
	out, err := "", error(nil)
	took := await(t, time.Minute, "stored numbers are what they are computed to be", func() bool {
		out, err = c.TryLms("recompute", "--check")
		return err == nil
	})
	measured(t, "lms recompute --check afterwards", "no difference", err == nil, "none, %s after the last event was seen\n%s", took.Round(time.Millisecond), out)
}
