package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/apps/content/internal/packages"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// ordered makes a call about a part as course does.
func ordered(w *world, name string, key string, in any) internalapi.PartReply {
	w.t.Helper()
	raw, err := w.call("course", name, key, in)
	require.NoError(w.t, err)
	var reply internalapi.PartReply
	require.NoError(w.t, json.Unmarshal(raw, &reply))
	return reply
}

// copyOf is another course of the same org unit, which the instructor teaches, too.
func (c *classroom) copyOf() *classroom {
	other := *c
	other.course = uuid.New()
	other.teaches(other.instructor, "instructor")
	return &other
}

func (c *classroom) place(transfer uuid.UUID) internalapi.PartPlace {
	return internalapi.PartPlace{TransferID: transfer, TenantID: c.tenant, OrgUnitID: c.unit, CourseID: c.course, ActorID: c.instructor.UserID}
}

func (c *classroom) read(id uuid.UUID) (exam, httpapi.Slots) {
	c.t.Helper()
	var e exam
	c.as(c.instructor).GET("/api/v1/quizzes/" + id.String()).Expect(http.StatusOK).JSON(&e.Quiz)
	var s httpapi.Slots
	c.as(c.instructor).GET("/api/v1/quizzes/" + id.String() + "/slots").Expect(http.StatusOK).JSON(&s)
	return e, s
}

func TestAQuizIsCopiedWithItsQuestions(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	due := c.clock.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	e, questions := c.ready(body{"due_at": due, "available_until": due, "attempts_allowed": 3, "instructions": "<p>Go</p>"})
	// The bank has a newer version of what the quiz pins, and the quiz also draws.
	c.as(c.instructor).With("If-Match", `"v1"`).PATCH("/api/v1/questions/"+questions[0].ID.String(), body{"definition": single("Which is one, really?", "one", "other")}).Expect(http.StatusOK)
	e, slots := c.read(e.ID)
	bank := questions[0].BankID
	list := []body{}
	for _, s := range slots.Slots {
		list = append(list, body{"id": s.ID, "question_id": s.QuestionID, "question_version": s.QuestionVersion, "points": 1})
	}
	_ = c.question(bank, "four", single("Which is four?", "four", "other"))
	second := c.quiz(body{"title": "Draws"})
	c.slots(&second, body{"bank_id": bank, "pick": 2, "points": 2})
	c.publish(&second)

	to := c.copyOf()
	transfer := uuid.New()
	week := 7 * 24 * time.Hour
	for range 2 { // twice is once
		for _, source := range []uuid.UUID{e.ID, second.ID} {
			reply := ordered(c.world, internalapi.CallClonePart, uuid.NewString(), internalapi.ClonePart{
				PartPlace: to.place(transfer), Kind: events.ItemQuiz, SourceID: source, ShiftSeconds: int64(week / time.Second),
			})
			require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, reply)
		}
	}
	copied, copiedSlots := to.read(internalapi.TransferredID(transfer, e.ID))
	require.Equal(t, to.course, copied.CourseID)
	require.True(t, copied.Published)
	require.Equal(t, due.Add(week), copied.DueAt.UTC())
	require.Equal(t, e.Instructions, copied.Instructions)
	require.Len(t, copiedSlots.Slots, 3)
	require.NotEqual(t, questions[0].ID, *copiedSlots.Slots[0].QuestionID, "a bank that was made for a course is copied with the quiz")
	require.Equal(t, 1, *copiedSlots.Slots[0].QuestionVersion, "as it was pinned")
	var q httpapi.Question
	to.as(to.instructor).GET("/api/v1/questions/" + copiedSlots.Slots[0].QuestionID.String()).Expect(http.StatusOK).JSON(&q)
	require.Equal(t, "Which is one, really?", q.Definition.Prompt, "the bank has the newer one")
	_, drawn := to.read(internalapi.TransferredID(transfer, second.ID))
	require.Equal(t, q.BankID, *drawn.Slots[0].BankID, "both quizzes share the bank")
	var b httpapi.QuestionBank
	to.as(to.instructor).GET("/api/v1/question-banks/" + q.BankID.String()).Expect(http.StatusOK).JSON(&b)
	require.Equal(t, 4, b.Questions)
	require.Equal(t, []string{events.TypeQuizCreated, events.TypeQuizPublished}, c.types(copied.ID))
	states := said[internalapi.ResourceState](c.world, internalapi.CallResourceState)
	require.Equal(t, to.course, *states[len(states)-1].CourseID)
	require.True(t, states[len(states)-1].Published)

	// It can be taken, and its parent does not notice.
	to.learns(to.ada)
	a := to.start(to.ada, copied)
	require.Len(t, a.Questions, 3)
	_, before := c.read(e.ID)
	require.Equal(t, list[0]["question_id"], before.Slots[0].QuestionID)
	other := uuid.New()
	reply := ordered(c.world, internalapi.CallClonePart, "x", internalapi.ClonePart{PartPlace: to.place(transfer), Kind: events.ItemQuiz, SourceID: other})
	require.Equal(t, internalapi.PartFailed, reply.State)
	require.Equal(t, "not_found", reply.Code)
}

func TestABankOfTheUnitServesTheCopy(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	var b httpapi.QuestionBank
	c.as(c.teacher).POST("/api/v1/question-banks", body{"org_unit_id": c.unit, "title": "The unit's"}).Expect(http.StatusCreated).JSON(&b)
	var q httpapi.Question
	c.as(c.teacher).POST("/api/v1/question-banks/"+b.ID.String()+"/questions", body{"title": "one", "definition": single("Which?", "one", "two")}).Expect(http.StatusCreated).JSON(&q)
	e := c.quiz(nil)
	c.as(c.teacher).POST("/api/v1/question-banks/"+b.ID.String()+"/questions", body{"title": "two", "definition": single("Why?", "one", "two")}).Expect(http.StatusCreated)
	c.slots(&e, body{"question_id": q.ID, "points": 1}, body{"bank_id": b.ID, "pick": 1, "points": 1})
	to, transfer := c.copyOf(), uuid.New()
	reply := ordered(c.world, internalapi.CallClonePart, "x", internalapi.ClonePart{PartPlace: to.place(transfer), Kind: events.ItemQuiz, SourceID: e.ID})
	require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, reply)
	_, slots := to.read(internalapi.TransferredID(transfer, e.ID))
	require.Equal(t, q.ID, *slots.Slots[0].QuestionID)
	require.Equal(t, b.ID, *slots.Slots[1].BankID)
}

func TestAQuizGoesOutAndComesInElsewhere(t *testing.T) {
	t.Parallel()
	for _, format := range []string{internalapi.PartCartridge, internalapi.PartOLX} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := newClassroom(t)
			e, _ := c.ready(body{"time_limit_seconds": 600, "keep": "average", "shuffle_choices": true, "feedback": "never"})
			out := ordered(c.world, internalapi.CallExportPart, "x", internalapi.ExportPart{
				TransferID: uuid.New(), TenantID: c.tenant, CourseID: c.course, Kind: events.ItemQuiz, ResourceID: e.ID, Format: format,
			})
			require.Equal(t, internalapi.PartMade, out.State, "%s", out.Message)
			first, _, err := packages.Quiz(format, out.Package, out.Main, "")
			require.NoError(t, err)

			to := c.copyOf()
			transfer := uuid.New()
			id := internalapi.TransferredID(transfer, e.ID)
			reply := ordered(c.world, internalapi.CallImportPart, "y", internalapi.ImportPart{
				PartPlace: to.place(transfer), Kind: events.ItemQuiz, ResourceID: id, Title: "Ignored", Published: true, Format: format, Package: out.Package, Main: out.Main,
			})
			require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, reply)
			again := ordered(c.world, internalapi.CallExportPart, "z", internalapi.ExportPart{
				TransferID: uuid.New(), TenantID: c.tenant, CourseID: to.course, Kind: events.ItemQuiz, ResourceID: id, Format: format,
			})
			second, _, err := packages.Quiz(format, again.Package, again.Main, "")
			require.NoError(t, err)
			require.Equal(t, first.Title, second.Title)
			for i := range first.Banks {
				first.Banks[i].ID, second.Banks[i].ID = uuid.Nil, uuid.Nil
				for j := range first.Banks[i].Questions {
					first.Banks[i].Questions[j].ID, second.Banks[i].Questions[j].ID = uuid.Nil, uuid.Nil
					require.Equal(t, first.Slots[j].Points, second.Slots[j].Points)
				}
			}
			require.Equal(t, first.Banks, second.Banks)
			first.Slots, second.Slots, first.Banks, second.Banks = nil, nil, nil, nil
			require.Equal(t, first, second)

			alien := ordered(c.world, internalapi.CallExportPart, "w", internalapi.ExportPart{TenantID: c.other, Kind: events.ItemQuiz, ResourceID: e.ID, Format: format})
			require.Equal(t, internalapi.PartFailed, alien.State, "another organisation's is not given out")
			bad := ordered(c.world, internalapi.CallImportPart, "v", internalapi.ImportPart{PartPlace: to.place(transfer), Kind: events.ItemQuiz, ResourceID: uuid.New(), Format: format, Package: []byte("nope")})
			require.Equal(t, internalapi.PartFailed, bad.State)
			require.Equal(t, "not_a_zip", bad.Code)
		})
	}
}

func TestAFileOfAnImportIsVerifiedLikeAnyOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course, transfer := uuid.New(), uuid.New()
	w.staff(w.teacher, course, "instructor")
	place := internalapi.PartPlace{TransferID: transfer, TenantID: w.tenant, OrgUnitID: w.unit, CourseID: course, ActorID: w.teacher.UserID}
	send := func(name, mediaType string, raw []byte) (uuid.UUID, internalapi.PartReply) {
		id := uuid.New()
		key := w.tenant.String() + "/transfers/" + transfer.String() + "/" + id.String()
		dst, err := w.objects.NewWriter(t.Context(), key, mediaType)
		require.NoError(t, err)
		_, err = dst.Write(raw)
		require.NoError(t, err)
		require.NoError(t, dst.Close())
		sum := sha256.Sum256(raw)
		return id, ordered(w, internalapi.CallImportPart, uuid.NewString(), internalapi.ImportPart{
			PartPlace: place, Kind: events.ItemContent, ResourceID: id, Title: "Slides", Published: true,
			File: &internalapi.PartFile{ObjectKey: key, Filename: name, MediaType: mediaType, Size: int64(len(raw)), SHA256: hex.EncodeToString(sum[:])},
		})
	}
	slides := pdf(t, 1)
	good, reply := send("slides.pdf", "application/pdf", slides)
	require.Equal(t, internalapi.PartReply{State: internalapi.PartPending}, reply)
	liar, reply := send("slides2.pdf", "application/pdf", []byte("just text, and not a PDF"))
	require.Equal(t, internalapi.PartPending, reply.State)
	_, reply = send("run.exe", "application/x-msdownload", []byte("MZ"))
	require.Equal(t, internalapi.PartFailed, reply.State)
	require.Equal(t, "media_type_not_allowed", reply.Code)
	_, reply = send("../x.pdf", "application/pdf", []byte("x"))
	require.Equal(t, internalapi.PartFailed, reply.State)

	w.idle()
	settled := map[uuid.UUID]internalapi.PartSettled{}
	for _, s := range said[internalapi.PartSettled](w, internalapi.CallPartSettled) {
		settled[s.ResourceID] = s
	}
	require.Equal(t, internalapi.PartMade, settled[good].State)
	require.Equal(t, internalapi.PartFailed, settled[liar].State)
	require.Equal(t, "content_type_mismatch", settled[liar].Code)
	var c httpapi.Content
	w.as(w.teacher).GET("/api/v1/contents/" + good.String()).Expect(http.StatusOK).JSON(&c)
	require.Equal(t, events.ContentStatusPublished, c.Status, "as it was where it comes from")
	require.Equal(t, "slides.pdf", c.File.Filename)
	require.Equal(t, []string{events.TypeContentCreated, events.TypeContentUpdated, events.TypeContentPublished}, w.types(good))

	out := ordered(w, internalapi.CallExportPart, "x", internalapi.ExportPart{TenantID: w.tenant, CourseID: course, Kind: events.ItemContent, ResourceID: good, Format: internalapi.PartCartridge})
	require.Equal(t, internalapi.PartMade, out.State)
	require.Equal(t, "slides.pdf", out.File.Filename)
	r, err := w.objects.NewReader(t.Context(), out.File.ObjectKey)
	require.NoError(t, err)
	var got bytes.Buffer
	_, err = got.ReadFrom(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, slides, got.Bytes())
}

func TestAPageOfTheLibraryGoesOutAndComesIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	course := uuid.New()
	w.staff(w.teacher, course, "instructor")
	page := w.content(events.ContentPage, body{"body": "<p>Read <em>me</em></p>"})
	out := ordered(w, internalapi.CallExportPart, "x", internalapi.ExportPart{TenantID: w.tenant, CourseID: course, Kind: events.ItemContent, ResourceID: page.ID, Format: internalapi.PartOLX})
	id := uuid.New()
	reply := ordered(w, internalapi.CallImportPart, "y", internalapi.ImportPart{
		PartPlace: internalapi.PartPlace{TransferID: uuid.New(), TenantID: w.tenant, OrgUnitID: w.unit, CourseID: course, ActorID: w.teacher.UserID},
		Kind:      events.ItemContent, ResourceID: id, Title: "A page", Published: true, Format: internalapi.PartOLX, Package: out.Package, Main: out.Main,
	})
	require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, reply)
	var c httpapi.Content
	w.as(w.teacher).GET("/api/v1/contents/" + id.String()).Expect(http.StatusOK).JSON(&c)
	require.Equal(t, "<p>Read <em>me</em></p>", *c.Body)
	require.Equal(t, events.ContentStatusPublished, c.Status)
}

// idle runs jobs until none is left, whatever became of them.
func (w *world) idle() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.jobs.Run(ctx) }()
	require.Eventually(w.t, func() bool {
		return value[int](w, `select count(*)::int from job where state in ('queued', 'running')`) == 0
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(w.t, <-done)
}
