package catalog

import (
	"github.com/google/uuid"

	contract "lms/shared/contracts/events"
)

const groupGrades = "assignments"

func assignmentKinds() []Kind {
	title := Variable{Name: "title", Type: Text, Sample: "Essay on cells"}
	due := func(optional bool) Variable {
		return Variable{Name: "due_at", Type: Moment, Sample: "2026-10-25T00:30:00Z", Optional: optional}
	}
	score := []Variable{
		title,
		{Name: "score", Type: Number, Sample: "8.5", Optional: true},
		{Name: "possible", Type: Number, Sample: "10"},
		{Name: "grade", Type: Text, Sample: "B+", Optional: true},
		{Name: "excused", Type: Text, Sample: "yes", Optional: true},
	}
	kind := func(key string, d func() personDefault, vars ...Variable) Kind {
		return Kind{Key: key, Group: groupGrades, Default: d(), Variables: courseVars(vars...)}
	}
	return []Kind{
		kind("assignment.published", daily, title, due(true)),
		kind("assignment.due_soon", telling, title, due(false)),
		kind("assignment.dates_changed", telling, title, due(true)),
		kind("submission.submitted", daily, title),
		kind("submission.received", listed, title),
		kind("submission.missing", telling, title, due(false)),
		kind("submission.commented", telling, title),
		kind("grade.posted", telling, score...),
		kind("grade.changed", telling, score...),
	}
}

func aboutGrade(g contract.GradeState) map[string]string {
	excused := ""
	if g.Excused {
		excused = "yes"
	}
	return map[string]string{"title": g.Title, "score": hundredths(g.Score), "possible": g.Possible.String(), "grade": g.Grade, "excused": excused}
}

func assignmentPath(course, assignment uuid.UUID) string {
	return coursePath(course) + "/assignments/" + assignment.String()
}

func assignmentRules() []Rule {
	return []Rule{
		none(contract.TypeAssignmentCreated, "A draft concerns its author."),
		none(contract.TypeAssignmentUpdated, "The course shows it; dates of a person's own are told."),
		on(contract.TypeAssignmentPublished, func(_ Event, a contract.AssignmentPublished) []Notice {
			return []Notice{{
				Kind: "assignment.published", Audience: Learners, CourseID: a.CourseID, Path: assignmentPath(a.CourseID, a.AssignmentID),
				Vars: map[string]string{"title": a.Title, "due_at": moment(a.DueAt)},
			}}
		}),
		none(contract.TypeAssignmentUnpublished, "It is often for minutes; the course shows it."),
		none(contract.TypeAssignmentDeleted, "The course shows it."),
		on(contract.TypeAssignmentDueSoon, func(_ Event, a contract.AssignmentDueSoon) []Notice {
			return one("assignment.due_soon", a.UserID, a.CourseID, assignmentPath(a.CourseID, a.AssignmentID),
				map[string]string{"title": a.Title, "due_at": moment(&a.DueAt)})
		}),
		on(contract.TypeOverrideChanged, func(_ Event, o contract.OverrideChanged) []Notice {
			if o.Kind != "user" {
				return nil // the members of a group see it in the course
			}
			return one("assignment.dates_changed", o.SubjectID, o.CourseID, assignmentPath(o.CourseID, o.AssignmentID),
				map[string]string{"title": o.Title, "due_at": moment(o.DueAt)})
		}),
		on(contract.TypeSubmissionSubmitted, func(_ Event, s contract.SubmissionSubmitted) []Notice {
			vars, path := map[string]string{"title": s.Title}, assignmentPath(s.CourseID, s.AssignmentID)
			out := []Notice{{Kind: "submission.submitted", Audience: Staff, Except: s.UserID, CourseID: s.CourseID, Path: path, Vars: vars}}
			for _, member := range s.MemberIDs {
				if member != s.UserID { // who handed it in knows
					out = append(out, one("submission.received", member, s.CourseID, path, vars)...)
				}
			}
			return out
		}),
		on(contract.TypeSubmissionMissing, func(_ Event, m contract.SubmissionMissing) []Notice {
			return one("submission.missing", m.UserID, m.CourseID, assignmentPath(m.CourseID, m.AssignmentID),
				map[string]string{"title": m.Title, "due_at": moment(&m.DueAt)})
		}),
		none(contract.TypeSubmissionWithdrawn, "A person's own act; the grader's list shows it."),
		on(contract.TypeSubmissionCommented, submissionCommented),
		none(contract.TypeGraded, "For staff; the learner is told when the grade is posted (rule 25)."),
		on(contract.TypeGradePosted, func(_ Event, g contract.GradePosted) []Notice {
			return one("grade.posted", g.UserID, g.CourseID, assignmentPath(g.CourseID, g.AssignmentID), aboutGrade(g.GradeState))
		}),
		on(contract.TypeGradeChanged, func(_ Event, g contract.GradeChanged) []Notice {
			if !g.Posted {
				return nil // rule 25
			}
			return one("grade.changed", g.UserID, g.CourseID, assignmentPath(g.CourseID, g.AssignmentID), aboutGrade(g.GradeState))
		}),
		none(contract.TypeCourseGradeChanged, "Each grade is told; a total changes with every one."),
		none(contract.TypeGradeHidden, "What is hidden is not told (rule 25)."),
		none(contract.TypeLatenessChanged, "A grade that changes by it is told as changed, once the learner may see it (rule 25)."),
	}
}

func submissionCommented(_ Event, s contract.SubmissionCommented) []Notice {
	vars, path := map[string]string{"title": s.Title}, assignmentPath(s.CourseID, s.AssignmentID)
	var out []Notice
	if !s.ByStaff {
		out = append(out, Notice{Kind: "submission.commented", Audience: Staff, Except: s.AuthorID, CourseID: s.CourseID, Path: path, Vars: vars})
	}
	for _, to := range s.RecipientIDs {
		if to != s.AuthorID {
			out = append(out, one("submission.commented", to, s.CourseID, path, vars)...)
		}
	}
	return out
}
