package verify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readable is what the Role of each service lets its sidecar read.
func readable(t *testing.T, all []object) map[string][]string {
	t.Helper()
	may := map[string][]string{}
	for _, o := range all {
		if o.kind.Kind != "Role" {
			continue
		}
		var role struct {
			Rules []struct {
				Resources     []string `json:"resources"`
				ResourceNames []string `json:"resourceNames"`
				Verbs         []string `json:"verbs"`
			} `json:"rules"`
		}
		require.NoError(t, json.Unmarshal(o.raw, &role))
		for _, r := range role.Rules {
			require.Equal(t, []string{"secrets"}, r.Resources)
			require.Equal(t, []string{"get"}, r.Verbs)
			require.NotEmpty(t, r.ResourceNames, "%s may read all", o.kind.Metadata.Name)
			may[strings.TrimPrefix(o.kind.Metadata.Name, "lms-")] = r.ResourceNames
		}
	}
	return may
}

// TestSidecarsMayReadTheirSecrets: those of their components and their services', and
// no other service's; the service itself has no token of the cluster.
func TestSidecarsMayReadTheirSecrets(t *testing.T) {
	t.Parallel()
	for name, text := range variants {
		all := objects(t, render(t, text))
		may := readable(t, all)
		for _, o := range all {
			var k struct {
				Spec struct {
					Metadata []struct {
						SecretKeyRef *struct {
							Name string `json:"name"`
						} `json:"secretKeyRef"`
					} `json:"metadata"`
					Template struct {
						Metadata struct {
							Annotations map[string]string `json:"annotations"`
						} `json:"metadata"`
						Spec struct {
							Automount  *bool `json:"automountServiceAccountToken"`
							Containers []struct {
								VolumeMounts []struct {
									Name string `json:"name"`
								} `json:"volumeMounts"`
							} `json:"containers"`
							Volumes []struct {
								Name string `json:"name"`
							} `json:"volumes"`
						} `json:"spec"`
					} `json:"template"`
				} `json:"spec"`
				Scopes []string `json:"scopes"`
			}
			if o.kind.Kind != "Component" && o.kind.Kind != "Deployment" {
				continue
			}
			require.NoError(t, json.Unmarshal(o.raw, &k))
			for _, m := range k.Spec.Metadata {
				for _, app := range k.Scopes {
					require.True(t, m.SecretKeyRef == nil || may[app] == nil || slices.Contains(may[app], m.SecretKeyRef.Name), "%s: %s of %s", name, app, o.kind.Metadata.Name)
				}
			}
			if o.kind.Kind == "Component" {
				continue
			}
			app, pod := strings.TrimPrefix(o.kind.Metadata.Name, "lms-"), k.Spec.Template.Spec
			require.Contains(t, may[app], "service-"+app, "%s", name)
			require.Equal(t, app == "auth", slices.Contains(may[app], "service-lms"), "%s: %s and the operator's secret", name, app)
			mounted, path, _ := strings.Cut(k.Spec.Template.Metadata.Annotations["dapr.io/volume-mounts"], ":")
			require.Equal(t, "/var/run/secrets/kubernetes.io/serviceaccount", path, app)
			require.True(t, slices.ContainsFunc(pod.Volumes, func(v struct {
				Name string `json:"name"`
			},
			) bool {
				return v.Name == mounted
			}), app)
			require.False(t, *pod.Automount, app)
			for _, c := range pod.Containers {
				for _, m := range c.VolumeMounts {
					require.NotEqual(t, mounted, m.Name, "the service %s has a token of the cluster", app)
				}
			}
		}
	}
}
