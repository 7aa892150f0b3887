package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Op declares an operation. Method, Path, ID, Summary and Access are required.
type Op struct {
	Method      string
	Path        string
	ID          string // stable operation id in the OpenAPI document: "create-course"
	Summary     string
	Description string
	Tag         string
	Access      Access
	Status      int           // of success; 200, or 204 without a body, if zero
	MaxBody     int64         // bytes; 1 MiB if zero
	Timeout     time.Duration // the router's if zero, none if negative
	Errors      []int         // further statuses that clients meet, for the document
	NeedsKey    bool          // a client's own Idempotency-Key is required (money)

	// For Raw and Stream.
	Accepts    []string      // media types of the request body; none: any
	Produces   []string      // media types of the answer, for the document
	Params     []*huma.Param // of a Raw operation, for the document and the query check
	AnyQuery   bool          // do not check query parameters
	Long       bool          // the answer of a Stream grows with what it is about: it is compressed where the caller takes that
	StreamBody bool          // the handler reads the body itself; no limit, no check, no idempotency hash of it
	Hidden     bool          // not in the OpenAPI document
}

// route is an operation as it is served.
type route struct {
	Op
	json    bool            // the body is JSON and checked strictly
	accepts []string        // media types of the body
	query   map[string]bool // known query parameters; true: may repeat
}

const defaultMaxBody = 1 << 20

func (r *Router) newRoute(op Op) *route {
	if op.Method == "" || op.Path == "" || op.ID == "" || op.Summary == "" {
		panic(fmt.Sprintf("web: %s %s: an operation needs method, path, id and summary", op.Method, op.Path))
	}
	if op.Access.kind == accessUnset {
		panic(fmt.Sprintf("web: %s %s has no access", op.Method, op.Path))
	}
	if r.ids[op.ID] {
		panic("web: operation id twice: " + op.ID)
	}
	r.ids[op.ID] = true
	if op.MaxBody == 0 {
		op.MaxBody = defaultMaxBody
	}
	if op.Timeout == 0 {
		op.Timeout = r.timeout
	}
	return &route{Op: op, query: map[string]bool{}}
}

// documented takes over what huma found out about the operation's parameters.
func (rt *route) documented(op *huma.Operation) {
	if rb := op.RequestBody; rb != nil && rt.json && rt.Method == http.MethodPatch {
		rb.Content[rt.accepts[0]] = rb.Content["application/json"]
	}
	for _, p := range op.Parameters {
		if p.In == "query" {
			rt.query[p.Name] = p.Explode != nil && *p.Explode
		}
	}
}

// jsonTypes are the media types of a JSON body.
func jsonTypes(method string) []string {
	if method == http.MethodPatch {
		return []string{"application/merge-patch+json", "application/json"}
	}
	return []string{"application/json"}
}

// canFill refuses an input whose parameters nobody can set: those of an embedded
// struct that is not exported are found by reflection and cannot be written, so
// that they would be empty in every request.
func canFill(op Op, t reflect.Type, settable bool) {
	if t.Kind() != reflect.Struct {
		return
	}
	for f := range t.Fields() {
		if f.Anonymous {
			canFill(op, f.Type, settable && f.IsExported())
			continue
		}
		for _, in := range []string{"path", "query", "header", "cookie"} {
			if _, is := f.Tag.Lookup(in); is && !settable {
				panic(fmt.Sprintf("web: %s %s: %s.%s is embedded and not exported: nobody can fill it", op.Method, op.Path, t.Name(), f.Name))
			}
		}
	}
}

// Register adds a typed operation. Fields of In come from the path, the query,
// headers (tags `path`, `query`, `header`) and the JSON body (a field Body);
// Out is usually *Resource[T], *List[T], *JobAccepted or *Empty.
func Register[In, Out any](r *Router, op Op, fn func(context.Context, *In) (*Out, error)) {
	rt := r.newRoute(op)
	canFill(op, reflect.TypeFor[In](), true)
	if _, ok := reflect.TypeFor[In]().FieldByName("Body"); ok {
		rt.json, rt.accepts = true, jsonTypes(op.Method)
	}
	register(r, rt, reflect.TypeFor[In](), reflect.TypeFor[Out](), func(ctx context.Context, in *In) (*Out, error) {
		x := exchangeFrom(ctx)
		if p, ok := any(in).(preconditioned); ok {
			if err := p.precondition(); err != nil {
				return nil, x.refuse(ctx, err)
			}
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, x.refuse(ctx, err)
		}
		if out == nil {
			return nil, nil //nolint:nilnil // huma answers with the operation's status
		}
		if d, ok := any(out).(finished); ok {
			d.finish(x)
		}
		if t, ok := any(out).(tagged); ok && x.notModified(t.entityTag()) {
			return nil, notModified{t.entityTag()}
		}
		return out, nil
	})
}

// Stream adds an operation with typed input that writes its answer itself: a
// CSV or PDF chosen by Accept, a page, server-sent events. An error before the
// first byte becomes a problem document.
func Stream[In any](r *Router, op Op, fn func(ctx context.Context, in *In, w http.ResponseWriter, req *http.Request) error) {
	rt := r.newRoute(op)
	canFill(op, reflect.TypeFor[In](), true)
	if _, ok := reflect.TypeFor[In]().FieldByName("Body"); ok {
		rt.json, rt.accepts = true, jsonTypes(op.Method)
	}
	register(r, rt, reflect.TypeFor[In](), reflect.TypeFor[Empty](), func(ctx context.Context, in *In) (*Empty, error) {
		x := exchangeFrom(ctx)
		if p, ok := any(in).(preconditioned); ok {
			if err := p.precondition(); err != nil {
				return nil, x.refuse(ctx, err)
			}
		}
		write := func(w http.ResponseWriter) error { return fn(ctx, in, w, x.req) }
		var err error
		if op.Long {
			err = x.compressing(write)
		} else {
			err = write(x)
		}
		if err != nil {
			if x.status != 0 {
				x.fail(ctx, err)
			}
			return nil, x.refuse(ctx, err)
		}
		return nil, nil //nolint:nilnil // the answer is written
	})
}

// Raw adds an operation that reads and writes HTTP itself. The body was read
// within MaxBody and can be read again from req.Body.
func Raw(r *Router, op Op, fn func(w http.ResponseWriter, req *http.Request) error) {
	rt := r.newRoute(op)
	rt.accepts = op.Accepts
	hop := r.operation(rt, nil)
	for _, name := range pathParams(op.Path) {
		hop.Parameters = append(hop.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	hop.Parameters = append(hop.Parameters, op.Params...)
	if len(op.Accepts) > 0 {
		hop.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
		for _, a := range op.Accepts {
			hop.RequestBody.Content[a] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
		}
	}
	rt.documented(&hop)
	if !hop.Hidden {
		r.apiFor(rt).OpenAPI().AddOperation(&hop)
	}
	r.mount(rt, func(x *exchange) {
		if err := fn(x, x.req); err != nil {
			x.fail(&x.ctx, err)
		}
	})
}

// Handle adds a plain handler that is no operation of the API: probes and
// metrics (System), or deliveries of the sidecar (Sidecar). The body is left
// unread.
func (r *Router) Handle(method, path string, a Access, h http.Handler) {
	rt := r.newRoute(Op{
		Method: method, Path: path, ID: strings.ToLower(method) + " " + path, Summary: "Not an operation of the API.",
		Access: a, StreamBody: true, AnyQuery: true, Hidden: true, Timeout: -1,
	})
	r.mount(rt, func(x *exchange) { h.ServeHTTP(x, x.req) })
}

func register[In, Out any](r *Router, rt *route, in, out reflect.Type, handler func(context.Context, *In) (*Out, error)) {
	r.pending = rt
	defer func() { r.pending = nil }()
	hop := r.operation(rt, in)
	if out != nil && reflect.PointerTo(out).Implements(reflect.TypeFor[tagged]()) && rt.Method == http.MethodGet {
		hop.Parameters = append(hop.Parameters, &huma.Param{
			Name: "If-None-Match", In: "header", Description: "The ETag you have: 304 if it is still current.",
			Schema: &huma.Schema{Type: huma.TypeString},
		})
		hop.Responses["304"] = &huma.Response{Description: http.StatusText(http.StatusNotModified)}
	}
	huma.Register(r.apiFor(rt), hop, handler)
}

func (r *Router) apiFor(rt *route) huma.API {
	if rt.Access.IsInternal() {
		return r.internal
	}
	return r.public
}

func pathParams(path string) []string {
	var out []string
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name, _, _ = strings.Cut(strings.TrimSuffix(name, "}"), ":")
			out = append(out, name)
		}
	}
	return out
}

// PathParam is a path parameter of a Raw operation, unescaped.
func PathParam(req *http.Request, name string) string {
	v := req.PathValue(name)
	if req.URL.RawPath == "" {
		return v
	}
	if u, err := url.PathUnescape(v); err == nil {
		return u
	}
	return v
}
