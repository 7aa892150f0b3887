package tally

import (
	"slices"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
)

// standing is a learner as an enrollment event leaves it.
func (b *Book) standing(e history.Event, d events.EnrollmentState) Learner {
	l := b.learner(e.TenantID, d.CourseID, d.UserID)
	l.EnrollmentID, l.State, l.Source, l.EndsAt, l.StatusSeq = &d.EnrollmentID, d.State, d.Source, d.EndsAt, e.Seq
	l.Required, l.Met, l.ProgressSeq = d.Required, d.Met, e.Seq
	if d.State == events.EnrollmentStateActive || d.State == events.EnrollmentStateCompleted {
		l.EnrolledAt = &d.At
	}
	return l
}

func enrolled(b *Book, e history.Event, d events.EnrollmentState) { b.learn(b.standing(e, d)) }

func withdrawn(b *Book, e history.Event, d events.EnrollmentWithdrawn) {
	l := b.standing(e, d.EnrollmentState)
	l.WithdrawnAt = &d.At
	b.learn(l)
}

func courseCompleted(b *Book, e history.Event, d events.CourseCompleted) {
	l := b.standing(e, d.EnrollmentState)
	l.CompletedAt, l.StartedAt = d.CompletedAt, d.StartedAt
	if l.CompletedAt == nil {
		l.CompletedAt = &d.At
	}
	b.learn(l)
}

func (b *Book) progress(e history.Event, d events.ProgressState) Learner {
	l := b.learner(e.TenantID, d.CourseID, d.UserID)
	l.Required, l.Met, l.ProgressSeq = d.Required, d.Met, e.Seq
	return l
}

// ownActs are the changes of progress that a learner makes: a score or an excuse
// comes from others.
var ownActs = []string{"viewed", "watched", "done", "submitted"} //nolint:gochecknoglobals // immutable

func progressChanged(b *Book, e history.Event, d events.ProgressChanged) {
	b.learn(b.progress(e, d.ProgressState))
	put(b.Items, Triple{d.CourseID, d.ItemID, d.UserID}, LearnerItem{
		CourseID: d.CourseID, UserID: d.UserID, ItemID: d.ItemID, TenantID: e.TenantID, FirstAt: d.At, LastAt: d.At,
		CompletedAt: d.CompletedAt, Seq: e.Seq, Score: number(d.Score), Possible: number(d.Possible),
	})
	if slices.Contains(ownActs, d.Change) {
		b.act(e.TenantID, d.CourseID, d.UserID, d.At)
	}
}

func progressRecalculated(b *Book, e history.Event, d events.ProgressRecalculated) {
	l := b.progress(e, d.ProgressState)
	if d.Reason == "reset" {
		l.ResetSeq = e.Seq
	}
	b.learn(l)
}

func moduleCompleted(b *Book, e history.Event, d events.ModuleCompleted) {
	b.learn(b.progress(e, d.ProgressState))
}

func certificateIssued(b *Book, e history.Event, d events.CertificateIssued) {
	l := b.learner(e.TenantID, d.CourseID, d.UserID)
	l.CertifiedAt = &d.IssuedAt
	b.learn(l)
}

func contentWatched(b *Book, e history.Event, d events.ContentWatched) {
	if d.CourseID == nil {
		return
	}
	b.act(e.TenantID, *d.CourseID, d.UserID, d.To)
}

func questionChanged(b *Book, e history.Event, d events.QuestionChanged) {
	put(b.Questions, d.QuestionID, Question{
		QuestionID: d.QuestionID, TenantID: e.TenantID, Kind: d.Kind, Title: d.Title, Deleted: d.Deleted, Seq: e.Seq,
	})
}

func quiz(b *Book, e history.Event, d events.QuizState) {
	put(b.Quizzes, d.QuizID, Quiz{
		QuizID: d.QuizID, TenantID: e.TenantID, CourseID: optional(d.CourseID), Title: d.Title, Points: int64(d.Points), Deleted: d.Deleted, Seq: e.Seq,
	})
}

func (b *Book) attempt(e history.Event, d events.AttemptState) Attempt {
	return Attempt{
		AttemptID: d.AttemptID, TenantID: e.TenantID, CourseID: d.CourseID, QuizID: d.QuizID, UserID: d.UserID,
		Number: d.Number, State: d.State, StartedAt: d.StartedAt, FinishedAt: d.FinishedAt, Seq: e.Seq, Answers: list[Answer](nil),
	}
}

func attempt(b *Book, e history.Event, d events.AttemptState) {
	put(b.Attempts, d.AttemptID, b.attempt(e, d))
}

func attemptStarted(b *Book, e history.Event, d events.AttemptState) {
	attempt(b, e, d)
	b.act(e.TenantID, d.CourseID, d.UserID, d.StartedAt)
}

func attemptSubmitted(b *Book, e history.Event, d events.AttemptSubmitted) {
	attempt(b, e, d.AttemptState)
	if d.By == "learner" && d.FinishedAt != nil {
		b.act(e.TenantID, d.CourseID, d.UserID, *d.FinishedAt)
	}
}

func graded(b *Book, e history.Event, d events.GradedState) {
	a := b.attempt(e, d.AttemptState)
	answers := make([]Answer, len(d.Questions))
	for i, q := range d.Questions {
		answers[i] = Answer{QuestionID: q.QuestionID, Version: q.Version, Points: number(q.Points), Possible: int64(q.Possible), Class: q.Class}
	}
	possible := int64(d.Possible)
	a.Score, a.Possible, a.Answers, a.GradedSeq = number(d.Score), &possible, list(answers), e.Seq
	put(b.Attempts, d.AttemptID, a)
}

func assignment(b *Book, e history.Event, d events.AssignmentState) { b.assign(e, d, false) }

func assignmentDeleted(b *Book, e history.Event, d events.AssignmentState) { b.assign(e, d, true) }

func (b *Book) assign(e history.Event, d events.AssignmentState, deleted bool) {
	put(b.Assignments, d.AssignmentID, Assignment{
		AssignmentID: d.AssignmentID, TenantID: e.TenantID, CourseID: optional(d.CourseID), Title: d.Title, Points: int64(d.Points), DueAt: d.DueAt,
		Published: d.Published, Deleted: deleted, Seq: e.Seq,
	})
}

// work is a person's row of an assignment, without anything said of it.
func (b *Book) work(e history.Event, assignment, course, user uuid.UUID) Work {
	return Work{AssignmentID: assignment, UserID: user, TenantID: e.TenantID, CourseID: course}
}

func (b *Book) keep(w Work) { put(b.Works, Pair{w.AssignmentID, w.UserID}, w) }

func (b *Book) handedIn(e history.Event, d events.SubmissionState, withdrawn bool) {
	members := d.MemberIDs
	if !slices.Contains(members, d.UserID) {
		members = append(slices.Clone(members), d.UserID)
	}
	for _, m := range members {
		w := b.work(e, d.AssignmentID, d.CourseID, m)
		w.SubmittedAt, w.DueAt, w.SecondsLate, w.Withdrawn = &d.SubmittedAt, d.DueAt, d.SecondsLate, withdrawn
		w.SubmissionRank = int64(d.Attempt)*attempts + e.Seq
		b.keep(w)
	}
}

func submitted(b *Book, e history.Event, d events.SubmissionSubmitted) {
	b.handedIn(e, d.SubmissionState, false)
	b.act(e.TenantID, d.CourseID, d.UserID, d.SubmittedAt)
}

func submissionWithdrawn(b *Book, e history.Event, d events.SubmissionWithdrawn) {
	b.handedIn(e, d.SubmissionState, true)
}

func missing(b *Book, e history.Event, d events.SubmissionMissing) {
	w := b.work(e, d.AssignmentID, d.CourseID, d.UserID)
	w.Missing, w.StandingSeq = true, e.Seq
	b.keep(w)
}

func commented(b *Book, e history.Event, d events.SubmissionCommented) {
	if !d.ByStaff {
		b.act(e.TenantID, d.CourseID, d.AuthorID, d.At)
	}
}

func grade(b *Book, e history.Event, d events.GradeState) {
	w := b.work(e, d.AssignmentID, d.CourseID, d.UserID)
	w.Missing, w.Excused, w.Late, w.JudgedSeconds, w.JudgedSubmission, w.StandingSeq = d.Missing, d.Excused, d.Late, d.SecondsLate, d.SubmittedAt, e.Seq
	possible := int64(d.Possible)
	w.GraderID, w.Score, w.Possible, w.ScoreSeq = d.GraderID, number(d.Score), &possible, e.Seq
	if d.Score != nil {
		w.GradedAt = &d.At
	}
	b.keep(w)
}

func courseGrade(b *Book, e history.Event, d events.CourseGradeChanged) {
	l := b.learner(e.TenantID, d.CourseID, d.UserID)
	l.CurrentGrade, l.FinalGrade, l.Letter, l.GradeSeq = number(d.Current), number(d.Final), d.Letter, e.Seq
	b.learn(l)
}

func plan(b *Book, e history.Event, d events.PlanState) {
	put(b.Plans, d.PlanID, Plan{PlanID: d.PlanID, TenantID: e.TenantID, Name: d.Name, Kind: d.Kind, Seq: e.Seq})
}

func (b *Book) money(e history.Event, id uuid.UUID, kind string, c events.Commerce) {
	put(b.Payments, id, Payment{
		PaymentID: id, TenantID: e.TenantID, OrgUnitID: optional(c.OrgUnitID), CourseID: optional(c.CourseID), PlanID: c.PlanID, UserID: c.UserID,
		Kind: kind, At: c.At, Amount: c.Amount, Tax: c.Tax, Currency: c.Currency,
	})
}

func paid(b *Book, e history.Event, d events.PaymentSucceeded) {
	b.money(e, d.PaymentID, Paid, d.Commerce)
}

func refunded(b *Book, e history.Event, d events.PaymentRefunded) {
	b.money(e, d.RefundID, Refunded, d.Commerce)
}

func subscription(b *Book, e history.Event, d events.SubscriptionState) {
	put(b.Subscriptions, ChangeKey{d.SubscriptionID, e.Seq}, SubscriptionChange{
		SubscriptionID: d.SubscriptionID, Seq: e.Seq, TenantID: e.TenantID, OrgUnitID: optional(d.OrgUnitID), CourseID: optional(d.CourseID),
		PlanID: d.PlanID, UserID: d.UserID, At: d.At, State: d.State, Currency: d.Currency, Monthly: Monthly(d.Amount-d.Tax, d.PeriodUnit, d.PeriodCount),
	})
}

func number(h *events.Hundredths) *int64 {
	if h == nil {
		return nil
	}
	v := int64(*h)
	return &v
}
