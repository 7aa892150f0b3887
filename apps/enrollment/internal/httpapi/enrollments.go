package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/web"
)

// enrollBody is optional: without it one enrolls oneself.
type enrollBody struct {
	UserID         uuid.UUID  `json:"user_id,omitempty" doc:"Another person, for staff; oneself without"`
	Waitlist       *bool      `json:"waitlist,omitempty" doc:"false: a seat or 409 course_full, no place on the waiting list"`
	Invite         bool       `json:"invite,omitempty" doc:"Staff: the person is asked first"`
	InviteUntil    *time.Time `json:"invite_until,omitempty"`
	Waive          []string   `json:"waive,omitempty" maxItems:"2" doc:"Staff: prerequisites, entitlement"`
	StartsAt       *time.Time `json:"starts_at,omitempty"`
	EndsAt         *time.Time `json:"ends_at,omitempty"`
	ExternalSource string     `json:"external_source,omitempty" maxLength:"100"`
	ExternalID     string     `json:"external_id,omitempty" maxLength:"200"`
}

type enrollInput struct {
	ID   uuid.UUID `path:"id"`
	Body *enrollBody
}

func (a *API) enroll(ctx context.Context, in *enrollInput) (*web.Resource[Enrollment], error) {
	b := given(in.Body)
	r, err := a.Service.Enroll(ctx, web.Actor(ctx), enrollment.NewEnrollment{
		CourseID: in.ID, UserID: b.UserID, NoWaitlist: b.Waitlist != nil && !*b.Waitlist, Invite: b.Invite, InviteUntil: utc(b.InviteUntil),
		Waive: b.Waive, StartsAt: utc(b.StartsAt), EndsAt: utc(b.EndsAt), ExternalSource: b.ExternalSource, ExternalID: b.ExternalID,
	})
	if err != nil {
		return nil, err
	}
	return a.arrived(r), nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC().Truncate(time.Microsecond)
	return &u
}

// arrived answers 201 for a new row, 200 for one that was taken up again (rule 31).
func (a *API) arrived(r enrollment.Result) *web.Resource[Enrollment] {
	out := a.changed(r).WithStatus(http.StatusOK)
	out.Location = "/api/v1/enrollments/" + r.Enrollment.ID.String()
	if r.Created {
		out.Status = http.StatusCreated
	}
	return out
}

func (a *API) changed(r enrollment.Result) *web.Resource[Enrollment] {
	return web.Res(a.show(r.Enrollment, r.Effective, r.Position), tagOf(r.Enrollment.Version, r.Effective, r.Position))
}

func (a *API) get(ctx context.Context, in *web.ByID) (*web.Resource[Enrollment], error) {
	l, err := a.Service.Get(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(a.showListed(l), tagOf(l.Version, l.Effective(l.Course, a.Now()), l.Position)), nil
}

type updateInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		StartsAt       patch.Field[time.Time] `json:"starts_at,omitzero"`
		EndsAt         patch.Field[time.Time] `json:"ends_at,omitzero"`
		ExternalSource patch.Field[string]    `json:"external_source,omitzero" maxLength:"100"`
		ExternalID     patch.Field[string]    `json:"external_id,omitzero" maxLength:"200"`
	}
}

func (a *API) update(ctx context.Context, in *updateInput) (*web.Resource[Enrollment], error) {
	b := in.Body
	b.StartsAt.Value, b.EndsAt.Value = b.StartsAt.Value.UTC().Truncate(time.Microsecond), b.EndsAt.Value.UTC().Truncate(time.Microsecond)
	r, err := a.Service.Update(ctx, web.Actor(ctx), in.ID, enrollment.Changes{
		Version: versionOf(in.Version()), StartsAt: b.StartsAt, EndsAt: b.EndsAt, ExternalSource: b.ExternalSource, ExternalID: b.ExternalID,
	})
	if err != nil {
		return nil, err
	}
	return a.changed(r), nil
}

type action func(ctx context.Context, actor authz.Principal, id uuid.UUID) (enrollment.Result, error)

func (a *API) act(do action) func(context.Context, *web.ByID) (*web.Resource[Enrollment], error) {
	return func(ctx context.Context, in *web.ByID) (*web.Resource[Enrollment], error) {
		r, err := do(ctx, web.Actor(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		return a.changed(r), nil
	}
}

type reasonBody struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type reasonInput struct {
	web.ByID
	Body *reasonBody
}

// given is an optional body, or its zero value.
func given[T any](body *T) (out T) {
	if body != nil {
		out = *body
	}
	return out
}

type actionWithReason func(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (enrollment.Result, error)

func (a *API) actWithReason(do actionWithReason) func(context.Context, *reasonInput) (*web.Resource[Enrollment], error) {
	return func(ctx context.Context, in *reasonInput) (*web.Resource[Enrollment], error) {
		r, err := do(ctx, web.Actor(ctx), in.ID, given(in.Body).Reason)
		if err != nil {
			return nil, err
		}
		return a.changed(r), nil
	}
}

type mineInput struct {
	web.Page
	UserID     uuid.UUID `query:"user_id" doc:"Another person, for staff"`
	CourseID   uuid.UUID `query:"course_id"`
	State      []string  `query:"state,explode" enum:"invited,requested,waitlisted,offered,active,completed,withdrawn,rejected,suspended,expired"`
	ExternalID string    `query:"external_id" maxLength:"200"`
	Include    []string  `query:"include" enum:"course,progress,next_item" doc:"Comma-separated"`
}

func (a *API) mine(ctx context.Context, in *mineInput) (*web.List[Enrollment], error) {
	f := enrollment.MineFilter{UserID: in.UserID, States: states(in.State), ExternalID: in.ExternalID}
	if in.CourseID != uuid.Nil {
		f.CourseID = &in.CourseID
	}
	p, err := a.Service.Mine(ctx, web.Actor(ctx), f, in.Request())
	if err != nil {
		return nil, err
	}
	next := map[uuid.UUID]enrollment.NextItem{}
	if slices.Contains(in.Include, "next_item") && len(p.Items) > 0 {
		if next, err = a.Service.NextItems(ctx, web.Actor(ctx), p.Items); err != nil {
			return nil, err
		}
	}
	withCourse := slices.Contains(in.Include, "course")
	return web.ListOf(p, func(l enrollment.Listed) Enrollment {
		out := a.showListed(l)
		if withCourse {
			out.Course = brief(l.Course)
		}
		if n, ok := next[l.ID]; ok {
			out.NextItem = showNext(n)
		}
		return out
	}), nil
}

func states(names []string) []enrollment.State {
	out := make([]enrollment.State, len(names))
	for i, n := range names {
		out[i] = enrollment.State(n)
	}
	return out
}

// RosterQuery are the filters and sorts of a course's lists.
type RosterQuery struct {
	FormatQuery
	State         []string  `query:"state,explode" enum:"invited,requested,waitlisted,offered,active,completed,withdrawn,rejected,suspended,expired"`
	UserID        []string  `query:"user_id,explode" maxItems:"200" doc:"Only these people, by id"`
	MinProgress   int       `query:"min_progress" minimum:"0" maximum:"100" default:"0" doc:"Percent, included"`
	MaxProgress   int       `query:"max_progress" minimum:"0" maximum:"100" default:"100" doc:"Percent, included"`
	InactiveSince time.Time `query:"inactive_since" doc:"No activity since then"`
	Source        string    `query:"source" enum:"self,staff,import,join_code,invitation,payment"`
	ExternalID    string    `query:"external_id" maxLength:"200"`
	Sort          string    `query:"sort" enum:"created_at,-created_at,activity,-activity,progress,-progress" default:"created_at"`
}

func (q RosterQuery) filter(course uuid.UUID) (enrollment.RosterFilter, error) {
	f := enrollment.RosterFilter{
		CourseID: course, States: states(q.State), Source: q.Source, ExternalID: q.ExternalID, Sort: q.Sort,
	}
	var bad apperr.Fields
	for _, raw := range q.UserID {
		id, err := uuid.Parse(raw)
		bad.Require(err == nil, "query.user_id", "uuid", "is not an id")
		f.UserIDs = append(f.UserIDs, id)
	}
	if q.MinProgress > 0 {
		f.MinProgress = &q.MinProgress
	}
	if q.MaxProgress < 100 {
		f.MaxProgress = &q.MaxProgress
	}
	if !q.InactiveSince.IsZero() {
		at := q.InactiveSince.UTC()
		f.InactiveSince = &at
	}
	return f, bad.Err()
}

type rosterInput struct {
	web.ByID
	web.Page
	RosterQuery
}

type lister func(ctx context.Context, actor authz.Principal, f enrollment.RosterFilter, p page.Request) (page.Page[enrollment.Listed], error)

func (a *API) roster(ctx context.Context, in *rosterInput, w http.ResponseWriter, req *http.Request) error {
	f, err := in.filter(in.ID)
	if err != nil {
		return err
	}
	if in.wants(req, typeCSV) {
		return a.rosterCSV(ctx, f, w)
	}
	p, err := a.Service.Roster(ctx, web.Actor(ctx), f, in.Request())
	if err != nil {
		return err
	}
	names := a.Service.Names(ctx, p.Items)
	return writePage(w, req, page.Map(p, func(l enrollment.Listed) Enrollment {
		out := a.showListed(l)
		out.User = person(names, l.UserID)
		return out
	}))
}

func person(names map[uuid.UUID]enrollment.Card, id uuid.UUID) *UserBrief {
	c, ok := names[id]
	if !ok {
		return nil
	}
	return &UserBrief{ID: c.ID, Name: c.Name, AvatarURL: c.AvatarURL}
}

// writePage is a list that is written by hand, since it has other formats too.
func writePage[T any](w http.ResponseWriter, req *http.Request, p page.Page[T]) error {
	if p.NextCursor != "" {
		q := req.URL.Query()
		q.Set("cursor", p.NextCursor)
		w.Header().Set("Link", "<"+req.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	if p.Items == nil {
		p.Items = []T{}
	}
	return writeJSON(w, web.Items[T]{Items: p.Items, NextCursor: p.NextCursor})
}

// all walks every page of a list. The first is read before anything is written,
// so that a refusal is still a problem document.
func (a *API) all(ctx context.Context, list lister, f enrollment.RosterFilter, begin func() error, row func(enrollment.Listed, map[uuid.UUID]enrollment.Card) error) error {
	cursor, first := "", true
	for first || cursor != "" {
		p, err := list(ctx, web.Actor(ctx), f, page.Request{Limit: page.MaxLimit, Cursor: cursor})
		if err != nil {
			return err
		}
		if first {
			if err := begin(); err != nil {
				return err
			}
		}
		names := a.Service.Names(ctx, p.Items)
		for _, l := range p.Items {
			if err := row(l, names); err != nil {
				return err
			}
		}
		cursor, first = p.NextCursor, false
	}
	return nil
}

func (a *API) rosterCSV(ctx context.Context, f enrollment.RosterFilter, w http.ResponseWriter) error {
	var t *table
	begin := func() (err error) {
		t, err = newTable(w, "roster.csv", "enrollment_id", "user_id", "name", "state", "effective_state", "source", "activated_at", "completed_at",
			"last_activity_at", "required", "met", "percent", "final_grade", "letter", "access_ends_at", "external_source", "external_id", "created_at")
		return err
	}
	err := a.all(ctx, a.Service.Roster, f, begin, func(l enrollment.Listed, names map[uuid.UUID]enrollment.Card) error {
		e, grade := l.Enrollment, ""
		if e.GradeFinal != nil {
			grade = e.GradeFinal.String()
		}
		n := numbers(e.Required, e.Met)
		return t.row(e.ID.String(), e.UserID.String(), names[e.UserID].Name, string(e.State), string(e.Effective(l.Course, a.Now())), e.Source,
			text(e.ActivatedAt), text(e.CompletedAt), text(e.LastActivityAt), strconv.Itoa(n.Required), strconv.Itoa(n.Met),
			strconv.Itoa(n.Percent), grade, e.GradeLetter, text(e.AccessEndsAt), e.ExternalSource, e.ExternalID, text(&e.CreatedAt))
	})
	if err != nil {
		return err
	}
	return t.end()
}

type waitlistInput struct {
	web.ByID
	web.Page
}

func (a *API) waitlist(ctx context.Context, in *waitlistInput) (*web.List[Enrollment], error) {
	p, err := a.Service.Waitlist(ctx, web.Actor(ctx), in.ID, in.Request())
	if err != nil {
		return nil, err
	}
	names := a.Service.Names(ctx, p.Items)
	return web.ListOf(p, func(l enrollment.Listed) Enrollment {
		out := a.showListed(l)
		out.User = person(names, l.UserID)
		return out
	}), nil
}
