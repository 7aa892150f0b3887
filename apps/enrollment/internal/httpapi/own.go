package httpapi

import (
	"context"
	"net/http"
	"time"

	ics "github.com/arran4/golang-ical"
	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Todo is one thing that waits for a person.
type Todo struct {
	Kind         string      `json:"kind" enum:"answer_invitation,answer_offer,next_item"`
	EnrollmentID uuid.UUID   `json:"enrollment_id"`
	Course       CourseBrief `json:"course"`
	DueAt        *time.Time  `json:"due_at,omitempty"`
	Item         *NextItem   `json:"item,omitempty"`
	CheckoutURL  string      `json:"checkout_url,omitempty"`
}

func (a *API) todo(ctx context.Context, _ *web.Empty) (*web.List[Todo], error) {
	list, err := a.Service.Todo(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return web.ListOf(pageOf(list, ""), func(t enrollment.Todo) Todo {
		out := Todo{Kind: t.Kind, EnrollmentID: t.Listed.ID, Course: *brief(t.Listed.Course), DueAt: t.DueAt}
		if t.Next != nil {
			out.Item = showNext(*t.Next)
		}
		if t.Kind == enrollment.TodoAnswerOffer {
			out.CheckoutURL = a.Service.CheckoutURL(t.Listed.CourseID)
		}
		return out
	}), nil
}

// Date is one entry of a calendar.
type Date struct {
	Kind      string    `json:"kind" enum:"course_starts,course_ends,access_ends,answer_by,module_unlocks,item_unlocks"`
	At        time.Time `json:"at"`
	CourseID  uuid.UUID `json:"course_id"`
	Course    string    `json:"course_title"`
	SubjectID uuid.UUID `json:"subject_id"`
	Title     string    `json:"title,omitempty"`
}

type calendarInput struct {
	FormatQuery
	From time.Time `query:"from" doc:"Default: 30 days ago"`
	To   time.Time `query:"to" doc:"Default: in a year; at most two years after from"`
}

// Bounds of a calendar that is not told any.
const (
	calendarBack  = 30 * 24 * time.Hour
	calendarAhead = 366 * 24 * time.Hour
	calendarMost  = 2 * calendarAhead
)

func (a *API) bounds(in *calendarInput) (from, to time.Time, err error) {
	from, to = in.From, in.To
	if from.IsZero() {
		from = a.Now().Add(-calendarBack)
	}
	if to.IsZero() {
		to = from.Add(calendarBack + calendarAhead)
	}
	if to.Before(from) || to.Sub(from) > calendarMost {
		err = apperr.Invalid(apperr.Field{Path: "query.to", Code: "out_of_range", Message: "must be after from, at most two years"})
	}
	return from, to, err
}

func (a *API) calendar(ctx context.Context, in *calendarInput, w http.ResponseWriter, req *http.Request) error {
	from, to, err := a.bounds(in)
	if err != nil {
		return err
	}
	dates, err := a.Service.Calendar(ctx, web.Actor(ctx), from, to)
	if err != nil {
		return err
	}
	if in.wants(req, typeCalendar) {
		return a.writeCalendar(w, dates)
	}
	out := make([]Date, len(dates))
	for i, d := range dates {
		out[i] = Date(d)
	}
	return writeJSON(w, web.Items[Date]{Items: out})
}

type feedInput struct {
	Token string `path:"token" minLength:"20" maxLength:"100"`
}

func (a *API) calendarFeed(ctx context.Context, in *feedInput, w http.ResponseWriter, _ *http.Request) error {
	now := a.Now()
	dates, err := a.Service.SharedCalendar(ctx, in.Token, now.Add(-calendarBack), now.Add(calendarAhead))
	if err != nil {
		return err
	}
	return a.writeCalendar(w, dates)
}

// titles of calendar entries; the course or part follows.
var titles = map[string]string{ //nolint:gochecknoglobals // immutable
	enrollment.DateCourseStarts: "Starts: ", enrollment.DateCourseEnds: "Ends: ", enrollment.DateAccessEnds: "Access ends: ",
	enrollment.DateAnswerBy: "Answer by: ", enrollment.DateModuleUnlocks: "Opens: ", enrollment.DateItemUnlocks: "Opens: ",
}

func (a *API) writeCalendar(w http.ResponseWriter, dates []enrollment.Date) error {
	cal := ics.NewCalendar()
	cal.SetMethod(ics.MethodPublish)
	cal.SetProductId("-//lms//courses//EN")
	cal.SetXWRCalName("Courses")
	for _, d := range dates {
		// The id names the entry for good: a moved date moves it.
		ev := cal.AddEvent(d.Kind + "-" + d.SubjectID.String() + "@lms")
		ev.SetDtStampTime(a.Now())
		ev.SetStartAt(d.At)
		ev.SetEndAt(d.At)
		ev.SetSummary(titles[d.Kind] + d.Course)
		if d.Title != "" {
			ev.SetSummary(titles[d.Kind] + d.Title + " (" + d.Course + ")")
		}
	}
	return write(w, typeCalendar+"; charset=utf-8", []byte(cal.Serialize()))
}

// CalendarAddress is where a calendar can be subscribed to.
type CalendarAddress struct {
	URL string `json:"url" doc:"Shown once: it needs no login"`
}

func (a *API) calendarToken(ctx context.Context, _ *web.Empty) (*web.Resource[CalendarAddress], error) {
	token, err := a.Service.NewCalendarToken(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return web.Created(CalendarAddress{URL: a.Service.Settings.PublicURL + "/api/v1/me/calendar/" + token + "/courses.ics"}, 0, ""), nil
}

func (a *API) revokeCalendarToken(ctx context.Context, _ *web.Empty) (*web.Empty, error) {
	return nil, a.Service.RevokeCalendarToken(ctx, web.Actor(ctx))
}
