package app

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/apps/course/internal/catalogtest"
	"lms/apps/course/internal/httpapi"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/outbox"
	"lms/shared/work"
)

// partOwners stand for content and assignment: they answer calls about parts.
type partOwners struct {
	mu      sync.Mutex
	away    bool
	replies map[string]func(json.RawMessage) internalapi.PartReply // by call
	asked   []askedPart
}

type askedPart struct {
	to, call string
	data     json.RawMessage
}

func (p *partOwners) PublishBulk(context.Context, string, string, []outbox.Message) ([]string, error) {
	return nil, nil
}

func (p *partOwners) Send(context.Context, string, []byte, map[string]string) error { return nil }

func (p *partOwners) Call(_ context.Context, app, path string, body []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := path[strings.LastIndex(path, "/")+1:]
	if p.away {
		return nil, apperr.Unavailable("service_unavailable", "away")
	}
	var env outbox.CallEnvelope
	if err := json.Unmarshal(body, &env); err != nil {
		return nil, err
	}
	p.asked = append(p.asked, askedPart{app, name, env.Data})
	reply := p.replies[name]
	if reply == nil {
		return json.Marshal(internalapi.PartReply{State: internalapi.PartMade})
	}
	return json.Marshal(reply(env.Data))
}

// orders are what was asked of a service by a call.
func orders[T any](w *world, to, call string) []T {
	w.t.Helper()
	w.parts.mu.Lock()
	defer w.parts.mu.Unlock()
	var out []T
	for _, a := range w.parts.asked {
		if a.to == to && a.call == call {
			var v T
			require.NoError(w.t, json.Unmarshal(a.data, &v))
			out = append(out, v)
		}
	}
	return out
}

// taught has a quiz twice in its curriculum, an assignment, and a quiz that is in
// none.
func (w *world) taught() (c made, quiz, task, loose uuid.UUID) {
	w.t.Helper()
	quiz, task, loose = uuid.New(), uuid.New(), uuid.New()
	c, cur := w.published(nil)
	for id, kind := range map[uuid.UUID]string{quiz: events.ItemQuiz, task: events.ItemAssignment, loose: events.ItemQuiz} {
		w.resource(internalapi.ResourceState{ResourceID: id, Kind: kind, CourseID: &c.ID, Published: true})
	}
	items := c.path("/modules/" + cur.Modules[1].ID.String() + "/items")
	for _, i := range []body{
		{"kind": "quiz", "title": "Quiz", "resource_id": quiz}, {"kind": "assignment", "title": "Task", "resource_id": task}, {"kind": "quiz", "title": "Again", "resource_id": quiz},
	} {
		w.as(w.teacher).POST(items, i).Expect(http.StatusCreated)
	}
	return c, quiz, task, loose
}

// tells lets the services tell course of what they made, as they do beside their
// answers.
func (w *world) tells(transfer uuid.UUID, course uuid.UUID, sources map[uuid.UUID]string) {
	for source, kind := range sources {
		w.resource(internalapi.ResourceState{ResourceID: internalapi.TransferredID(transfer, source), Kind: kind, CourseID: &course})
	}
}

func TestACopyTakesQuizzesAndAssignmentsAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, quiz, task, loose := w.taught()
	told := map[uuid.UUID]string{quiz: events.ItemQuiz, task: events.ItemAssignment, loose: events.ItemQuiz}
	w.parts.replies[internalapi.CallClonePart] = func(raw json.RawMessage) internalapi.PartReply {
		var in internalapi.ClonePart
		if err := json.Unmarshal(raw, &in); err != nil {
			return internalapi.PartReply{State: internalapi.PartFailed, Code: "unreadable"}
		}
		switch in.SourceID {
		case task:
			return internalapi.PartReply{State: internalapi.PartFailed, Code: "gone", Message: "It is gone."}
		case quiz:
			return internalapi.PartReply{State: internalapi.PartMade, Notes: []internalapi.PartNote{{Ref: "A question", Code: "odd", Message: "Odd."}}}
		}
		return internalapi.PartReply{State: internalapi.PartMade}
	}
	var job work.Job
	w.as(w.teacher).POST(c.path("/copy"), body{"code": "COPY", "date_shift_days": 7}).Expect(http.StatusAccepted).JSON(&job)
	go func() { // once the copy is there
		_ = w.untilCalled(internalapi.CallClonePart, 4)
		o := orders[internalapi.ClonePart](w, "content", internalapi.CallClonePart)
		w.tells(o[0].TransferID, o[0].CourseID, told)
	}()
	j := w.finished(w.teacher, job.ID)
	var done catalog.TransferResult
	w.result(w.teacher, j, &done)

	quizzes := orders[internalapi.ClonePart](w, "content", internalapi.CallClonePart)
	require.Len(t, quizzes, 2, "also the one that is in no curriculum, and none twice")
	for _, o := range quizzes {
		require.Equal(t, int64(7*24*3600), o.ShiftSeconds)
		require.Equal(t, internalapi.PartPlace{TransferID: done.CourseID, TenantID: w.tenant, OrgUnitID: w.unit, CourseID: done.CourseID, ActorID: w.teacher.UserID}, o.PartPlace)
	}
	tasks := orders[internalapi.ClonePart](w, "assignment", internalapi.CallClonePart)
	require.ElementsMatch(t, []string{events.ItemAssignment + task.String(), internalapi.PartGradebook + c.ID.String()},
		[]string{tasks[0].Kind + tasks[0].SourceID.String(), tasks[1].Kind + tasks[1].SourceID.String()})

	var copied httpapi.Curriculum
	w.as(w.teacher).GET("/api/v1/courses/" + done.CourseID.String() + "/curriculum").Expect(http.StatusOK).JSON(&copied)
	items := copied.Modules[1].Items
	require.Equal(t, internalapi.TransferredID(done.CourseID, quiz), *items[1].ResourceID)
	require.Nil(t, items[2].ResourceID, "what could not be copied keeps its place")
	require.Equal(t, items[1].ResourceID, items[3].ResourceID, "one quiz in both places")
	require.Equal(t, []string{events.TypeCourseCreated, events.TypeCurriculumChanged, events.TypeCourseUpdated, events.TypeCurriculumChanged}, w.types(done.CourseID),
		"all that came is placed by one edit")
	rows := w.rows(w.teacher, j.ID)
	require.Equal(t, map[string]string{"": catalog.NoteDone, "gone": catalog.NotePlaceholder, "odd": catalog.NoteAdjusted}, rows)

	// The same job again makes and asks nothing twice.
	_, _, err := w.service.RunCopy(t.Context(), w.teacher, catalog.CopyRequest{SourceID: c.ID, NewID: done.CourseID, OrgUnitID: w.unit, Code: "COPY"})
	require.NoError(t, err)
	parts, err := w.service.Bind(t.Context(), w.teacher, w.tenant, done.CourseID, done.CourseID, "copied")
	require.NoError(t, err)
	require.Len(t, parts, 4)
	require.Len(t, w.types(done.CourseID), 4)
	w.clock.Advance(31 * 24 * time.Hour)
	require.NoError(t, w.service.PurgeParts(t.Context()))
	parts, err = w.service.Parts(t.Context(), w.tenant, done.CourseID)
	require.NoError(t, err)
	require.Empty(t, parts)
}

// untilCalled waits until so many calls of a name have arrived.
func (w *world) untilCalled(name string, n int) bool {
	for range 2_000 {
		w.parts.mu.Lock()
		have := 0
		for _, a := range w.parts.asked {
			if a.call == name {
				have++
			}
		}
		w.parts.mu.Unlock()
		if have >= n {
			return true
		}
		<-time.After(5 * time.Millisecond)
	}
	return false
}

func TestACopyWaitsForServicesThatAreAwayButNotForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _, _, _ := w.taught()
	w.parts.away = true
	var job work.Job
	w.as(w.teacher).POST(c.path("/copy"), body{"code": "COPY"}).Expect(http.StatusAccepted).JSON(&job)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.jobs.Run(ctx) }()
	var got work.Job
	require.Eventually(t, func() bool {
		var err error
		got, err = w.jobs.Get(t.Context(), job.ID, w.teacher.UserID)
		w.clock.Advance(time.Second)
		return err == nil && got.Total == 4
	}, 20*time.Second, 10*time.Millisecond)
	require.Nil(t, got.FinishedAt)
	require.Equal(t, map[string]string{"pending": catalog.NotePending}, w.rows(w.teacher, job.ID), "each part has its state")
	w.clock.Advance(catalog.PartPatience)
	require.Eventually(t, func() bool {
		var err error
		got, err = w.jobs.Get(t.Context(), job.ID, w.teacher.UserID)
		w.clock.Advance(time.Second)
		return err == nil && got.FinishedAt != nil
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, work.JobSucceeded, got.State)
	require.Equal(t, catalog.NotePlaceholder, w.rows(w.teacher, job.ID)["no_answer"])
}

func TestAnExportCarriesWhatOtherServicesGive(t *testing.T) {
	t.Parallel()
	for _, format := range []string{catalog.FormatCartridge, catalog.FormatOLX} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c, quiz, task, _ := w.taught()
			gives := map[uuid.UUID]*catalog.PackagePart{
				quiz: catalogtest.Part(t, "problem1.xml", map[string]string{"problem1.xml": "<problem/>", "quiz.json": `{"title":"Q"}`}),
				task: catalogtest.Part(t, "openassessment1.xml", map[string]string{"openassessment1.xml": "<openassessment/>", "assignment.json": `{"title":"T"}`}),
				c.ID: catalogtest.Part(t, "gradebook.json", map[string]string{"gradebook.json": `{"weighted":true}`}),
			}
			w.parts.replies[internalapi.CallExportPart] = func(raw json.RawMessage) internalapi.PartReply {
				var in internalapi.ExportPart
				if err := json.Unmarshal(raw, &in); err != nil || in.Format != format {
					return internalapi.PartReply{State: internalapi.PartFailed}
				}
				p := gives[in.ResourceID]
				return internalapi.PartReply{State: internalapi.PartMade, Package: p.Documents, Main: p.Main}
			}
			j := w.job(w.as(w.teacher).POST(c.path("/exports"), body{"format": format}), w.teacher)
			var file struct {
				Key string `json:"object_key"`
			}
			w.result(w.teacher, j, &file)
			require.Equal(t, map[string]string{"": catalog.NoteDone}, w.rows(w.teacher, j.ID))
			r, err := w.objects.NewReader(t.Context(), file.Key)
			require.NoError(t, err)
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())

			up := w.upload(w.teacher, raw)
			var job work.Job
			w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "AGAIN"}).Expect(http.StatusAccepted).JSON(&job)
			go func() {
				_ = w.untilCalled(internalapi.CallImportPart, 3)
				o := orders[internalapi.ImportPart](w, "content", internalapi.CallImportPart)
				w.tells(o[0].TransferID, o[0].CourseID, map[uuid.UUID]string{quiz: events.ItemQuiz, task: events.ItemAssignment})
			}()
			j = w.finished(w.teacher, job.ID)
			var done catalog.TransferResult
			w.result(w.teacher, j, &done)
			quizzes := orders[internalapi.ImportPart](w, "content", internalapi.CallImportPart)
			require.Len(t, quizzes, 1, "placed twice, made once")
			require.Equal(t, format, quizzes[0].Format)
			require.Equal(t, internalapi.TransferredID(done.CourseID, quiz), quizzes[0].ResourceID)
			documents := catalogtest.Documents(t, &catalog.PackagePart{Documents: quizzes[0].Package})
			require.JSONEq(t, `{"title":"Q"}`, documents["quiz.json"])
			tasks := orders[internalapi.ImportPart](w, "assignment", internalapi.CallImportPart)
			require.ElementsMatch(t, []string{events.ItemAssignment + internalapi.TransferredID(done.CourseID, task).String(), internalapi.PartGradebook + done.CourseID.String()},
				[]string{tasks[0].Kind + tasks[0].ResourceID.String(), tasks[1].Kind + tasks[1].ResourceID.String()})
			var back httpapi.Curriculum
			w.as(w.teacher).GET("/api/v1/courses/" + done.CourseID.String() + "/curriculum").Expect(http.StatusOK).JSON(&back)
			require.Equal(t, internalapi.TransferredID(done.CourseID, quiz), *back.Modules[1].Items[1].ResourceID)
			require.Equal(t, internalapi.TransferredID(done.CourseID, task), *back.Modules[1].Items[2].ResourceID)
		})
	}
}

// TestAnImportHandsItsFilesOver: content takes a file over from where the import put
// it; one that it refuses does not stay behind.
func TestAnImportHandsItsFilesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	up := w.upload(w.teacher, cartridgeWithFile(t, "slides.pdf", "%PDF-1.7 slides"))
	w.parts.replies[internalapi.CallImportPart] = func(json.RawMessage) internalapi.PartReply {
		return internalapi.PartReply{State: internalapi.PartPending}
	}
	var job work.Job
	w.as(w.teacher).POST("/api/v1/imports/courses", body{"upload_id": up, "org_unit_id": w.unit, "code": "FILES"}).Expect(http.StatusAccepted).JSON(&job)
	stored := make(chan string, 1)
	go func() {
		_ = w.untilCalled(internalapi.CallImportPart, 1)
		o := orders[internalapi.ImportPart](w, "content", internalapi.CallImportPart)[0]
		r, err := w.objects.NewReader(context.Background(), o.File.ObjectKey)
		if err != nil {
			stored <- err.Error()
			return
		}
		raw, _ := io.ReadAll(r)
		_ = r.Close()
		_, _ = w.call("content", internalapi.CallPartSettled, "x", internalapi.PartSettled{
			TransferID: o.TransferID, ResourceID: o.ResourceID, State: internalapi.PartFailed, Code: "content_type_mismatch", Message: "No.",
		})
		stored <- o.File.Filename + " " + o.File.MediaType + " " + string(raw) + " " + o.File.ObjectKey
	}()
	j := w.finished(w.teacher, job.ID)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	said := <-stored
	require.Contains(t, said, "slides.pdf application/pdf %PDF-1.7 slides")
	require.Equal(t, catalog.NotePlaceholder, w.rows(w.teacher, j.ID)["content_type_mismatch"])
	_, err := w.objects.Stat(t.Context(), said[strings.LastIndex(said, " ")+1:])
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "nothing is left of it")
}

func cartridgeWithFile(t *testing.T, name, content string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for file, text := range map[string]string{
		"imsmanifest.xml": `<manifest><organizations><organization><item><item identifier="m"><title>M</title><item identifier="i" identifierref="r"><title>Slides</title></item></item></item></organization></organizations>
			<resources><resource identifier="r" type="webcontent" href="` + name + `"/></resources></manifest>`,
		name: content,
	} {
		out, err := z.Create(file)
		require.NoError(t, err)
		_, err = out.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return buf.Bytes()
}
