package verify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// readable is what the Role of each service lets its sidecar read.
func readable(t *testing.T, all []object) map[string][]string {
	t.Helper()
	may := map[string][]string{}
	for _, o := range all {
		if o.kind.Kind != "Role" {
			continue
		}
		var role rbacv1.Role
		require.NoError(t, json.Unmarshal(o.raw, &role))
		for _, r := range role.Rules {
			require.Equal(t, []string{"secrets"}, r.Resources)
			require.Equal(t, []string{"get"}, r.Verbs)
			require.NotEmpty(t, r.ResourceNames, "%s may read all", role.Name)
			may[serviceOf(o)] = r.ResourceNames
		}
	}
	return may
}

func serviceOf(o object) string { return strings.TrimPrefix(o.kind.Metadata.Name, "lms-") }

// TestSidecarsMayReadTheirSecrets: those of their components and their services', and
// no other service's.
func TestSidecarsMayReadTheirSecrets(t *testing.T) {
	t.Parallel()
	for name, text := range variants {
		all := objects(t, render(t, text))
		may := readable(t, all)
		for _, o := range all {
			switch o.kind.Kind {
			case "Component":
				componentIsReadable(t, o, may)
			case "Deployment":
				app := serviceOf(o)
				require.Contains(t, may[app], "service-"+app, "%s", name)
				for _, secret := range may[app] {
					// auth knows everybody by theirs.
					foreign := strings.HasPrefix(secret, "service-") && secret != "service-"+app
					require.False(t, foreign && app != "auth", "%s: %s may read %s", name, app, secret)
				}
			}
		}
	}
}

// componentIsReadable holds a component's secrets against the Roles of who loads it
// and is installed.
func componentIsReadable(t *testing.T, o object, may map[string][]string) {
	t.Helper()
	var component struct {
		Spec struct {
			Metadata []struct {
				SecretKeyRef struct {
					Name string `json:"name"`
				} `json:"secretKeyRef"`
			} `json:"metadata"`
		} `json:"spec"`
		Scopes []string `json:"scopes"`
	}
	require.NoError(t, json.Unmarshal(o.raw, &component))
	for _, m := range component.Spec.Metadata {
		for _, app := range component.Scopes {
			if secret := m.SecretKeyRef.Name; secret != "" && may[app] != nil {
				require.Contains(t, may[app], secret, "%s loads %s", app, o.kind.Metadata.Name)
			}
		}
	}
}

// TestOnlySidecarsHaveATokenOfTheCluster: the services have none.
func TestOnlySidecarsHaveATokenOfTheCluster(t *testing.T) {
	t.Parallel()
	for _, text := range variants {
		for _, o := range objects(t, render(t, text)) {
			if o.kind.Kind != "Deployment" {
				continue
			}
			var d appsv1.Deployment
			require.NoError(t, json.Unmarshal(o.raw, &d))
			pod := d.Spec.Template.Spec
			volume, path, _ := strings.Cut(d.Spec.Template.Annotations["dapr.io/volume-mounts"], ":")
			require.Equal(t, "/var/run/secrets/kubernetes.io/serviceaccount", path, d.Name)
			require.True(t, slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == volume }), d.Name)
			require.False(t, *pod.AutomountServiceAccountToken, d.Name)
			for _, c := range pod.Containers {
				require.False(t, slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume }), d.Name)
			}
		}
	}
}
