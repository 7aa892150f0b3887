package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/analytics"
	"lms/apps/analytics/internal/xapi"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/web"
)

type statementsInput struct {
	Agent     string `query:"agent" maxLength:"500" doc:"An Agent as JSON, with an account of this installation"`
	Verb      string `query:"verb" maxLength:"200" doc:"IRI of a verb"`
	Activity  string `query:"activity" maxLength:"300" doc:"IRI of a course: what was done in it"`
	Since     string `query:"since" maxLength:"40" doc:"RFC 3339; only what was done after it"`
	Until     string `query:"until" maxLength:"40" doc:"RFC 3339; only what was done until then"`
	Limit     int    `query:"limit" minimum:"0" maximum:"200" doc:"Statements at most; fewer may come while there are more"`
	Ascending bool   `query:"ascending" doc:"The oldest first"`
	Cursor    string `query:"cursor" maxLength:"2048" doc:"From more of the answer before"`
}

// StatementResult is a page of statements.
type StatementResult struct {
	Statements []xapi.Statement `json:"statements"`
	More       string           `json:"more" doc:"Where there is more; empty at the end"`
}

func (a *API) filter(in *statementsInput) (f analytics.EventFilter, course *uuid.UUID, err error) {
	var errs apperr.Fields
	f.Ascending = in.Ascending
	f.Types = xapi.TypesOf(in.Verb)
	slices.Sort(f.Types)
	if in.Agent != "" {
		var agent xapi.Agent
		ok := json.Unmarshal([]byte(in.Agent), &agent) == nil && agent.Account.HomePage == a.Statements.Home
		errs.Require(ok, "agent", "invalid", "is not an agent with an account at "+a.Statements.Home)
		f.UserID = &agent.Account.Name
	}
	if in.Activity != "" {
		id, ok := a.Statements.CourseOf(in.Activity)
		errs.Require(ok, "activity", "invalid", "is not the IRI of a course of this installation")
		course = &id
	}
	instant := func(name, s string) *time.Time {
		if s == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339, s)
		errs.Require(err == nil, name, "invalid", "is not a time (RFC 3339)")
		t = t.UTC().Add(time.Microsecond) // the store's bounds include the first and exclude the last
		return &t
	}
	f.From, f.To = instant("since", in.Since), instant("until", in.Until)
	return f, course, errs.Err()
}

func (a *API) statements(ctx context.Context, in *statementsInput, w http.ResponseWriter, req *http.Request) error {
	f, course, err := a.filter(in)
	if err != nil {
		return err
	}
	w.Header().Set("X-Experience-Api-Version", xapi.Version)
	out := StatementResult{Statements: []xapi.Statement{}}
	q := page.Request{Limit: in.Limit, Cursor: in.Cursor}
	if in.Limit == 0 {
		q.Limit = page.MaxLimit
	}
	if len(f.Types) == 0 {
		return writeJSON(w, out) // a verb that nothing is said with
	}
	p, err := a.Service.Events(ctx, web.Actor(ctx), f, course, q)
	if err != nil {
		return err
	}
	for _, e := range p.Items {
		s, ok, err := a.Statements.Statement(e)
		if err != nil {
			return apperr.Internal(err)
		}
		if ok && (in.Verb == "" || s.Verb.ID == in.Verb) {
			out.Statements = append(out.Statements, s)
		}
	}
	if p.NextCursor != "" {
		query := req.URL.Query()
		query.Set("cursor", p.NextCursor)
		more := url.URL{Path: req.URL.Path, RawQuery: query.Encode()}
		out.More = more.String()
	}
	if len(p.Items) > 0 && !in.Ascending {
		w.Header().Set("Last-Modified", p.Items[0].Time.UTC().Format(http.TimeFormat))
	}
	return writeJSON(w, out)
}
