// Package history is what analytics keeps of every event: all of it but what
// names a person. Fields that the contracts mark x-personal are emptied; ids of
// people stay, so that people can be counted, and can be given another id when a
// person is forgotten.
package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// People are all persons of the event.
func (e Event) People() []uuid.UUID {
	if e.UserID == uuid.Nil {
		return e.Others
	}
	return append([]uuid.UUID{e.UserID}, e.Others...)
}

// Event is one event as it is kept.
type Event struct {
	ID          uuid.UUID
	Type        string
	Time        time.Time
	AggregateID uuid.UUID
	Seq         int64
	TenantID    uuid.UUID
	OrgUnitID   uuid.UUID
	CourseID    uuid.UUID
	ActorID     uuid.UUID
	// UserID is the person that the event is about, nil for none; Others are all
	// other persons in it, the actor included.
	UserID uuid.UUID
	Others []uuid.UUID
	Data   json.RawMessage
	// Ord is the order of arrival, given by the store.
	Ord int64
}

// TypeSearched is what search tells: no event of a topic, but kept beside them. Its
// data is an internalapi.SearchPerformed.
const TypeSearched = "lms.search.performed.v1"

// Archive knows how to keep events of every type of the contracts.
type Archive struct{ plans map[string]plan }

type plan struct {
	data   reflect.Type
	fields []field
}

// NewArchive reads the contracts.
func NewArchive() *Archive {
	a := &Archive{plans: map[string]plan{}}
	for _, d := range events.All() {
		t := reflect.TypeOf(d.Example)
		a.plans[d.Type()] = plan{data: t, fields: fieldsOf(t, nil)}
	}
	return a
}

// Types are all types that are kept, in order.
func (a *Archive) Types() []string {
	out := make([]string, 0, len(a.plans))
	for t := range a.plans {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// Names gives the id that stands for a person: the pseudonym of who was forgotten,
// else the id itself.
type Names func(uuid.UUID) uuid.UUID

// Same gives every id itself.
func Same(id uuid.UUID) uuid.UUID { return id }

var errUnknownType = apperr.Malformed("event_unknown", "No contract knows this type of event.")

// bounds of what may be a time of an event: what lies outside is a broken clock,
// and would ask for a partition of its own.
var (
	earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // immutable
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // immutable
)

// Keep makes an event fit to be kept: names and addresses are emptied, ids are
// what names says, the people in it are found. An event that does not parse, or is
// of an impossible time, is refused for good.
func (a *Archive) Keep(e Event, names Names) (Event, error) {
	p, ok := a.plans[e.Type]
	if !ok {
		return e, errUnknownType
	}
	if e.Time.Before(earliest) || !e.Time.Before(latest) {
		return e, apperr.Malformed("event_time", "The event is of an impossible time.")
	}
	v := reflect.New(p.data)
	if err := json.Unmarshal(e.Data, v.Interface()); err != nil {
		return e, apperr.Malformed("event_unreadable", "The event's data cannot be read.").With(fmt.Errorf("%s %s: %w", e.Type, e.ID, err))
	}
	k := keeper{names: names}
	k.walk(v.Elem(), p.fields)
	data, err := json.Marshal(v.Interface())
	if err != nil {
		return e, fmt.Errorf("%s %s: %w", e.Type, e.ID, err)
	}
	if bytes.Contains(data, []byte(`\u0000`)) {
		return e, apperr.Malformed("event_character", "The event has a character that cannot be kept.")
	}
	e.Data = data
	e.ActorID, e.AggregateID = names(e.ActorID), names(e.AggregateID)
	e.UserID = k.main
	if e.UserID == uuid.Nil {
		e.UserID = e.ActorID
	}
	if e.ActorID != uuid.Nil {
		k.people = append(k.people, e.ActorID)
	}
	e.Others = nil
	for _, id := range k.people {
		if id != e.UserID && !slices.Contains(e.Others, id) {
			e.Others = append(e.Others, id)
		}
	}
	return e, nil
}

// field is one that a person is in, or that leads to one.
type field struct {
	index int
	kind  kind
	main  bool // says whom the event is about
	inner []field
}

type kind int

const (
	blank   kind = iota // emptied
	one                 // uuid.UUID
	pointer             // *uuid.UUID
	many                // []uuid.UUID
	inside              // a struct
	through             // a pointer to a struct
	each                // a slice of structs
)

var (
	typeID  = reflect.TypeFor[uuid.UUID]()   //nolint:gochecknoglobals // immutable
	typePtr = reflect.TypeFor[*uuid.UUID]()  //nolint:gochecknoglobals // immutable
	typeIDs = reflect.TypeFor[[]uuid.UUID]() //nolint:gochecknoglobals // immutable
)

func fieldsOf(t reflect.Type, above []reflect.Type) []field {
	if t.Kind() != reflect.Struct || slices.Contains(above, t) || t == typeID {
		return nil
	}
	above = append(slices.Clone(above), t)
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case !f.IsExported():
		case f.Tag.Get("x-personal") == "true":
			out = append(out, personal(i, f))
		default:
			out = append(out, nested(i, f.Type, above)...)
		}
	}
	return out
}

func personal(i int, f reflect.StructField) field {
	name := f.Tag.Get("json")
	switch f.Type {
	case typeID:
		return field{index: i, kind: one, main: name == "user_id" || name == "id"}
	case typePtr:
		return field{index: i, kind: pointer}
	case typeIDs:
		return field{index: i, kind: many}
	}
	return field{index: i, kind: blank}
}

func nested(i int, t reflect.Type, above []reflect.Type) []field {
	k := inside
	switch t.Kind() {
	case reflect.Pointer:
		k, t = through, t.Elem()
	case reflect.Slice:
		k, t = each, t.Elem()
	default:
	}
	inner := fieldsOf(t, above)
	if len(inner) == 0 {
		return nil
	}
	return []field{{index: i, kind: k, inner: inner}}
}

// keeper walks one event.
type keeper struct {
	names  Names
	main   uuid.UUID
	people []uuid.UUID
}

func (k *keeper) id(id uuid.UUID) uuid.UUID {
	if id == uuid.Nil {
		return id
	}
	id = k.names(id)
	k.people = append(k.people, id)
	return id
}

func (k *keeper) walk(v reflect.Value, fields []field) {
	for _, f := range fields {
		x := v.Field(f.index)
		switch f.kind {
		case blank:
			x.SetZero()
		case one:
			id := x.Addr().Interface().(*uuid.UUID)
			*id = k.id(*id)
			if f.main && k.main == uuid.Nil {
				k.main = *id
			}
		case pointer:
			if p := x.Interface().(*uuid.UUID); p != nil {
				*p = k.id(*p)
			}
		case many:
			ids := x.Interface().([]uuid.UUID)
			for i := range ids {
				ids[i] = k.id(ids[i])
			}
		case inside:
			k.walk(x, f.inner)
		case through:
			if !x.IsNil() {
				k.walk(x.Elem(), f.inner)
			}
		case each:
			listed := keeper{names: k.names, main: uuid.Max} // one of many is not whom it is about
			for i := range x.Len() {
				listed.walk(x.Index(i), f.inner)
			}
			k.people = append(k.people, listed.people...)
		}
	}
}
