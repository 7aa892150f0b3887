package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	componentsapi "github.com/dapr/dapr/pkg/apis/components/v1alpha1"
	resiliencyapi "github.com/dapr/dapr/pkg/apis/resiliency/v1alpha1"
	daprconfig "github.com/dapr/dapr/pkg/config"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// consumers is the mission's table: who reads the topic of each publisher.
var consumers = map[string][]string{
	"user":       {"notification", "analytics"},
	"course":     {"enrollment", "search", "notification", "analytics"},
	"enrollment": {"notification", "analytics"},
	"content":    {"search", "notification", "analytics"},
	"assignment": {"notification", "analytics"},
	"payment":    {"notification", "analytics"},
}

var services = []string{
	"user", "auth", "course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics", "gateway",
}

// loaders are the apps that have each component that is no topic.
var loaders = map[string][]string{
	"state":    {"notification", "search"},
	"sessions": {"auth", "gateway"},
	"cache":    services,
	"email":    {"user", "notification"},
	"secrets":  services,
}

func TestComponentsAreTheSameInEveryProfile(t *testing.T) {
	t.Parallel()
	names := slices.Collect(maps.Keys(loaders))
	for publisher := range consumers {
		names = append(names, "events-"+publisher)
	}
	for profile, components := range profiles(t) {
		t.Run(profile, func(t *testing.T) {
			require.ElementsMatch(t, names, slices.Collect(maps.Keys(components)))
			for publisher, readers := range consumers {
				topic := publisher + ".events"
				component := components["events-"+publisher]
				set := settings(component)
				require.ElementsMatch(t, append([]string{publisher}, readers...), component.Scopes, topic)
				require.Equal(t, topic, set["allowedTopics"])
				require.Equal(t, topic, set["protectedTopics"])
				require.Equal(t, publisher+"="+topic, set["publishingScopes"])
				var granted []string
				for _, reader := range readers {
					granted = append(granted, reader+"="+topic)
				}
				require.ElementsMatch(t, granted, strings.Split(set["subscriptionScopes"], ";"), topic)
				require.NotContains(t, set, "consumerGroup", "one group for all apps would share the events out")
			}
			for name, apps := range loaders {
				require.ElementsMatch(t, apps, components[name].Scopes, name)
			}
			require.Equal(t, "name", settings(components["sessions"])["keyPrefix"], "auth writes what the gateway reads")
		})
	}
}

// Misspelt keys are ignored in silence by daprd and by the components, so each
// key is looked up in what the component says of itself.
func TestComponentSettingsExist(t *testing.T) {
	t.Parallel()
	ours := map[string][]string{"bindings.smtp": tags(reflect.TypeFor[mailSettings]())}
	for profile, components := range profiles(t) {
		for name, component := range components {
			known, ok := ours[component.Spec.Type]
			if !ok {
				known = described(t, component.Spec.Type, component.Spec.Version)
			}
			for key := range settings(component) {
				require.Contains(t, known, key, "%s/%s", profile, name)
			}
		}
	}
}

func TestConfigurationHasNoUnknownKey(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(repository(t, "dapr", "config.yaml"))
	require.NoError(t, err)
	var parsed daprconfig.Configuration
	strict := yaml.NewDecoder(strings.NewReader(withoutTypeMeta(string(raw))))
	strict.KnownFields(true)
	require.NoError(t, strict.Decode(&parsed))
	require.Equal(t, "0", parsed.Spec.TracingSpec.SamplingRate)
	require.False(t, parsed.Spec.MetricSpec.GetEnabled())
	require.NotContains(t, string(raw), "$", "a dollar sign is a variable here")
}

func TestResiliencyHasNoUnknownKeyAndNamesWhatExists(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(repository(t, "dapr", "resiliency.yaml"))
	require.NoError(t, err)
	var parsed resiliencyapi.Resiliency
	require.NoError(t, k8syaml.UnmarshalStrict(raw, &parsed))
	policies, targets := parsed.Spec.Policies, parsed.Spec.Targets
	require.Empty(t, policies.CircuitBreakers, "kept per app and path: they hardly ever trip, and then wrongly")
	require.Empty(t, targets.Apps, "a policy of an app switches off that a dead connection is dropped")

	for profile, components := range profiles(t) {
		for name := range targets.Components {
			require.Contains(t, components, name, profile)
		}
		for name := range consumers {
			policy := targets.Components["events-"+name]
			retry := policies.Retries[policy.Inbound.Retry]
			require.Equal(t, "constant", retry.Policy, "an exponential one ends after 15 minutes, whatever it says")
			require.Equal(t, -1, *retry.MaxRetries)
			require.Contains(t, policies.Timeouts, policy.Inbound.Timeout)
			require.Contains(t, policies.Timeouts, policy.Outbound.Timeout)
			require.Empty(t, policy.Outbound.Retry, "the relay publishes again, and it knows what may be")
		}
	}
}

// profiles reads every component, strictly.
func profiles(t *testing.T) map[string]map[string]componentsapi.Component {
	t.Helper()
	found := map[string]map[string]componentsapi.Component{}
	paths, err := filepath.Glob(repository(t, "components", "*", "*.yaml"))
	require.NoError(t, err)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		if strings.Contains(string(raw), "\nkind: Settings\n") {
			continue // for services; lms profile check reads it
		}
		var component componentsapi.Component
		require.NoError(t, k8syaml.UnmarshalStrict(raw, &component), path)
		require.Equal(t, strings.TrimSuffix(filepath.Base(path), ".yaml"), component.Name)
		profile := filepath.Base(filepath.Dir(path))
		if found[profile] == nil {
			found[profile] = map[string]componentsapi.Component{}
		}
		found[profile][component.Name] = component
	}
	require.Contains(t, found, "embedded")
	return found
}

func settings(component componentsapi.Component) map[string]string {
	set := map[string]string{}
	for _, item := range component.Spec.Metadata {
		set[item.Name] = item.Value.String()
	}
	return set
}

// described returns the settings that a component's own description lists, and
// those that daprd or a library reads for it.
func described(t *testing.T, kind, version string) []string {
	t.Helper()
	type named struct {
		Name string `yaml:"name"`
	}
	var description struct {
		Metadata []named `yaml:"metadata"`
		Profiles []struct {
			Metadata []named `yaml:"metadata"`
		} `yaml:"authenticationProfiles"`
		Builtin []named `yaml:"builtinAuthenticationProfiles"`
	}
	folder := filepath.Join(contrib(t), strings.Replace(strings.Replace(kind, ".", "/", 1), ".", "/", 1))
	if _, err := os.Stat(filepath.Join(folder, version)); err == nil {
		folder = filepath.Join(folder, version) // of several versions, each in a folder of its own
	}
	raw, err := os.ReadFile(filepath.Join(folder, "metadata.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &description))
	keys := map[string][]string{
		"pubsub": {
			"allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes",
			// read with the prefix backOff by the Kafka component
			"backOffPolicy", "backOffDuration", "backOffMaxRetries",
		},
		"state": {"keyPrefix"},
	}[strings.Split(kind, ".")[0]]
	for _, item := range description.Metadata {
		keys = append(keys, item.Name)
	}
	for _, profile := range description.Profiles {
		keys = append(keys, "authType")
		for _, item := range profile.Metadata {
			keys = append(keys, item.Name)
		}
	}
	return keys
}

func contrib(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dapr/components-contrib").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func tags(structure reflect.Type) []string {
	var names []string
	for i := range structure.NumField() {
		names = append(names, structure.Field(i).Tag.Get("mapstructure"))
	}
	return names
}

// withoutTypeMeta removes the two lines that the configuration's type embeds
// with a Kubernetes type that has no YAML tags.
func withoutTypeMeta(raw string) string {
	var kept []string
	for line := range strings.Lines(raw) {
		if !strings.HasPrefix(line, "apiVersion:") && !strings.HasPrefix(line, "kind:") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
