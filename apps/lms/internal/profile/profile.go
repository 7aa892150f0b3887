// Package profile reads a folder of Dapr components, before anything starts, as
// the sidecars would, and says what would lose, repeat or reorder messages, what
// is missing and what is written wrongly, each with the setting to change.
//
// What it knows of single products comes from the pinned components-contrib:
// the names of settings and the features from their descriptions
// (catalogue.jsonl, which a test of dapr/sidecar writes), what happens to a
// message from their sources.
package profile

import (
	"cmp"
	"context"
	"slices"
)

// Level says how much a finding matters.
type Level string

// The levels. A refused profile is not started: it could not keep what the
// system promises, and a setting would change that. A warning names what the
// product cannot do, or what costs something; the services make up for it. A
// note is worth knowing.
const (
	Refused Level = "refused"
	Warning Level = "warning"
	Note    Level = "note"
)

// Effect says what a finding would do.
type Effect string

// The effects.
const (
	Loses       Effect = "loses"
	Repeats     Effect = "repeats"
	Reorders    Effect = "reorders"
	Feature     Effect = "feature" // something that the product cannot do
	Name        Effect = "name"    // a component is absent, or of a wrong kind
	Scope       Effect = "scope"   // not the table of who publishes and who subscribes
	Secret      Effect = "secret"  // in clear
	Form        Effect = "form"    // would not be read, or not as it is meant
	Unreachable Effect = "unreachable"
)

// Finding is one thing to know about a profile.
type Finding struct {
	Level     Level  `json:"level"`
	Effect    Effect `json:"effect"`
	Component string `json:"component,omitempty"` // "" for the folder as a whole
	Setting   string `json:"setting,omitempty"`
	Found     string `json:"found"`  // what is so, and what it costs
	Remedy    string `json:"remedy"` // what to change; "" where nothing can be
}

// Report is all that was found, what refuses first.
type Report struct {
	Dir        string    `json:"dir"`
	Components []Summary `json:"components"`
	Findings   []Finding `json:"findings"`
}

// Summary is a component in a line.
type Summary struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Version string `json:"version"`
	// Address is where it connects to, "" where that cannot be told.
	Address string `json:"address,omitempty"`
}

// Refused says whether the profile cannot keep the promise.
func (r Report) Refused() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Refused })
}

// Options of a check.
type Options struct {
	Dir string
	// Env gives the variables that the sidecars would have: settings with envRef.
	Env func(name string) (string, bool)
	// Secrets are the entries of the secret store, nil where they are not known.
	Secrets map[string]string
	// Live asks servers that can be reached; otherwise their settings are stated.
	Live bool
}

// Check reads the folder. Error: it cannot be read at all.
func Check(ctx context.Context, o Options) (Report, error) {
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	known, err := readCatalogue()
	if err != nil {
		return Report{}, err
	}
	components, found, err := read(o.Dir)
	if err != nil {
		return Report{}, err
	}
	c := &checker{Options: o, catalogue: known, findings: found}
	c.names(components)
	for i := range components {
		c.component(ctx, &components[i])
	}
	c.together(components)
	report := Report{Dir: o.Dir, Findings: c.findings}
	for _, k := range components {
		report.Components = append(report.Components, Summary{Name: k.Metadata.Name, Type: k.Spec.Type, Version: k.Spec.Version, Address: c.address(&k)})
	}
	order := []Level{Refused, Warning, Note}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Level), slices.Index(order, b.Level)), cmp.Compare(a.Component, b.Component))
	})
	return report, nil
}

// checker collects what it finds.
type checker struct {
	Options
	catalogue []entry
	findings  []Finding
}

func (c *checker) add(f Finding) { c.findings = append(c.findings, f) }

// component checks one component by itself.
func (c *checker) component(ctx context.Context, k *component) {
	e, ok := c.typed(k)
	if !ok {
		return
	}
	c.settings(k, e)
	role, expected := c.role(k)
	if !expected {
		return
	}
	c.loaders(k, role)
	s := &subject{checker: c, component: k, role: role, entry: e}
	switch role.block {
	case topicBlock:
		s.topic()
	case stateBlock:
		s.state()
	case secretsBlock, mailBlock:
		s.other()
	}
	if c.Live {
		s.live(ctx)
	} else {
		s.stated()
	}
}
