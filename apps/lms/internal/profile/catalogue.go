package profile

import (
	"bytes"
	_ "embed" // the catalogue
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed catalogue.jsonl
var catalogue []byte

// entry is what the pinned components-contrib says of one version of a
// component.
type entry struct {
	Type     string   `json:"type"`
	Version  string   `json:"version"`
	Status   string   `json:"status"`
	Shipped  bool     `json:"shipped"` // the trimmed sidecar can load it
	Features []string `json:"features"`
	Required []string `json:"required"`
	Secret   []string `json:"secret"`
	Settings []string `json:"settings"`
}

func (e entry) has(feature string) bool { return slices.Contains(e.Features, feature) }

// readCatalogue reads the embedded catalogue.
func readCatalogue() ([]entry, error) {
	var all []entry
	for line := range bytes.Lines(catalogue) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("catalogue of components: %w", err)
		}
		all = append(all, e)
	}
	return all, nil
}

// alias gives the name that the catalogue has for another name of a type.
func alias(kind string) string {
	switch kind {
	case "state.sqlite3":
		return "state.sqlite"
	case "state.postgres":
		return "state.postgresql"
	case "pubsub.mqtt":
		return "pubsub.mqtt3"
	case "pubsub.natsjetstream":
		return "pubsub.jetstream"
	case "pubsub.azure.servicebus":
		return "pubsub.azure.servicebus.topics"
	case "pubsub.aws.snssqs", "pubsub.snssqs":
		return "pubsub.aws.snssqs"
	}
	return kind
}

// typed finds a component's type and version in the catalogue.
func (c *checker) typed(k *component) (entry, bool) {
	name := k.Metadata.Name
	if name == "" || k.Spec.Type == "" {
		c.add(Finding{Refused, Form, name, "", k.file + " has no metadata.name or no spec.type: it is left out", "give both"})
		return entry{}, false
	}
	kind, version := alias(strings.ToLower(k.Spec.Type)), strings.ToLower(k.Spec.Version)
	var versions []string
	for _, e := range c.catalogue {
		if e.Type != kind {
			continue
		}
		if e.Version == version || version == "" && e.Version == "v1" {
			if version == "" {
				c.add(Finding{Note, Form, name, "version", "no version is given: it counts as v1", "write version: v1"})
			}
			c.shipped(k, e)
			return e, true
		}
		versions = append(versions, e.Version)
	}
	if len(versions) > 0 {
		c.add(Finding{Refused, Name, name, "version", fmt.Sprintf("%s has no version %q: the sidecar would end at its start", kind, k.Spec.Version), "one of " + strings.Join(versions, ", ")})
	} else {
		c.add(Finding{Refused, Name, name, "type", fmt.Sprintf("there is no component type %q in this version of Dapr: the sidecar would end at its start", k.Spec.Type), "correct the type"})
	}
	return entry{}, false
}

func (c *checker) shipped(k *component, e entry) {
	if !e.Shipped {
		c.add(Finding{Warning, Feature, k.Metadata.Name, "type", e.Type + "/" + e.Version + " is not in the trimmed sidecar, which would end at its start", "run lms up with LMS_SIDECAR=$(lms sidecar --full), or another daprd 1.18 that has it"})
	}
	if e.Status == "alpha" || e.Status == "beta" {
		c.add(Finding{Note, Feature, k.Metadata.Name, "type", fmt.Sprintf("%s/%s is %s in this version of Dapr", e.Type, e.Version, e.Status), ""})
	}
}
