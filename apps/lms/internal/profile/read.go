package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// component is a Dapr component as its file has it.
type component struct {
	file string

	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Namespace   string            `yaml:"namespace"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Auth struct {
		SecretStore string `yaml:"secretStore"`
	} `yaml:"auth"`
	Spec struct {
		Type         string `yaml:"type"`
		Version      string `yaml:"version"`
		IgnoreErrors bool   `yaml:"ignoreErrors"`
		InitTimeout  string `yaml:"initTimeout"`
		Metadata     []item `yaml:"metadata"`
	} `yaml:"spec"`
	Scopes []string `yaml:"scopes"`
}

// item is one setting.
type item struct {
	Name         string    `yaml:"name"`
	Value        yaml.Node `yaml:"value"`
	EnvRef       string    `yaml:"envRef"`
	SecretKeyRef *struct {
		Name string `yaml:"name"`
		Key  string `yaml:"key"`
	} `yaml:"secretKeyRef"`
}

// item finds a setting, whose name daprd reads without regard to case.
func (k *component) item(name string) (item, bool) {
	i := slices.IndexFunc(k.Spec.Metadata, func(m item) bool { return strings.EqualFold(m.Name, name) })
	if i < 0 {
		return item{}, false
	}
	return k.Spec.Metadata[i], true
}

// read reads every component of a folder as daprd does: all files with the
// endings of YAML, several documents in a file, no sub-folders. What daprd would
// skip without a word is a finding.
func read(dir string) ([]component, []Finding, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is no folder of components: %w", dir, err)
	}
	var (
		all      []component
		findings []Finding
	)
	for _, e := range entries {
		switch ext := strings.ToLower(filepath.Ext(e.Name())); {
		case e.IsDir():
			findings = append(findings, Finding{Note, Form, "", "", "the folder " + e.Name() + " is not read: sidecars look into no sub-folder", "move its files up, or leave it"})
			continue
		case ext != ".yaml" && ext != ".yml":
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", e.Name(), err)
		}
		found, wrong := documents(e.Name(), raw)
		all, findings = append(all, found...), append(findings, wrong...)
	}
	return all, findings, nil
}

// documents reads the documents of a file.
func documents(file string, raw []byte) (all []component, findings []Finding) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all, findings
		}
		if err != nil {
			return all, append(findings, Finding{Refused, Form, "", "", fmt.Sprintf("%s is no YAML, and would be left out: %v", file, err), "correct it"})
		}
		var head struct {
			Kind string `yaml:"kind"`
		}
		if err := doc.Decode(&head); err == nil && head.Kind == settingsKind {
			findings = append(findings, told(file, &doc)...)
			continue
		} else if err != nil || head.Kind != "Component" {
			findings = append(findings, otherKind(file, head.Kind))
			continue
		}
		k, err := strict(&doc)
		k.file = file
		if err != nil {
			findings = append(findings, Finding{Refused, Form, k.Metadata.Name, "", fmt.Sprintf("%s: %v", file, oneLine(err)), "correct the key: sidecars ignore what they do not know"})
		}
		if k.APIVersion != "dapr.io/v1alpha1" {
			findings = append(findings, Finding{Refused, Form, k.Metadata.Name, "apiVersion", fmt.Sprintf("%s: apiVersion is %q", file, k.APIVersion), "write dapr.io/v1alpha1"})
		}
		all = append(all, k)
	}
}

func otherKind(file, kind string) Finding {
	switch kind {
	case "Subscription":
		return Finding{Refused, Repeats, "", "", file + " declares a subscription: services subscribe by themselves, and a second subscription takes the place of the first", "remove it"}
	case "Resiliency", "Configuration", "HTTPEndpoint":
		return Finding{Warning, Form, "", "", fmt.Sprintf("%s is a %s: the one for all profiles is in dapr/, and this one would be read beside it", file, kind), "move it there or remove it"}
	}
	return Finding{Warning, Form, "", "", fmt.Sprintf("%s has the kind %q, which is no component: it is left out", file, kind), "write kind: Component, or remove it"}
}

// strict reads a component and refuses keys that it does not have.
func strict(doc *yaml.Node) (component, error) {
	raw, err := yaml.Marshal(doc)
	if err != nil {
		return component{}, err
	}
	var k component
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err = dec.Decode(&k); err != nil {
		var lenient component
		if doc.Decode(&lenient) == nil {
			return lenient, err
		}
	}
	return k, err
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}
