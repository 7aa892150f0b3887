package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/work"
)

// Empty is the input or output of an operation that has none.
type Empty struct{}

// finished is an output that completes itself from the request.
type finished interface{ finish(x *exchange) }

// tagged is an output with an ETag.
type tagged interface{ entityTag() string }

// preconditioned is an input that embeds IfMatch.
type preconditioned interface{ precondition() error }

// Resource is the answer with one resource.
type Resource[T any] struct {
	Status   int
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     T
}

func (r *Resource[T]) entityTag() string { return r.ETag }

func (r *Resource[T]) finish(x *exchange) {
	if r.Status == 0 {
		r.Status = x.route.success()
	}
}

func (rt *route) success() int {
	if rt.Status != 0 {
		return rt.Status
	}
	return http.StatusOK
}

// WithStatus sets the status, where it is not the operation's own.
func (r *Resource[T]) WithStatus(status int) *Resource[T] {
	r.Status = status
	return r
}

// Res answers with a resource; version makes its ETag, none if zero.
func Res[T any](body T, version int64) *Resource[T] {
	return &Resource[T]{ETag: ETag(version), Body: body}
}

// Created answers 201 with a new resource and where it is.
func Created[T any](body T, version int64, location string) *Resource[T] {
	return &Resource[T]{Status: http.StatusCreated, ETag: ETag(version), Location: location, Body: body}
}

// ETag is the entity tag of a version, "" for zero.
func ETag(version int64) string {
	if version == 0 {
		return ""
	}
	return `"v` + strconv.FormatInt(version, 10) + `"`
}

// Items is the body of a list.
type Items[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Ask with this cursor for the next page; absent on the last"`
}

// List is the answer with one page of a list.
type List[T any] struct {
	Link string `header:"Link" doc:"RFC 8288: rel=next while there is a next page"`
	ETag string `header:"ETag"`
	Body Items[T]
}

func (l *List[T]) finish(x *exchange) {
	l.Link = x.nextLink(l.Body.NextCursor)
}

// NextLink is the Link header of a page that is not the last, "" of the last: for an
// answer that says more than a list does.
func NextLink(ctx context.Context, cursor string) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.nextLink(cursor)
	}
	return ""
}

func (x *exchange) nextLink(cursor string) string {
	if cursor == "" {
		return ""
	}
	q := x.req.URL.Query()
	q.Set("cursor", cursor)
	u := url.URL{Path: x.req.URL.Path, RawQuery: q.Encode()}
	return "<" + u.String() + `>; rel="next"`
}

func (l *List[T]) entityTag() string { return l.ETag }

// ListOf answers with a page, each item as it is shown.
func ListOf[S, T any](p page.Page[S], show func(S) T) *List[T] {
	out := &List[T]{Body: Items[T]{Items: make([]T, len(p.Items)), NextCursor: p.NextCursor}}
	for i, item := range p.Items {
		out.Body.Items[i] = show(item)
	}
	return out
}

// JobAccepted is the answer 202 with a background job.
type JobAccepted struct {
	Status   int
	Location string `header:"Location" doc:"Where the job is followed"`
	Body     work.Job
}

func (j *JobAccepted) finish(x *exchange) {
	j.Status = http.StatusAccepted
	j.Location = "/api/v1/jobs/" + x.router.service + "/" + j.Body.ID.String()
}

// Accepted answers 202 with where the job is followed. The operation's Status
// should say 202 as well, for the document.
func Accepted(job work.Job) *JobAccepted { return &JobAccepted{Body: job} }

// Page is embedded by the input of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Items on a page"`
	Cursor string `query:"cursor" maxLength:"2048" doc:"The next_cursor of the page before"`
}

// Request is the page that is asked for.
func (p Page) Request() page.Request { return page.Request{Limit: p.Limit, Cursor: p.Cursor} }

// ByTime is embedded by the input of a list in the order of time, which can be read
// from either end.
type ByTime struct {
	Page
	Sort string `query:"sort" enum:"-created_at,created_at" default:"-created_at" doc:"created_at has the oldest first"`
}

// Request is the page that is asked for.
func (p ByTime) Request() page.Request {
	r := p.Page.Request()
	r.OldestFirst = p.Sort == "created_at"
	return r
}

// IfMatch is embedded by the input of an update that must not overwrite what
// its caller has not seen: 428 `precondition_required` without the header.
type IfMatch struct {
	IfMatch string `header:"If-Match" doc:"The ETag of what you have read"`
}

func (m *IfMatch) precondition() error {
	if m.IfMatch == "" {
		return apperr.New(apperr.KindPreconditionRequired, "precondition_required", "Send If-Match with the ETag that you have read.")
	}
	if _, ok := versionOf(m.IfMatch); !ok {
		return apperr.VersionMismatch() // not a tag that we ever gave
	}
	return nil
}

// Version is the version that the caller has read; 0 only where the kit has
// already refused the request.
func (m *IfMatch) Version() int64 {
	v, _ := versionOf(m.IfMatch)
	return v
}

// OptionalIfMatch is embedded where an update without the header is allowed.
type OptionalIfMatch struct {
	IfMatch string `header:"If-Match" doc:"The ETag of what you have read; 412 if it has changed"`
}

func (m *OptionalIfMatch) precondition() error {
	if m.IfMatch == "" || m.IfMatch == "*" {
		return nil
	}
	if _, ok := versionOf(m.IfMatch); !ok {
		return apperr.VersionMismatch()
	}
	return nil
}

// Version is the version that the caller has read, and false for any.
func (m *OptionalIfMatch) Version() (int64, bool) { return versionOf(m.IfMatch) }

// versionOf reads one of our tags. W/ is let pass: a proxy that compresses
// weakens tags, and the version behind it is the same.
func versionOf(tag string) (int64, bool) {
	tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	if len(tag) < 4 || tag[:2] != `"v` || tag[len(tag)-1] != '"' {
		return 0, false
	}
	v, err := strconv.ParseInt(tag[2:len(tag)-1], 10, 64)
	return v, err == nil && v > 0
}

// IfNoneMatch is embedded by an input that wants to look at the header itself,
// to save the work; 304 is the kit's in any case.
type IfNoneMatch struct {
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag you have: 304 if it is still current"`
}

// Matches says whether the caller already has the version.
func (m *IfNoneMatch) Matches(version int64) bool { return tagMatches(m.IfNoneMatch, ETag(version)) }

// tagMatches is the weak comparison of RFC 9110 against a list of tags.
func tagMatches(header, tag string) bool {
	if header == "" || tag == "" {
		return false
	}
	tag = strings.TrimPrefix(tag, "W/")
	for _, part := range strings.Split(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

func (x *exchange) notModified(tag string) bool {
	return !x.writing() && tagMatches(x.req.Header.Get("If-None-Match"), tag)
}

// notModified is huma's way to answer 304: an error with a status and headers.
type notModified struct{ tag string }

func (notModified) Error() string  { return "not modified" }
func (notModified) GetStatus() int { return http.StatusNotModified }

// GetHeaders implements huma.HeadersError.
func (n notModified) GetHeaders() http.Header { return http.Header{"Etag": {n.tag}} }

// ByID is the input of an operation on one resource: {id} in the path.
type ByID struct {
	ID uuid.UUID `path:"id"`
}
