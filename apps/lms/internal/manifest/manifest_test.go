package manifest_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/manifest"
	"lms/shared/contracts"
)

var update = flag.Bool("update", false, "write the files that follow from the tables") //nolint:gochecknoglobals // a flag

const root = "../../../.."

func TestFilesFollowFromTheTables(t *testing.T) {
	t.Parallel()
	files, err := manifest.Files(root)
	require.NoError(t, err)
	for path, want := range files {
		full := filepath.Join(root, filepath.FromSlash(path))
		if *update {
			mode := os.FileMode(0o644)
			if strings.HasSuffix(path, ".sh") {
				mode = 0o755
			}
			require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
			require.NoError(t, os.WriteFile(full, want, mode))
			continue
		}
		got, err := os.ReadFile(full)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s: make generate writes it", path)
	}
}

func names() []string { return installation.Names(installation.Services()) }

// shared are the keys that the Dapr CLI takes for all apps and for each: those of
// SharedRunConfig in its sources (v1.18), with the values that it can use. It
// ignores every other key without a word.
type shared struct {
	ConfigFilePath         string            `yaml:"configFilePath"`
	AppProtocol            string            `yaml:"appProtocol"`
	APIListenAddresses     string            `yaml:"apiListenAddresses"`
	EnableProfiling        bool              `yaml:"enableProfiling"`
	LogLevel               string            `yaml:"logLevel"`
	AppMaxConcurrency      int               `yaml:"appMaxConcurrency"`
	PlacementHostAddress   *string           `yaml:"placementHostAddress"`
	SchedulerHostAddress   *string           `yaml:"schedulerHostAddress"`
	ResourcesPaths         []string          `yaml:"resourcesPaths"`
	AppSSL                 bool              `yaml:"appSSL"`
	MaxBodySize            string            `yaml:"maxBodySize"`
	ReadBufferSize         string            `yaml:"readBufferSize"`
	EnableAppHealthCheck   bool              `yaml:"enableAppHealthCheck"`
	AppHealthCheckPath     string            `yaml:"appHealthCheckPath"`
	AppHealthProbeInterval int               `yaml:"appHealthProbeInterval"`
	AppHealthProbeTimeout  int               `yaml:"appHealthProbeTimeout"`
	AppHealthThreshold     int               `yaml:"appHealthThreshold"`
	EnableAPILogging       bool              `yaml:"enableApiLogging"`
	RuntimePath            string            `yaml:"runtimePath"`
	Env                    map[string]string `yaml:"env"`
	DaprdLogDestination    string            `yaml:"daprdLogDestination"`
	AppLogDestination      string            `yaml:"appLogDestination"`
}

// runApp has the further keys of an app. resourcesPath is left out, since the CLI
// calls it deprecated, and so are the keys for containers and unixDomainSocket, at
// which it stalls.
type runApp struct {
	shared               `yaml:",inline"`
	AppID                string   `yaml:"appID"`
	AppDirPath           string   `yaml:"appDirPath"`
	AppChannelAddress    string   `yaml:"appChannelAddress"`
	AppPort              int      `yaml:"appPort"`
	DaprHTTPPort         int      `yaml:"daprHTTPPort"`
	DaprGRPCPort         int      `yaml:"daprGRPCPort"`
	DaprInternalGRPCPort int      `yaml:"daprInternalGRPCPort"`
	MetricsPort          int      `yaml:"metricsPort"`
	ProfilePort          int      `yaml:"profilePort"`
	Command              []string `yaml:"command"`
}

type runFile struct {
	Version int      `yaml:"version"`
	Name    string   `yaml:"name"`
	Common  shared   `yaml:"common"`
	Apps    []runApp `yaml:"apps"`
}

func decode(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	require.NoError(t, dec.Decode(into), path)
}

func readRunFile(t *testing.T) runFile {
	t.Helper()
	var f runFile
	decode(t, "dapr/dapr.yaml", &f)
	return f
}

func TestTheRunFileIsWhatTheDaprCLIReads(t *testing.T) {
	t.Parallel()
	f := readRunFile(t)
	require.Equal(t, 1, f.Version, "0 counts as absent and is refused")
	for _, address := range []*string{f.Common.PlacementHostAddress, f.Common.SchedulerHostAddress} {
		require.NotNil(t, address)
		require.Equal(t, " ", *address, "an empty one is replaced by a default")
	}
	require.Equal(t, "127.0.0.1", f.Common.APIListenAddresses, "or it listens on every interface")
	require.Contains(t, []string{"http", "grpc", "https", "grpcs", "h2c"}, f.Common.AppProtocol)
	for _, to := range []string{f.Common.DaprdLogDestination, f.Common.AppLogDestination} {
		require.Contains(t, []string{"file", "console", "fileAndConsole"}, to, "the CLI refuses any other")
	}
	require.NotEmpty(t, f.Common.RuntimePath, "or the daprd of dapr init runs, which lacks our mailer and has all components")
	require.Empty(t, f.Common.Env, "the CLI writes it into the app's map, which panics where an app has none")
	for _, path := range append(slices.Clone(f.Common.ResourcesPaths), f.Common.ConfigFilePath) {
		_, err := os.Stat(filepath.Join(root, "dapr", path))
		require.NoError(t, err, "paths of common start from the file's own folder")
	}
	ids, ports := []string{}, map[int]string{}
	for _, a := range f.Apps {
		ids = append(ids, a.AppID)
		require.Equal(t, f.Apps[0].AppDirPath, a.AppDirPath, "the sidecars find each other by a file there")
		require.Equal(t, []string{"../bin/" + a.AppID}, a.Command, "from appDirPath; a list, or it is cut at blanks")
		require.Empty(t, a.ResourcesPaths, "they would take the place of common's")
		require.Empty(t, a.ConfigFilePath)
		for name, port := range map[string]int{"app": a.AppPort, "http": a.DaprHTTPPort, "grpc": a.DaprGRPCPort, "internal": a.DaprInternalGRPCPort, "metrics": a.MetricsPort} {
			require.Positive(t, port, "%s: a port that is not given changes at each start (%s)", a.AppID, name)
			require.Empty(t, ports[port], "%s has %d too", a.AppID, port)
			ports[port] = a.AppID
		}
		for name, value := range a.Env {
			require.NotContains(t, value, "$", "%s: %s is not expanded", a.AppID, name)
			require.False(t, strings.Contains(value, ":") && strings.Contains(value, "@/") && strings.Count(value, ":") > 1, "no password stands here")
		}
	}
	require.Equal(t, names(), ids)
}

// tyeFile has the keys of Tye's schema that an executable service may have.
type tyeFile struct {
	Name     string `yaml:"name"`
	Services []struct {
		Name             string `yaml:"name"`
		Executable       string `yaml:"executable"`
		Args             string `yaml:"args"`
		WorkingDirectory string `yaml:"workingDirectory"`
		Replicas         int    `yaml:"replicas"`
		Bindings         []struct {
			Name     string `yaml:"name"`
			Protocol string `yaml:"protocol"`
			Host     string `yaml:"host"`
			Port     int    `yaml:"port"`
		} `yaml:"bindings"`
		Env []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"env"`
	} `yaml:"services"`
}

var flagPattern = regexp.MustCompile(`--([a-z-]+)[ =](\S+)`)

func TestTyeStartsWhatTheDaprCLIStarts(t *testing.T) {
	t.Parallel()
	var tye tyeFile
	decode(t, "tye.yaml", &tye)
	require.Equal(t, "lms", tye.Name)
	run := readRunFile(t)
	require.Len(t, tye.Services, 2*len(run.Apps))
	for i, app := range run.Apps {
		service, sidecar := tye.Services[2*i], tye.Services[2*i+1]
		require.Equal(t, app.AppID, service.Name)
		require.Equal(t, app.AppID+"-sidecar", sidecar.Name)
		require.Len(t, service.Bindings, 1)
		require.Equal(t, app.AppPort, service.Bindings[0].Port)
		env := map[string]string{}
		for _, e := range service.Env {
			env[e.Name] = e.Value
		}
		for name, value := range app.Env {
			require.Equal(t, value, env[name], app.AppID)
		}
		flags := map[string]string{}
		for _, m := range flagPattern.FindAllStringSubmatch(sidecar.Args, -1) {
			flags[m[1]] = m[2]
		}
		for name, port := range map[string]int{"app-port": app.AppPort, "dapr-http-port": app.DaprHTTPPort, "dapr-grpc-port": app.DaprGRPCPort, "dapr-internal-grpc-port": app.DaprInternalGRPCPort} {
			require.Equal(t, yamlNumber(port), flags[name], app.AppID)
		}
		require.Equal(t, app.AppID, flags["app-id"])
		require.Equal(t, yamlNumber(app.DaprHTTPPort), env["DAPR_HTTP_PORT"])
		require.Zero(t, service.Replicas, "Tye refuses more than one of an executable")
	}
}

func yamlNumber(n int) string {
	raw, err := yaml.Marshal(n)
	if err != nil {
		panic(err) // a number
	}
	return strings.TrimSpace(string(raw))
}

func TestAppsHaveTheComponentsAndTopicsOfTheTables(t *testing.T) {
	t.Parallel()
	for _, a := range manifest.Apps() {
		require.Contains(t, a.Blocks, "secrets")
		for _, topic := range contracts.Topics() {
			require.Equal(t, topic.Publisher == a.Name, slices.Contains(a.Publishes, topic.Name))
			require.Equal(t, contracts.MayConsume(a.Name, topic.Name), slices.Contains(a.Consumes, topic.Name))
		}
	}
}
