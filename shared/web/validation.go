package web

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/danielgtaylor/huma/v2/validation"

	"lms/shared/apperr"
)

// messageCode gives a stable code to each of huma's messages, by how the
// message starts. Order matters: the first that fits counts.
type messageCode struct{ start, code string }

func messageCodes() []messageCode {
	start := func(format string) string {
		s, _, _ := strings.Cut(format, "%")
		return s
	}
	return []messageCode{
		{validation.MsgUnexpectedProperty, "unknown_field"},
		{"unknown query parameter", "unknown_parameter"},
		{start(validation.MsgExpectedRequiredProperty), "required"},
		{"required ", "required"},
		{validation.MsgExpectedBoolean, "invalid_type"},
		{start(validation.MsgExpectedMinimumNumber), "too_small"},
		{start(validation.MsgExpectedExclusiveMinimumNumber), "too_small"},
		{start(validation.MsgExpectedMaximumNumber), "too_large"},
		{start(validation.MsgExpectedExclusiveMaximumNumber), "too_large"},
		{start(validation.MsgExpectedNumberBeMultipleOf), "not_a_multiple"},
		{validation.MsgExpectedNumber, "invalid_type"},
		{validation.MsgExpectedInteger, "invalid_type"},
		{"expected string to be", "invalid_format"},
		{"expected string to match", "invalid_format"},
		{validation.MsgExpectedString, "invalid_type"},
		{start(validation.MsgExpectedMinItems), "too_few"},
		{start(validation.MsgExpectedMaxItems), "too_many"},
		{validation.MsgExpectedArrayItemsUnique, "not_unique"},
		{validation.MsgExpectedArray, "invalid_type"},
		{start(validation.MsgExpectedMinProperties), "too_few"},
		{start(validation.MsgExpectedMaxProperties), "too_many"},
		{validation.MsgExpectedObject, "invalid_type"},
		{start(validation.MsgExpectedMinLength), "too_short"},
		{start(validation.MsgExpectedMaxLength), "too_long"},
		{start(validation.MsgExpectedOneOf), "not_allowed"},
		{start(validation.MsgExpectedDuration), "invalid_format"},
		{"expected property ", "required"},
		{"expected value", "invalid_value"},
		{"invalid integer", "invalid_type"},
		{"invalid float", "invalid_type"},
		{"invalid boolean", "invalid_type"},
		{"invalid date/time", "invalid_format"},
	}
}

// goField finds the JSON path in encoding/json's message about a value that
// does not fit its Go type (a number that overflows, for example).
var goField = regexp.MustCompile(`Go struct field [^ .]*\.(\S+) of type`)

// fieldError turns one of huma's errors into ours. Values are never echoed,
// and a message that is not known to be harmless is replaced.
func (r *Router) fieldError(d *huma.ErrorDetail) apperr.Field {
	path := d.Location
	if rest, ok := strings.CutPrefix(path, "body."); ok {
		path = rest
	}
	for _, m := range r.messages {
		if !strings.HasPrefix(d.Message, m.start) {
			continue
		}
		if m.code == "required" {
			path = requiredPath(path, d.Message)
		}
		return apperr.Field{Path: path, Code: m.code, Message: firstLine(d.Message)}
	}
	if m := goField.FindStringSubmatch(d.Message); m != nil {
		return apperr.Field{Path: m[1], Code: "invalid_value", Message: "does not fit the field's type or range"}
	}
	return apperr.Field{Path: path, Code: "invalid_value", Message: "is not valid"}
}

// requiredPath adds the name of a missing property to its object's path.
func requiredPath(path, message string) string {
	name, ok := strings.CutPrefix(message, "expected required property ")
	if !ok {
		return path
	}
	name, _, _ = strings.Cut(name, " ")
	if path == "body" || path == "" {
		return name
	}
	return path + "." + name
}

// firstLine cuts what a parser added to the message, which may quote input.
func firstLine(s string) string {
	for _, cut := range []string{"email: ", "uri: ", "uuid: ", "regex: ", "duration: "} {
		if i := strings.Index(s, cut); i > 0 {
			return s[:i+len(cut)-2]
		}
	}
	return s
}

// transform makes huma's own errors look like everybody's: it runs before the
// status is written and may change it.
func (r *Router) transform(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	_, w := humachi.Unwrap(ctx)
	x, ok := w.(*exchange)
	if !ok {
		return NewProblem(apperr.Internal(nil)), nil
	}
	p := x.problem(ctx.Context(), r.fromModel(model))
	x.forced = p.Status
	p.setHeaders(x.Header())
	return p, nil
}

func (r *Router) fromModel(m *huma.ErrorModel) error {
	fields := make([]apperr.Field, 0, len(m.Errors))
	for _, d := range m.Errors {
		if strings.HasPrefix(d.Location, "path.") {
			// An id that cannot be one names nothing.
			return apperr.NotFound("resource")
		}
		fields = append(fields, r.fieldError(d))
	}
	slices.SortStableFunc(fields, func(a, b apperr.Field) int { return cmp.Compare(a.Path, b.Path) })
	switch {
	case m.Status == http.StatusBadRequest && m.Detail == "request body is required":
		return apperr.Malformed("body_required", "The request needs a body.")
	case m.Status == http.StatusUnprocessableEntity, len(fields) > 0:
		return apperr.Invalid(fields...)
	case m.Status >= http.StatusInternalServerError:
		return apperr.Internal(m)
	}
	return apperr.New(apperr.KindOf(m.Status), "bad_request", "The request cannot be read.")
}
