package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/search"
	"lms/shared/contracts/events"
	"lms/shared/web"
)

type searchInput struct {
	web.Page
	Text         string      `query:"q" maxLength:"500" doc:"Words; empty finds everything"`
	Type         []string    `query:"type,explode" enum:"course,content"`
	Kind         []string    `query:"kind,explode" enum:"video,pdf,document,image,audio,page" doc:"Of contents"`
	Language     []string    `query:"language,explode" maxItems:"20"`
	Level        []string    `query:"level,explode" maxItems:"20"`
	Tag          []string    `query:"tag,explode" maxItems:"20"`
	Category     []uuid.UUID `query:"category,explode" maxItems:"50"`
	OrgUnit      []uuid.UUID `query:"org_unit,explode" maxItems:"50" doc:"With all units below"`
	Status       []string    `query:"status,explode" enum:"published,draft,archived" doc:"Published and draft if not given; drafts and archived courses are for staff"`
	Availability []string    `query:"availability,explode" enum:"open,full,upcoming,closed,invite" doc:"Can one get into the course now?"`
	Price        []string    `query:"price,explode" enum:"free,paid"`
	Currency     string      `query:"currency" minLength:"3" maxLength:"3" doc:"Of min_price and max_price"`
	MinPrice     int64       `query:"min_price" minimum:"0" doc:"In minor units"`
	MaxPrice     int64       `query:"max_price" minimum:"0" doc:"In minor units; none if 0"`
	Facets       []string    `query:"facets,explode" enum:"type,kind,language,level,tag,category,price,org_unit,status,availability"`
	Sort         string      `query:"sort" enum:"relevance,title,-title,updated_at,-updated_at,starts_at,-starts_at,price,-price" default:"relevance"`
}

func (in *searchInput) params() search.Params {
	p := search.Params{
		Text: in.Text, Types: in.Type, Kinds: in.Kind, Languages: in.Language, Levels: in.Level, Tags: in.Tag, Categories: in.Category,
		OrgUnits: in.OrgUnit, Statuses: in.Status, Availability: in.Availability, Prices: in.Price, Currency: in.Currency, Facets: in.Facets, Sort: in.Sort,
	}
	if in.MinPrice > 0 {
		p.MinAmount = &in.MinPrice
	}
	if in.MaxPrice > 0 {
		p.MaxAmount = &in.MaxPrice
	}
	return p
}

// result is one course or content that was found.
type result struct {
	Type           string              `json:"type" enum:"course,content"`
	ID             uuid.UUID           `json:"id"`
	OrgUnitID      uuid.UUID           `json:"org_unit_id"`
	Code           string              `json:"code,omitempty"`
	Title          string              `json:"title"`
	Description    string              `json:"description,omitempty"`
	Kind           string              `json:"kind,omitempty" doc:"Of a content"`
	Language       string              `json:"language,omitempty"`
	Level          string              `json:"level,omitempty"`
	Tags           []string            `json:"tags,omitempty"`
	CategoryID     *uuid.UUID          `json:"category_id,omitempty"`
	CategoryName   string              `json:"category_name,omitempty"`
	CoverURL       string              `json:"cover_url,omitempty"`
	Status         string              `json:"status"`
	Price          *events.CoursePrice `json:"price,omitempty"`
	Availability   string              `json:"availability,omitempty" doc:"Of a course"`
	EnrollmentMode string              `json:"enrollment_mode,omitempty"`
	StartsAt       *time.Time          `json:"starts_at,omitempty"`
	EndsAt         *time.Time          `json:"ends_at,omitempty"`
	UpdatedAt      time.Time           `json:"updated_at"`
	Courses        []uuid.UUID         `json:"courses,omitempty" doc:"Your courses that show the content"`
	Highlights     map[string]string   `json:"highlights,omitempty" doc:"What matched, by field (title, description, text), as HTML: all of it is escaped, matches stand in <mark>"`
}

func shown(i search.Item) result {
	return result{
		Type: i.Type, ID: i.ID, OrgUnitID: i.OrgUnitID, Code: i.Code, Title: i.Title, Description: i.Description, Kind: i.Kind, Language: i.Language,
		Level: i.Level, Tags: i.Tags, CategoryID: i.CategoryID, CategoryName: i.Category, CoverURL: i.CoverURL, Status: i.Status, Price: i.Price,
		Availability: i.Availability, EnrollmentMode: i.Enrollment, StartsAt: i.StartsAt, EndsAt: i.EndsAt, UpdatedAt: i.UpdatedAt,
		Courses: i.Courses, Highlights: i.Highlights,
	}
}

type facetValue struct {
	Value string `json:"value"`
	Label string `json:"label,omitempty" doc:"Of a category: its name"`
	Count int    `json:"count"`
}

type searchBody struct {
	web.Items[result]
	Total      int                     `json:"total"`
	Match      string                  `json:"match" enum:"exact,similar,partial" doc:"How the words were matched"`
	Facets     map[string][]facetValue `json:"facets,omitempty"`
	Incomplete bool                    `json:"incomplete,omitempty" doc:"Where you learn could not be asked: what only that opens is missing"`
}

type searchAnswer struct {
	Link string `header:"Link" doc:"RFC 8288: rel=next while there is a next page"`
	Body searchBody
}

func (a *api) search(ctx context.Context, in *searchInput) (*searchAnswer, error) {
	found, err := a.Service.Search(ctx, web.Actor(ctx), in.params(), in.Request())
	if err != nil {
		return nil, err
	}
	shared(ctx)
	list := web.ListOf(found.Page, shown)
	out := &searchAnswer{Link: web.NextLink(ctx, list.Body.NextCursor)}
	out.Body = searchBody{Items: list.Body, Total: found.Total, Match: found.Match, Incomplete: found.Incomplete, Facets: map[string][]facetValue{}}
	for name, values := range found.Facets {
		out.Body.Facets[name] = make([]facetValue, len(values))
		for i, v := range values {
			out.Body.Facets[name][i] = facetValue{v.Value, v.Label, v.Count}
		}
	}
	return out, nil
}

// shared marks an answer to a visitor, which is the same for everybody, so that the
// gateway may keep it for a moment.
func shared(ctx context.Context) {
	if web.Actor(ctx).Anonymous() {
		web.SetHeader(ctx, "Cache-Control", "public, max-age=0, must-revalidate")
	}
}

type suggestInput struct {
	Text  string   `query:"q" required:"true" minLength:"1" maxLength:"200" doc:"What was typed so far"`
	Type  []string `query:"type,explode" enum:"course,content"`
	Limit int      `query:"limit" minimum:"1" maximum:"20" default:"8"`
}

type suggestion struct {
	Text      string    `json:"text"`
	Type      string    `json:"type" enum:"course,content"`
	ID        uuid.UUID `json:"id"`
	Highlight string    `json:"highlight" doc:"The text as HTML: all of it is escaped, what was typed stands in <mark>"`
}

type suggestAnswer struct {
	Body struct {
		Items []suggestion `json:"items"`
	}
}

func (a *api) suggest(ctx context.Context, in *suggestInput) (*suggestAnswer, error) {
	list, err := a.Service.Suggest(ctx, web.Actor(ctx), in.Text, in.Type, in.Limit)
	if err != nil {
		return nil, err
	}
	shared(ctx)
	var out suggestAnswer
	out.Body.Items = make([]suggestion, len(list))
	for i, s := range list {
		out.Body.Items[i] = suggestion(s)
	}
	return &out, nil
}
