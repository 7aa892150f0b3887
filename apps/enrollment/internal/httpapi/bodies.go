package httpapi

import (
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/progress"
)

// Enrollment is a person in a course.
type Enrollment struct {
	ID             uuid.UUID       `json:"id"`
	CourseID       uuid.UUID       `json:"course_id"`
	UserID         uuid.UUID       `json:"user_id"`
	State          string          `json:"state" enum:"invited,requested,waitlisted,offered,active,completed,withdrawn,rejected,suspended,expired"`
	EffectiveState string          `json:"effective_state" doc:"The state with dates: also upcoming and concluded, both read-only"`
	Source         string          `json:"source" enum:"self,staff,import,join_code,invitation,payment"`
	Reason         string          `json:"reason,omitempty" doc:"Of the last change of state"`
	StartsAt       *time.Time      `json:"starts_at"`
	EndsAt         *time.Time      `json:"ends_at"`
	AccessEndsAt   *time.Time      `json:"access_ends_at" doc:"The earlier of ends_at and the end of what was paid for"`
	Position       int             `json:"waitlist_position,omitempty" doc:"From 1"`
	AnswerBy       *time.Time      `json:"answer_by,omitempty" doc:"The end of an invitation or an offer"`
	CheckoutURL    string          `json:"checkout_url,omitempty" doc:"Where an offered seat is paid for"`
	ActivatedAt    *time.Time      `json:"activated_at"`
	CompletedAt    *time.Time      `json:"completed_at"`
	LastActivityAt *time.Time      `json:"last_activity_at"`
	Progress       ProgressNumbers `json:"progress"`
	Grade          *CourseGrade    `json:"grade,omitempty"`
	CertificateID  *uuid.UUID      `json:"certificate_id,omitempty"`
	ExternalSource string          `json:"external_source,omitempty"`
	ExternalID     string          `json:"external_id,omitempty"`
	CreatedAt      time.Time       `json:"created_at"`
	UpdatedAt      time.Time       `json:"updated_at"`
	Course         *CourseBrief    `json:"course,omitempty" doc:"With include=course"`
	NextItem       *NextItem       `json:"next_item,omitempty" doc:"With include=next_item"`
	User           *UserBrief      `json:"user,omitempty" doc:"In rosters"`
}

// ProgressNumbers count requirements.
type ProgressNumbers struct {
	Required int `json:"required"`
	Met      int `json:"met"`
	Percent  int `json:"percent" doc:"Rounded down: 100 is all"`
}

// CourseGrade is the course grade as posted.
type CourseGrade struct {
	Current  *float64   `json:"current"`
	Final    *float64   `json:"final"`
	Letter   string     `json:"letter,omitempty"`
	GradedAt *time.Time `json:"graded_at"`
}

// CourseBrief is what a list shows of a course.
type CourseBrief struct {
	ID       uuid.UUID  `json:"id"`
	Code     string     `json:"code"`
	Title    string     `json:"title"`
	Language string     `json:"language"`
	Status   string     `json:"status"`
	StartsAt *time.Time `json:"starts_at"`
	EndsAt   *time.Time `json:"ends_at"`
}

// NextItem is what the learner can do next.
type NextItem struct {
	ID       uuid.UUID `json:"id"`
	Title    string    `json:"title"`
	Kind     string    `json:"kind"`
	ModuleID uuid.UUID `json:"module_id"`
}

// UserBrief is what a list shows of a person.
type UserBrief struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	AvatarURL string    `json:"avatar_url,omitempty"`
}

func (a *API) show(e enrollment.Enrollment, effective enrollment.State, position int) Enrollment {
	out := Enrollment{
		ID: e.ID, CourseID: e.CourseID, UserID: e.UserID, State: string(e.State), EffectiveState: string(effective), Source: e.Source,
		Reason: e.Reason, StartsAt: e.StartsAt, EndsAt: e.EndsAt, AccessEndsAt: e.AccessEndsAt, Position: position, AnswerBy: e.AnswerBy,
		ActivatedAt: e.ActivatedAt, CompletedAt: e.CompletedAt, LastActivityAt: e.LastActivityAt, Progress: numbers(e.Required, e.Met),
		ExternalSource: e.ExternalSource, ExternalID: e.ExternalID, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
	if e.State == enrollment.Offered {
		out.CheckoutURL = a.Service.CheckoutURL(e.CourseID)
	}
	if e.GradedAt != nil {
		out.Grade = &CourseGrade{Current: decimal(e.GradeCurrent), Final: decimal(e.GradeFinal), Letter: e.GradeLetter, GradedAt: e.GradedAt}
	}
	return out
}

func (a *API) showListed(l enrollment.Listed) Enrollment {
	out := a.show(l.Enrollment, l.Effective(l.Course, a.Now()), l.Position)
	out.CertificateID = l.CertificateID
	return out
}

func numbers(required, met int) ProgressNumbers {
	return ProgressNumbers{Required: required, Met: met, Percent: progress.Percent(met, required)}
}

func brief(c enrollment.Course) *CourseBrief {
	return &CourseBrief{ID: c.ID, Code: c.Code, Title: c.Title, Language: c.Language, Status: c.Status, StartsAt: c.StartsAt, EndsAt: c.EndsAt}
}

func showNext(n enrollment.NextItem) *NextItem {
	return &NextItem{ID: n.ID, Title: n.Title, Kind: n.Kind, ModuleID: n.ModuleID}
}

// The entity tag of an enrollment names the row's version and what else its
// answer depends on: the effective state, which time alone moves, and the place on
// the waiting list.
const (
	stateBits    = 4
	positionBits = 16
)

//nolint:gochecknoglobals // immutable
var effectiveStates = [...]enrollment.State{
	enrollment.Invited, enrollment.Requested, enrollment.Waitlisted, enrollment.Offered, enrollment.Active, enrollment.Completed,
	enrollment.Withdrawn, enrollment.Rejected, enrollment.Suspended, enrollment.Expired, enrollment.Upcoming, enrollment.Concluded,
}

func tagOf(version int64, effective enrollment.State, position int) int64 {
	tag := version<<positionBits | int64(position&(1<<positionBits-1))
	for i, s := range effectiveStates {
		if s == effective {
			return tag<<stateBits | int64(i)
		}
	}
	return tag << stateBits
}

func versionOf(tag int64) int64 { return tag >> (positionBits + stateBits) }
