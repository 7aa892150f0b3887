package profile

import (
	"fmt"
	"strings"
)

// state checks a component that keeps state: state, whose documents must not be
// lost; sessions, which may be emptied at any moment, but is read by another app
// than the one that writes; and cache, where each app has keys of its own.
func (s *subject) state() {
	if s.Spec.IgnoreErrors {
		s.refuse(Loses, "ignoreErrors", "a sidecar whose store was away at the start would go on without it for ever", "remove it")
	}
	s.keys()
	s.features()
	switch {
	case s.entry.Type == "state.in-memory":
		s.inMemoryState()
	case s.entry.Type == "state.sqlite":
		s.sqlite()
	case strings.HasPrefix(s.entry.Type, "state.redis"):
		s.redisState()
	case strings.HasPrefix(s.entry.Type, "state.memcached") || strings.HasPrefix(s.entry.Type, "state.hazelcast"):
		s.volatile()
	case strings.HasPrefix(s.entry.Type, "state.postgresql"), strings.HasPrefix(s.entry.Type, "state.cockroachdb"):
		s.postgres()
	}
}

// keys checks keyPrefix: by default each app has keys of its own.
func (s *subject) keys() {
	switch {
	case s.is("keyPrefix", "appid", "name"), s.is("keyPrefix", "appid", "none") && !s.role.durable:
	case !s.role.durable && !s.role.shared:
	case s.role.durable:
		s.refuse(Loses, "keyPrefix", "keys would begin with the app id: documents are not found any more when the app is renamed", "keyPrefix: name")
	default:
		s.refuse(Feature, "keyPrefix", "each app would have keys of its own: the gateway would not see the sessions that auth writes, and refuse everybody", "keyPrefix: name")
	}
}

// features checks what the services ask of a store.
func (s *subject) features() {
	if !s.entry.has("etag") {
		found := "it has no ETags: two changes at once overwrite each other"
		switch {
		case s.role.durable:
			s.refuse(Loses, "type", found+", and a message is told twice or lost", "a store with ETags, such as state.postgresql or state.redis")
		case s.role.shared:
			s.refuse(Feature, "type", found+": a stolen refresh token would go unnoticed", "a store with ETags, such as state.postgresql or state.redis")
		default:
			s.note(Feature, "type", found+"; each key of this component has one writer", "")
		}
	}
	if !s.entry.has("ttl") {
		s.warn(Feature, "type", "it has no time to live, and says nothing of it: what has expired is refused, since the time is in the value too, but stays in the store for ever", "a store with TTL, or a job that empties it")
	}
	if !s.entry.has("transactional") {
		s.note(Feature, "type", "it has no transactions; the services use none", "")
	}
}

func (s *subject) inMemoryState() {
	switch {
	case s.role.durable:
		s.refuse(Loses, "type", "documents are gone when the sidecar ends: people's lists, and what was told them already", "any store that keeps them")
	case s.role.shared:
		s.refuse(Feature, "type", "each sidecar has a memory of its own: the gateway would not see the sessions that auth writes, and refuse everybody", "a store that the sidecars share")
	default:
		s.warn(Feature, "type", "what a service kept is gone when its sidecar ends: both started anew while auth is away, it answers nobody until auth is back", "a store that keeps it")
	}
}

func (s *subject) volatile() {
	if s.role.durable {
		s.refuse(Loses, "type", "it keeps documents in memory, and may throw them away for room", "a store that keeps them")
	}
}

func (s *subject) sqlite() {
	connection, known := s.value(s.component, "connectionString", "")
	if !known {
		return
	}
	lower := strings.ToLower(connection)
	if strings.Contains(lower, ":memory:") || strings.Contains(lower, "mode=memory") {
		s.inMemoryState()
		return
	}
	if s.role.durable {
		for _, weak := range []string{"synchronous(normal)", "synchronous(off)", "synchronous(0)", "synchronous(1)"} {
			if strings.Contains(lower, weak) {
				s.refuse(Loses, "connectionString", weak+": a power cut takes the last documents that were acknowledged", "_pragma=synchronous(FULL)")
			}
		}
		if s.isTrue("disableWAL", "false") {
			s.note(Form, "disableWAL", "writers and readers wait for each other", "remove it")
		}
	}
	busy, okB := s.duration("busyTimeout", "2s")
	limit, okL := s.duration("timeout", "20s")
	if okB && okL && busy >= limit {
		s.warn(Form, "busyTimeout", fmt.Sprintf("%s is not below timeout (%s): a write that waits for another ends without having tried", busy, limit), "busyTimeout: 4s and timeout: 5s")
	}
	s.note(Feature, "type", "the file is on one machine: all sidecars that share it have to run there", "another store for more than one machine")
}

func (s *subject) redisState() {
	if s.role.durable {
		if n, ok := s.number("redisMaxRetries", "3"); ok && n > 0 || !s.isSet("redisMaxRetries") {
			s.warn(Repeats, "redisMaxRetries", "a write that was done, but whose answer was lost, is sent again and fails on its own ETag; the service reads again and tries anew", `redisMaxRetries: "-1"`)
		}
	}
	s.note(Feature, "", "a transaction neither checks first-write nor takes the rest back when an ETag fails; the services write single keys", "")
}

func (s *subject) postgres() {
	if d, ok := s.duration("cleanupInterval", "1h"); ok && d <= 0 {
		s.warn(Feature, "cleanupInterval", "what has expired is never removed", "cleanupInterval: 1h")
	}
	if s.entry.Version == "v1" {
		s.note(Form, "version", "v1 keeps an xmin as the ETag, v2 a UUID; they cannot read each other's tables", "version: v2 for a new installation")
	}
}

// other checks secrets and mail.
func (s *subject) other() {
	switch s.entry.Type {
	case "secretstores.local.env":
		s.warn(Secret, "type", "every sidecar can read every variable that it was started with", "secretstores.local.file, or the cluster's own")
	case "bindings.smtp":
		if !s.entry.Shipped {
			return
		}
		if s.isTrue("allowPlaintext", "false") {
			s.warn(Secret, "allowPlaintext", "mails with links that set a password go unencrypted where the server offers no TLS", "remove it outside a trusted network")
		}
		s.note(Feature, "type", "only the sidecar of dapr/sidecar sends whole messages; Dapr's own composes them itself and may exchange the recipients of mails that are sent at the same time", "")
	case "bindings.localstorage":
		s.note(Feature, "type", "mail is written to files and reaches nobody", "bindings.smtp")
	}
	if s.role.block == mailBlock && s.entry.Type != "bindings.smtp" && s.entry.Type != "bindings.localstorage" {
		s.warn(Feature, "type", "the services hand over a whole message (RFC 5322) with the metadata emailTo; whether "+s.entry.Type+" can take that is not known here", "bindings.smtp")
	}
}

// together checks what components have in common.
func (c *checker) together(components []component) {
	byName := map[string]*component{}
	for i := range components {
		byName[components[i].Metadata.Name] = &components[i]
	}
	for _, name := range []string{"sessions", "cache"} {
		state, other := byName["state"], byName[name]
		if state == nil || other == nil || !strings.HasPrefix(state.Spec.Type, "state.redis") || !strings.HasPrefix(other.Spec.Type, "state.redis") {
			continue
		}
		if a, b := c.address(state), c.address(other); a != "" && a == b {
			c.add(Finding{Warning, Loses, name, "redisHost", "the same Redis as state: it must then neither evict nor be flushed, and what may be lost grows beside the documents", "a server of its own"})
		}
	}
	ids := map[string]string{}
	for i := range components {
		k := &components[i]
		if alias(strings.ToLower(k.Spec.Type)) != "pubsub.mqtt3" {
			continue
		}
		id, known := c.value(k, "consumerID", "")
		if other := ids[id]; known && id != "" && other != "" {
			c.add(Finding{Refused, Loses, k.Metadata.Name, "consumerID", fmt.Sprintf("it is %q, as that of %s: the two connections of an app throw each other out, over and over", id, other), "a different one for each topic"})
		}
		ids[id] = k.Metadata.Name
	}
}
