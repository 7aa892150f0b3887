// Package config reads a program's settings from environment variables into
// structs, tells all that is wrong with them at once, and shows them without
// their secrets.
//
// A field reads PREFIX_FIELD_NAME. Its tags: `envconfig:"NAME"` gives the name
// after the prefix, `env:"NAME"` the whole name (for variables that others
// define, such as DAPR_HTTP_PORT), `default:"…"`, `required:"true"`,
// `secret:"true"` (never shown), `desc:"…"` (for the table in a README). A
// variable that is set to nothing counts as not set. The values are parsed by
// envconfig: strings, numbers, booleans, durations, lists and maps with
// commas, and whatever implements encoding.TextUnmarshaler.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Env is an environment: the process's own, or a test's.
type Env map[string]string

// FromOS is the environment of this process.
func FromOS() Env {
	env := Env{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env
}

// Load reads the process's environment into *into; see Env.Load.
func Load(prefix string, into any) error { return FromOS().Load(prefix, into) }

// Load reads the variables of prefix into the struct that into points to. The
// error names every variable that is missing or cannot be read, in one
// sentence, and never quotes the value of a secret.
func (e Env) Load(prefix string, into any) error {
	fields, err := fieldsOf(prefix, into)
	if err != nil {
		return err
	}
	var wrong []string
	for _, f := range fields {
		raw := e[f.name]
		if raw == "" {
			raw = f.tag.Get("default")
		}
		if raw == "" {
			if f.tag.Get("required") == "true" {
				wrong = append(wrong, f.name+" is not set")
			}
			continue
		}
		if err := f.parse(raw); err != nil {
			shown := strconv.Quote(raw)
			if f.secret() {
				shown = "the value"
			}
			wrong = append(wrong, fmt.Sprintf("%s cannot be read: %s is not a %s", f.name, shown, f.value.Type()))
		}
	}
	if len(wrong) > 0 {
		return errors.New("configuration: " + strings.Join(wrong, "; "))
	}
	return nil
}

// Names are all variables that Load reads for the struct.
func Names(prefix string, spec any) ([]string, error) {
	fields, err := fieldsOf(prefix, spec)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names, nil
}

// Line is one setting for a log line or a README's table. Value is empty where
// the setting is, and "(set)" for a secret that is set.
type Line struct {
	Name, Value, Default, Description string
	Secret                            bool
}

// Describe lists the settings of a loaded struct in their order, without
// secrets.
func Describe(prefix string, loaded any) ([]Line, error) {
	fields, err := fieldsOf(prefix, loaded)
	if err != nil {
		return nil, err
	}
	lines := make([]Line, len(fields))
	for i, f := range fields {
		l := Line{Name: f.name, Default: f.tag.Get("default"), Description: f.tag.Get("desc"), Secret: f.secret()}
		if !f.value.IsZero() {
			l.Value = fmt.Sprint(f.value.Interface())
			if l.Secret {
				l.Value = "(set)"
			}
		}
		lines[i] = l
	}
	return lines, nil
}

// CheckUnknown refuses every variable of env that starts with prefix and is
// neither known nor foreign: a misspelt setting must not be silently ignored.
// A name in foreign that ends in "_" stands for all that start with it.
func CheckUnknown(env Env, prefix string, known, foreign []string) error {
	var unknown []string
	for name := range env {
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) && !matches(name, foreign) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("configuration: unknown %s; the known ones are %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
}

func matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return name == p || strings.HasSuffix(p, "_") && strings.HasPrefix(name, p)
	})
}

type field struct {
	name  string
	value reflect.Value
	tag   reflect.StructTag
}

func (f field) secret() bool { return f.tag.Get("secret") == "true" }

// parse lets envconfig parse one value. envconfig reads only the process's
// environment and stops at the first error, so each field is a struct of its
// own whose variable cannot exist (no name contains "=") and whose default is
// the value.
func (f field) parse(raw string) error {
	one := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value", Type: f.value.Type(),
		Tag: reflect.StructTag(`envconfig:"=" default:` + strconv.Quote(raw)),
	}}))
	if err := envconfig.Process("", one.Interface()); err != nil {
		return err
	}
	f.value.Set(one.Elem().Field(0))
	return nil
}

func fieldsOf(prefix string, spec any) ([]field, error) {
	v := reflect.ValueOf(spec)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("configuration: %T is not a pointer to a struct", spec)
	}
	return collect(prefix, v.Elem()), nil
}

func collect(prefix string, v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			out = append(out, collect(prefix, v.Field(i))...)
			continue
		}
		if !sf.IsExported() {
			continue
		}
		name := sf.Tag.Get("env")
		if name == "" {
			name = sf.Tag.Get("envconfig")
			if name == "" {
				name = snake(sf.Name)
			}
			name = strings.ToUpper(prefix + "_" + name)
		}
		out = append(out, field{name: name, value: v.Field(i), tag: sf.Tag})
	}
	return out
}

// snake turns PublicURL into PUBLIC_URL.
func snake(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		upper := c >= 'A' && c <= 'Z'
		if i > 0 && upper {
			prevLower := r[i-1] < 'A' || r[i-1] > 'Z'
			nextLower := i+1 < len(r) && r[i+1] >= 'a' && r[i+1] <= 'z'
			if prevLower || nextLower {
				b.WriteByte('_')
			}
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}
