// Package xapi tells the history as statements of the Experience API 2.0
// (IEEE 9274.1.1): what learners did, with the verbs and the types of activities
// that the ADL vocabulary and the TinCan registry define.
package xapi

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
)

// Version is that of the specification.
const Version = "2.0.0"

// Statement says what somebody did with something.
type Statement struct {
	ID        uuid.UUID `json:"id"` // of the event
	Actor     Agent     `json:"actor"`
	Verb      Verb      `json:"verb"`
	Object    Activity  `json:"object"`
	Result    *Result   `json:"result,omitempty"`
	Context   *Context  `json:"context,omitempty"`
	Timestamp time.Time `json:"timestamp"`
	Version   string    `json:"version"`
}

// Agent is a person, known by the account alone.
type Agent struct {
	ObjectType string  `json:"objectType"`
	Account    Account `json:"account"`
}

// Account is an account of this installation.
type Account struct {
	HomePage string    `json:"homePage"`
	Name     uuid.UUID `json:"name"`
}

// Verb is what was done.
type Verb struct {
	ID      string            `json:"id"`
	Display map[string]string `json:"display"`
}

// Activity is what it was done with.
type Activity struct {
	ObjectType string      `json:"objectType"`
	ID         string      `json:"id"`
	Definition *Definition `json:"definition,omitempty"`
}

// Definition describes an activity.
type Definition struct {
	Type string            `json:"type"`
	Name map[string]string `json:"name,omitempty"`
}

// Result is what came of it.
type Result struct {
	Score      *Score `json:"score,omitempty"`
	Completion *bool  `json:"completion,omitempty"`
	Duration   string `json:"duration,omitempty"` // ISO 8601
}

// Score is exact to two decimals; scaled is raw ÷ max.
type Score struct {
	Scaled float64           `json:"scaled"`
	Raw    events.Hundredths `json:"raw"`
	Min    int               `json:"min"`
	Max    events.Hundredths `json:"max"`
}

// Context is what it belongs to.
type Context struct {
	Registration *uuid.UUID  `json:"registration,omitempty"` // the enrollment
	Platform     string      `json:"platform"`
	Activities   *Activities `json:"contextActivities,omitempty"`
}

// Activities are those that something is a part of.
type Activities struct {
	Parent   []Activity `json:"parent,omitempty"`
	Grouping []Activity `json:"grouping,omitempty"`
}

// Writer makes statements. Home is the public address of the installation, which
// ids of accounts and activities begin with.
type Writer struct{ Home string }

const (
	adl    = "http://adlnet.gov/expapi/verbs/"
	types  = "http://adlnet.gov/expapi/activities/"
	tincan = "http://id.tincanapi.com/"
)

func verb(id, name string) Verb { return Verb{id, map[string]string{"en": name}} }

// verbs of events; of progress by what changed (see progressed).
var verbs = map[string]Verb{ //nolint:gochecknoglobals // immutable
	events.TypeUserSignedIn:        verb("https://w3id.org/xapi/adl/verbs/logged-in", "logged in"),
	events.TypeCourseViewed:        verb(tincan+"verb/viewed", "viewed"),
	events.TypeEnrollmentActivated: verb(adl+"registered", "registered"),
	events.TypeEnrollmentWithdrawn: verb(tincan+"verb/unregistered", "unregistered"),
	events.TypeModuleCompleted:     verb(adl+"completed", "completed"),
	events.TypeCourseCompleted:     verb(adl+"completed", "completed"),
	events.TypeCertificateIssued:   verb(tincan+"verb/earned", "earned"),
	events.TypeContentWatched:      verb("https://w3id.org/xapi/video/verbs/played", "played"),
	events.TypeAttemptStarted:      verb(adl+"attempted", "attempted"),
	events.TypeAttemptSubmitted:    verb("http://activitystrea.ms/schema/1.0/submit", "submitted"),
	events.TypeQuizGraded:          verb(adl+"scored", "scored"),
	events.TypeSubmissionSubmitted: verb("http://activitystrea.ms/schema/1.0/submit", "submitted"),
	events.TypeGradePosted:         verb(adl+"scored", "scored"),
	events.TypeSubmissionCommented: verb(adl+"commented", "commented"),
	events.TypeProgressChanged:     verb(adl+"experienced", "experienced"),
}

// Types are the events that statements are made of.
func Types() []string {
	out := make([]string, 0, len(verbs))
	for t := range verbs {
		out = append(out, t)
	}
	return out
}

// TypesOf are the events that statements with a verb are made of, and all for "".
func TypesOf(verb string) []string {
	var out []string
	for t, v := range verbs {
		if verb == "" || v.ID == verb || t == events.TypeProgressChanged && verb == completed.ID {
			out = append(out, t)
		}
	}
	return out
}

var completed = verb(adl+"completed", "completed") //nolint:gochecknoglobals // immutable

func (w Writer) agent(user uuid.UUID) Agent {
	return Agent{"Agent", Account{HomePage: w.Home, Name: user}}
}

// activity is something of this installation.
func (w Writer) activity(kind string, id uuid.UUID, activityType, name string) Activity {
	a := Activity{ObjectType: "Activity", ID: w.Home + "/xapi/activities/" + kind + "/" + id.String()}
	a.Definition = &Definition{Type: activityType}
	if name != "" {
		a.Definition.Name = map[string]string{"und": name}
	}
	return a
}

func (w Writer) course(id uuid.UUID, name string) Activity {
	return w.activity("courses", id, types+"course", name)
}

// in is the context of a course.
func (w Writer) in(course uuid.UUID, enrollment *uuid.UUID, parents ...Activity) *Context {
	c := &Context{Registration: enrollment, Platform: "LMS"}
	if course == uuid.Nil {
		return c
	}
	c.Activities = &Activities{Parent: parents, Grouping: []Activity{w.course(course, "")}}
	if len(parents) == 0 {
		c.Activities.Parent = c.Activities.Grouping
		c.Activities.Grouping = nil
	}
	return c
}

// CourseOf is the course that an activity's id names, and whether it names one.
func (w Writer) CourseOf(activity string) (uuid.UUID, bool) {
	prefix := w.Home + "/xapi/activities/courses/"
	if len(activity) <= len(prefix) || activity[:len(prefix)] != prefix {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(activity[len(prefix):])
	return id, err == nil
}

func scored(raw *events.Hundredths, possible events.Hundredths) *Result {
	if raw == nil {
		return nil
	}
	s := &Score{Raw: *raw, Max: possible}
	if possible > 0 {
		s.Scaled = min(max(float64(*raw)/float64(possible), -1), 1)
	}
	return &Result{Score: s}
}

func seconds(d time.Duration) string {
	return "PT" + strconv.FormatFloat(max(d, 0).Seconds(), 'f', -1, 64) + "S"
}

func decode[T any](e history.Event) (v T, err error) {
	err = json.Unmarshal(e.Data, &v)
	return v, err
}
