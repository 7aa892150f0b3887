package web

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// bearer names the security scheme of the document.
const bearer = "bearer"

func (r *Router) newAPI(o Options, internal bool) huma.API {
	title, version := o.Title, o.Version
	if title == "" {
		title = o.Service
	}
	if version == "" {
		version = "1"
	}
	reg := newRegistry(internal)
	format := huma.Format{Marshal: marshalJSON, Unmarshal: json.Unmarshal}
	api := huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: title, Version: version},
			Components: &huma.Components{
				Schemas: reg,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearer: {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token of auth, or a personal access token."},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{r.transform},
	}, adapter{r})
	problem := reg.Schema(reflect.TypeFor[Problem](), true, "Problem")
	api.OpenAPI().Components.Responses = map[string]*huma.Response{
		"Problem": {Description: "An error; `code` says which.", Content: map[string]*huma.MediaType{problemType: {Schema: problem}}},
	}
	return api
}

func marshalJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// operation is the document's side of a route. in is nil for raw ones.
func (r *Router) operation(rt *route, in reflect.Type) huma.Operation {
	op := huma.Operation{
		Method: rt.Method, Path: rt.Path, OperationID: rt.ID, Summary: rt.Summary, Description: rt.Description,
		DefaultStatus: rt.Status, MaxBodyBytes: -1, BodyReadTimeout: -1, Hidden: rt.Hidden,
		Responses:  map[string]*huma.Response{"default": problemRef()},
		Extensions: map[string]any{"x-access": rt.Access.String()},
	}
	if rt.Tag != "" {
		op.Tags = []string{rt.Tag}
	}
	if rt.Access.perm != "" {
		op.Extensions["x-permission"] = rt.Access.perm
	}
	if callers := rt.Access.callers; len(callers) > 0 {
		op.Extensions["x-callers"] = callers
	}
	if rt.NeedsKey {
		op.Parameters = append(op.Parameters, idempotencyParam(true))
	} else if rt.Method == http.MethodPost && !rt.Access.IsInternal() {
		op.Parameters = append(op.Parameters, idempotencyParam(false))
	}
	r.statuses(&op, rt, in)
	if len(rt.Produces) > 0 {
		status := rt.Status
		if status == 0 {
			status = http.StatusOK
		}
		res := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
		for _, m := range rt.Produces {
			res.Content[m] = &huma.MediaType{}
		}
		op.Responses[strconv.Itoa(status)] = res
		op.DefaultStatus = status
	}
	return op
}

func problemRef() *huma.Response { return &huma.Response{Ref: "#/components/responses/Problem"} }

func idempotencyParam(required bool) *huma.Param {
	one, most := 1, 255
	return &huma.Param{
		Name: "Idempotency-Key", In: "header", Required: required,
		Description: "Makes the request safe to repeat: the first answer is kept for 24 hours and given again.",
		Schema:      &huma.Schema{Type: huma.TypeString, MinLength: &one, MaxLength: &most},
	}
}

// statuses names the errors that follow from how the operation is declared.
func (r *Router) statuses(op *huma.Operation, rt *route, in reflect.Type) {
	add := func(codes ...int) {
		for _, c := range codes {
			op.Responses[strconv.Itoa(c)] = problemRef()
		}
	}
	if !rt.Access.IsPublic() {
		op.Security = []map[string][]string{{bearer: {}}}
		add(http.StatusUnauthorized, http.StatusForbidden)
	}
	if len(pathParams(rt.Path)) > 0 {
		add(http.StatusNotFound)
	}
	if rt.json {
		add(http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	if in != nil && reflect.PointerTo(in).Implements(reflect.TypeFor[preconditioned]()) {
		add(http.StatusPreconditionFailed, http.StatusPreconditionRequired)
	}
	if rt.Method == http.MethodPost {
		add(http.StatusConflict)
	}
	add(rt.Errors...)
}

// OpenAPI is the document of the public operations.
func (r *Router) OpenAPI() *huma.OpenAPI { return finished31(r.public) }

// InternalOpenAPI is the document of the operations for services.
func (r *Router) InternalOpenAPI() *huma.OpenAPI { return finished31(r.internal) }

// finished31 drops huma's own error model, which no operation of ours uses.
func finished31(api huma.API) *huma.OpenAPI {
	m := api.OpenAPI().Components.Schemas.Map()
	delete(m, "ErrorModel")
	delete(m, "ErrorDetail")
	return api.OpenAPI()
}

// ServeOpenAPI adds the route by which the gateway reads the document.
func (r *Router) ServeOpenAPI() {
	r.Handle(http.MethodGet, "/internal/openapi.json", Internal(gatewayApp), http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := json.Marshal(r.OpenAPI())
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(b) // the gateway is gone; nobody is left to tell
	}))
}
