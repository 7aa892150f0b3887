package web

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// registry makes the JSON schemas of a document. It differs from huma's own
// in what our types need: ids are `uuid`, a patch.Field is optional and
// nullable, lists are never null, two types with one name in two packages get
// two names, and internal documents let unknown members pass.
type registry struct {
	open    bool // internal: readers ignore what they do not know
	schemas map[string]*huma.Schema
	types   map[string]reflect.Type
	names   map[reflect.Type]string
	aliases map[reflect.Type]reflect.Type
}

const schemaPrefix = "#/components/schemas/"

func newRegistry(open bool) *registry {
	return &registry{
		open: open, schemas: map[string]*huma.Schema{}, types: map[string]reflect.Type{},
		names: map[reflect.Type]string{}, aliases: map[reflect.Type]reflect.Type{},
	}
}

// Schema implements huma.Registry.
func (r *registry) Schema(t reflect.Type, allowRef bool, hint string) *huma.Schema {
	orig := t
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if a, ok := r.aliases[t]; ok {
		return r.Schema(a, allowRef, hint)
	}
	switch {
	case t == reflect.TypeFor[uuid.UUID]():
		return &huma.Schema{Type: huma.TypeString, Format: "uuid", Nullable: orig.Kind() == reflect.Pointer}
	case isPatchField(t):
		return r.nullable(t, hint)
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		s := huma.SchemaFromType(r, t)
		s.Nullable = false
		return s
	case !named(t):
		return huma.SchemaFromType(r, orig)
	}
	name := r.name(t, hint)
	if _, ok := r.schemas[name]; !ok {
		r.schemas[name] = &huma.Schema{} // a recursive type refers to itself
		r.schemas[name] = r.object(t)
	}
	if allowRef {
		return &huma.Schema{Ref: schemaPrefix + name}
	}
	return r.schemas[name]
}

// nullable is the schema of a patch.Field: that of its value, or null.
func (r *registry) nullable(t reflect.Type, hint string) *huma.Schema {
	value, _ := t.FieldByName("Value")
	s := *r.Schema(value.Type, false, hint)
	s.Nullable = s.Type != ""
	return &s
}

func (r *registry) object(t reflect.Type) *huma.Schema {
	s := huma.SchemaFromType(r, t)
	if s.Type != huma.TypeObject || s.Properties == nil {
		return s
	}
	if r.open && s.AdditionalProperties == false {
		s.AdditionalProperties = true
	}
	optional := map[string]bool{}
	patchFields(t, optional)
	var required []string
	for _, name := range s.Required {
		if !optional[name] {
			required = append(required, name)
		}
	}
	s.Required = required
	s.PrecomputeMessages()
	return s
}

// named says whether a type gets a component of its own: structs that are not
// written as a string and do not describe themselves.
func named(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[struct{}]() {
		return false
	}
	p := reflect.PointerTo(t)
	return !p.Implements(reflect.TypeFor[huma.SchemaProvider]()) && !p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// name gives each type one name, and no name to two types.
func (r *registry) name(t reflect.Type, hint string) string {
	if n, ok := r.names[t]; ok {
		return n
	}
	base := huma.DefaultSchemaNamer(t, hint)
	n := base
	if taken := r.types[n]; taken != nil {
		pkg := t.PkgPath()
		pkg = pkg[strings.LastIndex(pkg, "/")+1:]
		if pkg != "" {
			n = strings.ToUpper(pkg[:1]) + pkg[1:] + base
		}
	}
	for i := 2; r.types[n] != nil; i++ {
		n = base + strconv.Itoa(i)
	}
	r.names[t], r.types[n] = n, t
	return n
}

// isPatchField knows patch.Field without an instance of it: the pure package
// cannot describe itself to huma.
func isPatchField(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == "lms/shared/patch" && strings.HasPrefix(t.Name(), "Field[")
}

// patchFields notes the JSON names of all patch.Field members, embedded ones
// too.
func patchFields(t reflect.Type, out map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		for ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && ft.Kind() == reflect.Struct && !isPatchField(ft):
			patchFields(ft, out)
		case isPatchField(ft) && name != "":
			out[name] = true
		case isPatchField(ft):
			out[f.Name] = true
		}
	}
}

// SchemaFromRef implements huma.Registry.
func (r *registry) SchemaFromRef(ref string) *huma.Schema {
	name, ok := strings.CutPrefix(ref, schemaPrefix)
	if !ok {
		return nil
	}
	return r.schemas[name]
}

// TypeFromRef implements huma.Registry.
func (r *registry) TypeFromRef(ref string) reflect.Type {
	return r.types[strings.TrimPrefix(ref, schemaPrefix)]
}

// Map implements huma.Registry.
func (r *registry) Map() map[string]*huma.Schema { return r.schemas }

// RegisterTypeAlias implements huma.Registry.
func (r *registry) RegisterTypeAlias(t, alias reflect.Type) { r.aliases[t] = alias }

// MarshalJSON writes the components.
func (r *registry) MarshalJSON() ([]byte, error) { return json.Marshal(r.schemas) }

// MarshalYAML writes the components.
func (r *registry) MarshalYAML() (any, error) { return r.schemas, nil }
