package infra

import (
	"context"
	"time"

	"lms/apps/lms/internal/supervisor"
)

// retention of a Redis.
type retention int

const (
	// durable: what was acknowledged is on the disk, and nothing is evicted.
	durable retention = iota
	// evicting: a cache, which may forget everything.
	evicting
)

// redisPackage is Debian's; 7.0 in bookworm.
const redisPackage = "redis-server"

// RedisServer is Redis's program, the machine's own or Debian's, fetched once, and
// the environment that it runs in; say tells people what is fetched.
func RedisServer(ctx context.Context, say func(string)) (program string, environment []string, err error) {
	tree, err := debian(ctx, redisPackage, "redis-server", say)
	return tree.program, tree.environment, err
}

func redis(name, variable string, kind supervisor.Kind, keep retention) Component {
	return Component{
		Name: name, Kind: kind, Variables: []string{variable}, Ports: 1,
		values: func(s Site) map[string]string { return map[string]string{variable: s.address(0)} },
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			tree, err := debian(ctx, redisPackage, "redis-server", s.Say)
			if err != nil {
				return nil, err
			}
			settings := []string{
				"bind 127.0.0.1", "port " + number(s.Ports[0]), "dir " + s.data(), "requirepass " + s.Secrets[name+"-password"],
				`save ""`, "daemonize no", "stop-writes-on-bgsave-error no",
			}
			if keep == durable {
				// Else an acknowledged message or document is gone after a power cut, or
				// after the memory ran out.
				settings = append(settings, "appendonly yes", "appendfsync always", "maxmemory-policy noeviction")
			} else {
				settings = append(settings, "appendonly no", "maxmemory 128mb", "maxmemory-policy allkeys-lru")
			}
			file, err := s.configure("redis.conf", settings...)
			if err != nil {
				return nil, err
			}
			return []supervisor.Process{s.process(name, "redis", s.Ports[0], supervisor.Program{
				Path: tree.program, Args: []string{file}, Env: append(s.environment(), tree.environment...), Grace: 10 * time.Second,
			})}, nil
		},
	}
}
