package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/events"
	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/postgres"
	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/transfer"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts/internalapi"
	"lms/shared/outbox"
	"lms/shared/pg"
	"lms/shared/richtext"
	"lms/shared/work"
)

// quizFriends stand for enrollment and course where quizzes ask them.
type quizFriends struct {
	mu       sync.Mutex
	service  *quiz.Service
	imports  *transfer.Questions
	verdicts map[[2]uuid.UUID]quiz.Verdict // by person and course
	locked   map[uuid.UUID]quiz.Verdict    // by quiz: what learners who submit are told instead
	placed   map[uuid.UUID]int
	asked    []quiz.Ask
	settled  bool
	waited   []uuid.UUID // calls that an answer waited for
}

func (f *quizFriends) May(_ context.Context, actor authz.Principal, ask quiz.Ask) (quiz.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, ask)
	v, ok := f.verdicts[[2]uuid.UUID{actor.UserID, ask.CourseID}]
	if !ok {
		return quiz.Verdict{Code: internalapi.DeniedUnknown}, nil
	}
	if ask.QuizID != nil && v.As == internalapi.AsLearner {
		if special, ok := f.locked[*ask.QuizID]; ok {
			return special, nil
		}
	}
	return v, nil
}

func (f *quizFriends) Placed(_ context.Context, id uuid.UUID) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.placed[id], nil
}

func (w *world) withQuizzes(source authz.Source) events.Part {
	f := &quizFriends{
		verdicts: map[[2]uuid.UUID]quiz.Verdict{}, locked: map[uuid.UUID]quiz.Verdict{}, placed: map[uuid.UUID]int{}, settled: true,
	}
	f.service = &quiz.Service{
		Store: postgres.NewQuizStore(w.db), Authz: source, Members: f, Placements: f, HTML: richtext.New().HTML,
		Limits: quiz.Limits{Grace: grace, NoticeBefore: 24 * time.Hour}, Now: w.clock.Now, NewID: clock.NewID, Random: rand.Reader,
		Settled: func(_ context.Context, call uuid.UUID) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.waited = append(f.waited, call)
			return f.settled
		},
	}
	w.quizzes = f
	(&httpapi.QuizAPI{Service: f.service, Uploads: w.objects}).Mount(w.router)
	events.QuizJobs(w.jobs, f.service)
	f.imports = &transfer.Questions{Service: f.service, Objects: w.objects, Folder: w.t.TempDir()}
	f.imports.Handle(w.jobs)
	return events.QuizPeople{Service: f.service, Wrap: postgres.NewQuizTx}
}

const grace = 5 * time.Second

// classroom is a course with its staff and learners.
type classroom struct {
	*world
	course                     uuid.UUID
	instructor, assistant, ada authz.Principal
	bob, outsider              authz.Principal
}

func newClassroom(t testing.TB) *classroom {
	t.Helper()
	w := newWorld(t)
	c := &classroom{world: w, course: uuid.New()}
	c.instructor, c.assistant = w.person(w.tenant, "", uuid.Nil), w.person(w.tenant, "", uuid.Nil)
	c.ada, c.bob, c.outsider = w.person(w.tenant, "", uuid.Nil), w.person(w.tenant, "", uuid.Nil), w.person(w.tenant, "", uuid.Nil)
	c.teaches(c.instructor, authz.RoleInstructor)
	c.teaches(c.assistant, authz.RoleTeachingAssistant)
	c.learns(c.ada)
	c.learns(c.bob)
	return c
}

func (c *classroom) stands(p authz.Principal, v quiz.Verdict) {
	c.quizzes.mu.Lock()
	defer c.quizzes.mu.Unlock()
	v.TenantID, v.OrgUnitID = c.tenant, c.unit
	c.quizzes.verdicts[[2]uuid.UUID{p.UserID, c.course}] = v
}

func (c *classroom) teaches(p authz.Principal, role string) {
	c.stands(p, quiz.Verdict{Allowed: true, As: internalapi.AsStaff, Role: role})
}

func (c *classroom) learns(p authz.Principal) {
	c.stands(p, quiz.Verdict{Allowed: true, As: internalapi.AsLearner})
}

// bank is a new bank of the course.
func (c *classroom) bank() httpapi.QuestionBank {
	c.t.Helper()
	var b httpapi.QuestionBank
	c.as(c.instructor).POST("/api/v1/question-banks", body{"course_id": c.course, "title": "A bank"}).Expect(http.StatusCreated).JSON(&b)
	return b
}

// question is a new question of a bank.
func (c *classroom) question(bank uuid.UUID, title string, definition body) httpapi.Question {
	c.t.Helper()
	var q httpapi.Question
	c.as(c.instructor).POST("/api/v1/question-banks/"+bank.String()+"/questions", body{"title": title, "definition": definition}).Expect(http.StatusCreated).JSON(&q)
	return q
}

func single(prompt, right string, wrong ...string) body {
	choices := []body{{"text": right, "correct": true, "feedback": "well done " + right}}
	for _, w := range wrong {
		choices = append(choices, body{"text": w, "feedback": "no, not " + w})
	}
	return body{"kind": "single", "prompt": prompt, "choices": choices}
}

func essay(prompt string) body { return body{"kind": "essay", "prompt": prompt} }

// exam is a quiz as the API gives it, with its ETag.
type exam struct {
	httpapi.Quiz
	tag string
}

func (e exam) path(more string) string { return "/api/v1/quizzes/" + e.ID.String() + more }

func (c *classroom) quiz(settings body) exam {
	c.t.Helper()
	b := body{"title": "A quiz"}
	for k, v := range settings {
		b[k] = v
	}
	r := c.as(c.instructor).POST("/api/v1/courses/"+c.course.String()+"/quizzes", b).Expect(http.StatusCreated)
	e := exam{tag: r.ETag()}
	r.JSON(&e.Quiz)
	return e
}

// slots replaces the slots of a quiz.
func (c *classroom) slots(e *exam, slots ...body) httpapi.Slots {
	c.t.Helper()
	r := c.as(c.instructor).With("If-Match", e.tag).PUT(e.path("/slots"), body{"slots": append([]body{}, slots...)}).Expect(http.StatusOK)
	e.tag = r.ETag()
	var out httpapi.Slots
	r.JSON(&out)
	return out
}

func (c *classroom) publish(e *exam) {
	c.t.Helper()
	e.tag = c.as(c.instructor).POST(e.path("/publish"), nil).Expect(http.StatusOK).ETag()
}

// ready is a published quiz of three single choices, a point each.
func (c *classroom) ready(settings body) (exam, []httpapi.Question) {
	c.t.Helper()
	b := c.bank()
	var questions []httpapi.Question
	var slots []body
	for _, name := range []string{"one", "two", "three"} {
		q := c.question(b.ID, name, single("Which is "+name+"?", name, "other", "none"))
		questions = append(questions, q)
		slots = append(slots, body{"question_id": q.ID, "points": 1})
	}
	e := c.quiz(settings)
	c.slots(&e, slots...)
	c.publish(&e)
	return e, questions
}

func (c *classroom) start(p authz.Principal, e exam) httpapi.Attempt {
	c.t.Helper()
	var a httpapi.Attempt
	c.as(p).POST(e.path("/attempts"), nil).Expect(http.StatusCreated).JSON(&a)
	return a
}

func attempt(a httpapi.Attempt, more string) string {
	return "/api/v1/attempts/" + a.ID.String() + more
}

func (c *classroom) answer(p authz.Principal, a httpapi.Attempt, question uuid.UUID, seq int, answer any) {
	c.t.Helper()
	c.as(p).PUT(attempt(a, "/answers/"+question.String()), body{"seq": seq, "answer": answer}).Expect(http.StatusOK)
}

func (c *classroom) submit(p authz.Principal, a httpapi.Attempt) httpapi.Attempt {
	c.t.Helper()
	var out httpapi.Attempt
	c.as(p).POST(attempt(a, "/submit"), nil).Expect(http.StatusOK).JSON(&out)
	return out
}

// choose answers with the choice of a text.
func choose(q httpapi.AttemptQuestion, text string) body {
	for _, ch := range q.Choices {
		if ch.Text == text {
			return body{"choice": ch.ID}
		}
	}
	return body{"choice": "none"}
}

// take starts an attempt, answers the first n questions right and the others
// wrong, and hands it in.
func (c *classroom) take(p authz.Principal, e exam, questions []httpapi.Question, n int) httpapi.Attempt {
	c.t.Helper()
	a := c.start(p, e)
	for i, q := range questions {
		text := "other"
		if i < n {
			text = q.Title
		}
		for _, shown := range a.Questions {
			if shown.QuestionID == q.ID {
				c.answer(p, a, q.ID, 1, choose(shown, text))
			}
		}
	}
	return c.submit(p, a)
}

func hundredths(t testing.TB, d *httpapi.Decimal) string {
	t.Helper()
	if d == nil {
		return "none"
	}
	raw, err := json.Marshal(d)
	require.NoError(t, err)
	return string(raw)
}

// grade is what staff see of a person's result.
func (c *classroom) grade(e exam, p authz.Principal) httpapi.QuizGrade {
	c.t.Helper()
	var g httpapi.QuizGrade
	c.as(c.instructor).GET(e.path("/grades/" + p.UserID.String())).Expect(http.StatusOK).JSON(&g)
	return g
}

func (c *classroom) sweep() {
	c.t.Helper()
	require.NoError(c.t, c.quizzes.service.Sweep(c.t.Context()))
}

// works runs all queued jobs to their end.
func (w *world) works() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.jobs.Run(ctx) }()
	require.Eventually(w.t, func() bool {
		return value[int](w, `select count(*)::int from job where state in ('queued', 'running')`) == 0
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	<-done
	require.Empty(w.t, value[string](w, `select coalesce(string_agg(kind || ': ' || error, ', '), '') from job where state = 'failed'`))
}

func value[T any](w *world, sql string, args ...any) (out T) {
	w.t.Helper()
	require.NoError(w.t, w.db.Read(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) (err error) {
		out, err = pg.Scalar[T](ctx, u, "value", sql, args...)
		return err
	}))
	return out
}

// asked makes a reliable call to the service and reads its reply.
func asked[Out any](w *world, name string, seq int64, data any) (out Out) {
	w.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(w.t, err)
	reply, err := w.inbox.ReceiveCall(w.t.Context(), name, "user", outbox.CallEnvelope{
		CallID: uuid.New(), Source: "user", Key: "k", Seq: seq, TenantID: w.tenant, Time: w.clock.Now(), Data: raw,
	})
	require.NoError(w.t, err)
	require.NoError(w.t, json.NewDecoder(bytes.NewReader(reply)).Decode(&out))
	return out
}

// tamper changes rows behind the service's back.
func (w *world) tamper(sql string, args ...any) error {
	return w.db.InTx(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, sql, args...)
		return err
	})
}
