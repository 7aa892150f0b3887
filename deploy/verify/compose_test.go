package verify

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const compose = "../compose"

// serviceNames are those of the table of services, as the Dapr CLI's file has
// them.
func serviceNames(t *testing.T) []string {
	t.Helper()
	var file struct {
		Apps []struct {
			ID string `yaml:"appID"`
		} `yaml:"apps"`
	}
	require.NoError(t, yaml.Unmarshal(read(t, "../../dapr/dapr.yaml"), &file))
	var names []string
	for _, a := range file.Apps {
		names = append(names, a.ID)
	}
	require.Contains(t, names, "gateway")
	return names
}

// project reads the common file and a profile's as Compose does.
func project(t *testing.T, profile string) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(compose)
	require.NoError(t, err)
	details := types.ConfigDetails{WorkingDir: dir, Environment: types.Mapping{
		"LMS_PROFILE": profile, "DAPR_API_TOKEN": "a", "APP_API_TOKEN": "b", "LMS_NATS_TOKEN": "c",
	}}
	for _, name := range []string{"compose.yaml", "compose." + profile + ".yaml"} {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: filepath.Join(dir, name)})
	}
	p, err := loader.LoadWithContext(t.Context(), details, func(o *loader.Options) {
		o.SetProjectName("lms", true)
		o.Profiles = []string{"*"} // the operator too
	})
	require.NoError(t, err)
	return p
}

// composeProfiles are the folders of components but the one for development; each
// has a file of its own.
func composeProfiles(t *testing.T) []string {
	t.Helper()
	folders, err := os.ReadDir("../../components")
	require.NoError(t, err)
	var names []string
	for _, f := range folders {
		if f.IsDir() && f.Name() != "embedded" {
			names = append(names, f.Name())
		}
	}
	require.Contains(t, names, "kafka")
	return names
}

func TestComposeFilesAreRead(t *testing.T) {
	t.Parallel()
	for _, profile := range composeProfiles(t) {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			p := project(t, profile)
			for _, app := range serviceNames(t) {
				require.Contains(t, p.Services, app)
				// A service that ends and is started again keeps its sidecar.
				shared := "service:" + app + "-address"
				require.Equal(t, shared, p.Services[app].NetworkMode)
				sidecar := p.Services[app+"-sidecar"]
				require.Equal(t, shared, sidecar.NetworkMode)
				require.Contains(t, strings.Join(sidecar.Command, " "), "--app-id "+app+" ")
			}
			for name, s := range p.Services {
				guarded(t, p, name, s)
			}
			require.True(t, p.Networks["inside"].Internal)
		})
	}
}

// guarded is what holds for every container.
func guarded(t *testing.T, p *types.Project, name string, s types.ServiceConfig) {
	t.Helper()
	_, tag, ok := strings.Cut(s.Image, ":")
	require.True(t, ok && tag != "latest" && tag != "", "%s: %s names no version", name, s.Image)
	// What ends when it is done, or only sleeps, has no health; a check that is
	// switched off would fail up --wait.
	serves := s.Restart == "unless-stopped" && !strings.HasSuffix(name, "-address")
	require.Equal(t, serves, s.HealthCheck != nil, "%s: its health", name)
	require.True(t, !serves || len(s.HealthCheck.Test) > 1, "%s: its health", name)
	// What ends is waited for, by --wait as well, only where something needs it.
	needed := slices.ContainsFunc(slices.Collect(maps.Values(p.Services)), func(other types.ServiceConfig) bool {
		return other.DependsOn[name].Condition == types.ServiceConditionCompletedSuccessfully
	})
	require.Equal(t, s.Restart == "on-failure", needed, "%s: who waits for its end", name)
	require.True(t, s.Deploy != nil && s.Deploy.Resources.Limits != nil && s.Deploy.Resources.Limits.MemoryBytes > 0 && s.Deploy.Resources.Limits.NanoCPUs > 0, "%s has no limits", name)
	require.Equal(t, []string{"ALL"}, s.CapDrop, name)
	require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
	require.Equal(t, name == "gateway-address", len(s.Ports) > 0, "%s: only the gateway's port is open", name)
	require.False(t, s.Privileged, name)
	if strings.HasPrefix(s.Image, "lms/") {
		require.Equal(t, "65532:65532", s.User, name)
		require.True(t, s.ReadOnly, name)
	}
	for network := range s.Networks {
		require.True(t, network == "inside" || strings.HasSuffix(name, "-address"), "%s is in the network %s", name, network)
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeBind {
			_, err := os.Stat(v.Source)
			require.NoError(t, err, "%s mounts what is not there", name)
			require.True(t, v.ReadOnly, "%s may write to %s", name, v.Source)
		}
	}
	for _, secret := range s.Secrets {
		require.Contains(t, p.Secrets, secret.Source, name)
	}
	for dependency := range s.DependsOn {
		require.Contains(t, p.Services, dependency, name)
	}
	for key := range s.Environment {
		value := s.Environment[key]
		require.False(t, value != nil && strings.Contains(strings.ToLower(key), "password") && !strings.HasSuffix(key, "_FILE"), "%s has a password in its environment: %s", name, key)
	}
}

// So are the settings of the kind Settings to the services that they are for.
func TestEveryVariableOfAProfileIsGivenToItsSidecars(t *testing.T) {
	t.Parallel()
	for _, profile := range composeProfiles(t) {
		p := project(t, profile)
		files, err := filepath.Glob(filepath.Join("../../components", profile, "*.yaml"))
		require.NoError(t, err)
		require.NotEmpty(t, files, profile)
		for _, f := range files {
			var k struct {
				Kind string `yaml:"kind"`
				Spec struct {
					Metadata []struct {
						Name   string `yaml:"name"`
						EnvRef string `yaml:"envRef"`
					} `yaml:"metadata"`
				} `yaml:"spec"`
				Scopes []string `yaml:"scopes"`
			}
			require.NoError(t, yaml.Unmarshal(read(t, f), &k))
			for _, m := range k.Spec.Metadata {
				if k.Kind == "Settings" { // services are told, not sidecars
					for _, app := range k.Scopes {
						require.True(t, !strings.HasPrefix(m.Name, "LMS_") || p.Services[app].Environment[m.Name] != nil, "%s tells %s %s", f, app, m.Name)
					}
					continue
				}
				if m.EnvRef == "" {
					continue
				}
				value, ok := p.Services["user-sidecar"].Environment[m.EnvRef]
				require.True(t, ok, "%s reads %s", f, m.EnvRef)
				if value == nil {
					continue
				}
				host, _, found := strings.Cut(strings.TrimPrefix(*value, "nats://"), ":")
				if found {
					var aliases []string
					for _, s := range p.Services {
						for _, n := range s.Networks {
							if n != nil {
								aliases = append(aliases, n.Aliases...)
							}
						}
					}
					_, is := p.Services[host]
					require.True(t, is || slices.Contains(aliases, host), "%s: nothing of the profile %s is called %s", m.EnvRef, profile, host)
				}
			}
		}
	}
}
