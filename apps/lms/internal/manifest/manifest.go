// Package manifest writes the files by which other tools start the same services
// from the same folders: the Dapr CLI's, Tye's, Compose's and the Helm chart's.
// They follow from the tables of services, topics and building blocks, so that a
// new service is in all of them.
package manifest

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"

	"lms/apps/lms/internal/installation"
	"lms/shared/contracts"
	"lms/shared/contracts/access"
)

// App is one service as the files need it.
type App struct {
	Name     string
	Database bool
	Edge     bool
	Index    bool // it keeps an index in a folder, or asks a search engine
	// Ports where they are fixed, on one machine.
	Port, HTTP, GRPC, Internal, Metrics int
	// Blocks are the components that it loads.
	Blocks []string
	// Publishes and Consumes are topics.
	Publishes, Consumes []string
}

// Ports of the first service; each further one has the next. The gateway is
// where people look for it.
const (
	firstPort     = 8101
	firstHTTP     = 3501
	firstGRPC     = 5001
	firstInternal = 6001
	firstMetrics  = 9101
	edgePort      = 8080
)

// Apps are all services in the order of their table.
func Apps() []App {
	var apps []App
	for i, s := range installation.Services() {
		a := App{
			Name: s.Name, Database: s.Database, Edge: s.Edge, Index: s.Index,
			Port: firstPort + i, HTTP: firstHTTP + i, GRPC: firstGRPC + i, Internal: firstInternal + i, Metrics: firstMetrics + i,
		}
		if s.Edge {
			a.Port = edgePort
		}
		for _, t := range contracts.Topics() {
			if t.Publisher == s.Name {
				a.Publishes = append(a.Publishes, t.Name)
			}
			if slices.Contains(t.Consumers, s.Name) {
				a.Consumes = append(a.Consumes, t.Name)
			}
			if t.Publisher == s.Name || slices.Contains(t.Consumers, s.Name) {
				a.Blocks = append(a.Blocks, t.Component)
			}
		}
		for _, b := range contracts.BuildingBlocks() {
			if slices.Contains(b.Apps, s.Name) {
				a.Blocks = append(a.Blocks, b.Name)
			}
		}
		apps = append(apps, a)
	}
	return apps
}

//go:embed templates
var templates embed.FS

// Files are all files that follow from the tables and from other files, by their
// path in the source tree at root.
func Files(root string) (map[string][]byte, error) {
	data := struct {
		Apps    []App
		Behind  []string // services behind the gateway
		Topics  []contracts.Topic
		Blocks  []contracts.BuildingBlock
		Secrets []string // that every installation needs
	}{Apps: Apps(), Topics: contracts.Topics(), Blocks: contracts.BuildingBlocks(), Secrets: installation.SecretNames()}
	for _, a := range data.Apps {
		if !a.Edge {
			data.Behind = append(data.Behind, a.Name)
		}
	}
	files := map[string][]byte{}
	for path, name := range map[string]string{
		"dapr/dapr.yaml":                      "dapr.yaml.tmpl",
		"tye.yaml":                            "tye.yaml.tmpl",
		"deploy/compose/compose.yaml":         "compose.yaml.tmpl",
		"deploy/compose/databases.sql":        "databases.sql.tmpl",
		"deploy/compose/setup.sh":             "setup.sh.tmpl",
		"deploy/compose/streams.sh":           "streams.sh.tmpl",
		"deploy/helm/lms/files/services.yaml": "services.yaml.tmpl",
		"deploy/helm/lms/values.schema.json":  "values.schema.json.tmpl",
	} {
		t, err := template.New(name).Funcs(template.FuncMap{"join": strings.Join}).ParseFS(templates, "templates/"+name)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		var out bytes.Buffer
		if err := t.Execute(&out, data); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		files[path] = out.Bytes()
	}
	if err := addAccess(files); err != nil {
		return nil, err
	}
	// A chart can read its own folder only.
	for path, from := range map[string]string{
		"deploy/helm/lms/files/configuration.yaml": "dapr/config.yaml",
		"deploy/helm/lms/files/resiliency.yaml":    "dapr/resiliency.yaml",
		"deploy/helm/lms/files/alerts.yaml":        "deploy/observability/alerts.yaml",
	} {
		raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(from)))
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", from, err)
		}
		files[path] = raw
	}
	return files, nil
}

// chartAccess is the access table as the chart reads it: what trust domain and
// namespace are is the cluster's.
type chartAccess struct {
	Apps map[string][]chartPolicy `yaml:"apps"`
}

type chartPolicy struct {
	Caller     string           `yaml:"caller"`
	Operations []chartOperation `yaml:"operations"`
}

type chartOperation struct {
	Name   string   `yaml:"name"`
	Verbs  []string `yaml:"httpVerb,flow"`
	Action string   `yaml:"action"`
}

// addAccess adds the access policies: a Configuration per app for sidecars on one
// machine, and all of them for the chart.
func addAccess(files map[string][]byte) error {
	chart := chartAccess{Apps: map[string][]chartPolicy{}}
	for _, app := range access.Apps() {
		document, err := access.Document(app)
		if err != nil {
			return fmt.Errorf("access policy of %s: %w", app, err)
		}
		files["dapr/access/"+app+".yaml"] = document
		policies, err := access.Policies(app)
		if err != nil {
			return fmt.Errorf("access policy of %s: %w", app, err)
		}
		chart.Apps[app] = []chartPolicy{} // everybody else is refused
		for _, p := range policies {
			to := chartPolicy{Caller: p.Caller}
			for _, o := range p.Operations {
				to.Operations = append(to.Operations, chartOperation{Name: o.Name, Verbs: o.Verbs, Action: "allow"})
			}
			chart.Apps[app] = append(chart.Apps[app], to)
		}
	}
	raw, err := yaml.Marshal(chart)
	if err != nil {
		return fmt.Errorf("access policies of the chart: %w", err)
	}
	files["deploy/helm/lms/files/access.yaml"] = append([]byte("# Who may call which route of each app. make generate writes this file from\n# shared/contracts/access.\n"), raw...)
	return nil
}
