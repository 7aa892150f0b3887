package app

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/page"
	"lms/shared/work"
)

// together runs n things at once.
func together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func (w *world) exported() [][]string {
	w.t.Helper()
	raw := w.as(w.teacher).GET(path("courses", w.course, "gradebook") + "?format=csv").Expect(200).Body
	lines, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	require.NoError(w.t, err)
	return lines
}

type importRow struct {
	Status, Code, Message string
	Ref                   struct{ From, To, Column string }
}

// imported runs an import and gives its report and its tally.
func (w *world) imported(lines [][]string, dry bool) ([]importRow, map[string]int) {
	w.t.Helper()
	var b strings.Builder
	require.NoError(w.t, csv.NewWriter(&b).WriteAll(lines))
	at := path("courses", w.course, "gradebook", "import")
	if dry {
		at += "?dry_run=true"
	}
	var job work.Job
	res := w.as(w.teacher).With("Content-Type", "text/csv").POST(at, []byte(b.String())).Expect(202).JSON(&job)
	require.Equal(w.t, "/api/v1/jobs/assignment/"+job.ID.String(), res.Header.Get("Location"))
	w.work()
	rows, err := w.jobs.Rows(w.t.Context(), job.ID, w.teacher.UserID, "", page.Request{Limit: 200})
	require.NoError(w.t, err)
	raw, err := w.jobs.Result(w.t.Context(), job.ID, w.teacher.UserID)
	require.NoError(w.t, err)
	tally := map[string]int{}
	require.NoError(w.t, json.Unmarshal(raw, &tally))
	out := make([]importRow, len(rows.Items))
	for i, r := range rows.Items {
		text, err := json.Marshal(r)
		require.NoError(w.t, err)
		require.NoError(w.t, json.Unmarshal(text, &out[i]))
	}
	return out, tally
}

// column is where an assignment stands in the file.
func column(lines [][]string, id uuid.UUID) int {
	return slices.IndexFunc(lines[0], func(h string) bool { return strings.Contains(h, id.String()) })
}

func line(lines [][]string, user uuid.UUID) []string {
	return lines[slices.IndexFunc(lines, func(l []string) bool { return l[0] == user.String() })]
}

func TestWhatIsExportedChangesNothingWhenImported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(body{"title": "Letters [draft]", "grading_type": "letter"})
	c := w.published(body{"title": "Done", "grading_type": "pass_fail"})
	other := w.learner()
	w.grade(a, w.student.UserID, body{"score": 17.25})
	w.grade(b, w.student.UserID, body{"grade": "B+"})
	w.grade(c, w.student.UserID, body{"grade": "pass"})
	w.grade(a, other.UserID, body{"excused": true})
	w.scored(w.quiz(nil), w.student.UserID, 5_00, nil)
	before := w.exported()
	rows, tally := w.imported(before, false)
	require.Empty(t, rows)
	require.Equal(t, map[string]int{"unchanged": 8}, tally)
	after := w.exported()
	for i := range before {
		before[i][2], after[i][2] = "", "" // the mark has the time of the export
	}
	require.Equal(t, before, after)
}

func TestAnImportSaysCellByCellWhatItWouldChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(body{"title": "B", "grading_type": "letter"})
	quiz := w.quiz(nil)
	other := w.learner()
	w.grade(a, w.student.UserID, body{"score": 10})
	w.scored(quiz, w.student.UserID, 5_00, nil)
	file := w.exported()
	mine, theirs := line(file, w.student.UserID), line(file, other.UserID)
	mine[column(file, a.ID)] = "12.5"
	mine[column(file, b.ID)] = "A-"
	mine[column(file, quiz.QuizID)] = "9"
	theirs[column(file, a.ID)] = "EX"
	theirs[column(file, b.ID)] = "Z"
	file[0] = append(file[0], "Somewhere else")
	for i := 1; i < len(file); i++ {
		file[i] = append(file[i], "1")
	}
	stranger := slices.Clone(line(file, other.UserID))
	stranger[0] = uuid.NewString()
	file = append(file, stranger)

	rows, tally := w.imported(file, true)
	require.Equal(t, map[string]int{"would_be_changed": 3, "failed": 2, "unknown": 2, "unchanged": 1}, tally)
	codes := map[string]int{}
	for _, r := range rows {
		codes[r.Code]++
		if r.Ref.To == "12.5" {
			require.Equal(t, "10", r.Ref.From)
		}
	}
	require.Equal(t, map[string]int{"": 3, "unknown_grade": 1, "read_only": 1, "unknown_column": 1, "unknown_user": 1}, codes)
	require.Equal(t, "10", shownPoints(w.cell(w.student.UserID, a.ID).Entered), "a dry run writes nothing")

	_, tally = w.imported(file, false)
	require.Equal(t, map[string]int{"changed": 3, "failed": 2, "unknown": 2, "unchanged": 1}, tally)
	require.Equal(t, "12.5", shownPoints(w.cell(w.student.UserID, a.ID).Entered))
	require.True(t, w.cell(other.UserID, a.ID).Excused)
	_, tally = w.imported(file, false)
	require.Equal(t, 0, tally["changed"], "the same file again changes nothing")
	var causes []string
	w.scan(&causes, `select array_agg(distinct cause) from grade_history where actor_id = $1 and note = 'import of a gradebook'`, w.teacher.UserID)
	require.Equal(t, []string{"import"}, causes)
	w.clean()
}

func TestAGradeChangedSinceTheExportIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.published(nil), w.published(body{"title": "B"})
	w.grade(a, w.student.UserID, body{"score": 10})
	w.grade(b, w.student.UserID, body{"score": 10})
	w.clock.Advance(10e9)
	file := w.exported()
	w.clock.Advance(10e9)
	w.grade(a, w.student.UserID, body{"score": 15})
	mine := line(file, w.student.UserID)
	mine[column(file, a.ID)], mine[column(file, b.ID)] = "11", "12"
	rows, tally := w.imported(file, false)
	require.Equal(t, map[string]int{"conflict": 1, "changed": 1}, tally)
	require.Equal(t, "changed_since_export", rows[0].Code)
	require.Equal(t, []string{"15", "11"}, []string{rows[0].Ref.From, rows[0].Ref.To})
	p := w.line(w.student.UserID)
	require.Equal(t, []string{"15", "12"}, []string{shownPoints(p.Grades[0].Score), shownPoints(p.Grades[1].Score)})
	mine[column(file, a.ID)] = "15"
	_, tally = w.imported(file, false)
	require.Equal(t, map[string]int{"unchanged": 2}, tally, "what is already so is no conflict")
}

func TestImportAndGraderAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	file := w.exported()
	mine := line(file, w.student.UserID)
	mine[column(file, a.ID)] = "11"
	at := path("assignments", a.ID, "grades", w.student.UserID)
	tag := w.as(w.teacher).GET(at).Expect(200).Header.Get("ETag")
	var tally map[string]int
	status := 0
	together(2, func(i int) {
		if i == 0 {
			_, tally = w.imported(file, false)
			return
		}
		status = w.as(w.admin).With("If-Match", tag).PUT(at, body{"score": 15}).Status
	})
	got := shownPoints(w.line(w.student.UserID).Grades[0].Score)
	switch {
	case status == 412:
		require.Equal(t, []any{"11", 1}, []any{got, tally["changed"]})
	case tally["changed"] == 1: // the import saw the other grade before it read
		require.Equal(t, "11", got)
	default:
		require.Equal(t, []any{"15", 1}, []any{got, tally["conflict"]})
	}
	w.clean()
}

func TestAFileThatIsNoGradebookIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.published(nil)
	at := path("courses", w.course, "gradebook", "import")
	for name, text := range map[string]string{
		"empty": "", "without people": "name,score\nx,1\n", "ragged": "user_id,name\n1\n", "a quote": "user_id\n\"x\n",
		"a column twice": "user_id,A [" + a.ID.String() + "],B [" + a.ID.String() + "]\n",
	} {
		w.as(w.teacher).With("Content-Type", "text/csv").POST(at, []byte(text)).Expect(422)
		_ = name
	}
	w.as(w.teacher).With("Content-Type", "text/csv").POST(at+"?dry_run=maybe", []byte("user_id\n")).Expect(422)
	w.as(w.student).With("Content-Type", "text/csv").POST(at, []byte("user_id\n")).Expect(403)
	w.as(w.alien).With("Content-Type", "text/csv").POST(at, []byte("user_id\n")).Expect(404)
}
