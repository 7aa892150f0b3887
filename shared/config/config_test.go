package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/shared/config"
)

type shared struct {
	Listen      string        `default:"127.0.0.1:0" desc:"where to listen"`
	DatabaseURL string        `secret:"true"`
	DaprPort    int           `env:"DAPR_HTTP_PORT" default:"3500"`
	IdleTimeout time.Duration `default:"1m"`
	Origins     []string
	MaxItems    int `envconfig:"ITEMS"`
	internal    int //nolint:unused // shows that unexported fields are left alone
}

func TestLoadReadsDefaultsAndValues(t *testing.T) {
	t.Parallel()
	var c shared
	env := config.Env{
		"LMS_DATABASE_URL": "postgres://u:p@h/db", "DAPR_HTTP_PORT": "4000", "LMS_ORIGINS": "https://a,https://b",
		"LMS_IDLE_TIMEOUT": "", "LMS_ITEMS": "7",
	}
	require.NoError(t, env.Load("LMS", &c))
	require.Equal(t, shared{
		Listen: "127.0.0.1:0", DatabaseURL: "postgres://u:p@h/db", DaprPort: 4000,
		IdleTimeout: time.Minute, Origins: []string{"https://a", "https://b"}, MaxItems: 7,
	}, c)
}

func TestLoadTellsAllErrorsAtOnceAndNoSecret(t *testing.T) {
	t.Parallel()
	var c struct {
		Port  int    `required:"true"`
		Every string `required:"true"`
		Wait  time.Duration
		Pin   int `secret:"true"`
	}
	err := config.Env{"LMS_X_WAIT": "soon", "LMS_X_PIN": "hunter2", "LMS_X_PORT": "http"}.Load("LMS_X", &c)
	require.EqualError(t, err, `configuration: LMS_X_PORT cannot be read: "http" is not a int; LMS_X_EVERY is not set; `+
		`LMS_X_WAIT cannot be read: "soon" is not a time.Duration; LMS_X_PIN cannot be read: the value is not a int`)
	require.NotContains(t, err.Error(), "hunter2")
	require.Error(t, config.Env{}.Load("LMS", c))
}

func TestDescribeHidesSecrets(t *testing.T) {
	t.Parallel()
	c := shared{Listen: ":80", DatabaseURL: "postgres://u:p@h/db"}
	lines, err := config.Describe("LMS", &c)
	require.NoError(t, err)
	require.Equal(t, config.Line{Name: "LMS_LISTEN", Value: ":80", Default: "127.0.0.1:0", Description: "where to listen"}, lines[0])
	require.Equal(t, config.Line{Name: "LMS_DATABASE_URL", Value: "(set)", Secret: true}, lines[1])
	require.Equal(t, config.Line{Name: "LMS_ORIGINS"}, lines[4])
}

func TestUnknownVariablesAreRefused(t *testing.T) {
	t.Parallel()
	known, err := config.Names("LMS", &shared{})
	require.NoError(t, err)
	require.Equal(t, []string{"LMS_LISTEN", "LMS_DATABASE_URL", "DAPR_HTTP_PORT", "LMS_IDLE_TIMEOUT", "LMS_ORIGINS", "LMS_ITEMS"}, known)
	foreign := []string{"LMS_HOME", "LMS_KAFKA_"}
	ok := config.Env{"LMS_LISTEN": "x", "LMS_HOME": "x", "LMS_KAFKA_BROKERS": "x", "PATH": "x"}
	require.NoError(t, config.CheckUnknown(ok, "LMS_", known, foreign))
	ok["LMS_LISTN"], ok["LMS_HOMES"] = "x", "x"
	require.ErrorContains(t, config.CheckUnknown(ok, "LMS_", known, foreign), "unknown LMS_HOMES, LMS_LISTN; the known ones are LMS_LISTEN")
}

func TestEmbeddedStructsShareThePrefix(t *testing.T) {
	t.Parallel()
	names, err := config.Names("LMS", &struct{ shared }{})
	require.NoError(t, err)
	require.Contains(t, names, "LMS_LISTEN")
}
