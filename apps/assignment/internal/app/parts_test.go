package app

import (
	"archive/zip"
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/assignment/internal/coursework"
	"lms/apps/assignment/internal/httpapi"
	"lms/apps/assignment/internal/packages"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

func (w *world) place(transfer, course uuid.UUID) internalapi.PartPlace {
	return internalapi.PartPlace{TransferID: transfer, TenantID: w.tenant, OrgUnitID: w.unit, CourseID: course, ActorID: w.teacher.UserID}
}

// graded is an assignment in a group with a rubric and dates, in a course that drops
// and takes off for lateness.
func (w *world) graded() (a httpapi.Assignment, due time.Time) {
	w.t.Helper()
	var g, r struct{ ID uuid.UUID }
	w.as(w.teacher).POST(path("courses", w.course, "assignment-groups"), body{"name": "Homework", "weight": 40}).Expect(201).JSON(&g)
	w.as(w.teacher).POST(path("rubrics"), body{"course_id": w.course, "title": "Essay", "criteria": []body{
		{"title": "Style", "levels": []body{{"title": "Good", "points": 5}, {"title": "Bad", "points": 0}}},
	}}).Expect(201).JSON(&r)
	due = w.clock.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	a = w.published(body{
		"title": "Essay one", "description": "<p>Write</p>", "group_id": g.ID, "rubric_id": r.ID, "due_at": due, "cutoff_at": due.Add(time.Hour),
		"attempts": 2, "submission_types": []string{"text", "link"},
	})
	other := w.draft(body{"title": "Never dropped", "group_id": g.ID})
	_, tag := w.get(path("assignment-groups", g.ID))
	w.as(w.teacher).With("If-Match", tag).PATCH(path("assignment-groups", g.ID), body{"drop_lowest": 1, "never_drop": []uuid.UUID{other.ID}}).Expect(200)
	_, tag = w.get(path("courses", w.course, "late-policy"))
	w.as(w.teacher).With("If-Match", tag).PUT(path("courses", w.course, "late-policy"), body{
		"late": body{"enabled": true, "rate": 10, "interval": "day", "floor": 20}, "missing": body{"enabled": true, "rate": 50},
	}).Expect(200)
	_, tag = w.get(path("courses", w.course, "grading-settings"))
	w.as(w.teacher).With("If-Match", tag).PUT(path("courses", w.course, "grading-settings"), body{"weighted": true, "show_totals": false, "scheme_id": nil}).Expect(200)
	return a, due
}

func (w *world) get(p string) (body, string) {
	w.t.Helper()
	var out body
	r := w.as(w.teacher).GET(p).Expect(200).JSON(&out)
	return out, r.Header.Get("ETag")
}

// in is the course that the next requests are about.
func (w *world) in(course uuid.UUID) {
	w.friends.mu.Lock()
	defer w.friends.mu.Unlock()
	w.friends.course = course
}

func TestAnAssignmentIsCopiedWithGroupRubricAndDates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, due := w.graded()
	quiz := uuid.New()
	group := *a.GroupID
	column := internalapi.QuizColumn{QuizID: quiz, TenantID: w.tenant, OrgUnitID: w.unit, CourseID: w.course, Title: "Quiz", Published: true, Points: 500}
	call[internalapi.Done](w, internalapi.CallQuizColumn, "content", quiz.String(), column)
	_, tag := w.get(path("courses", w.course, "gradebook", "columns", quiz))
	w.as(w.teacher).With("If-Match", tag).PATCH(path("courses", w.course, "gradebook", "columns", quiz), body{"group_id": group, "omit_from_final": true}).Expect(200)

	to, transfer := uuid.New(), uuid.New()
	w.in(to)
	week := 7 * 24 * time.Hour
	clone := func(kind string, source uuid.UUID) internalapi.PartReply {
		return call[internalapi.PartReply](w, internalapi.CallClonePart, "course", uuid.NewString(), internalapi.ClonePart{
			PartPlace: w.place(transfer, to), Kind: kind, SourceID: source, ShiftSeconds: int64(week / time.Second),
		})
	}
	for range 2 { // twice is once
		require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, clone(events.ItemAssignment, a.ID))
	}
	require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, clone(internalapi.PartGradebook, w.course))
	var copied httpapi.Assignment
	w.as(w.teacher).GET(path("assignments", internalapi.TransferredID(transfer, a.ID))).Expect(200).JSON(&copied)
	require.Equal(t, to, copied.CourseID)
	require.True(t, copied.Published)
	require.Equal(t, due.Add(week), copied.DueAt.UTC())
	require.Equal(t, due.Add(week+time.Hour), copied.CutoffAt.UTC())
	require.Equal(t, a.Description, copied.Description)
	require.Equal(t, internalapi.TransferredID(transfer, group), *copied.GroupID)
	require.NotEqual(t, *a.RubricID, *copied.RubricID)
	require.Equal(t, []string{"created", "published"}, w.told(copied.ID))
	rubric, _ := w.get(path("rubrics", *copied.RubricID))
	require.Equal(t, to.String(), rubric["course_id"])
	g, _ := w.get(path("assignment-groups", *copied.GroupID))
	require.Equal(t, "Homework", g["name"])
	require.EqualValues(t, 1, g["drop_lowest"])
	require.Len(t, g["never_drop"], 1)
	policy, _ := w.get(path("courses", to, "late-policy"))
	require.EqualValues(t, 10, policy["late"].(map[string]any)["rate"]) //nolint:forcetypeassert // fails the test
	settings, _ := w.get(path("courses", to, "grading-settings"))
	require.Equal(t, true, settings["weighted"])
	require.Equal(t, false, settings["show_totals"])

	// The quiz's column waits for content to tell of it, and then stands where it did.
	column.QuizID, column.CourseID = internalapi.TransferredID(transfer, quiz), to
	w.as(w.teacher).GET(path("courses", to, "gradebook", "columns", column.QuizID)).Expect(404)
	call[internalapi.Done](w, internalapi.CallQuizColumn, "content", column.QuizID.String(), column)
	placed, _ := w.get(path("courses", to, "gradebook", "columns", column.QuizID))
	require.Equal(t, internalapi.TransferredID(transfer, group).String(), placed["group_id"])
	require.Equal(t, true, placed["omit_from_final"])

	reply := clone(events.ItemAssignment, uuid.New())
	require.Equal(t, internalapi.PartFailed, reply.State)
	require.Equal(t, "not_found", reply.Code)
}

func TestAnAssignmentGoesOutAndComesInElsewhere(t *testing.T) {
	t.Parallel()
	for _, format := range []string{internalapi.PartCartridge, internalapi.PartOLX} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, _ := w.graded()
			export := func(kind string, course, id uuid.UUID) internalapi.PartReply {
				reply := call[internalapi.PartReply](w, internalapi.CallExportPart, "course", uuid.NewString(), internalapi.ExportPart{
					TransferID: uuid.New(), TenantID: w.tenant, CourseID: course, Kind: kind, ResourceID: id, Format: format,
				})
				require.Equal(t, internalapi.PartMade, reply.State, "%s", reply.Message)
				return reply
			}
			out, book := export(events.ItemAssignment, w.course, a.ID), export(internalapi.PartGradebook, w.course, w.course)
			to, transfer := uuid.New(), uuid.New()
			w.in(to)
			id := internalapi.TransferredID(transfer, a.ID)
			for kind, part := range map[string]internalapi.ImportPart{
				events.ItemAssignment:     {ResourceID: id, Title: "Ignored", Package: out.Package, Main: out.Main},
				internalapi.PartGradebook: {ResourceID: to, Package: book.Package, Main: book.Main},
			} {
				part.PartPlace, part.Kind, part.Format = w.place(transfer, to), kind, format
				require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, call[internalapi.PartReply](w, internalapi.CallImportPart, "course", uuid.NewString(), part))
			}
			first, second := read(t, format, out), read(t, format, export(events.ItemAssignment, to, id))
			require.Equal(t, first.Rubric.Criteria, second.Rubric.Criteria)
			require.Equal(t, first.Group.Weight, second.Group.Weight)
			first.Rubric, second.Rubric, first.Group, second.Group = nil, nil, nil, nil
			require.Equal(t, first, second)
			again, err := packages.Gradebook(export(internalapi.PartGradebook, to, to).Package)
			require.NoError(t, err)
			before, err := packages.Gradebook(book.Package)
			require.NoError(t, err)
			require.Equal(t, before.Groups[0].Weight, again.Groups[0].Weight)
			before.Groups, again.Groups = nil, nil
			require.Equal(t, before, again)
		})
	}
}

func read(t *testing.T, format string, reply internalapi.PartReply) coursework.Document {
	t.Helper()
	d, err := packages.Assignment(format, reply.Package, reply.Main, coursework.Document{})
	require.NoError(t, err)
	return d
}

func TestAnAssignmentOfAnotherProduct(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to := uuid.New()
	w.in(to)
	for format, tc := range map[string]struct{ name, document string }{
		internalapi.PartCartridge: {"task.xml", `<assignment xmlns="http://www.imsglobal.org/xsd/imscc_extensions/assignment" identifier="x"><title>Essay</title>
			<text texttype="text/html">&lt;p&gt;Write&lt;/p&gt;&lt;script&gt;x&lt;/script&gt;</text><gradable points_possible="12.5">true</gradable>
			<submission_formats><format type="html"/><format type="file"/></submission_formats></assignment>`},
		internalapi.PartOLX: {"openassessment1.xml", `<openassessment submission_due="2026-09-01T00:00:00+00:00" file_upload_type="image"><title>Essay</title>
			<prompts><prompt><description>&lt;p&gt;Write&lt;/p&gt;</description></prompt></prompts></openassessment>`},
	} {
		var buf bytes.Buffer
		z := zip.NewWriter(&buf)
		out, err := z.Create(tc.name)
		require.NoError(t, err)
		_, err = out.Write([]byte(tc.document))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		id := uuid.New()
		part := internalapi.ImportPart{PartPlace: w.place(uuid.New(), to), Kind: events.ItemAssignment, ResourceID: id, Title: "Untitled", Format: format, Package: buf.Bytes(), Main: tc.name}
		require.Equal(t, internalapi.PartReply{State: internalapi.PartMade}, call[internalapi.PartReply](w, internalapi.CallImportPart, "course", uuid.NewString(), part))
		var a httpapi.Assignment
		w.as(w.teacher).GET(path("assignments", id)).Expect(200).JSON(&a)
		require.Equal(t, "Essay", a.Title)
		require.Equal(t, "<p>Write</p>", a.Description)
		require.Equal(t, []string{"file", "text"}, a.SubmissionTypes)
	}
	part := internalapi.ImportPart{PartPlace: w.place(uuid.New(), to), Kind: events.ItemAssignment, ResourceID: uuid.New(), Format: internalapi.PartCartridge, Package: []byte("nope")}
	reply := call[internalapi.PartReply](w, internalapi.CallImportPart, "course", uuid.NewString(), part)
	require.Equal(t, internalapi.PartFailed, reply.State)
	require.Equal(t, "not_a_zip", reply.Code)
}
