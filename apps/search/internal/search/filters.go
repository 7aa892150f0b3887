package search

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/language"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Facets, each with the filter of the same name.
const (
	FacetType         = "type"
	FacetKind         = "kind"
	FacetLanguage     = "language"
	FacetLevel        = "level"
	FacetTag          = "tag"
	FacetCategory     = "category"
	FacetPrice        = "price"
	FacetOrgUnit      = "org_unit"
	FacetStatus       = "status"
	FacetAvailability = "availability"
	// filterAmount is a filter without a facet.
	filterAmount = "amount"
)

// Facets are all that can be asked for.
func Facets() []string {
	return []string{FacetType, FacetKind, FacetLanguage, FacetLevel, FacetTag, FacetCategory, FacetPrice, FacetOrgUnit, FacetStatus, FacetAvailability}
}

// Availabilities of a course: can one get in now? Each course has one.
const (
	AvailableOpen     = "open"     // there is room
	AvailableFull     = "full"     // the window is open, no seat is left
	AvailableUpcoming = "upcoming" // the window opens later
	AvailableClosed   = "closed"   // the window is over
	AvailableInvite   = "invite"   // staff enroll or invite
)

// Availabilities are all of them.
func Availabilities() []string {
	return []string{AvailableOpen, AvailableFull, AvailableUpcoming, AvailableClosed, AvailableInvite}
}

// availability of a course at a time; the filter below says the same.
func availability(s Source, now time.Time) string {
	at := float64(now.Unix())
	switch {
	case s.Enrollment == events.EnrollmentInviteOnly:
		return AvailableInvite
	case s.OpensAt != nil && seconds(s.OpensAt, 0) > at:
		return AvailableUpcoming
	case s.ClosesAt != nil && seconds(s.ClosesAt, 0) < at:
		return AvailableClosed
	case s.Seats == events.SeatsFull:
		return AvailableFull
	}
	return AvailableOpen
}

func availabilityFilter(value string, now time.Time) Query {
	at, before := float64(now.Unix()), float64(now.Unix()-1)
	after := at + 1
	begun, going := Range{NumberOpens, nil, &at}, Range{NumberCloses, &at, nil}
	byThemselves := In{KeyEnrollment, []string{events.EnrollmentSelf, events.EnrollmentApproval}}
	switch value {
	case AvailableInvite:
		return In{KeyEnrollment, []string{events.EnrollmentInviteOnly}}
	case AvailableUpcoming:
		return All{byThemselves, Range{NumberOpens, &after, nil}}
	case AvailableClosed:
		return All{byThemselves, begun, Range{NumberCloses, nil, &before}}
	case AvailableFull:
		return All{byThemselves, begun, going, In{KeySeats, []string{events.SeatsFull}}}
	}
	return All{byThemselves, begun, going, In{KeySeats, []string{events.SeatsOpen, events.SeatsFew}}}
}

// filters are the conditions of a search by the facet that they belong to.
func (s *Service) filters(ctx context.Context, p Params) (map[string]Query, error) {
	out := map[string]Query{
		FacetType:   In{KeyType, []string{TypeCourse, TypeContent}},
		FacetStatus: In{KeyStatus, []string{events.CoursePublished, events.CourseDraft}},
	}
	values := func(facet, field string, list []string) {
		if len(list) > 0 {
			out[facet] = In{field, list}
		}
	}
	values(FacetType, KeyType, p.Types)
	values(FacetKind, KeyKind, p.Kinds)
	values(FacetLevel, KeyLevel, p.Levels)
	values(FacetTag, KeyTag, tags(p.Tags))
	values(FacetPrice, KeyPrice, p.Prices)
	values(FacetStatus, KeyStatus, p.Statuses)
	values(FacetCategory, KeyCategory, texts(p.Categories))
	var languages []string
	for _, l := range p.Languages {
		languages = append(languages, language.Base(l))
	}
	values(FacetLanguage, KeyLanguage, languages)
	if len(p.OrgUnits) > 0 {
		policy, err := s.Policy.Policy(ctx)
		if err != nil {
			return nil, err
		}
		units := []uuid.UUID{}
		for _, id := range p.OrgUnits {
			units = append(units, policy.Subtree(id)...)
		}
		out[FacetOrgUnit] = In{KeyOrgUnit, texts(units)}
	}
	if len(p.Availability) > 0 {
		var any Best
		for _, a := range p.Availability {
			any = append(any, availabilityFilter(a, s.Now()))
		}
		out[FacetAvailability] = any
	}
	if p.MinAmount != nil || p.MaxAmount != nil {
		if p.Currency == "" {
			return nil, apperr.Invalid(apperr.Field{Path: "currency", Code: "required", Message: "An amount needs its currency."})
		}
		out[filterAmount] = All{In{KeyCurrency, []string{strings.ToUpper(p.Currency)}}, Range{NumberAmount, number(p.MinAmount), number(p.MaxAmount)}}
	}
	return out, nil
}

func number(n *int64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

func texts(ids []uuid.UUID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// fieldOf is the field whose values a facet counts, "" for one that is computed.
func fieldOf(facet string) string {
	switch facet {
	case FacetType:
		return KeyType
	case FacetKind:
		return KeyKind
	case FacetLanguage:
		return KeyLanguage
	case FacetLevel:
		return KeyLevel
	case FacetTag:
		return KeyTag
	case FacetCategory:
		return KeyCategoryName
	case FacetPrice:
		return KeyPrice
	case FacetOrgUnit:
		return KeyOrgUnit
	case FacetStatus:
		return KeyStatus
	}
	return ""
}

// facets sorts those that were asked for: one whose own filter is set counts what
// there would be without that filter, so that one can choose another value.
func (a *asking) facets(names []string) {
	for _, name := range names {
		if _, own := a.filters[name]; own || fieldOf(name) == "" {
			a.others = append(a.others, name)
		} else {
			a.plainFacets = append(a.plainFacets, fieldOf(name))
		}
	}
}

// counted are the facets of a search.
func (a *asking) counted(ctx context.Context, res Result, s strictness) (map[string][]FacetValue, error) {
	out := map[string][]FacetValue{}
	for _, name := range Facets() {
		if buckets, ok := res.Facets[fieldOf(name)]; ok {
			out[name] = valuesOf(name, buckets)
		}
	}
	for _, name := range a.others {
		var err error
		if name == FacetAvailability {
			out[name], err = a.available(ctx, s)
		} else {
			var one Result
			one, err = a.service.Engine.Search(ctx, Request{Query: a.without(s, name), Facets: []string{fieldOf(name)}})
			out[name] = valuesOf(name, one.Facets[fieldOf(name)])
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// without is the query without a facet's filter; types that are no results, and
// archived courses, are never counted.
func (a *asking) without(s strictness, facet string) Query {
	q := a.query(s, facet)
	if facet == FacetType {
		return All{q, In{KeyType, []string{TypeCourse, TypeContent}}}
	}
	return q
}

func (a *asking) available(ctx context.Context, s strictness) ([]FacetValue, error) {
	var out []FacetValue
	now := a.service.Now()
	for _, value := range Availabilities() {
		res, err := a.service.Engine.Search(ctx, Request{Query: All{a.query(s, FacetAvailability), availabilityFilter(value, now)}})
		if err != nil {
			return nil, err
		}
		if res.Total > 0 {
			out = append(out, FacetValue{Value: value, Count: res.Total})
		}
	}
	return byCount(out), nil
}

// valuesOf gives the values of a facet. A category that is being renamed has both
// names for a moment: the one that more courses have is said.
func valuesOf(facet string, buckets []Bucket) []FacetValue {
	out := make([]FacetValue, 0, len(buckets))
	for _, b := range buckets {
		v := FacetValue{Value: b.Value, Count: b.Count}
		if facet == FacetCategory {
			v.Value, v.Label, _ = strings.Cut(b.Value, " ")
		}
		if i := slices.IndexFunc(out, func(o FacetValue) bool { return o.Value == v.Value }); i >= 0 {
			out[i].Count += v.Count
		} else {
			out = append(out, v)
		}
	}
	return byCount(out)
}

// byCount puts the most frequent first.
func byCount(values []FacetValue) []FacetValue {
	slices.SortStableFunc(values, func(x, y FacetValue) int { return y.Count - x.Count })
	return values
}
