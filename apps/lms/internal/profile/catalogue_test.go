package profile_test

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the catalogue of components") //nolint:gochecknoglobals // a flag

const sidecar = "../../../../dapr/sidecar"

// entry is a line of the catalogue.
type entry struct {
	Type     string   `json:"type"`
	Version  string   `json:"version"`
	Status   string   `json:"status"`
	Shipped  bool     `json:"shipped,omitempty"`
	Features []string `json:"features,omitempty"`
	Required []string `json:"required,omitempty"`
	Secret   []string `json:"secret,omitempty"`
	Settings []string `json:"settings"`
}

// TestTheCatalogueSaysWhatThePinnedComponentsSay compares it with the
// descriptions and the sources of the components-contrib that the sidecar pins.
func TestTheCatalogueSaysWhatThePinnedComponentsSay(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/components-contrib")
	list.Dir = sidecar
	out, err := list.Output()
	require.NoError(t, err)
	shipped := loaded(t)
	var found []entry
	for kind := range shipped {
		require.NoError(t, filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), kind), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "metadata.yaml" {
				return err
			}
			e := describe(t, path)
			e.Shipped = slices.Contains(shipped[kind], strings.TrimPrefix(e.Type, kind+"."))
			found = append(found, e)
			return nil
		}))
	}
	require.Greater(t, len(found), 100)
	slices.SortFunc(found, func(a, b entry) int { return strings.Compare(a.Type+" "+a.Version, b.Type+" "+b.Version) })
	var want strings.Builder
	for _, e := range found {
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		want.Write(append(raw, '\n'))
	}
	if *update {
		require.NoError(t, os.WriteFile("catalogue.jsonl", []byte(want.String()), 0o600))
		return
	}
	got, err := os.ReadFile("catalogue.jsonl")
	require.NoError(t, err)
	require.Equal(t, want.String(), string(got), "go test ./apps/lms/internal/profile -run Catalogue -update")
}

// loaded are the names of the components that the trimmed sidecar registers, by
// their kind: the texts in the functions that do it.
func loaded(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(sidecar, "components.go"), nil, 0)
	require.NoError(t, err)
	names := map[string][]string{}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		kind := map[string]string{"pubSubs": "pubsub", "stateStores": "state", "bindingTypes": "bindings", "secretStores": "secretstores"}[fn.Name.Name]
		if kind == "" {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				names[kind] = append(names[kind], text)
			}
			return true
		})
	}
	require.Len(t, names, 4)
	return names
}

type setting struct {
	Name      string `yaml:"name"`
	Required  bool   `yaml:"required"`
	Sensitive bool   `yaml:"sensitive"`
}

func describe(t *testing.T, path string) entry {
	t.Helper()
	var d struct {
		Type         string    `yaml:"type"`
		Name         string    `yaml:"name"`
		Version      string    `yaml:"version"`
		Status       string    `yaml:"status"`
		Capabilities []string  `yaml:"capabilities"`
		Metadata     []setting `yaml:"metadata"`
		Profiles     []struct {
			Metadata []setting `yaml:"metadata"`
		} `yaml:"authenticationProfiles"`
		Builtin []struct {
			Name     string    `yaml:"name"`
			Metadata []setting `yaml:"metadata"`
		} `yaml:"builtinAuthenticationProfiles"`
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &d), path)
	e := entry{
		Type: d.Type + "." + d.Name, Version: d.Version, Status: d.Status,
		Features: append(d.Capabilities, implemented(t, filepath.Dir(path))...), Settings: []string{},
	}
	add := func(whole bool, items ...setting) {
		for _, s := range items {
			e.Settings = append(e.Settings, s.Name)
			if s.Required && whole {
				e.Required = append(e.Required, s.Name)
			}
			if s.Sensitive {
				e.Secret = append(e.Secret, s.Name)
			}
		}
	}
	add(true, d.Metadata...)
	for _, p := range d.Profiles {
		// Which of them is used decides what is required.
		add(false, p.Metadata...)
		e.Settings = append(e.Settings, "authType")
	}
	for _, b := range d.Builtin {
		add(false, b.Metadata...)
		names := sharedSettings(b.Name)
		e.Settings = append(e.Settings, names...)
		e.Secret = append(e.Secret, slices.DeleteFunc(names, func(n string) bool { return !secretName.MatchString(n) })...)
	}
	for _, names := range []*[]string{&e.Features, &e.Required, &e.Secret, &e.Settings} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return e
}

var secretName = regexp.MustCompile(`(?i)secretkey|secret$|password|token$|^privatekey$`)

// sharedSettings are those of authentication that several products share, which
// the descriptions name but do not list.
func sharedSettings(profile string) []string {
	return map[string][]string{
		"aws": {
			"accessKey", "secretKey", "sessionToken", "region", "awsRegion", "awsAccessKey", "awsSecretKey", "assumeRoleArn", "trustAnchorArn",
			"trustProfileArn", "sessionName", "assumeRoleSessionName", "useAWSIAM", "awsIamRoleArn", "awsStsSessionName", "awsSessionToken", "partition",
		},
		"azuread": {
			"azureTenantId", "azureClientId", "azureClientSecret", "azureCertificate", "azureCertificateFile", "azureCertificatePassword", "azureEnvironment", "useAzureAD",
		},
		"gcp": {
			"type", "projectId", "identityProjectId", "privateKeyId", "privateKey", "clientEmail", "clientId", "authUri", "tokenUri", "authProviderX509CertUrl", "clientX509CertUrl",
		},
	}[profile]
}

var feature = regexp.MustCompile(`\bstate\.Feature(ETag|Transactional|TTL)\b`)

// implemented are the features that the code of a component claims: some
// descriptions leave them out.
func implemented(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range feature.FindAllStringSubmatch(string(raw), -1) {
			names = append(names, strings.ToLower(m[1]))
		}
	}
	return names
}
