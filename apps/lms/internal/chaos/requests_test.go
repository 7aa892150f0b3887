//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/chaos"
	"lms/apps/lms/internal/system"
)

// replayedKey sends one POST 50 times at once under one Idempotency-Key. It
// fails when two answers differ in status or body, or when there is not exactly
// one course and one event of it.
func (s *school) replayedKey(t *testing.T) {
	key, code := uuid.NewString(), "ONCE-"+uuid.NewString()[:8]
	body := map[string]any{"org_unit_id": s.Unit, "code": code, "title": "Once"}
	answers := map[string]int{}
	var mu sync.Mutex
	each(50, 50, func(int) {
		ans, err := s.Teacher.Try(http.MethodPost, "/api/v1/courses", body, "Idempotency-Key", key)
		said := fmt.Sprintf("%v %d %s", err, ans.Status, ans.Body)
		mu.Lock()
		answers[said]++
		mu.Unlock()
	})
	s.quiet(t)
	made := 0
	for _, c := range list[struct{ Code string }](t, s.Teacher.API, "/api/v1/courses?status=draft") {
		if c.Code == code {
			made++
		}
	}
	told := 0
	for _, e := range s.events(t, "course.events", "--since", "5m") {
		var d struct{ Code string }
		require.NoError(t, json.Unmarshal(e.Data, &d))
		if e.Type == "lms.course.created.v1" && d.Code == code {
			told++
		}
	}
	if len(answers) != 1 {
		t.Log(answers)
	}
	measured(t, "21 an Idempotency-Key x50 at once", "one effect, one body", len(answers) == 1 && made == 1 && told == 1,
		"%d distinct answers, %d courses, %d events", len(answers), made, told)

	other, err := s.Teacher.Try(http.MethodPost, "/api/v1/courses", map[string]any{"org_unit_id": s.Unit, "code": code + "x", "title": "Other"}, "Idempotency-Key", key)
	require.NoError(t, err)
	foreign, err := s.Admin.Try(http.MethodPost, "/api/v1/courses", body, "Idempotency-Key", key)
	require.NoError(t, err)
	// Another caller's key is another key: the code is taken, that is all.
	measured(t, "22 the same key, another body; another caller", "422; not the first caller's answer", other.Status == 422 && foreign.Status != http.StatusCreated,
		"%d %s; %d %s", other.Status, other.Code(t), foreign.Status, foreign.Code(t))
}

// runningKey holds the table that a request writes to, so that the request runs
// on, and sends it once more under its key. It fails when the second one is
// answered by anything but 409 while the first runs, or when the first one's
// answer is not given again afterwards.
func (s *school) runningKey(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), s.setting(t, "course", "LMS_DATABASE_URL"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "lock table courses in share row exclusive mode")
	require.NoError(t, err)
	key, body := uuid.NewString(), map[string]any{"org_unit_id": s.Unit, "code": "RUN-" + uuid.NewString()[:8], "title": "Runs"}
	send := func() system.Answer {
		ans, err := s.Teacher.Try(http.MethodPost, "/api/v1/courses", body, "Idempotency-Key", key)
		if err != nil {
			t.Error(err)
		}
		return ans
	}
	first := make(chan system.Answer, 1)
	go func() { first <- send() }()
	await(t, 10*time.Second, "the first one waits for the table", func() bool {
		var waiting bool
		require.NoError(t, tx.QueryRow(t.Context(), "select exists (select from pg_locks where relation = 'courses'::regclass and not granted)").Scan(&waiting))
		return waiting
	})
	began := time.Now()
	second := send()
	waited := time.Since(began)
	require.NoError(t, tx.Rollback(t.Context()))
	made, again := <-first, send()
	measured(t, "22 the same key while the first runs", "409 within 8 s, then the first one's answer", second.Status == http.StatusConflict &&
		second.Code(t) == "idempotency_in_progress" && waited < 8*time.Second && made.Status == http.StatusCreated && string(made.Body) == string(again.Body),
		"%d %s after %s; the first %d, asked again %d", second.Status, second.Code(t), waited.Round(100*time.Millisecond), made.Status, again.Status)
}

// contended lets 16 clients count in one field of one course by read and
// conditional write. It fails when the number in the end is not the number of
// acknowledged writes. Without If-Match there is no write at all (428).
func (s *school) contended(t *testing.T) {
	course := must(t, s.Teacher.API, http.MethodPost, "/api/v1/courses", map[string]any{"org_unit_id": s.Unit, "code": "N-" + uuid.NewString()[:8], "title": "Count", "description": "0"})
	path := "/api/v1/courses/" + course["id"].(string)
	var done, lost412, unsure atomic.Int64
	const perClient = 20
	each(lanes, lanes, func(int) {
		for n := 0; n < perClient; {
			cur, err := s.Teacher.Try(http.MethodGet, path, nil)
			if err != nil || cur.Status != http.StatusOK {
				continue
			}
			var doc struct{ Description string }
			if json.Unmarshal(cur.Body, &doc) != nil {
				continue
			}
			was, _ := strconv.Atoi(doc.Description)
			ans, err := s.Teacher.Try(http.MethodPatch, path, map[string]any{"description": strconv.Itoa(was + 1)}, "If-Match", cur.Header.Get("ETag"))
			switch {
			case err != nil || ans.Status >= 500:
				unsure.Add(1)
				n++
			case ans.Status == http.StatusOK:
				done.Add(1)
				n++
			case ans.Status == http.StatusPreconditionFailed:
				lost412.Add(1)
			default:
				t.Errorf("PATCH %s: %d %s", path, ans.Status, ans.Body)
				return
			}
		}
	})
	bare, err := s.Teacher.Try(http.MethodPatch, path, map[string]any{"description": "-1"})
	require.NoError(t, err)
	var doc struct{ Description string }
	s.Teacher.Read(t, path).JSON(t, &doc)
	final, err := strconv.ParseInt(doc.Description, 10, 64)
	require.NoError(t, err)
	measured(t, "23 If-Match under contention", "0 updates lost; without it 428", final == done.Load() && unsure.Load() == 0 && done.Load() == lanes*perClient && bare.Status == 428,
		"%d acknowledged, counted %d, %d refused with 412, without If-Match %d", done.Load(), final, lost412.Load(), bare.Status)
}

// race lets 1,000 people ask for the one seat of a course at once. It fails when
// not exactly one has it, when the others do not stand in one row without gaps,
// when somebody stands behind one who asked after they were answered, or when
// seats that become free do not go to the first of the row.
func (s *school) race(t *testing.T) {
	const racers = 1000
	people := s.people(t, racers)
	course := s.courses(t, 1, map[string]any{"capacity": 1, "waitlist_enabled": true})[0]
	path := "/api/v1/courses/" + course
	type entry struct {
		ID     string `json:"id"`
		UserID string `json:"user_id"`
		State  string `json:"state"`
		Place  int    `json:"waitlist_position"`
	}
	answers := make([]entry, racers)
	turns := make([]chaos.Turn, racers)
	began := time.Now()
	each(racers, 64, func(i int) {
		turns[i] = chaos.Turn{Who: people[i], Asked: time.Since(began).Nanoseconds()}
		ans, err := tryKeyed(s.Teacher.API, http.MethodPost, path+"/enrollments", map[string]any{"user_id": people[i]})
		turns[i].Answered = time.Since(began).Nanoseconds()
		if err != nil || ans.Status != http.StatusCreated || json.Unmarshal(ans.Body, &answers[i]) != nil {
			t.Errorf("enroll: %v %d %s", err, ans.Status, ans.Body)
		}
	})
	took := time.Since(began)
	winners, winner := 0, entry{}
	for _, a := range answers {
		if a.State == "active" {
			winners, winner = winners+1, a
		}
	}
	row := list[entry](t, s.Teacher.API, path+"/waitlist")
	place := map[string]int{}
	for i, e := range row {
		place[e.UserID] = i + 1
	}
	standing := slices.DeleteFunc(turns, func(x chaos.Turn) bool { return x.Who == winner.UserID })
	for i := range standing {
		standing[i].PlaceInRow = place[standing[i].Who]
	}
	disorder := chaos.OutOfTurn(standing)

	// Free seats go down the row.
	inOrder, holder := 0, winner.ID
	for i := range 3 {
		next := row[i]
		cur := s.Teacher.Read(t, "/api/v1/enrollments/"+holder)
		ans, err := s.Teacher.Try(http.MethodPost, "/api/v1/enrollments/"+holder+"/withdraw", map[string]any{}, "If-Match", cur.Header.Get("ETag"), "Idempotency-Key", uuid.NewString())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, ans.Status, "%s", ans.Body)
		await(t, 10*time.Second, "the first of the row is promoted", func() bool {
			return s.Teacher.Read(t, "/api/v1/enrollments/"+next.ID).Map(t)["state"] == "active"
		})
		states := s.states(t, course)
		if states["active"] == 1 && states["waitlisted"] == racers-2-i {
			inOrder++
		}
		holder = next.ID
	}
	measured(t, "25 one seat, 1,000 racers", "1 wins, 999 wait in order", winners == 1 && len(row) == racers-1 && disorder == 0 && inOrder == 3,
		"%d won, %d wait, %d out of turn, 3 freed seats went to the first %d times (%.0f/s)", winners, len(row), disorder, inOrder, racers/took.Seconds())
}
