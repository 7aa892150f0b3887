package installation

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lms/shared/authority"
	"lms/shared/freeport"
)

// Plan is everything that is decided before the first process starts.
type Plan struct {
	Home     Home
	Root     string // of the source tree: components/, dapr/
	Services []Service
	Listen   string // public address, host:port
	LogLevel string

	// Components is the profile's folder; Variables are what its files read, and
	// Settings what each service is given because of it.
	Components string
	Variables  map[string]string
	Settings   map[string]map[string]string

	// Authority certifies the sidecars; nil without mTLS.
	Authority *authority.Authority

	BrokerPort    int
	DatabasePort  int
	AuthorityPort int
	Spare         []int // ports for what the profile starts
	ports         map[string]ServicePorts
	tokens        map[string]tokens
}

// ServicePorts of one service and its sidecar. DaprProfile is zero unless
// profiles are wished for.
type ServicePorts struct{ App, DaprHTTP, DaprGRPC, DaprInternal, DaprProfile int }

// profiles is the variable that makes all services and sidecars serve profiles.
const profiles = "LMS_PPROF"

// without is the variable by which tests switch guarantees off.
const without = "LMS_TEST_WITHOUT"

func profiled() bool {
	on, err := strconv.ParseBool(os.Getenv(profiles))
	return err == nil && on
}

// tokens between a service and its sidecar, new at each start: what the sidecar
// wants to see, and what it shows to the service.
type tokens struct{ sidecar, app string }

// NewPlan chooses the ports and tokens. Every port but the public one is free
// at this moment.
func NewPlan(home Home, root string, services []Service, listen, logLevel string) (*Plan, error) {
	_, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s is not host:port, such as 127.0.0.1:8080", listen)
	}
	public, err := strconv.Atoi(portText)
	if err != nil || public < 1 || public > 65535 {
		return nil, fmt.Errorf("--listen %s: the port is a number from 1 to 65535", listen)
	}
	const each, spare = 5, 24
	free, err := freeport.Pick(3 + spare + each*len(services))
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Home: home, Root: root, Services: services, Listen: listen, LogLevel: logLevel,
		Components: filepath.Join(root, "components", "embedded"),
		BrokerPort: free[0], DatabasePort: free[1], AuthorityPort: free[2], Spare: free[3 : 3+spare],
		Variables: map[string]string{"LMS_KAFKA_BROKERS": freeport.Address(free[0])},
		ports:     map[string]ServicePorts{}, tokens: map[string]tokens{},
	}
	free = free[3+spare:]
	for i, s := range services {
		five := free[each*i : each*i+each]
		ports := ServicePorts{App: five[0], DaprHTTP: five[1], DaprGRPC: five[2], DaprInternal: five[3]}
		if profiled() {
			ports.DaprProfile = five[4]
		}
		if s.Edge {
			ports.App = public
		}
		p.ports[s.Name] = ports
		p.tokens[s.Name] = tokens{sidecar: randomHex(), app: randomHex()}
	}
	return p, nil
}

// SidecarToken is what the sidecar of a service wants to see.
func (p *Plan) SidecarToken(service string) string { return p.tokens[service].sidecar }

// PublicURL is where clients find the gateway.
func (p *Plan) PublicURL() string {
	host, port, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return "http://" + p.Listen // NewPlan has refused such an address
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Ports of a service.
func (p *Plan) Ports(service string) ServicePorts { return p.ports[service] }

// AppAddress is where a service listens.
func (p *Plan) AppAddress(s Service) string {
	if s.Edge {
		return p.Listen
	}
	return freeport.Address(p.ports[s.Name].App)
}

// ProbeURL is where a service tells whether it is ready.
func (p *Plan) ProbeURL(s Service) string {
	if s.Edge {
		return p.PublicURL() + "/readyz"
	}
	return "http://" + p.AppAddress(s) + "/readyz"
}

// SidecarProbeURL is where a sidecar tells that it can be used.
func (p *Plan) SidecarProbeURL(s Service) string {
	return "http://" + freeport.Address(p.ports[s.Name].DaprHTTP) + "/v1.0/healthz"
}

// Memory limits are soft: the collector works harder near them. A service
// idles at some 30 MB.
const serviceMemory = "160MiB"

// ServiceEnv is the whole environment of a service; databaseURL is empty for
// one without a database.
func (p *Plan) ServiceEnv(s Service, databaseURL string) []string {
	ports, tok := p.ports[s.Name], p.tokens[s.Name]
	env := append(append(append(p.localSettings(s), pairs(p.Settings[s.Name])...), inherited(s.Name)...),
		"LMS_LISTEN="+p.AppAddress(s),
		"LMS_LOG_LEVEL="+p.LogLevel,
		"LMS_PUBLIC_URL="+p.PublicURL(),
		"LMS_ENVIRONMENT=development",
		"DAPR_HTTP_PORT="+strconv.Itoa(ports.DaprHTTP),
		"DAPR_GRPC_PORT="+strconv.Itoa(ports.DaprGRPC),
		"DAPR_API_TOKEN="+tok.sidecar,
		"APP_API_TOKEN="+tok.app,
		"GOMEMLIMIT="+serviceMemory,
		"GODEBUG="+runtimeSettings(),
	)
	// Who signs people in keeps the machine's time: tokens must not break.
	if !slices.Contains([]string{"user", "auth", Gateway}, s.Name) {
		env = append(env, "LMS_CLOCK_FILE="+p.Home.ClockFile())
	}
	if databaseURL != "" {
		env = append(env, "LMS_DATABASE_URL="+databaseURL)
	}
	return env
}

// runtimeSettings of Go: without a wish for profiles none of the heap is kept,
// which costs each process a megabyte.
func runtimeSettings() string {
	if profiled() {
		return ""
	}
	return "memprofilerate=0"
}

// localSettings differ on one machine from a service's own defaults; the
// caller's environment overrides them.
func (p *Plan) localSettings(s Service) []string {
	local := []string{"LMS_OBJECTS_URL=file://" + filepath.ToSlash(p.Home.Objects())}
	if s.Index {
		local = append(local, "LMS_SEARCH_FOLDER="+filepath.Join(p.Home.Data(), s.Name))
	}
	if !s.Edge {
		return local
	}
	behind := slices.DeleteFunc(Names(p.Services), func(name string) bool { return name == s.Name })
	// Everybody on this machine shares one address: what would slow an attacker
	// elsewhere would slow the developer's own load here.
	return append(local, "LMS_GATEWAY_SERVICES="+strings.Join(behind, ","), "LMS_GATEWAY_ADDRESS_RATE=1000000", "LMS_GATEWAY_USER_RATE=1000000", "LMS_GATEWAY_SIGN_IN_RATE=100000")
}

// UseMTLS has the sidecars certified, which from then on let in only whom the access
// policies name.
func (p *Plan) UseMTLS() error {
	p.Authority = &authority.Authority{Folder: p.Home.Anchors(), Identities: p.Home.Identities(), Address: freeport.Address(p.AuthorityPort)}
	return p.Authority.Prepare(Names(p.Services))
}

// SidecarEnv is the whole environment of a sidecar, but for Identity.
func (p *Plan) SidecarEnv(s Service) []string {
	tok := p.tokens[s.Name]
	return append(append(inherited(""), pairs(p.Variables)...),
		"DAPR_HOST_IP=127.0.0.1", // what it registers for others to call
		"DAPR_API_TOKEN="+tok.sidecar,
		"APP_API_TOKEN="+tok.app,
		"GODEBUG="+runtimeSettings(),
	)
}

// Identity is what else a sidecar finds in its environment with mTLS. The authority
// must have started.
func (p *Plan) Identity(s Service) ([]string, error) {
	if p.Authority == nil {
		return nil, nil
	}
	return p.Authority.SidecarEnv(s.Name)
}

// AuthorityEnv is the whole environment of the certificate authority.
func (p *Plan) AuthorityEnv() []string {
	return append(inherited(""), "GODEBUG="+runtimeSettings(), "GOMEMLIMIT=64MiB")
}

// SidecarArgs are the flags of a sidecar. It listens on loopback only, has
// neither placement nor scheduler, and takes headers of 64 KiB.
func (p *Plan) SidecarArgs(s Service) []string {
	ports := p.ports[s.Name]
	args := []string{
		"--app-id", s.Name,
		"--app-port", strconv.Itoa(ports.App), "--app-protocol", "http", "--app-channel-address", "127.0.0.1",
		"--dapr-http-port", strconv.Itoa(ports.DaprHTTP),
		"--dapr-grpc-port", strconv.Itoa(ports.DaprGRPC),
		"--dapr-internal-grpc-port", strconv.Itoa(ports.DaprInternal),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--config", filepath.Join(p.Root, "dapr", "config.yaml"),
		"--resources-path", p.Components,
		"--resources-path", p.Home.Resources(),
		"--disable-init-endpoints", "config",
		"--enable-metrics=false", "--max-body-size", "4Mi", "--read-buffer-size", "64Ki",
		"--dapr-graceful-shutdown-seconds", "5",
		"--log-level", "warn", "--log-as-json",
	}
	if p.Authority != nil {
		args = append(append(args, "--config", filepath.Join(p.Root, "dapr", "access", s.Name+".yaml")), p.Authority.SidecarArgs()...)
	}
	if ports.DaprProfile != 0 {
		args = append(args, "--enable-profiling", "--profile-port", strconv.Itoa(ports.DaprProfile))
	}
	return args
}

// pairs are name=value in the order of the names.
func pairs(values map[string]string) (env []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env
}

// inherited is what a child gets of this process's own environment: never the
// rest, which may hold anything. Settings of a service (LMS_USER_…) go to that
// service, the wish for profiles (LMS_PPROF) to all of them.
func inherited(service string) []string {
	keep := func(name string) bool {
		if slices.Contains([]string{"PATH", "HOME", "TZ", "GOCOVERDIR"}, name) || strings.HasPrefix(name, "OTEL_") {
			return true
		}
		return service != "" && (name == profiles || name == without || strings.HasPrefix(name, "LMS_"+strings.ToUpper(service)+"_"))
	}
	var env []string
	for _, kv := range os.Environ() {
		if name, _, ok := strings.Cut(kv, "="); ok && keep(name) {
			env = append(env, kv)
		}
	}
	return env
}
