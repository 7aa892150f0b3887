package app

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/content/internal/httpapi"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/testkit"
	"lms/shared/work"
)

// qtiChoice is an item of QTI 2.1 whose first choice is right.
func qtiChoice(id, title, prompt string, choices ...string) string {
	var list string
	for i, text := range choices {
		list += fmt.Sprintf(`<simpleChoice identifier="C%d">%s</simpleChoice>`, i, text)
	}
	return fmt.Sprintf(`<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="%s" title="%s">
  <responseDeclaration identifier="R" cardinality="single" baseType="identifier"><correctResponse><value>C0</value></correctResponse></responseDeclaration>
  <itemBody><choiceInteraction responseIdentifier="R" maxChoices="1"><prompt>%s</prompt>%s</choiceInteraction></itemBody>
</assessmentItem>`, id, title, prompt, list)
}

func qtiEssay(id, title string) string {
	return fmt.Sprintf(`<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="%s" title="%s">
  <responseDeclaration identifier="R" cardinality="single" baseType="string"/>
  <itemBody><extendedTextInteraction responseIdentifier="R"><prompt>Why?</prompt></extendedTextInteraction></itemBody>
</assessmentItem>`, id, title)
}

const qtiHotspot = `<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="spot" title="Spot"><itemBody><hotspotInteraction responseIdentifier="R"/></itemBody></assessmentItem>`

// file is one file of a package.
type file struct{ name, text string }

func packed(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		dst, err := w.Create(f.name)
		require.NoError(t, err)
		_, err = dst.Write([]byte(f.text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// uploaded brings a package to its signed address, as a browser would.
func (c *classroom) uploaded(p authz.Principal, bank uuid.UUID, raw []byte) uuid.UUID {
	c.t.Helper()
	var up httpapi.QuestionUpload
	c.as(p).POST("/api/v1/question-banks/"+bank.String()+"/uploads", body{"filename": "questions.zip", "size": len(raw), "sha256": sum(raw)}).
		Expect(http.StatusCreated).JSON(&up)
	require.Equal(c.t, http.MethodPut, up.Upload.Method)
	link := httpapi.Link(up.Upload)
	require.Less(c.t, c.send(&link, raw), 300)
	return up.ID
}

func (c *classroom) imports(p authz.Principal, in body) *testkit.Response {
	return c.as(p).POST("/api/v1/imports/questions", in)
}

// imported imports and gives the job once it has ended.
func (c *classroom) imported(in body) work.Job {
	c.t.Helper()
	var j work.Job
	r := c.imports(c.instructor, in).Expect(http.StatusAccepted)
	r.JSON(&j)
	require.Equal(c.t, "/api/v1/jobs/content/"+j.ID.String(), r.Header.Get("Location"))
	return c.finished(c.instructor, j.ID)
}

// report is the rows of a job, each as "file status code".
func (c *classroom) report(j work.Job) []string {
	c.t.Helper()
	require.Equal(c.t, work.JobSucceeded, j.State, j.Error)
	p, err := c.jobs.Rows(c.t.Context(), j.ID, c.instructor.UserID, "", page.Request{Limit: 200})
	require.NoError(c.t, err)
	out := make([]string, len(p.Items))
	for i, r := range p.Items {
		var ref struct{ Ref string }
		require.NoError(c.t, json.Unmarshal(r.Ref, &ref))
		out[i] = ref.Ref + " " + r.Status
		if r.Code != "" {
			require.NotEmpty(c.t, r.Message, "whoever imports reads why")
			out[i] += " " + r.Code
		}
	}
	return out
}

func (c *classroom) questionsOf(bank uuid.UUID) (out []httpapi.Question) {
	c.t.Helper()
	var list struct{ Items []httpapi.Question }
	c.as(c.instructor).GET("/api/v1/question-banks/" + bank.String() + "/questions").Expect(http.StatusOK).JSON(&list)
	return list.Items
}

func TestQuestionsAreImported(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	first := c.uploaded(c.instructor, b.ID, packed(t,
		file{"a.xml", qtiChoice("a", "Alpha", "Which?<img src='x.png' alt='A sign'/>", "right", "wrong", "worse")},
		file{"b.xml", qtiEssay("b", "Beta")},
		file{"c.xml", qtiHotspot},
		file{"d.xml", qtiChoice("d", "Delta", "Which?", "only one")},
	))
	want := []string{"a.xml created", "a.xml adjusted media", "b.xml created", "c.xml skipped unsupported_interaction", "d.xml skipped too_few_choices"}

	dry := c.imported(body{"bank_id": b.ID, "upload_id": first, "dry_run": true})
	require.Equal(t, want, c.report(dry), "a dry run tells what would be done")
	require.Empty(t, c.questionsOf(b.ID), "and does nothing")

	require.Equal(t, want, c.report(c.imported(body{"bank_id": b.ID, "upload_id": first})))
	got := c.questionsOf(b.ID)
	require.Len(t, got, 2)
	alpha, beta := got[0], got[1]
	require.Equal(t, []string{"Alpha", "a", "single"}, []string{alpha.Title, alpha.ExternalID, alpha.Kind})
	require.Equal(t, []string{"Beta", "b", "essay"}, []string{beta.Title, beta.ExternalID, beta.Kind})
	require.Equal(t, "right", alpha.Definition.Choices[0].Text)
	require.True(t, alpha.Definition.Choices[0].Correct)
	require.Equal(t, []string{"question_bank.import", "question_bank.import"}, c.audited(b.ID)[1:])

	// An imported question is one like all others.
	e := c.quiz(nil)
	c.slots(&e, body{"question_id": alpha.ID, "points": 1})
	c.publish(&e)
	a := c.start(c.ada, e)
	c.answer(c.ada, a, alpha.ID, 1, choose(a.Questions[0], "right"))
	require.Equal(t, "1", hundredths(t, c.submit(c.ada, a).Score))
}

func TestAnImportThatIsRepeatedChangesWhatChanged(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	load := func(files ...file) []string {
		return c.report(c.imported(body{"bank_id": b.ID, "upload_id": c.uploaded(c.instructor, b.ID, packed(t, files...))}))
	}
	alpha, beta := file{"a.xml", qtiChoice("a", "Alpha", "Which?", "right", "wrong", "worse")}, file{"b.xml", qtiEssay("b", "Beta")}
	require.Equal(t, []string{"a.xml created", "b.xml created"}, load(alpha, beta))
	before := c.questionsOf(b.ID)
	require.Equal(t, []string{"a.xml unchanged", "b.xml unchanged"}, load(alpha, beta), "twice makes nothing twice")
	require.Equal(t, before, c.questionsOf(b.ID))

	alpha.text = qtiChoice("a", "Alpha", "Which then?", "worse", "right", "wrong")
	require.Equal(t, []string{"a.xml updated", "b.xml unchanged"}, load(alpha, beta))
	after := c.questionsOf(b.ID)
	require.Equal(t, before[1], after[1])
	require.Equal(t, 2, after[0].Number, "another definition is another version of the same question")
	require.Equal(t, before[0].ID, after[0].ID)
	ids := func(q httpapi.Question) map[string]string {
		out := map[string]string{}
		for _, choice := range q.Definition.Choices {
			out[choice.Text] = choice.ID
		}
		return out
	}
	require.Equal(t, ids(before[0]), ids(after[0]), "choices keep their ids, and so answers their meaning")

	require.Equal(t, []string{"a.xml failed fixed"}, load(file{"a.xml", qtiEssay("a", "Alpha")}), "a question keeps its kind")
	require.Equal(t, after, c.questionsOf(b.ID))
}

func TestQuestionImportsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	place := "/api/v1/question-banks/" + b.ID.String() + "/uploads"
	raw := bytes.Repeat([]byte("rubbish "), 100)
	c.as(c.ada).POST(place, body{"filename": "a.zip", "size": len(raw), "sha256": sum(raw)}).Expect(http.StatusNotFound)
	c.as(c.instructor).POST(place, body{"filename": "a.zip", "size": int64(128<<20) + 1, "sha256": sum(raw)}).Expect(http.StatusUnprocessableEntity).Field("size", "range")
	c.as(c.instructor).POST(place, body{"filename": "a.zip", "size": 1, "sha256": "abc"}).Expect(http.StatusUnprocessableEntity)

	up := c.uploaded(c.instructor, b.ID, raw)
	c.imports(c.ada, body{"bank_id": b.ID, "upload_id": up}).Expect(http.StatusNotFound)
	c.imports(c.teacher, body{"bank_id": b.ID, "upload_id": up}).Expect(http.StatusUnprocessableEntity).Field("upload_id", "unknown_upload")
	c.imports(c.instructor, body{"bank_id": b.ID, "upload_id": uuid.New()}).Expect(http.StatusUnprocessableEntity).Field("upload_id", "unknown_upload")
	c.imports(c.instructor, body{"bank_id": uuid.New(), "upload_id": up}).Expect(http.StatusNotFound)

	j := c.imported(body{"bank_id": b.ID, "upload_id": up})
	require.Equal(t, work.JobFailed, j.State)
	require.Contains(t, j.Error, "zip")
	j = c.imported(body{"bank_id": b.ID, "upload_id": c.uploaded(c.instructor, b.ID, packed(t, file{"a.txt", "x"}))})
	require.Equal(t, work.JobFailed, j.State)
	require.Contains(t, j.Error, "no QTI items")

	// A place that nothing was brought to.
	var empty httpapi.QuestionUpload
	c.as(c.instructor).POST(place, body{"filename": "a.zip", "size": len(raw), "sha256": sum(raw)}).Expect(http.StatusCreated).JSON(&empty)
	j = c.imported(body{"bank_id": b.ID, "upload_id": empty.ID})
	require.Equal(t, work.JobFailed, j.State)
	require.Empty(t, c.questionsOf(b.ID))
}

func TestPackagesOfQuestionsAreDeletedAfterADay(t *testing.T) {
	t.Parallel()
	c := newClassroom(t)
	b := c.bank()
	old := c.uploaded(c.instructor, b.ID, packed(t, file{"a.xml", qtiEssay("a", "Alpha")}))
	c.clock.Advance(23 * time.Hour)
	c.uploaded(c.instructor, b.ID, packed(t, file{"b.xml", qtiEssay("b", "Beta")}))
	require.NoError(t, c.quizzes.imports.Sweep(t.Context()))
	require.Len(t, c.stored(), 2)
	c.clock.Advance(2 * time.Hour)
	require.NoError(t, c.quizzes.imports.Sweep(t.Context()))
	require.Len(t, c.stored(), 1)
	c.imports(c.instructor, body{"bank_id": b.ID, "upload_id": old}).Expect(http.StatusUnprocessableEntity).Field("upload_id", "unknown_upload")
}
