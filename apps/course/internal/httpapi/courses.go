package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/web"
)

// Course is a course as clients see it.
type Course struct {
	ID                  uuid.UUID   `json:"id"`
	TenantID            uuid.UUID   `json:"tenant_id"`
	OrgUnitID           uuid.UUID   `json:"org_unit_id"`
	Code                string      `json:"code"`
	Title               string      `json:"title"`
	Description         string      `json:"description"`
	Language            string      `json:"language"`
	Level               string      `json:"level,omitempty"`
	Tags                []string    `json:"tags"`
	CategoryID          *uuid.UUID  `json:"category_id,omitempty"`
	CoverURL            string      `json:"cover_url,omitempty"`
	TermID              *uuid.UUID  `json:"term_id,omitempty"`
	ExternalSource      string      `json:"external_source,omitempty"`
	ExternalID          string      `json:"external_id,omitempty"`
	Status              string      `json:"status" enum:"draft,published,archived"`
	Visibility          string      `json:"visibility" enum:"public,organisation,enrolled"`
	EnrollmentMode      string      `json:"enrollment_mode" enum:"self,approval,invite_only"`
	Capacity            *int        `json:"capacity,omitempty" doc:"Absent is unlimited"`
	WaitlistEnabled     bool        `json:"waitlist_enabled"`
	EnrollmentOpensAt   *time.Time  `json:"enrollment_opens_at,omitempty"`
	EnrollmentClosesAt  *time.Time  `json:"enrollment_closes_at,omitempty"`
	StartsAt            *time.Time  `json:"starts_at,omitempty"`
	EndsAt              *time.Time  `json:"ends_at,omitempty"`
	Pacing              string      `json:"pacing" enum:"instructor,self"`
	PrerequisiteCourses []uuid.UUID `json:"prerequisite_courses"`
	PricePlanID         *uuid.UUID  `json:"price_plan_id,omitempty"`
	Price               *Price      `json:"price,omitempty"`
	RequiresEntitlement bool        `json:"requires_entitlement" doc:"Enrolling needs a purchase or a seat"`
	Seats               string      `json:"seats" enum:"open,few,full"`
	CreatedAt           time.Time   `json:"created_at"`
	UpdatedAt           time.Time   `json:"updated_at"`
	PublishedAt         *time.Time  `json:"published_at,omitempty"`
	ArchivedAt          *time.Time  `json:"archived_at,omitempty"`
	MyRole              string      `json:"my_role,omitempty" doc:"The caller's role among the staff; only when a single course is read"`
}

// Price is the lowest price of a course.
type Price struct {
	PlanID   uuid.UUID `json:"plan_id"`
	Amount   int64     `json:"amount" doc:"In minor units of the currency"`
	Currency string    `json:"currency"`
	Kind     string    `json:"kind" enum:"one_off,subscription,instalments"`
	Plans    int       `json:"plans"`
}

func showCourse(c catalog.Course) Course {
	out := Course{
		ID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, Code: c.Code, Title: c.Title, Description: c.Description,
		Language: c.Language, Level: c.Level, Tags: c.Tags, CategoryID: c.CategoryID, CoverURL: c.CoverURL, TermID: c.TermID,
		ExternalSource: c.ExternalSource, ExternalID: c.ExternalID, Status: c.Status, Visibility: c.Visibility,
		EnrollmentMode: c.EnrollmentMode, Capacity: c.Capacity, WaitlistEnabled: c.WaitlistEnabled,
		EnrollmentOpensAt: c.EnrollmentOpensAt, EnrollmentClosesAt: c.EnrollmentClosesAt, StartsAt: c.StartsAt, EndsAt: c.EndsAt,
		Pacing: c.Pacing, PrerequisiteCourses: c.PrerequisiteCourses, PricePlanID: c.PricePlanID,
		RequiresEntitlement: c.RequiresEntitlement(), Seats: c.Seats,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, PublishedAt: c.PublishedAt, ArchivedAt: c.ArchivedAt,
	}
	if p := c.Price; p != nil {
		out.Price = &Price{PlanID: p.PlanID, Amount: p.Amount, Currency: p.Currency, Kind: p.Kind, Plans: p.Plans}
	}
	return out
}

// forStrangers leaves out what only people of the organisation need to know.
func (c Course) forStrangers() Course {
	c.ExternalID, c.ExternalSource = "", ""
	return c
}

type listCoursesInput struct {
	web.Page
	Query          string    `query:"q" maxLength:"200" doc:"Part of the title or the code"`
	Status         string    `query:"status" enum:"draft,published,archived"`
	Visibility     string    `query:"visibility" enum:"public,organisation,enrolled"`
	CategoryID     uuid.UUID `query:"category_id"`
	TermID         uuid.UUID `query:"term_id"`
	Tag            string    `query:"tag" maxLength:"64"`
	Language       string    `query:"language" maxLength:"35"`
	Level          string    `query:"level" enum:"beginner,intermediate,advanced,expert"`
	OrgUnitID      uuid.UUID `query:"org_unit_id" doc:"With its subtree, for signed-in callers"`
	ExternalSource string    `query:"external_source" maxLength:"128"`
	ExternalID     string    `query:"external_id" maxLength:"128"`
	Staff          string    `query:"staff" enum:"me" doc:"me: courses whose staff I am"`
	UpdatedSince   time.Time `query:"updated_since"`
	Sort           string    `query:"sort" enum:"-created_at,created_at,title,-title,-updated_at,updated_at,starts_at,-starts_at,code,-code" default:"-created_at"`
}

func (in *listCoursesInput) filter(viewer uuid.UUID) catalog.CourseFilter {
	f := catalog.CourseFilter{
		Query: in.Query, Status: in.Status, Visibility: in.Visibility, CategoryID: optional(in.CategoryID), TermID: optional(in.TermID),
		Tag: in.Tag, Language: in.Language, Level: in.Level, ExternalSource: in.ExternalSource, ExternalID: in.ExternalID, Sort: in.Sort,
	}
	if in.OrgUnitID != uuid.Nil {
		f.OrgUnits = []uuid.UUID{in.OrgUnitID}
	}
	if in.Staff == "me" {
		f.StaffUser = &viewer
	}
	if !in.UpdatedSince.IsZero() {
		f.UpdatedSince = &in.UpdatedSince
	}
	return f
}

func (a *API) listCourses(ctx context.Context, in *listCoursesInput) (*web.List[Course], error) {
	actor := web.Actor(ctx)
	if actor.Anonymous() && (in.Staff != "" || in.ExternalID != "" || in.ExternalSource != "") {
		return nil, apperr.Unauthenticated("unauthenticated", "Sign in to use this filter.")
	}
	courses, err := a.Service.Courses(ctx, actor, in.filter(actor.UserID), in.Request())
	if err != nil {
		return nil, err
	}
	show := showCourse
	if actor.Anonymous() {
		show = func(c catalog.Course) Course { return showCourse(c).forStrangers() }
	}
	out := web.ListOf(courses, show)
	if actor.Anonymous() {
		out.ETag = listTag(courses)
		shared(ctx, true)
	}
	return out, nil
}

// listTag is the tag of a page of courses: which they are, and their versions.
func listTag(p page.Page[catalog.Course]) string {
	h := sha256.New()
	for _, c := range p.Items {
		fmt.Fprintf(h, "%s %d\n", c.ID, c.Version)
	}
	fmt.Fprint(h, p.NextCursor)
	return `W/"` + hex.EncodeToString(h.Sum(nil)[:12]) + `"`
}

// CourseOptions are the settings of a course that a client may leave out.
type CourseOptions struct {
	Description         patch.Field[string]      `json:"description" doc:"At most 20,000 characters"`
	Language            patch.Field[string]      `json:"language" doc:"BCP 47"`
	Level               patch.Field[string]      `json:"level" doc:"beginner, intermediate, advanced, expert, or empty"`
	Tags                patch.Field[[]string]    `json:"tags" doc:"At most 50"`
	CategoryID          patch.Field[uuid.UUID]   `json:"category_id"`
	CoverURL            patch.Field[string]      `json:"cover_url" doc:"An https address"`
	TermID              patch.Field[uuid.UUID]   `json:"term_id" doc:"A course without dates of its own takes the term's"`
	ExternalSource      patch.Field[string]      `json:"external_source"`
	ExternalID          patch.Field[string]      `json:"external_id" doc:"Unique per source"`
	Visibility          patch.Field[string]      `json:"visibility" doc:"public, organisation or enrolled"`
	EnrollmentMode      patch.Field[string]      `json:"enrollment_mode" doc:"self, approval or invite_only"`
	Capacity            patch.Field[int]         `json:"capacity" doc:"null is unlimited"`
	WaitlistEnabled     patch.Field[bool]        `json:"waitlist_enabled"`
	EnrollmentOpensAt   patch.Field[time.Time]   `json:"enrollment_opens_at"`
	EnrollmentClosesAt  patch.Field[time.Time]   `json:"enrollment_closes_at"`
	StartsAt            patch.Field[time.Time]   `json:"starts_at"`
	EndsAt              patch.Field[time.Time]   `json:"ends_at"`
	Pacing              patch.Field[string]      `json:"pacing" doc:"instructor or self"`
	PrerequisiteCourses patch.Field[[]uuid.UUID] `json:"prerequisite_courses" doc:"At most 50, without circles"`
	PricePlanID         patch.Field[uuid.UUID]   `json:"price_plan_id" doc:"Needs plan:manage"`
}

func (o *CourseOptions) apply(s *catalog.Settings) {
	d := catalog.DefaultSettings()
	o.Description.Apply(&s.Description)
	orDefault(o.Language, &s.Language, d.Language)
	o.Level.Apply(&s.Level)
	orDefault(o.Tags, &s.Tags, d.Tags)
	o.CategoryID.ApplyPtr(&s.CategoryID)
	o.CoverURL.Apply(&s.CoverURL)
	o.TermID.ApplyPtr(&s.TermID)
	o.ExternalSource.Apply(&s.ExternalSource)
	o.ExternalID.Apply(&s.ExternalID)
	orDefault(o.Visibility, &s.Visibility, d.Visibility)
	orDefault(o.EnrollmentMode, &s.EnrollmentMode, d.EnrollmentMode)
	o.Capacity.ApplyPtr(&s.Capacity)
	orDefault(o.WaitlistEnabled, &s.WaitlistEnabled, d.WaitlistEnabled)
	o.EnrollmentOpensAt.ApplyPtr(&s.EnrollmentOpensAt)
	o.EnrollmentClosesAt.ApplyPtr(&s.EnrollmentClosesAt)
	o.StartsAt.ApplyPtr(&s.StartsAt)
	o.EndsAt.ApplyPtr(&s.EndsAt)
	orDefault(o.Pacing, &s.Pacing, d.Pacing)
	orDefault(o.PrerequisiteCourses, &s.PrerequisiteCourses, d.PrerequisiteCourses)
	o.PricePlanID.ApplyPtr(&s.PricePlanID)
}

// orDefault is Apply for a setting that cannot be empty: null puts it back to what
// a new course has.
func orDefault[T any](f patch.Field[T], dst *T, otherwise T) {
	if f.Apply(dst) && f.Null {
		*dst = otherwise
	}
}

type createCourseInput struct {
	Body struct {
		OrgUnitID  uuid.UUID  `json:"org_unit_id"`
		TemplateID *uuid.UUID `json:"template_id,omitempty" doc:"Begin with the settings and the curriculum of a template"`
		Code       string     `json:"code" maxLength:"64" doc:"Unique in the organisation"`
		Title      string     `json:"title" maxLength:"255"`
		CourseOptions
	}
}

func (a *API) createCourse(ctx context.Context, in *createCourseInput) (*web.Resource[Course], error) {
	c, err := a.Service.CreateCourse(ctx, web.Actor(ctx), catalog.NewCourse{
		OrgUnitID: in.Body.OrgUnitID, TemplateID: in.Body.TemplateID,
		Edit: func(s *catalog.Settings) {
			s.Code, s.Title = in.Body.Code, in.Body.Title
			in.Body.apply(s)
		},
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showCourse(c), c.Version, "/api/v1/courses/"+c.ID.String()), nil
}

func (a *API) getCourse(ctx context.Context, in *web.ByID) (*web.Resource[Course], error) {
	actor := web.Actor(ctx)
	v, err := a.Service.Course(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	out := showCourse(v.Course)
	out.MyRole = v.StaffRole
	if actor.Anonymous() {
		out = out.forStrangers()
	}
	shared(ctx, v.Public)
	return web.Res(out, v.Version), nil
}

type updateCourseInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Code  patch.Field[string] `json:"code"`
		Title patch.Field[string] `json:"title"`
		CourseOptions
	}
}

func (a *API) updateCourse(ctx context.Context, in *updateCourseInput) (*web.Resource[Course], error) {
	c, err := a.Service.UpdateCourse(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), func(s *catalog.Settings) {
		in.Body.Code.Apply(&s.Code)
		in.Body.Title.Apply(&s.Title)
		in.Body.apply(s)
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showCourse(c), c.Version), nil
}

type deleteInput struct {
	web.ByID
	web.IfMatch
}

func (a *API) deleteCourse(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeleteCourse(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch))
}

type stepInput struct {
	web.ByID
	web.OptionalIfMatch
}

func (a *API) transition(t catalog.Transition) func(context.Context, *stepInput) (*web.Resource[Course], error) {
	return func(ctx context.Context, in *stepInput) (*web.Resource[Course], error) {
		c, err := a.Service.Transition(ctx, web.Actor(ctx), in.ID, wanted(&in.OptionalIfMatch), t)
		if err != nil {
			return nil, err
		}
		return web.Res(showCourse(c), c.Version), nil
	}
}

// Completion says when a course is complete and what its certificate asks for.
type Completion struct {
	Mode            string      `json:"mode" enum:"all_modules,selected_modules,never"`
	RequiredModules []uuid.UUID `json:"required_modules,omitempty" maxItems:"300"`
	MinGrade        *float64    `json:"min_grade,omitempty" doc:"Posted course grade in percent that completion asks for; at most two decimals"`
	Certificate     Certificate `json:"certificate"`
}

// Certificate says whether and how certificates are issued.
type Certificate struct {
	Enabled   bool     `json:"enabled"`
	Title     string   `json:"title,omitempty"`
	MinGrade  *float64 `json:"min_grade,omitempty" doc:"Posted course grade in percent that passes; at most two decimals"`
	ValidDays *int     `json:"valid_days,omitempty" doc:"Absent: for ever"`
	Signatory string   `json:"signatory,omitempty"`
}

func showCompletion(s events.CompletionSettings) Completion {
	return Completion{
		Mode: s.Mode, RequiredModules: s.RequiredModules, MinGrade: decimal(s.MinGrade),
		Certificate: Certificate{
			Enabled: s.Certificate.Enabled, Title: s.Certificate.Title, MinGrade: decimal(s.Certificate.MinGrade),
			ValidDays: s.Certificate.ValidDays, Signatory: s.Certificate.Signatory,
		},
	}
}

func (a *API) getCompletion(ctx context.Context, in *web.ByID) (*web.Resource[Completion], error) {
	v, err := a.Service.Course(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showCompletion(v.Completion), v.Version), nil
}

type putCompletionInput struct {
	web.ByID
	web.IfMatch
	Body Completion
}

func (a *API) putCompletion(ctx context.Context, in *putCompletionInput) (*web.Resource[Completion], error) {
	var f apperr.Fields
	b := in.Body
	settings := events.CompletionSettings{
		Mode: b.Mode, RequiredModules: b.RequiredModules, MinGrade: hundredths(&f, "min_grade", b.MinGrade),
		Certificate: events.CertificateSettings{
			Enabled: b.Certificate.Enabled, Title: b.Certificate.Title, MinGrade: hundredths(&f, "certificate.min_grade", b.Certificate.MinGrade),
			ValidDays: b.Certificate.ValidDays, Signatory: b.Certificate.Signatory,
		},
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	c, err := a.Service.SetCompletion(ctx, web.Actor(ctx), in.ID, required(&in.IfMatch), settings)
	if err != nil {
		return nil, err
	}
	return web.Res(showCompletion(c.Completion), c.Version), nil
}
