package infra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lms/apps/lms/internal/supervisor"
)

// rabbitUser is whom the sidecars log in as.
const rabbitUser = "lms"

// rabbitmq is RabbitMQ with the name server that Erlang needs, both on ports of
// their own.
func rabbitmq() Component {
	return Component{
		Name: "rabbitmq", Kind: supervisor.KindBroker, Variables: []string{"LMS_RABBITMQ_HOST", "LMS_RABBITMQ_USER"}, Ports: 3,
		values: func(s Site) map[string]string {
			return map[string]string{"LMS_RABBITMQ_HOST": s.address(0), "LMS_RABBITMQ_USER": rabbitUser}
		},
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			t, err := debian(ctx, "rabbitmq-server", "rabbitmq-server", s.Say)
			if err != nil {
				return nil, err
			}
			erlang, server, err := erlangOf(t)
			if err != nil {
				return nil, err
			}
			file, err := s.configure("rabbitmq.conf",
				"listeners.tcp.1 = "+s.address(0),
				"default_user = "+rabbitUser, "default_pass = "+s.Secrets["rabbitmq-password"], "loopback_users = none",
				// A delivery that is tried again for longer than this closes the channel.
				"consumer_timeout = 7200000",
				"log.console = true", "log.console.level = warning",
			)
			if err != nil {
				return nil, err
			}
			if _, err := s.configure("enabled_plugins", "[]."); err != nil {
				return nil, err
			}
			names := number(s.Ports[1])
			env := append(append(s.environment(), t.environment...),
				"PATH="+filepath.Join(erlang, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"),
				"ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT="+number(s.Ports[2]),
				"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
				"RABBITMQ_NODENAME=lms@localhost", "RABBITMQ_CONFIG_FILE="+file, "RABBITMQ_CONF_ENV_FILE=/dev/null",
				"RABBITMQ_MNESIA_BASE="+s.file("mnesia"), "RABBITMQ_LOG_BASE="+s.data(), "RABBITMQ_LOGS=-",
				"RABBITMQ_ENABLED_PLUGINS_FILE="+s.file("enabled_plugins"), "RABBITMQ_PID_FILE="+s.file("pid"),
				// The script then becomes the server instead of waiting for it, so that a
				// signal reaches the server itself.
				"RUNNING_UNDER_SYSTEMD=true",
			)
			return []supervisor.Process{
				s.process(s.Name+"-names", "epmd", s.Ports[1], supervisor.Program{
					Path: filepath.Join(erlang, "bin", "epmd"), Args: []string{"-address", "127.0.0.1", "-port", names, "-relaxed_command_check"}, Env: env, Grace: 5 * time.Second,
				}),
				s.process(s.Name, "amqp", s.Ports[0], supervisor.Program{Path: server, Env: env, Grace: 30 * time.Second}),
			}, nil
		},
	}
}

// erlangOf finds Erlang and the server's own script, and tells an unpacked
// Erlang where it lies: its start script names the folder it was built for.
func erlangOf(t tree) (erlang, server string, err error) {
	const built = "/usr/lib/erlang"
	erlang = filepath.Join(t.root, built)
	scripts, err := filepath.Glob(filepath.Join(t.root, "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))
	if err != nil || len(scripts) == 0 {
		return "", "", errors.New("the package rabbitmq-server has no script of the server")
	}
	if t.root == "" {
		return erlang, scripts[0], nil
	}
	start := filepath.Join(erlang, "bin", "erl")
	raw, err := os.ReadFile(start)
	if err != nil {
		return "", "", fmt.Errorf("start script of Erlang: %w", err)
	}
	moved := bytes.ReplaceAll(raw, []byte("ROOTDIR="+built+"\n"), []byte("ROOTDIR="+erlang+"\n"))
	if !bytes.Equal(raw, moved) {
		if err := os.WriteFile(start, moved, fs.FileMode(0o755)); err != nil {
			return "", "", fmt.Errorf("start script of Erlang: %w", err)
		}
	}
	return erlang, scripts[0], nil
}
