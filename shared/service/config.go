package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"lms/shared/config"
)

// Config is what every service is told by its environment; see the README for
// the table. The zero value of all but the addresses is usable.
type Config struct {
	Listen      string `desc:"host:port to serve on; 127.0.0.1 and APP_PORT, else 8080, if not set"`
	AppPort     string `env:"APP_PORT" desc:"set by the Dapr CLI"`
	Environment string `default:"development" desc:"development, test, production: production needs APP_API_TOKEN and DAPR_API_TOKEN"`
	ClockFile   string `desc:"development only: a file that says how far ahead of the machine's the clock is"`
	PublicURL   string `envconfig:"PUBLIC_URL" default:"http://127.0.0.1:8080" desc:"the gateway as clients reach it"`
	Issuer      string `desc:"issuer of access tokens; the public URL if not set"`

	DatabaseURL      string        `envconfig:"DATABASE_URL" secret:"true" desc:"PostgreSQL, as the service's role"`
	DatabaseMaxConns int32         `envconfig:"DATABASE_MAX_CONNS" default:"16" desc:"connections of this process"`
	ObjectsURL       string        `envconfig:"OBJECTS_URL" desc:"where files are: file://, s3://, gs://, azblob://"`
	MailFrom         string        `default:"LMS <no-reply@lms.localhost>" desc:"sender of mail"`
	StartupTimeout   time.Duration `default:"30s" desc:"how long a database that does not answer yet is waited for"`
	ShutdownTimeout  time.Duration `default:"10s" desc:"how long requests and loops may take to end"`
	DrainDelay       time.Duration `default:"0s" desc:"how long requests are still taken after /readyz says no"`

	LogLevel    string  `default:"info" desc:"debug, info, warn, error"`
	LogFormat   string  `default:"json" desc:"json or text"`
	Pprof       bool    `desc:"serve /debug/pprof/ on the service's port"`
	TraceSample float64 `default:"0.05" desc:"share of traces that are exported, 0 to 1"`
	OTLP        string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"collector of traces; none if not set"`

	DaprHost     string   `env:"DAPR_HOST_IP" default:"127.0.0.1" desc:"where the sidecar listens"`
	DaprHTTPPort int      `env:"DAPR_HTTP_PORT" default:"3500" desc:"the sidecar's HTTP port"`
	DaprGRPCPort int      `env:"DAPR_GRPC_PORT" default:"50001" desc:"the sidecar's gRPC port"`
	DaprHTTPAddr string   `envconfig:"DAPR_HTTP_ADDRESS" desc:"instead of host and port: host:port or unix:/path"`
	DaprGRPCAddr string   `envconfig:"DAPR_GRPC_ADDRESS" desc:"instead of host and port: host:port or unix:/path"`
	DaprAPIToken string   `env:"DAPR_API_TOKEN" secret:"true" desc:"what the sidecar wants to see"`
	AppAPIToken  string   `env:"APP_API_TOKEN" secret:"true" desc:"what the sidecar shows"`
	TestWithout  []string `desc:"tests only: guarantees to switch off, of inbox, sequence, repair, outbox"`

	ServiceSecret string `secret:"true" desc:"proof of identity towards auth; the secret service-<name> if not set"`
}

// What tests switch off to show what it is for.
const (
	withoutInbox    = "inbox"
	withoutSequence = "sequence"
	withoutRepair   = "repair"
	withoutOutbox   = "outbox"
)

// prefix of all variables that are ours.
const prefix = "LMS"

// addressed are variables that a service may meet in its environment and that
// are for somebody else: the operator's command, component files, and the other
// services (a name that ends in "_" stands for all that begin with it).
func addressed(service string) []string {
	out := []string{
		"LMS_HOME", "LMS_PROFILE", "LMS_POSTGRES_", "LMS_KAFKA_", "LMS_REDIS_", "LMS_SMTP_", "LMS_S3_", "LMS_OPENSEARCH_", "LMS_RABBITMQ_", "LMS_NATS_", "LMS_MQTT_", "LMS_TEST_",
	}
	for _, s := range []string{"user", "auth", "course", "enrollment", "content", "assignment", "notification", "payment", "search", "analytics", "gateway"} {
		if s != service {
			out = append(out, servicePrefix(s)+"_")
		}
	}
	return out
}

func servicePrefix(service string) string { return prefix + "_" + strings.ToUpper(service) }

func loadConfig(env config.Env) (Config, error) {
	var c Config
	if err := env.Load(prefix, &c); err != nil {
		return c, err
	}
	if c.Listen == "" {
		port := "8080"
		if c.AppPort != "" {
			port = c.AppPort
		}
		c.Listen = net.JoinHostPort("127.0.0.1", port)
	}
	if c.Issuer == "" {
		c.Issuer = strings.TrimSuffix(c.PublicURL, "/")
	}
	if c.DaprHTTPAddr == "" {
		c.DaprHTTPAddr = net.JoinHostPort(c.DaprHost, fmt.Sprint(c.DaprHTTPPort))
	}
	if c.DaprGRPCAddr == "" {
		c.DaprGRPCAddr = net.JoinHostPort(c.DaprHost, fmt.Sprint(c.DaprGRPCPort))
	}
	if c.ClockFile != "" && c.Environment != "development" {
		return c, errors.New("configuration: LMS_CLOCK_FILE moves the clock: it is for development only")
	}
	for _, guarantee := range c.TestWithout {
		if c.Environment == "production" || !slices.Contains([]string{withoutInbox, withoutSequence, withoutRepair, withoutOutbox}, guarantee) {
			return c, fmt.Errorf("configuration: LMS_TEST_WITHOUT switches guarantees off (%s, %s, %s, %s), and never in production", withoutInbox, withoutSequence, withoutRepair, withoutOutbox)
		}
	}
	switch c.Environment {
	case "development", "test":
	case "production":
		if c.AppAPIToken == "" || c.DaprAPIToken == "" {
			return c, errors.New("configuration: production needs APP_API_TOKEN and DAPR_API_TOKEN: without them anybody on the machine can deliver events")
		}
	default:
		return c, fmt.Errorf("configuration: LMS_ENVIRONMENT is %q, not development, test or production", c.Environment)
	}
	return c, nil
}

// configAttrs are the settings for the log, without secrets.
func configAttrs(prefix string, loaded any) []any {
	lines, err := config.Describe(prefix, loaded)
	if err != nil {
		return nil
	}
	var out []any
	for _, l := range lines {
		if l.Value != "" && !l.Secret {
			out = append(out, slog.String(l.Name, l.Value))
		}
	}
	return out
}
