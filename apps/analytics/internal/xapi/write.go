package xapi

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
)

// Statement is what an event says, and false for one that says nothing of what a
// learner did.
func (w Writer) Statement(e history.Event) (Statement, bool, error) {
	write, ok := writers[e.Type]
	if !ok {
		return Statement{}, false, nil
	}
	s := Statement{ID: e.ID, Verb: verbs[e.Type], Timestamp: e.Time.UTC(), Version: Version}
	user, err := write(w, e, &s)
	if err != nil {
		return Statement{}, false, fmt.Errorf("statement of %s %s: %w", e.Type, e.ID, err)
	}
	s.Actor = w.agent(user)
	return s, user != uuid.Nil, nil
}

// writers fill object, result and context in, and say who it was.
var writers = map[string]func(Writer, history.Event, *Statement) (uuid.UUID, error){ //nolint:gochecknoglobals // immutable
	events.TypeUserSignedIn:        from(signedIn),
	events.TypeCourseViewed:        from(viewed),
	events.TypeEnrollmentActivated: from(enrollment),
	events.TypeEnrollmentWithdrawn: from(enrollment),
	events.TypeCourseCompleted:     from(courseCompleted),
	events.TypeModuleCompleted:     from(moduleCompleted),
	events.TypeProgressChanged:     from(progressed),
	events.TypeCertificateIssued:   from(certified),
	events.TypeContentWatched:      from(watched),
	events.TypeAttemptStarted:      from(attempt),
	events.TypeAttemptSubmitted:    from(attempt),
	events.TypeQuizGraded:          from(quizGraded),
	events.TypeSubmissionSubmitted: from(submission),
	events.TypeSubmissionCommented: from(commented),
	events.TypeGradePosted:         from(graded),
}

func from[T any](fill func(Writer, *Statement, T) uuid.UUID) func(Writer, history.Event, *Statement) (uuid.UUID, error) {
	return func(w Writer, e history.Event, s *Statement) (uuid.UUID, error) {
		d, err := decode[T](e)
		if err != nil {
			return uuid.Nil, err
		}
		return fill(w, s, d), nil
	}
}

func signedIn(w Writer, s *Statement, d events.UserSignedIn) uuid.UUID {
	s.Object, s.Context = Activity{ObjectType: "Activity", ID: w.Home, Definition: &Definition{Type: "http://activitystrea.ms/schema/1.0/application"}}, w.in(uuid.Nil, nil)
	return d.UserID
}

func viewed(w Writer, s *Statement, d events.CourseViewed) uuid.UUID {
	s.Object, s.Context = w.course(d.CourseID, ""), w.in(uuid.Nil, nil)
	return d.UserID
}

func enrollment(w Writer, s *Statement, d events.EnrollmentState) uuid.UUID {
	s.Object, s.Context = w.course(d.CourseID, d.CourseTitle), w.in(uuid.Nil, &d.EnrollmentID)
	return d.UserID
}

func yes() *bool {
	v := true
	return &v
}

func courseCompleted(w Writer, s *Statement, d events.CourseCompleted) uuid.UUID {
	s.Result = &Result{Completion: yes()}
	if d.Grade != nil {
		s.Result = scored(d.Grade, 10_000)
		s.Result.Completion = yes()
	}
	if d.StartedAt != nil && d.CompletedAt != nil {
		s.Result.Duration = seconds(d.CompletedAt.Sub(*d.StartedAt).Truncate(time.Second))
	}
	return enrollment(w, s, d.EnrollmentState)
}

func moduleCompleted(w Writer, s *Statement, d events.ModuleCompleted) uuid.UUID {
	s.Object, s.Context = w.activity("modules", d.ModuleID, types+"module", d.ModuleTitle), w.in(d.CourseID, &d.EnrollmentID)
	s.Result = &Result{Completion: yes()}
	return d.UserID
}

// itemTypes are the types of activities by the kind of an item.
var itemTypes = map[string]string{ //nolint:gochecknoglobals // immutable
	events.ItemQuiz: types + "assessment", events.ItemAssignment: tincan + "activitytype/school-assignment", events.ItemLink: types + "link",
	events.ItemContent: types + "media", events.ItemPage: tincan + "activitytype/page",
}

// progressed: completing an item is said as such, all else as an experience.
// Scores are said where they come to be.
func progressed(w Writer, s *Statement, d events.ProgressChanged) uuid.UUID {
	if d.Change == "scored" || d.Change == "excused" || d.Change == "unexcused" {
		return uuid.Nil
	}
	if d.CompletedAt != nil && d.CompletedAt.Equal(d.At) {
		s.Verb, s.Result = completed, &Result{Completion: yes()}
	}
	s.Object = w.activity("items", d.ItemID, itemTypes[d.ItemKind], "")
	s.Context = w.in(d.CourseID, &d.EnrollmentID, w.activity("modules", d.ModuleID, types+"module", ""))
	return d.UserID
}

func certified(w Writer, s *Statement, d events.CertificateIssued) uuid.UUID {
	s.Object = w.activity("certificates", d.CertificateID, tincan+"activitytype/certificate", d.CourseTitle)
	s.Context = w.in(d.CourseID, &d.EnrollmentID)
	return d.UserID
}

func watched(w Writer, s *Statement, d events.ContentWatched) uuid.UUID {
	s.Object = w.activity("contents", d.ContentID, "https://w3id.org/xapi/video/activity-type/video", "")
	s.Result = &Result{Duration: seconds(time.Duration(d.WatchedMS) * time.Millisecond)}
	if d.CourseID != nil {
		s.Context = w.in(*d.CourseID, nil)
	}
	return d.UserID
}

func attempt(w Writer, s *Statement, d events.AttemptState) uuid.UUID {
	s.Object, s.Context = w.activity("quizzes", d.QuizID, types+"assessment", d.QuizTitle), w.in(d.CourseID, nil)
	if d.FinishedAt != nil {
		s.Result = &Result{Duration: seconds(d.FinishedAt.Sub(d.StartedAt).Truncate(time.Second))}
	}
	return d.UserID
}

func quizGraded(w Writer, s *Statement, d events.GradedState) uuid.UUID {
	attempt(w, s, d.AttemptState)
	s.Result = scored(d.Score, d.Possible)
	if s.Result == nil || !d.Posted {
		return uuid.Nil // nothing that the learner may know (rule 25)
	}
	return d.UserID
}

func submission(w Writer, s *Statement, d events.SubmissionState) uuid.UUID {
	s.Object = w.activity("assignments", d.AssignmentID, tincan+"activitytype/school-assignment", d.Title)
	s.Context = w.in(d.CourseID, nil)
	return d.UserID
}

func commented(w Writer, s *Statement, d events.SubmissionCommented) uuid.UUID {
	submission(w, s, d.SubmissionState)
	return d.AuthorID
}

func graded(w Writer, s *Statement, d events.GradeState) uuid.UUID {
	s.Object = w.activity("assignments", d.AssignmentID, tincan+"activitytype/school-assignment", d.Title)
	s.Context = w.in(d.CourseID, nil)
	if s.Result = scored(d.Score, d.Possible); s.Result == nil {
		return uuid.Nil
	}
	return d.UserID
}
