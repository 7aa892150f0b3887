package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lms/shared/contracts"
)

// block is what a component is for.
type block string

const (
	topicBlock   block = "pubsub"
	stateBlock   block = "state"
	mailBlock    block = "bindings"
	secretsBlock block = "secretstores"
)

// role is what the services ask of a component of a name.
type role struct {
	name    string
	block   block
	loaders []string
	topic   contracts.Topic // of a topic
	durable bool            // what is in it must not be lost
	shared  bool            // one app reads what another writes
}

// roles are all components that the services name, by name.
func roles() map[string]role {
	all := map[string]role{}
	for _, b := range contracts.BuildingBlocks() {
		all[b.Name] = role{name: b.Name, block: block(b.Kind), loaders: b.Apps, durable: b.Durable, shared: b.Shared}
	}
	for _, t := range contracts.Topics() {
		all[t.Component] = role{name: t.Component, block: topicBlock, loaders: append([]string{t.Publisher}, t.Consumers...), topic: t, durable: true}
	}
	return all
}

// names checks that every name is there, once.
func (c *checker) names(components []component) {
	count := map[string]int{}
	for _, k := range components {
		count[k.Metadata.Name]++
	}
	for _, name := range slices.Sorted(maps.Keys(roles())) {
		switch r := roles()[name]; {
		case count[name] == 0:
			c.add(Finding{Refused, Name, name, "", fmt.Sprintf("there is no component of this name, which %s need", strings.Join(r.loaders, ", ")), fmt.Sprintf("add a component of a type %s.…", r.block)})
		case count[name] > 1:
			c.add(Finding{Refused, Name, name, "", "there are several components of this name: which one counts is chance", "keep one"})
		}
	}
}

// role is what a component is for. One that no service names is a note.
func (c *checker) role(k *component) (role, bool) {
	r, ok := roles()[k.Metadata.Name]
	kind, _, _ := strings.Cut(k.Spec.Type, ".")
	switch {
	case !ok:
		c.add(Finding{Note, Name, k.Metadata.Name, "", "no service names it", "remove it, unless something else needs it"})
	case kind != string(r.block):
		c.add(Finding{Refused, Name, k.Metadata.Name, "type", fmt.Sprintf("it is a %s, and the services use the name as a %s", kind, r.block), "correct the type or the name"})
		return r, false
	}
	return r, ok
}

// loaders compares the apps that load a component with those that need it.
func (c *checker) loaders(k *component, r role) {
	if len(k.Scopes) == 0 {
		c.add(Finding{Refused, Scope, r.name, "scopes", "every app may load it: " + scopeCost(r), "scopes: [" + strings.Join(r.loaders, ", ") + "]"})
		return
	}
	if missing := without(r.loaders, k.Scopes); len(missing) > 0 {
		c.add(Finding{Refused, Scope, r.name, "scopes", "these need it and may not load it: " + strings.Join(missing, ", "), "add them"})
	}
	if extra := without(k.Scopes, r.loaders); len(extra) > 0 {
		c.add(Finding{Refused, Scope, r.name, "scopes", "these may load it and have no use for it: " + strings.Join(extra, ", ") + "; " + scopeCost(r), "remove them"})
	}
}

func scopeCost(r role) string {
	switch r.block {
	case topicBlock:
		return "each holds connections and a consumer that nobody reads"
	case stateBlock:
		return "each could read and change what is in it"
	case mailBlock:
		return "each could send mail in our name"
	case secretsBlock:
		return "each could read every secret"
	}
	return ""
}

// without are the elements of a that b lacks.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// topicScopes compares who may publish and subscribe with the table of topics.
func (s *subject) topicScopes() {
	t := s.role.topic
	want := map[string]string{
		"allowedTopics": t.Name, "protectedTopics": t.Name, "publishingScopes": t.Publisher + "=" + t.Name,
	}
	subscribers := make([]string, len(t.Consumers))
	for i, app := range t.Consumers {
		subscribers[i] = app + "=" + t.Name
	}
	want["subscriptionScopes"] = strings.Join(subscribers, ";")
	cost := map[string]string{
		"allowedTopics":      "any topic could be used through this component",
		"protectedTopics":    "an app that publishingScopes does not name may publish",
		"publishingScopes":   "others than " + t.Publisher + " may publish, or it may not",
		"subscriptionScopes": "others than the consumers may read, or a consumer may not",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		m, ok := s.component.item(name)
		if !ok || !sameScopes(m.Value.Value, want[name]) {
			s.refuse(Scope, name, fmt.Sprintf("it is %q: %s", m.Value.Value, cost[name]), fmt.Sprintf("%s: %q", name, want[name]))
		}
	}
}

// sameScopes compares lists without regard to their order: app=topic,topic;app=…
func sameScopes(a, b string) bool {
	return maps.Equal(scopes(a), scopes(b))
}

func scopes(text string) map[string]bool {
	set := map[string]bool{}
	for part := range strings.SplitSeq(text, ";") {
		app, topics, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found {
			app, topics = "", app
		}
		for topic := range strings.SplitSeq(topics, ",") {
			set[strings.TrimSpace(app)+"="+strings.TrimSpace(topic)] = true
		}
	}
	return set
}
