package profile

import (
	"fmt"
	"slices"
	"strings"
)

// ofEvery are settings of all components of a block: daprd itself reads them, or a
// library does.
func ofEvery(block string) []string {
	switch block {
	case "pubsub":
		return []string{"allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes", "consumerID", "concurrency"}
	case "state":
		return []string{"keyPrefix", "actorStateStore", "primaryEncryptionKey", "secondaryEncryptionKey"}
	case "bindings":
		return []string{"direction", "route", "allowPlaintext"} // the last of the sidecar's own mailer
	}
	return nil
}

// settings checks the names of the settings, what is required, and that no
// secret is written down.
func (c *checker) settings(k *component, e entry) {
	block, _, _ := strings.Cut(e.Type, ".")
	known := append(slices.Clone(e.Settings), ofEvery(block)...)
	seen := map[string]bool{}
	for _, m := range k.Spec.Metadata {
		lower := strings.ToLower(m.Name)
		if seen[lower] {
			c.add(Finding{Refused, Form, k.Metadata.Name, m.Name, "the setting is given twice: only one of them counts", "remove one"})
		}
		seen[lower] = true
		if !slices.ContainsFunc(known, func(n string) bool { return strings.EqualFold(n, m.Name) }) && !open(e, m.Name) {
			c.add(Finding{Refused, Form, k.Metadata.Name, m.Name, fmt.Sprintf("%s has no setting %q: it would be ignored in silence", e.Type, m.Name), nearest(m.Name, known)})
		}
		c.inClear(k, e, m)
		c.references(k, m)
	}
	if block == "bindings" {
		return // what is required there may come with each request
	}
	for _, name := range e.Required {
		if !seen[strings.ToLower(name)] {
			c.add(Finding{Refused, Form, k.Metadata.Name, name, "the setting is required: the sidecar would end at its start", "give it"})
		}
	}
}

// open says whether a component takes settings that its description cannot list:
// those of its retries, and schemas by topic.
func open(e entry, name string) bool {
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, "backoff") || strings.HasSuffix(lower, "schema") && strings.Contains(lower, ".")
}

func nearest(name string, known []string) string {
	best, distance := "", 4
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "remove it"
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// edits is how many letters have to be changed, added or removed.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// inClear finds passwords and keys that stand in the file.
func (c *checker) inClear(k *component, e entry, m item) {
	value := m.Value.Value
	if value == "" {
		return
	}
	secret := slices.ContainsFunc(e.Secret, func(s string) bool { return strings.EqualFold(s, m.Name) })
	if addressLike(m.Name) {
		secret = strings.Contains(value, "@") && hasPassword(value) || strings.Contains(strings.ToLower(value), "password=") || strings.Contains(value, "SharedAccessKey=")
	}
	if secret {
		c.add(Finding{Refused, Secret, k.Metadata.Name, m.Name, "a secret stands in the file, for everybody who may read it", "secretKeyRef, with auth.secretStore: secrets"})
	}
}

// addressLike are settings that are secret only if they hold a password.
func addressLike(name string) bool {
	return slices.Contains([]string{"connectionstring", "url", "host", "natsurl", "brokers", "redishost"}, strings.ToLower(name))
}

// hasPassword says whether an address is scheme://user:password@host.
func hasPassword(address string) bool {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return false
	}
	at := strings.LastIndex(rest, "@")
	return at >= 0 && strings.Contains(rest[:at], ":")
}

// references checks that what a setting refers to can be there.
func (c *checker) references(k *component, m item) {
	name := k.Metadata.Name
	given := 0
	for _, set := range []bool{m.Value.Kind != 0, m.EnvRef != "", m.SecretKeyRef != nil} {
		if set {
			given++
		}
	}
	switch {
	case given == 0:
		c.add(Finding{Refused, Form, name, m.Name, "the setting has no value", "give value, envRef or secretKeyRef"})
	case given > 1:
		c.add(Finding{Refused, Form, name, m.Name, "the setting has more than one of value, envRef and secretKeyRef", "keep one"})
	}
	if m.SecretKeyRef != nil && k.Auth.SecretStore == "" {
		c.add(Finding{Refused, Secret, name, m.Name, "secretKeyRef without a secret store: outside Kubernetes the value would be empty", "auth: {secretStore: secrets}"})
	}
	if m.EnvRef != "" && (m.EnvRef == "APP_API_TOKEN" || strings.HasPrefix(m.EnvRef, "DAPR_")) {
		c.add(Finding{Refused, Form, name, m.Name, "sidecars refuse to read the variable " + m.EnvRef, "name it differently"})
	}
}
