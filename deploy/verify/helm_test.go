package verify

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = flag.Bool("update", false, "write the golden files")

const chartDir = "../helm/lms"

// variants are the settings that the golden files are rendered with, by name.
var variants = map[string]string{
	"default": "",
	"full": `
dapr: {sidecarImage: registry.example.com/lms/sidecar:0.1.0}
externalSecrets: {enabled: true}
ingress: {enabled: true, className: nginx, tlsSecret: lms-tls}
monitoring: {enabled: true}
otlpEndpoint: http://collector:4318
image: {pullSecrets: [{name: registry}]}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: lms, operator: Exists}]
priorityClassName: high
services: {course: {replicas: 4, env: {LMS_COURSE_X: "1"}}}
subscriptions: [{name: ours, topic: course.events, component: events-course, route: /events, scopes: [ours]}]
`,
	"small": `
only: [gateway, user, auth]
defaults: {replicas: 1, autoscaling: {enabled: false}}
services: {gateway: {replicas: 1}}
podDisruptionBudgets: false
networkPolicies: {enabled: false}
dapr: {accessControl: false}
database: {migrate: false}
components:
  topics:
    type: pubsub.jetstream
    version: v1
    metadata:
      - {name: natsURL, value: "nats://nats:4222"}
      - {name: streamName, value: "{publisher}-events"}
      - {name: durableName, value: "{appID}-{publisher}"}
`,
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	require.NoError(t, err)
	return c
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := chartutil.ReadValues([]byte(text))
	require.NoError(t, err)
	return v
}

// render is what helm template writes, file by file in a fixed order.
func render(t *testing.T, text string) string {
	t.Helper()
	c := loadChart(t)
	options := chartutil.ReleaseOptions{Name: "lms", Namespace: "school", Revision: 1, IsInstall: true}
	v, err := chartutil.ToRenderValues(c, values(t, text), options, nil)
	require.NoError(t, err)
	files, err := engine.Render(c, v)
	require.NoError(t, err)
	var out strings.Builder
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			fmt.Fprintf(&out, "# Source: %s\n%s\n", name, strings.TrimSpace(files[name]))
		}
	}
	return out.String()
}

// object is one rendered resource.
type object struct {
	raw  []byte // JSON
	kind struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
}

func objects(t *testing.T, rendered string) []object {
	t.Helper()
	var all []object
	dec := yaml.NewDecoder(strings.NewReader(rendered))
	for {
		var doc any
		if err := dec.Decode(&doc); err != nil {
			require.ErrorContains(t, err, "EOF")
			return all
		}
		if doc == nil {
			continue
		}
		raw, err := json.Marshal(doc)
		require.NoError(t, err)
		o := object{raw: raw}
		require.NoError(t, json.Unmarshal(raw, &o.kind))
		require.NotEmpty(t, o.kind.Metadata.Name, string(raw))
		all = append(all, o)
	}
}

func TestTheChartIsLinted(t *testing.T) {
	t.Parallel()
	for name, text := range variants {
		l := lint.AllWithKubeVersion(chartDir, values(t, text), "school", nil)
		for _, m := range l.Messages {
			require.Less(t, m.Severity, support.WarningSev, "%s: %s: %v", name, m.Path, m.Err)
		}
	}
}

func TestWhatTheChartRendersIsAsBefore(t *testing.T) {
	t.Parallel()
	for name, text := range variants {
		path := filepath.Join("../helm/golden", name+".yaml")
		got := render(t, text)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
			continue
		}
		require.Equal(t, string(read(t, path)), got, "cd deploy/verify && go test -run AsBefore . -update")
	}
}

// moduleDir is the folder of a module that some go.mod pins.
func moduleDir(t *testing.T, where, module string) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	cmd.Dir = where
	out, err := cmd.Output()
	require.NoError(t, err, module)
	return strings.TrimSpace(string(out))
}

// crdSchemas are the schemas of custom resources by kind and version: Dapr's own
// of the pinned release, made strict.
func crdSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(moduleDir(t, "../../dapr/sidecar", "github.com/dapr/dapr"), "charts/dapr/crds/*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	ours, err := filepath.Glob("schemas/*.yaml")
	require.NoError(t, err)
	schemas := map[string]*jsonschema.Schema{}
	compiler := jsonschema.NewCompiler()
	for _, f := range append(files, ours...) {
		var crd struct {
			Spec struct {
				Group string `yaml:"group"`
				Names struct {
					Kind string `yaml:"kind"`
				} `yaml:"names"`
				Versions []struct {
					Name   string `yaml:"name"`
					Schema struct {
						OpenAPI map[string]any `yaml:"openAPIV3Schema"`
					} `yaml:"schema"`
				} `yaml:"versions"`
			} `yaml:"spec"`
		}
		require.NoError(t, yaml.Unmarshal(read(t, f), &crd), f)
		for _, v := range crd.Spec.Versions {
			key := crd.Spec.Group + "/" + v.Name + " " + crd.Spec.Names.Kind
			raw, err := json.Marshal(closed(v.Schema.OpenAPI, true))
			require.NoError(t, err)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			require.NoError(t, err)
			url := "crd:" + strings.ReplaceAll(key, " ", "/")
			require.NoError(t, compiler.AddResource(url, doc))
			schemas[key], err = compiler.Compile(url)
			require.NoError(t, err, key)
		}
	}
	return schemas
}

// closed refuses fields that a schema does not know, where it knows any, as the
// server does for what it prunes; metadata is Kubernetes' own.
func closed(node any, top bool) any {
	switch n := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range n {
			if k == "properties" {
				props := map[string]any{}
				for name, p := range v.(map[string]any) {
					props[name] = closed(p, false)
					if top && name == "metadata" {
						props[name] = map[string]any{"type": "object"}
					}
				}
				out[k] = props
				continue
			}
			out[k] = closed(v, false)
		}
		if _, ok := n["properties"]; ok && n["additionalProperties"] == nil && n["x-kubernetes-preserve-unknown-fields"] == nil {
			out["additionalProperties"] = false
		}
		if n["nullable"] == true {
			out["type"] = []any{n["type"], "null"}
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i := range n {
			out[i] = closed(n[i], false)
		}
		return out
	}
	return node
}

func TestWhatTheChartRendersFitsTheSchemas(t *testing.T) {
	t.Parallel()
	custom := crdSchemas(t)
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, text := range variants {
		seen := map[string]bool{}
		for _, o := range objects(t, render(t, text)) {
			key := o.kind.APIVersion + " " + o.kind.Kind
			id := key + " " + o.kind.Metadata.Name
			require.False(t, seen[id], "%s: %s twice", name, id)
			seen[id] = true
			if schema, ok := custom[key]; ok {
				doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(o.raw))
				require.NoError(t, err)
				require.NoError(t, schema.Validate(doc), "%s: %s", name, id)
				continue
			}
			// Kubernetes' own types, unknown and repeated fields refused.
			_, _, err := strict.Decode(o.raw, nil, nil)
			require.NoError(t, err, "%s: %s", name, id)
			openAPI(t, o, id)
		}
		require.Greater(t, len(seen), 20, name)
	}
}

// openAPI holds an object against the OpenAPI document of its group: what is
// required, formats and enumerations, which the Go types do not say. The documents
// are those that kubectl-validate carries; nothing of it is compiled.
func openAPI(t *testing.T, o object, id string) {
	t.Helper()
	path := "api/" + o.kind.APIVersion
	if strings.Contains(o.kind.APIVersion, "/") {
		path = "apis/" + o.kind.APIVersion
	}
	raw := read(t, kubernetesSchemas(t), path+".json")
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Kinds []struct {
					Group, Version, Kind string
				} `json:"x-kubernetes-group-version-kind"`
			} `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	for name, s := range doc.Components.Schemas {
		for _, k := range s.Kinds {
			version := k.Version
			if k.Group != "" {
				version = k.Group + "/" + k.Version
			}
			if k.Kind != o.kind.Kind || version != o.kind.APIVersion || strings.HasSuffix(name, "DeleteOptions") {
				continue
			}
			compiler := jsonschema.NewCompiler()
			parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
			require.NoError(t, err)
			require.NoError(t, compiler.AddResource("k8s:doc", parsed))
			schema, err := compiler.Compile("k8s:doc#/components/schemas/" + name)
			require.NoError(t, err, id)
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(o.raw))
			require.NoError(t, err)
			require.NoError(t, schema.Validate(value), id)
			return
		}
	}
	require.Fail(t, "no schema", id)
}

// kubernetesSchemas is the newest folder of documents in the pinned module.
func kubernetesSchemas(t *testing.T) string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(moduleDir(t, ".", "sigs.k8s.io/kubectl-validate"), "pkg/openapiclient/builtins/*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	slices.Sort(folders)
	return folders[len(folders)-1]
}

func TestEveryPodIsGuardedAndSpread(t *testing.T) {
	t.Parallel()
	annotations := string(read(t, moduleDir(t, "../../dapr/sidecar", "github.com/dapr/dapr"), "pkg/injector/annotations/annotations.go"))
	deployments := 0
	for _, o := range objects(t, render(t, variants["full"])) {
		if o.kind.Kind != "Deployment" && o.kind.Kind != "Job" {
			continue
		}
		if o.kind.Kind == "Deployment" {
			deployments++
		}
		var w struct {
			Spec struct {
				Template struct {
					Metadata struct {
						Annotations map[string]string `json:"annotations"`
					} `json:"metadata"`
					Spec struct {
						Security struct {
							NonRoot bool `json:"runAsNonRoot"`
						} `json:"securityContext"`
						Token      *bool `json:"automountServiceAccountToken"`
						Spread     []any `json:"topologySpreadConstraints"`
						Containers []struct {
							Image    string `json:"image"`
							Security struct {
								ReadOnly bool  `json:"readOnlyRootFilesystem"`
								Escalate *bool `json:"allowPrivilegeEscalation"`
								Caps     struct {
									Drop []string `json:"drop"`
								} `json:"capabilities"`
							} `json:"securityContext"`
							Resources struct {
								Requests, Limits map[string]string
							} `json:"resources"`
							Readiness, Liveness, Startup any
						} `json:"containers"`
					} `json:"spec"`
				} `json:"template"`
			} `json:"spec"`
		}
		require.NoError(t, json.Unmarshal(o.raw, &w))
		spec, name := w.Spec.Template.Spec, o.kind.Metadata.Name
		require.True(t, spec.Security.NonRoot, name)
		require.False(t, *spec.Token, name)
		require.Equal(t, o.kind.Kind == "Deployment", len(spec.Spread) == 2, name)
		for _, c := range spec.Containers {
			require.True(t, c.Security.ReadOnly && !*c.Security.Escalate, name)
			require.Equal(t, []string{"ALL"}, c.Security.Caps.Drop, name)
			require.NotEmpty(t, c.Resources.Limits["memory"], name)
			require.NotEmpty(t, c.Resources.Requests["cpu"], name)
			require.Regexp(t, regexp.MustCompile(`:[0-9]`), c.Image, name)
		}
		for key := range w.Spec.Template.Metadata.Annotations {
			if strings.HasPrefix(key, "dapr.io/") {
				require.Contains(t, annotations, `"`+key+`"`, "%s: the injector knows no such annotation", name)
			}
		}
	}
	require.Len(t, serviceNames(t), deployments)
}

// TestSettingsThatTheChartDoesNotKnowAreRefused goes by values.schema.json.
func TestSettingsThatTheChartDoesNotKnowAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"imagee: {}", "dapr: {loglevel: warn}", "defaults: {replicas: two}", "services: {cuorse: {}}", "only: [cuorse]", "components: {topics: {type: 7}}"} {
		c := loadChart(t)
		v, err := chartutil.CoalesceValues(c, values(t, text))
		require.NoError(t, err)
		require.Error(t, chartutil.ValidateAgainstSchema(c, v), text)
	}
}
