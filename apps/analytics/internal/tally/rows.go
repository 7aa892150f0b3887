// Package tally adds events up. What an event says becomes rows, and two rows of
// one thing become one by Merge, which knows no order: a group of fields that an
// event says as a whole is that of the higher seq, times are the earliest or the
// latest, counts are sums. So the rows are a function of the set of events alone:
// late, out of order, in batches of any size or all at once. Each event must be
// given once.
package tally

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
)

// Course is a course, with its staff and its items.
type Course struct {
	CourseID      uuid.UUID       `json:"course_id"`
	TenantID      uuid.UUID       `json:"tenant_id"`
	OrgUnitID     *uuid.UUID      `json:"org_unit_id"`
	Code          string          `json:"code"`
	Title         string          `json:"title"`
	Status        string          `json:"status"`
	Language      string          `json:"language"`
	StartsAt      *time.Time      `json:"starts_at"`
	EndsAt        *time.Time      `json:"ends_at"`
	Deleted       bool            `json:"deleted"`
	Staff         json.RawMessage `json:"staff"` // []Staff
	Seq           int64           `json:"seq"`
	Items         json.RawMessage `json:"items"` // []Item
	CurriculumSeq int64           `json:"curriculum_seq"`
}

// Staff is one of a course's staff who may act.
type Staff struct {
	UserID uuid.UUID `json:"user_id"`
	Role   string    `json:"role"`
}

// Item is an item of a course's curriculum.
type Item struct {
	ItemID      uuid.UUID  `json:"item_id"`
	ModuleID    uuid.UUID  `json:"module_id"`
	ModuleTitle string     `json:"module_title"`
	Title       string     `json:"title"`
	Kind        string     `json:"kind"`
	ResourceID  *uuid.UUID `json:"resource_id,omitempty"`
	Requirement string     `json:"requirement,omitempty"`
	Visible     bool       `json:"visible"`
	Position    int        `json:"position"`
}

// Merge takes over what o knows better.
func (c *Course) Merge(o *Course) {
	c.TenantID = known(c.TenantID, o.TenantID)
	if o.Seq > c.Seq {
		n := *o
		n.TenantID, n.Items, n.CurriculumSeq = c.TenantID, c.Items, c.CurriculumSeq
		*c, o = n, &Course{CurriculumSeq: o.CurriculumSeq, Items: o.Items}
	}
	if o.CurriculumSeq > c.CurriculumSeq {
		c.Items, c.CurriculumSeq = o.Items, o.CurriculumSeq
	}
}

// OrgUnit is an org unit.
type OrgUnit struct {
	OrgUnitID uuid.UUID  `json:"org_unit_id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	ParentID  *uuid.UUID `json:"parent_id"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`
	Archived  bool       `json:"archived"`
	Deleted   bool       `json:"deleted"`
	Seq       int64      `json:"seq"`
}

// Merge takes over what o knows better.
func (u *OrgUnit) Merge(o *OrgUnit) { newer(u, o, u.Seq, o.Seq) }

// Person is an account, without a name.
type Person struct {
	UserID    uuid.UUID  `json:"user_id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID *uuid.UUID `json:"org_unit_id"`
	Status    string     `json:"status"`
	CreatedAt *time.Time `json:"created_at"`
	Seq       int64      `json:"seq"`
}

// Merge takes over what o knows better.
func (p *Person) Merge(o *Person) { newer(p, o, p.Seq, o.Seq) }

// Cohort is a group of people.
type Cohort struct {
	GroupID   uuid.UUID  `json:"group_id"`
	TenantID  uuid.UUID  `json:"tenant_id"`
	OrgUnitID *uuid.UUID `json:"org_unit_id"`
	Kind      string     `json:"kind"`
	Name      string     `json:"name"`
	CourseID  *uuid.UUID `json:"course_id"`
	Deleted   bool       `json:"deleted"`
	Seq       int64      `json:"seq"`
}

// Merge takes over what o knows better.
func (c *Cohort) Merge(o *Cohort) { newer(c, o, c.Seq, o.Seq) }

// CohortMember says whether a person is in a group.
type CohortMember struct {
	GroupID  uuid.UUID `json:"group_id"`
	UserID   uuid.UUID `json:"user_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	Member   bool      `json:"member"`
	Seq      int64     `json:"seq"`
}

// Merge takes over what o knows better.
func (m *CohortMember) Merge(o *CohortMember) { newer(m, o, m.Seq, o.Seq) }

// Learner is a person in a course, enrolled or only looking.
type Learner struct {
	CourseID uuid.UUID `json:"course_id"`
	UserID   uuid.UUID `json:"user_id"`
	TenantID uuid.UUID `json:"tenant_id"`

	// Where the enrollment stands, and until when.
	EnrollmentID *uuid.UUID `json:"enrollment_id"`
	State        string     `json:"state"`
	Source       string     `json:"source"`
	EndsAt       *time.Time `json:"ends_at"`
	StatusSeq    int64      `json:"status_seq"`
	ResetSeq     int64      `json:"reset_seq"` // of the last reset, which takes a completion back (rule 13)

	Required    int   `json:"required"`
	Met         int   `json:"met"`
	ProgressSeq int64 `json:"progress_seq"`

	// The first time of each step; the last one of WithdrawnAt and LastActivityAt.
	ViewedAt       *time.Time `json:"viewed_at"`
	EnrolledAt     *time.Time `json:"enrolled_at"`
	StartedAt      *time.Time `json:"started_at"`
	CompletedAt    *time.Time `json:"completed_at"`
	WithdrawnAt    *time.Time `json:"withdrawn_at"`
	CertifiedAt    *time.Time `json:"certified_at"`
	LastActivityAt *time.Time `json:"last_activity_at"`

	// Totals of the course as staff see them, in hundredths of a percent.
	CurrentGrade *int64 `json:"current_grade"`
	FinalGrade   *int64 `json:"final_grade"`
	Letter       string `json:"letter"`
	GradeSeq     int64  `json:"grade_seq"`
}

// Merge takes over what o knows better.
func (l *Learner) Merge(o *Learner) {
	l.TenantID = known(l.TenantID, o.TenantID)
	if o.StatusSeq > l.StatusSeq {
		l.EnrollmentID, l.State, l.Source, l.EndsAt, l.StatusSeq = o.EnrollmentID, o.State, o.Source, o.EndsAt, o.StatusSeq
	}
	l.ResetSeq = max(l.ResetSeq, o.ResetSeq)
	if l.State == events.EnrollmentStateCompleted && l.ResetSeq > l.StatusSeq {
		l.State = events.EnrollmentStateActive
	}
	if o.ProgressSeq > l.ProgressSeq {
		l.Required, l.Met, l.ProgressSeq = o.Required, o.Met, o.ProgressSeq
	}
	if o.GradeSeq > l.GradeSeq {
		l.CurrentGrade, l.FinalGrade, l.Letter, l.GradeSeq = o.CurrentGrade, o.FinalGrade, o.Letter, o.GradeSeq
	}
	l.ViewedAt = earlier(l.ViewedAt, o.ViewedAt)
	l.EnrolledAt = earlier(l.EnrolledAt, o.EnrolledAt)
	l.StartedAt = earlier(l.StartedAt, o.StartedAt)
	l.CompletedAt = earlier(l.CompletedAt, o.CompletedAt)
	l.CertifiedAt = earlier(l.CertifiedAt, o.CertifiedAt)
	l.WithdrawnAt = later(l.WithdrawnAt, o.WithdrawnAt)
	l.LastActivityAt = later(l.LastActivityAt, o.LastActivityAt)
}

// LearnerItem is what a person did on an item of a course.
type LearnerItem struct {
	CourseID    uuid.UUID  `json:"course_id"`
	UserID      uuid.UUID  `json:"user_id"`
	ItemID      uuid.UUID  `json:"item_id"`
	TenantID    uuid.UUID  `json:"tenant_id"`
	FirstAt     time.Time  `json:"first_at"`
	LastAt      time.Time  `json:"last_at"`
	CompletedAt *time.Time `json:"completed_at"` // nil also after a regression (rule 3)
	Seq         int64      `json:"seq"`
	Score       *int64     `json:"score"` // hundredths, as Possible
	Possible    *int64     `json:"possible"`
}

// Merge takes over what o knows better.
func (i *LearnerItem) Merge(o *LearnerItem) {
	i.FirstAt, i.LastAt = *earlier(&i.FirstAt, &o.FirstAt), *later(&i.LastAt, &o.LastAt)
	if o.Seq > i.Seq {
		i.CompletedAt, i.Seq, i.Score, i.Possible = o.CompletedAt, o.Seq, o.Score, o.Possible
	}
}

// Activity says in which quarters of an hour of a UTC day a person did something
// in a course: bit n of AM is the n-th quarter from midnight, of PM from noon.
// Without a course (nil) it is a sign-in.
type Activity struct {
	Day      string    `json:"day"` // 2006-01-02
	CourseID uuid.UUID `json:"course_id"`
	UserID   uuid.UUID `json:"user_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	AM       int64     `json:"am"`
	PM       int64     `json:"pm"`
	Events   int       `json:"events"`
}

// Merge adds o.
func (a *Activity) Merge(o *Activity) {
	a.AM, a.PM, a.Events = a.AM|o.AM, a.PM|o.PM, a.Events+o.Events
}

// Quiz is a quiz.
type Quiz struct {
	QuizID   uuid.UUID  `json:"quiz_id"`
	TenantID uuid.UUID  `json:"tenant_id"`
	CourseID *uuid.UUID `json:"course_id"`
	Title    string     `json:"title"`
	Points   int64      `json:"points"`
	Deleted  bool       `json:"deleted"`
	Seq      int64      `json:"seq"`
}

// Merge takes over what o knows better.
func (q *Quiz) Merge(o *Quiz) { newer(q, o, q.Seq, o.Seq) }

// Question is a question of a bank.
type Question struct {
	QuestionID uuid.UUID `json:"question_id"`
	TenantID   uuid.UUID `json:"tenant_id"`
	Kind       string    `json:"kind"`
	Title      string    `json:"title"`
	Deleted    bool      `json:"deleted"`
	Seq        int64     `json:"seq"`
}

// Merge takes over what o knows better.
func (q *Question) Merge(o *Question) { newer(q, o, q.Seq, o.Seq) }

// Attempt is a person's attempt of a quiz, with what each answer earned.
type Attempt struct {
	AttemptID  uuid.UUID       `json:"attempt_id"`
	TenantID   uuid.UUID       `json:"tenant_id"`
	CourseID   uuid.UUID       `json:"course_id"`
	QuizID     uuid.UUID       `json:"quiz_id"`
	UserID     uuid.UUID       `json:"user_id"`
	Number     int             `json:"number"`
	State      string          `json:"state"`
	StartedAt  time.Time       `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
	Seq        int64           `json:"seq"`
	Score      *int64          `json:"score"`
	Possible   *int64          `json:"possible"`
	Answers    json.RawMessage `json:"answers"` // []Answer
	GradedSeq  int64           `json:"graded_seq"`
}

// Answer is what one answer earned, in hundredths.
type Answer struct {
	QuestionID uuid.UUID `json:"question_id"`
	Version    int       `json:"version"`
	Points     *int64    `json:"points"` // nil while a person has to say
	Possible   int64     `json:"possible"`
	Class      string    `json:"class"`
}

// Merge takes over what o knows better.
func (a *Attempt) Merge(o *Attempt) {
	if o.Seq > a.Seq {
		a.Number, a.State, a.StartedAt, a.FinishedAt, a.Seq = o.Number, o.State, o.StartedAt, o.FinishedAt, o.Seq
	}
	if o.GradedSeq > a.GradedSeq {
		a.Score, a.Possible, a.Answers, a.GradedSeq = o.Score, o.Possible, o.Answers, o.GradedSeq
	}
}

// Assignment is an assignment.
type Assignment struct {
	AssignmentID uuid.UUID  `json:"assignment_id"`
	TenantID     uuid.UUID  `json:"tenant_id"`
	CourseID     *uuid.UUID `json:"course_id"`
	Title        string     `json:"title"`
	Points       int64      `json:"points"`
	DueAt        *time.Time `json:"due_at"`
	Published    bool       `json:"published"`
	Deleted      bool       `json:"deleted"`
	Seq          int64      `json:"seq"`
}

// Merge takes over what o knows better.
func (a *Assignment) Merge(o *Assignment) { newer(a, o, a.Seq, o.Seq) }
