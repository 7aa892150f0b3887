package installation_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
)

func home(t *testing.T) installation.Home {
	t.Helper()
	h, err := installation.ResolveHome(filepath.Join(t.TempDir(), "home"), ".")
	require.NoError(t, err)
	require.NoError(t, h.Prepare())
	return h
}

func TestSecretsAreMadeOnceAndKeptPrivate(t *testing.T) {
	t.Parallel()
	h := home(t)
	first, err := h.EnsureSecrets()
	require.NoError(t, err)
	for _, s := range installation.Services() {
		require.Len(t, first["service-"+s.Name], 64)
	}
	again, err := h.EnsureSecrets()
	require.NoError(t, err)
	require.Equal(t, first, again)
	info, err := os.Stat(h.SecretsFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// A secret that a newer version needs is added, the others stay, and so
	// does what somebody added by hand.
	delete(first, "service-user")
	first["smtp-password"] = "given by hand"
	raw, err := json.Marshal(first)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(h.SecretsFile(), raw, 0o600))
	third, err := h.EnsureSecrets()
	require.NoError(t, err)
	require.NotEmpty(t, third["service-user"])
	require.NotEqual(t, again["service-user"], third["service-user"])
	require.Equal(t, again["service-course"], third["service-course"])
	require.Equal(t, "given by hand", third["smtp-password"])

	require.NoError(t, os.WriteFile(h.SecretsFile(), []byte("{"), 0o600))
	_, err = h.EnsureSecrets()
	require.ErrorContains(t, err, "restore it from a backup")
}

func value(env []string, name string) (last string) {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			last = v
		}
	}
	return last
}

func TestPlanGivesEachServiceWhatItNeedsAndNoMore(t *testing.T) {
	t.Setenv("UNRELATED", "1")
	t.Setenv("OTEL_SERVICE_NAMESPACE", "here")
	t.Setenv("LMS_USER_THING", "1")
	t.Setenv("LMS_GATEWAY_USER_RATE", "7")
	services := installation.Services()
	p, err := installation.NewPlan(home(t), "/src", services, "0.0.0.0:8080", "debug")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:8080", p.PublicURL())

	ports := map[int]string{p.BrokerPort: "broker", p.DatabasePort: "postgres"}
	tokens := map[string]bool{}
	for _, s := range services {
		env := p.ServiceEnv(s, map[bool]string{true: "postgres://x"}[s.Database])
		require.Equal(t, s.Database, value(env, "LMS_DATABASE_URL") != "")
		require.Empty(t, value(env, "UNRELATED"))
		require.Equal(t, "here", value(env, "OTEL_SERVICE_NAMESPACE"))
		require.Equal(t, s.Name == "user", value(env, "LMS_USER_THING") != "")
		require.Equal(t, p.AppAddress(s), value(env, "LMS_LISTEN"))

		side := p.SidecarEnv(s)
		for _, token := range []string{"DAPR_API_TOKEN", "APP_API_TOKEN"} {
			require.Equal(t, value(env, token), value(side, token))
			require.False(t, tokens[value(env, token)], "each service has tokens of its own")
			tokens[value(env, token)] = true
		}
		four := p.Ports(s.Name)
		for _, port := range []int{four.App, four.DaprHTTP, four.DaprGRPC, four.DaprInternal} {
			require.Empty(t, ports[port], "no port twice")
			ports[port] = s.Name
		}
		args := strings.Join(p.SidecarArgs(s), " ")
		require.Contains(t, args, "--dapr-listen-addresses 127.0.0.1")
		require.Contains(t, args, "--dapr-internal-grpc-listen-address 127.0.0.1")
		require.NotContains(t, args, value(env, "DAPR_API_TOKEN"), "no secret on a command line")
		require.NotContains(t, args, "mtls")
	}
	gateway := services[len(services)-1]
	require.Equal(t, "0.0.0.0:8080", p.AppAddress(gateway))
	require.Equal(t, "7", value(p.ServiceEnv(gateway, ""), "LMS_GATEWAY_USER_RATE"), "the caller's setting wins")
	require.Equal(t, strings.Join(installation.Names(services[:len(services)-1]), ","), value(p.ServiceEnv(gateway, ""), "LMS_GATEWAY_SERVICES"), "clients reach all that run")

	for _, bad := range []string{"8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000"} {
		_, err := installation.NewPlan(home(t), "/src", services, bad, "info")
		require.Error(t, err, bad)
	}
}

func TestUnderMTLSEachSidecarHasAnIdentityAndAPolicy(t *testing.T) {
	t.Parallel()
	h := home(t)
	p, err := installation.NewPlan(h, "/src", installation.Services(), "127.0.0.1:8080", "info")
	require.NoError(t, err)
	course := p.Services[2]
	none, err := p.Identity(course)
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, p.UseMTLS())
	args := strings.Join(p.SidecarArgs(course), " ")
	require.Contains(t, args, "--enable-mtls --sentry-address "+p.Authority.Address)
	require.Contains(t, args, "--config /src/dapr/config.yaml")
	require.Contains(t, args, "--config /src/dapr/access/course.yaml")
	_, err = p.Identity(course)
	require.ErrorContains(t, err, "trust anchors", "the authority makes them")
	require.NoError(t, os.WriteFile(filepath.Join(h.Anchors(), "ca.crt"), []byte("PEM"), 0o600))
	identity, err := p.Identity(course)
	require.NoError(t, err)
	require.Equal(t, "PEM", value(identity, "DAPR_TRUST_ANCHORS"))
	require.Equal(t, filepath.Join(h.Identities(), "course.token"), value(identity, "DAPR_SENTRY_TOKEN_FILE"))
}

func TestUnusableFolderIsExplained(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	h, err := installation.ResolveHome(filepath.Join(file, "home"), ".")
	require.NoError(t, err)
	require.ErrorContains(t, h.Prepare(), "choose another folder by LMS_HOME")
}

func TestPresentFollowsTheSourceTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.Empty(t, installation.Present(root))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "apps", "course"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "apps", "course", "main.go"), nil, 0o600))
	require.Equal(t, []string{"course"}, installation.Names(installation.Present(root)))
}
