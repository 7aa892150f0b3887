package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/apps/enrollment/internal/progress"
	"lms/shared/web"
)

// CourseProgress is a learner's way through a course.
type CourseProgress struct {
	EnrollmentID uuid.UUID        `json:"enrollment_id"`
	CourseID     uuid.UUID        `json:"course_id"`
	UserID       uuid.UUID        `json:"user_id"`
	State        string           `json:"state"`
	Progress     ProgressNumbers  `json:"progress"`
	CompletedAt  *time.Time       `json:"completed_at"`
	NextItem     *NextItem        `json:"next_item,omitempty"`
	Grade        *CourseGrade     `json:"grade,omitempty"`
	Modules      []ModuleProgress `json:"modules"`
}

// ModuleProgress is a module's part of it.
type ModuleProgress struct {
	ID          uuid.UUID           `json:"id"`
	Title       string              `json:"title"`
	State       string              `json:"state" enum:"locked,unlocked,started,completed"`
	Needed      int                 `json:"needed" doc:"Requirements to meet; of N of M, N"`
	Met         int                 `json:"met"`
	UnlockedAt  *time.Time          `json:"unlocked_at"`
	CompletedAt *time.Time          `json:"completed_at"`
	Reasons     []enrollment.Reason `json:"reasons,omitempty" doc:"Why it is locked"`
	Items       []ItemProgress      `json:"items"`
}

// ItemProgress is an item's part of it.
type ItemProgress struct {
	ID          uuid.UUID           `json:"id"`
	Title       string              `json:"title"`
	Kind        string              `json:"kind"`
	ResourceID  *uuid.UUID          `json:"resource_id,omitempty"`
	Locked      bool                `json:"locked"`
	Reasons     []enrollment.Reason `json:"reasons,omitempty" doc:"Why it is locked, and what is missing"`
	Requirement *Requirement        `json:"requirement,omitempty"`
	CompletedAt *time.Time          `json:"completed_at"`
	ViewedAt    *time.Time          `json:"viewed_at,omitempty"`
	DoneAt      *time.Time          `json:"done_at,omitempty"`
	SubmittedAt *time.Time          `json:"submitted_at,omitempty"`
	ExcusedAt   *time.Time          `json:"excused_at,omitempty"`
	Watched     int                 `json:"watched_percent,omitempty"`
	Score       *float64            `json:"score,omitempty"`
	Possible    *float64            `json:"possible,omitempty"`
}

// Requirement is what completes an item.
type Requirement struct {
	Kind     string   `json:"kind" enum:"view,done,submit,min_score"`
	MinScore *float64 `json:"min_score,omitempty"`
	Unit     string   `json:"unit,omitempty" enum:"percent,points"`
	Met      bool     `json:"met"`
}

func showProgress(p enrollment.Progress) CourseProgress {
	e := p.Enrollment
	out := CourseProgress{
		EnrollmentID: e.ID, CourseID: e.CourseID, UserID: e.UserID, State: string(p.Effective), CompletedAt: e.CompletedAt,
		Progress: numbers(p.View.Required, p.View.Met), Modules: make([]ModuleProgress, len(p.View.Modules)),
	}
	if n := p.View.Next; n != nil {
		out.NextItem = &NextItem{ID: n.ID, Title: n.Title, Kind: n.Kind, ModuleID: n.ModuleID}
	}
	if e.GradedAt != nil {
		out.Grade = &CourseGrade{Current: decimal(e.GradeCurrent), Final: decimal(e.GradeFinal), Letter: e.GradeLetter, GradedAt: e.GradedAt}
	}
	for i, mv := range p.View.Modules {
		m := ModuleProgress{
			ID: mv.Module.ID, Title: mv.Module.Title, State: string(mv.State), Needed: mv.Needed, Met: mv.Met,
			UnlockedAt: mv.UnlockedAt, CompletedAt: mv.CompletedAt, Reasons: enrollment.Explain(mv.Reasons), Items: make([]ItemProgress, len(mv.Items)),
		}
		for j, iv := range mv.Items {
			m.Items[j] = showItem(iv, p.Facts[iv.Item.Subject()])
		}
		out.Modules[i] = m
	}
	return out
}

func showItem(iv progress.ItemView, f progress.Facts) ItemProgress {
	it := iv.Item
	out := ItemProgress{
		ID: it.ID, Title: it.Title, Kind: it.Kind, Locked: !iv.Open, Reasons: enrollment.Explain(iv.Reasons), CompletedAt: iv.CompletedAt,
		ViewedAt: f.ViewedAt, DoneAt: f.DoneAt, SubmittedAt: f.SubmittedAt, ExcusedAt: f.ExcusedAt, Watched: f.Watched,
		Score: decimal(f.Score), Possible: decimal(f.Possible),
	}
	if it.ResourceID != uuid.Nil {
		out.ResourceID = &it.ResourceID
	}
	if it.Requirement.Kind != "" {
		out.Requirement = &Requirement{Kind: it.Requirement.Kind, Unit: it.Requirement.Unit, Met: iv.CompletedAt != nil}
		if it.Requirement.Unit != "" {
			out.Requirement.MinScore = decimal(&it.Requirement.MinScore)
		}
	}
	return out
}

func (a *API) myProgress(ctx context.Context, in *web.ByID) (*web.Resource[CourseProgress], error) {
	p, err := a.Service.MyProgress(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showProgress(p), 0), nil
}

func (a *API) progressOf(ctx context.Context, in *web.ByID) (*web.Resource[CourseProgress], error) {
	p, err := a.Service.ProgressOf(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showProgress(p), 0), nil
}

type itemInput struct {
	ID     uuid.UUID `path:"id"`
	ItemID uuid.UUID `path:"item_id"`
}

// Standpoint is where the learner stands after a change of one item.
type Standpoint struct {
	EnrollmentID uuid.UUID       `json:"enrollment_id"`
	State        string          `json:"state"`
	Progress     ProgressNumbers `json:"progress"`
	CompletedAt  *time.Time      `json:"completed_at" doc:"Of the course"`
	Item         struct {
		ID          uuid.UUID  `json:"id"`
		CompletedAt *time.Time `json:"completed_at"`
	} `json:"item"`
	Module struct {
		ID    uuid.UUID `json:"id"`
		State string    `json:"state"`
	} `json:"module"`
}

func showStandpoint(s enrollment.Standpoint) *web.Resource[Standpoint] {
	out := Standpoint{EnrollmentID: s.EnrollmentID, State: string(s.State), Progress: numbers(s.Required, s.Met), CompletedAt: s.CompletedAt}
	out.Item.ID, out.Item.CompletedAt = s.ItemID, s.ItemDoneAt
	out.Module.ID, out.Module.State = s.ModuleID, s.ModuleState
	return web.Res(out, 0)
}

func (a *API) view(ctx context.Context, in *itemInput) (*web.Resource[Standpoint], error) {
	s, err := a.Service.View(ctx, web.Actor(ctx), in.ID, in.ItemID)
	if err != nil {
		return nil, err
	}
	return showStandpoint(s), nil
}

func (a *API) done(done bool) func(context.Context, *itemInput) (*web.Resource[Standpoint], error) {
	return func(ctx context.Context, in *itemInput) (*web.Resource[Standpoint], error) {
		s, err := a.Service.Done(ctx, web.Actor(ctx), in.ID, in.ItemID, done)
		if err != nil {
			return nil, err
		}
		return showStandpoint(s), nil
	}
}

// ReportLine is one learner of a progress report.
type ReportLine struct {
	EnrollmentID   uuid.UUID       `json:"enrollment_id"`
	User           UserBrief       `json:"user"`
	State          string          `json:"state"`
	Progress       ProgressNumbers `json:"progress"`
	ActivatedAt    *time.Time      `json:"activated_at"`
	LastActivityAt *time.Time      `json:"last_activity_at"`
	CompletedAt    *time.Time      `json:"completed_at"`
	FinalGrade     *float64        `json:"final_grade"`
}

// reported are the states that a progress report is about unless others are asked for.
var reported = []string{string(enrollment.Active), string(enrollment.Completed)} //nolint:gochecknoglobals // immutable

func (a *API) report(ctx context.Context, in *rosterInput, w http.ResponseWriter, req *http.Request) error {
	if len(in.State) == 0 {
		in.State = reported
	}
	f, err := in.filter(in.ID)
	if err != nil {
		return err
	}
	if in.wants(req, typeCSV) {
		return a.reportCSV(ctx, f, w)
	}
	p, err := a.Service.ProgressReport(ctx, web.Actor(ctx), f, in.Request())
	if err != nil {
		return err
	}
	names := a.Service.Names(ctx, p.Items)
	lines := make([]ReportLine, len(p.Items))
	for i, l := range p.Items {
		lines[i] = ReportLine{
			EnrollmentID: l.ID, User: UserBrief{ID: l.UserID, Name: names[l.UserID].Name, AvatarURL: names[l.UserID].AvatarURL},
			State: string(l.Effective(l.Course, a.Now())), Progress: numbers(l.Required, l.Met), ActivatedAt: l.ActivatedAt,
			LastActivityAt: l.LastActivityAt, CompletedAt: l.CompletedAt, FinalGrade: decimal(l.GradeFinal),
		}
	}
	return writePage(w, req, pageOf(lines, p.NextCursor))
}

func (a *API) reportCSV(ctx context.Context, f enrollment.RosterFilter, w http.ResponseWriter) error {
	var t *table
	begin := func() (err error) {
		t, err = newTable(w, "progress.csv", "user_id", "name", "state", "required", "met", "percent", "activated_at", "last_activity_at", "completed_at", "final_grade")
		return err
	}
	err := a.all(ctx, a.Service.ProgressReport, f, begin, func(l enrollment.Listed, names map[uuid.UUID]enrollment.Card) error {
		grade := ""
		if l.GradeFinal != nil {
			grade = l.GradeFinal.String()
		}
		n := numbers(l.Required, l.Met)
		return t.row(l.UserID.String(), names[l.UserID].Name, string(l.Effective(l.Course, a.Now())), strconv.Itoa(n.Required), strconv.Itoa(n.Met),
			strconv.Itoa(n.Percent), text(l.ActivatedAt), text(l.LastActivityAt), text(l.CompletedAt), grade)
	})
	if err != nil {
		return err
	}
	return t.end()
}

// CourseSummary is a course in numbers.
type CourseSummary struct {
	States         map[string]int  `json:"states" doc:"Enrollments by stored state"`
	Learners       int             `json:"learners" doc:"Active and completed"`
	Started        int             `json:"started" doc:"Of the learners, with at least one requirement met"`
	Completed      int             `json:"completed"`
	AveragePercent float64         `json:"average_percent"`
	Modules        []ModuleSummary `json:"modules"`
}

// ModuleSummary says how many completed a module.
type ModuleSummary struct {
	ID        uuid.UUID `json:"id"`
	Title     string    `json:"title"`
	Completed int       `json:"completed"`
}

func (a *API) summary(ctx context.Context, in *web.ByID) (*web.Resource[CourseSummary], error) {
	sum, curriculum, err := a.Service.Summarize(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := CourseSummary{
		States: sum.States, Learners: sum.Learners, Started: sum.Started, Completed: sum.Completed,
		AveragePercent: float64(int(sum.Average*100+0.5)) / 100, Modules: []ModuleSummary{},
	}
	if curriculum != nil {
		for _, m := range curriculum.Modules {
			if m.Published {
				out.Modules = append(out.Modules, ModuleSummary{ID: m.ID, Title: m.Title, Completed: sum.Modules[m.ID]})
			}
		}
	}
	return web.Res(out, 0), nil
}
