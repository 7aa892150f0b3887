package profile

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// subject is the component that the rules of a product look at.
type subject struct {
	*checker
	*component
	role  role
	entry entry
}

func (s *subject) refuse(effect Effect, setting, found, remedy string) {
	s.add(Finding{Refused, effect, s.role.name, setting, found, remedy})
}

func (s *subject) warn(effect Effect, setting, found, remedy string) {
	s.add(Finding{Warning, effect, s.role.name, setting, found, remedy})
}

func (s *subject) note(effect Effect, setting, found, remedy string) {
	s.add(Finding{Note, effect, s.role.name, setting, found, remedy})
}

// value is what a setting is, its default where it is not set, and whether that
// can be told: a variable or a secret may not be known here.
func (c *checker) value(k *component, name, standard string) (string, bool) {
	m, ok := k.item(name)
	if !ok {
		return standard, true
	}
	switch {
	case m.EnvRef != "":
		return c.Env(m.EnvRef)
	case m.SecretKeyRef != nil:
		v, ok := c.Secrets[m.SecretKeyRef.Name]
		if !ok {
			v, ok = c.Secrets[m.SecretKeyRef.Key]
		}
		return v, ok
	}
	return m.Value.Value, true
}

// is says whether a setting certainly has one of the values.
func (s *subject) is(name, standard string, values ...string) bool {
	v, known := s.value(s.component, name, standard)
	if !known {
		return false
	}
	for _, want := range values {
		if strings.EqualFold(strings.TrimSpace(v), want) {
			return true
		}
	}
	return false
}

// isTrue reads a truth value as components do.
func (s *subject) isTrue(name, standard string) bool {
	return s.is(name, standard, "true", "1", "y", "yes", "on", "t")
}

// number reads a number; ok is false where it is none or not known.
func (s *subject) number(name, standard string) (n float64, ok bool) {
	v, known := s.value(s.component, name, standard)
	if !known {
		return 0, false
	}
	n, err := strconv.ParseFloat(v, 64)
	return n, err == nil
}

// duration reads a Go duration, or a number of seconds.
func (s *subject) duration(name, standard string) (d time.Duration, ok bool) {
	v, known := s.value(s.component, name, standard)
	if !known {
		return 0, false
	}
	if d, err := time.ParseDuration(v); err == nil {
		return d, true
	}
	n, err := strconv.ParseFloat(v, 64)
	return time.Duration(n * float64(time.Second)), err == nil
}

func (s *subject) isSet(name string) bool {
	m, ok := s.item(name)
	return ok && (m.Value.Value != "" || m.EnvRef != "" || m.SecretKeyRef != nil)
}

// must refuses unless a setting is what it has to be.
func (s *subject) must(name, standard, want, cost string) {
	if s.is(name, standard, want) || (want == "true" && s.isTrue(name, standard)) || (want == "false" && s.is(name, standard, "false", "0", "n", "no", "off", "")) {
		return
	}
	v, known := s.value(s.component, name, standard)
	switch {
	case !known:
		s.warn(Loses, name, "its value is not known here; unless it is "+want+", "+cost, name+": \""+want+"\"")
	case s.isSet(name):
		s.refuse(Loses, name, fmt.Sprintf("it is %q: %s", v, cost), name+": \""+want+"\"")
	default:
		s.refuse(Loses, name, fmt.Sprintf("it is not set, so %q: %s", v, cost), name+": \""+want+"\"")
	}
}
