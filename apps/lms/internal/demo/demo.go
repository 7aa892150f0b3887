// Package demo makes up an organisation to look at: faculties, people, courses
// with curricula, and who has learned how much. The same size and seed give
// the same organisation, to the letter.
package demo

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Size of an organisation.
type Size struct {
	Name        string
	Courses     int
	Users       int // learners; instructors come on top
	Enrollments int
}

// Sizes by name.
func Sizes() []Size {
	return []Size{
		{Name: "small", Courses: 8, Users: 60, Enrollments: 300},
		{Name: "medium", Courses: 50, Users: 2_000, Enrollments: 20_000},
		{Name: "large", Courses: 200, Users: 20_000, Enrollments: 200_000},
	}
}

// SizeOf is the size of a name.
func SizeOf(name string) (Size, error) {
	for _, s := range Sizes() {
		if s.Name == name {
			return s, nil
		}
	}
	return Size{}, fmt.Errorf("no size %q: there are small, medium and large", name)
}

// Organisation is what is made up. References are indexes into its slices.
type Organisation struct {
	Name        string
	Faculties   []Faculty
	People      []Person
	Courses     []Course
	Enrollments []Enrollment
}

// Faculty is an org unit below the root.
type Faculty struct{ Name string }

// Person is a user.
type Person struct {
	GivenName, FamilyName string
	Email                 string
	Locale, TimeZone      string
	Faculty               int
	Instructor            bool
}

// Name is the full name.
func (p Person) Name() string { return p.GivenName + " " + p.FamilyName }

// Course is a course with its curriculum.
type Course struct {
	Code, Title, Description string
	Language, Level          string
	Tags                     []string
	Category                 string
	Faculty                  int
	Instructor               int
	Capacity                 int // 0: none
	Modules                  []Module
}

// Module is a module; it requires the one before it if Sequential.
type Module struct {
	Title      string
	Sequential bool
	Items      []Item
}

// Item is an item of a module. Requirement is "", "view" or "mark_done".
type Item struct {
	Kind        string // "page" or "link"
	Title       string
	Body        string
	URL         string
	Requirement string
}

// Enrollment is a learner in a course who has done the first Done items with
// a requirement.
type Enrollment struct {
	Person, Course int
	Done           int
}

// Make makes up an organisation.
func Make(size Size, seed uint64) Organisation {
	r := rand.New(rand.NewPCG(seed, 0x1e45))
	o := Organisation{Name: "Northfield University"}
	for _, s := range subjects {
		o.Faculties = append(o.Faculties, Faculty{Name: "Faculty of " + s.name})
	}
	instructors := max(2, size.Courses/4)
	o.People = people(r, instructors, size.Users)
	for i := range size.Courses {
		o.Courses = append(o.Courses, course(r, i, instructors))
	}
	o.Enrollments = enrollments(r, o, instructors, size)
	return o
}

func people(r *rand.Rand, instructors, learners int) []Person {
	out := make([]Person, 0, instructors+learners)
	for i := range instructors + learners {
		p := Person{
			GivenName: pick(r, givenNames), FamilyName: pick(r, familyNames),
			Faculty: i % len(subjects), Instructor: i < instructors,
		}
		place := places[r.IntN(len(places))]
		p.Locale, p.TimeZone = place.locale, place.zone
		// The number makes the address unique; names repeat as they do in life.
		p.Email = fmt.Sprintf("%s.%s.%d@northfield.example", ascii(p.GivenName), ascii(p.FamilyName), i+1)
		out = append(out, p)
	}
	return out
}

func course(r *rand.Rand, i, instructors int) Course {
	f := i % len(subjects)
	s := subjects[f]
	topic := s.topics[(i/len(subjects))%len(s.topics)]
	level := levels[(i/len(subjects)/len(s.topics))%len(levels)]
	c := Course{
		Code:  fmt.Sprintf("%s-%d", s.code, 101+i/len(subjects)),
		Title: topic, Language: "en", Level: level, Category: s.name, Faculty: f, Instructor: (i % instructors),
		Tags: []string{strings.ToLower(s.name), strings.ToLower(strings.Fields(topic)[0])},
	}
	if level != levels[0] {
		c.Title = topic + ", " + level
	}
	c.Description = fmt.Sprintf("%s: what it is, how it came about and how to work with it. %d weeks, about %d hours each, with readings and exercises.",
		topic, 4+r.IntN(9), 2+r.IntN(5))
	if r.IntN(5) == 0 {
		c.Capacity = 20 + 10*r.IntN(10)
	}
	for m := range 3 + r.IntN(4) {
		c.Modules = append(c.Modules, module(r, topic, m))
	}
	return c
}

func module(r *rand.Rand, topic string, m int) Module {
	out := Module{Title: fmt.Sprintf("%s %s", stages[m%len(stages)], topic), Sequential: m > 0}
	for i := range 3 + r.IntN(4) {
		form := forms[(i+m)%len(forms)]
		it := Item{Kind: "page", Title: form + ": " + strings.ToLower(out.Title), Requirement: "view"}
		it.Body = "<p>" + form + " on <em>" + topic + "</em>. Read it with a question in mind, then write down what surprised you.</p>"
		switch i % 3 {
		case 1:
			it.Requirement = "mark_done"
		case 2:
			it = Item{Kind: "link", Title: "Further reading " + fmt.Sprint(i), URL: fmt.Sprintf("https://library.northfield.example/%d", r.IntN(9000)+1000)}
		}
		out.Items = append(out.Items, it)
	}
	return out
}

// enrollments spreads learners over courses without repetition; some have not
// begun, some are in the middle, some are through.
func enrollments(r *rand.Rand, o Organisation, instructors int, size Size) []Enrollment {
	learners := len(o.People) - instructors
	seen := make(map[[2]int]bool, size.Enrollments)
	room := make([]int, len(o.Courses))
	out := make([]Enrollment, 0, size.Enrollments)
	for tries := 0; len(out) < size.Enrollments && tries < 20*size.Enrollments; tries++ {
		// Squaring favours the first courses: popularity is uneven.
		f := r.Float64()
		c := int(f * f * float64(len(o.Courses)))
		p := instructors + r.IntN(learners)
		full := o.Courses[c].Capacity > 0 && room[c] >= o.Courses[c].Capacity
		if full || seen[[2]int{p, c}] {
			continue
		}
		seen[[2]int{p, c}] = true
		room[c]++
		required := 0
		for _, m := range o.Courses[c].Modules {
			for _, it := range m.Items {
				if it.Requirement != "" {
					required++
				}
			}
		}
		done := 0
		switch r.IntN(10) {
		case 0, 1, 2: // not begun
		case 3, 4:
			done = required
		default:
			done = r.IntN(required + 1)
		}
		out = append(out, Enrollment{Person: p, Course: c, Done: done})
	}
	return out
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func ascii(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(fold.Replace(s)))
}
