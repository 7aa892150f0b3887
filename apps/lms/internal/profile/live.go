package profile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// askTimeout bounds each question to a server.
const askTimeout = 2 * time.Second

// address is where a component connects to, "" where it connects to nothing or
// where that is not known here. Several addresses are separated by commas.
func (c *checker) address(k *component) string {
	get := func(names ...string) string {
		for _, n := range names {
			if v, ok := c.value(k, n, ""); ok && v != "" {
				return v
			}
		}
		return ""
	}
	switch alias(strings.ToLower(k.Spec.Type)) {
	case "pubsub.kafka":
		return get("brokers")
	case "pubsub.redis", "state.redis":
		host := get("redisHost")
		if port := get("redisPort"); port != "" && host != "" && !strings.Contains(host, ":") {
			host = net.JoinHostPort(host, port)
		}
		return host
	case "pubsub.rabbitmq":
		return hostOf(get("connectionString", "host", "hostname"), "5672")
	case "pubsub.jetstream":
		return hostOf(get("natsURL"), "4222")
	case "pubsub.mqtt3":
		return hostOf(get("url"), "1883")
	case "pubsub.pulsar":
		return hostOf(get("host"), "6650")
	case "state.postgresql", "state.cockroachdb":
		if host, port := get("host"), get("port"); host != "" {
			return hostOf(host, cmp.Or(port, "5432"))
		}
		return postgresHost(get("connectionString"))
	case "bindings.smtp":
		if host, port := get("host"), get("port"); host != "" && port != "" {
			return net.JoinHostPort(host, port)
		}
	}
	return ""
}

// hostOf is host:port of an address with or without a scheme; never its user.
func hostOf(address, port string) string {
	if address == "" {
		return ""
	}
	if !strings.Contains(address, "://") {
		address = "any://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func postgresHost(connection string) string {
	if connection == "" {
		return ""
	}
	cfg, err := pgx.ParseConfig(connection)
	if err != nil || strings.HasPrefix(cfg.Host, "/") {
		return ""
	}
	return net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
}

// live tries whether the server can be reached, and asks Redis how it persists.
func (s *subject) live(ctx context.Context) {
	addresses := s.address(s.component)
	if addresses == "" {
		s.stated()
		return
	}
	var failed []error
	all := strings.Split(addresses, ",")
	for _, address := range all {
		if err := dial(ctx, strings.TrimSpace(address)); err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == len(all) {
		s.refuse(Unreachable, "", fmt.Sprintf("nothing answers at %s (%v): sidecars would end after %s, and start again until it does", addresses, oneLine(failed[0]), s.initTimeout()), "start it, or correct the address")
		s.stated()
		return
	}
	if strings.HasSuffix(s.entry.Type, ".redis") {
		s.askRedis(ctx, all)
	} else {
		s.stated()
	}
}

func dial(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// redisMust is what a Redis server has to be set to where nothing may be lost,
// and what another value costs.
func redisMust() []struct{ setting, want, cost string } {
	return []struct{ setting, want, cost string }{
		{"appendonly", "yes", "no: all that was written since the last snapshot is gone when the server is killed, minutes of it"},
		{"appendfsync", "always", "everysec: the last second of what was acknowledged is gone with the machine; no: up to half a minute"},
		{"maxmemory-policy", "noeviction", "any other throws away what is oldest or least used when the memory is full"},
	}
}

// stated says what cannot be seen in the file and has to hold at the server.
func (s *subject) stated() {
	if !s.role.durable || !strings.HasSuffix(s.entry.Type, ".redis") {
		return
	}
	for _, m := range redisMust() {
		s.warn(Loses, "server: "+m.setting, "the server was not asked; it has to be "+m.want+" ("+m.cost+")", m.setting+" "+m.want+" in redis.conf")
	}
}

// askRedis reads the server's own settings.
func (s *subject) askRedis(ctx context.Context, addresses []string) {
	if !s.role.durable {
		return
	}
	password, known := s.value(s.component, "redisPassword", "")
	user, userKnown := s.value(s.component, "redisUsername", "")
	if !known || !userKnown || s.isTrue("failover", "false") {
		s.stated()
		return
	}
	o := &redis.Options{Addr: strings.TrimSpace(addresses[0]), Username: user, Password: password, DialTimeout: askTimeout, ReadTimeout: askTimeout, MaxRetries: -1, PoolSize: 1, DisableIdentity: true}
	if s.isTrue("enableTLS", "false") {
		s.stated() // its certificates are the sidecar's business
		return
	}
	client := redis.NewClient(o)
	defer func() { _ = client.Close() }() // nothing is pending on it
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, m := range redisMust() {
		reply, err := client.ConfigGet(ctx, m.setting).Result()
		var refused redis.Error
		switch {
		case errors.As(err, &refused) && (strings.Contains(refused.Error(), "NOAUTH") || strings.Contains(refused.Error(), "WRONGPASS")):
			s.refuse(Unreachable, "redisPassword", fmt.Sprintf("the server at %s refuses the password: %s", o.Addr, oneLine(err)), "correct it in the secret store")
			return
		case err != nil || reply[m.setting] == "":
			s.warn(Loses, "server: "+m.setting, fmt.Sprintf("the server at %s does not tell it; it has to be %s (%s)", o.Addr, m.want, m.cost), m.setting+" "+m.want)
		case reply[m.setting] != m.want:
			s.refuse(Loses, "server: "+m.setting, fmt.Sprintf("the server at %s has %s (%s)", o.Addr, reply[m.setting], m.cost), fmt.Sprintf("redis-cli CONFIG SET %s %s, and the same in redis.conf", m.setting, m.want))
		}
	}
}
