package profile_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/profile"
	"lms/shared/contracts"
)

const components = "../../../../components"

func check(t *testing.T, o profile.Options) profile.Report {
	t.Helper()
	r, err := profile.Check(t.Context(), o)
	require.NoError(t, err)
	return r
}

func of(r profile.Report, level profile.Level) []profile.Finding {
	var found []profile.Finding
	for _, f := range r.Findings {
		if f.Level == level {
			found = append(found, f)
		}
	}
	return found
}

// TestEveryShippedProfileCanBeUsed reads all folders in components/.
func TestEveryShippedProfileCanBeUsed(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(components)
	require.NoError(t, err)
	var read int
	for _, f := range folders {
		if !f.IsDir() {
			continue
		}
		read++
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			r := check(t, profile.Options{Dir: filepath.Join(components, f.Name())})
			require.Empty(t, of(r, profile.Refused))
			for _, found := range r.Findings {
				require.NotContains(t, found.Found, "is not known here", found)
			}
			require.Len(t, r.Components, len(contracts.Topics())+len(contracts.BuildingBlocks()))
		})
	}
	require.GreaterOrEqual(t, read, 2)
}

// folder is a profile of files of which one is of this test's making.
type folder struct {
	t   *testing.T
	dir string
}

// broken copies a shipped profile, to change it.
func broken(t *testing.T, from string) folder {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(components, from))))
	return folder{t, dir}
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name+".yaml") }

// swap changes the text of one file.
func (f folder) swap(name, old, replacement string) folder {
	f.t.Helper()
	raw, err := os.ReadFile(f.path(name))
	require.NoError(f.t, err)
	require.Contains(f.t, string(raw), old)
	return f.write(name, strings.Replace(string(raw), old, replacement, 1))
}

func (f folder) write(name, text string) folder {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.path(name), []byte(text), 0o600))
	return f
}

// topic is the component of course.events with a type and settings.
func topic(kind string, settings ...string) string {
	var t contracts.Topic
	for _, one := range contracts.Topics() {
		if one.Publisher == "course" {
			t = one
		}
	}
	return component("events-course", "pubsub."+kind, append([]string{t.Publisher}, t.Consumers...), append(settings,
		"allowedTopics="+t.Name, "protectedTopics="+t.Name, "publishingScopes=course="+t.Name,
		"subscriptionScopes="+strings.Join(t.Consumers, "="+t.Name+";")+"="+t.Name)...)
}

func component(name, kind string, scopes []string, settings ...string) string {
	var b strings.Builder
	kind, version, ok := strings.Cut(kind, "/")
	if !ok {
		version = "v1"
	}
	fmt.Fprintf(&b, "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: %s\nauth:\n  secretStore: secrets\nspec:\n  type: %s\n  version: %s\n  initTimeout: 30s\n  metadata:\n", name, kind, version)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		if secret, ok := strings.CutPrefix(value, "secret:"); ok {
			fmt.Fprintf(&b, "    - name: %s\n      secretKeyRef: {name: %s, key: %s}\n", key, secret, secret)
			continue
		}
		fmt.Fprintf(&b, "    - name: %s\n      value: %q\n", key, value)
	}
	fmt.Fprintf(&b, "scopes: [%s]\n", strings.Join(scopes, ", "))
	return b.String()
}

// readers are the apps that load the component state, signing those of sessions.
func readers() []string { return loading("state") }

func signing() []string { return loading("sessions") }

func loading(component string) []string {
	for _, b := range contracts.BuildingBlocks() {
		if b.Name == component {
			return b.Apps
		}
	}
	return nil
}

func all() []string { return append(contracts.Services(), "gateway") }

// wrong is a profile with one thing wrong, and what is to be said of it.
type wrong struct {
	name      string
	change    func(f folder)
	level     profile.Level
	effect    profile.Effect
	component string
	setting   string
	says      string
}

func TestWhatIsWrongIsSaidByName(t *testing.T) {
	t.Parallel()
	cases := []wrong{
		{"absent", func(f folder) { require.NoError(f.t, os.Remove(f.path("cache"))) }, profile.Refused, profile.Name, "cache", "", "no component of this name"},
		{"twice", func(f folder) {
			f.write("second", component("cache", "state.redis", all(), "redisHost=h", "keyPrefix=name"))
		}, profile.Refused, profile.Name, "cache", "", "several"},
		{"unknown type", func(f folder) { f.swap("state", "state.sqlite", "state.sqlit") }, profile.Refused, profile.Name, "state", "type", "no component type"},
		{"unknown version", func(f folder) { f.swap("state", "version: v1", "version: v7") }, profile.Refused, profile.Name, "state", "version", "no version"},
		{"wrong block", func(f folder) { f.write("cache", component("cache", "pubsub.redis", all(), "redisHost=h")) }, profile.Refused, profile.Name, "cache", "type", "use the name as a state"},
		{"not in the trimmed sidecar", func(f folder) {
			f.write("events-course", topic("pulsar", "host=h:6650", "subscribeInitialPosition=earliest"))
		}, profile.Warning, profile.Feature, "events-course", "type", "trimmed sidecar"},
		{"no name of ours", func(f folder) { f.write("other", component("other", "state.redis", []string{"x"}, "redisHost=h")) }, profile.Note, profile.Name, "other", "", "no service names it"},
		{"key misspelt", func(f folder) { f.swap("cache", "scopes:", "scope:") }, profile.Refused, profile.Form, "cache", "", "field scope not found"},
		{"setting misspelt", func(f folder) { f.swap("events-user", "initialOffset", "initalOffset") }, profile.Refused, profile.Form, "events-user", "initalOffset", "no setting"},
		{"setting twice", func(f folder) { f.swap("cache", "- name: timeout", "- name: busyTimeout") }, profile.Refused, profile.Form, "cache", "busyTimeout", "twice"},
		{"setting without a value", func(f folder) { f.swap("cache", "      value: 5s\n", "") }, profile.Refused, profile.Form, "cache", "timeout", "no value"},
		{"required setting", func(f folder) { f.swap("events-user", "authType", "clientCert") }, profile.Refused, profile.Form, "events-user", "authType", "required"},
		{"required setting of a store", func(f folder) {
			f.write("state", component("state", "state.cassandra", readers(), "keyPrefix=name"))
		}, profile.Refused, profile.Form, "state", "hosts", "required"},
		{"no YAML", func(f folder) { f.write("bad", "a: [") }, profile.Refused, profile.Form, "", "", "no YAML"},
		{"a subscription", func(f folder) { f.write("sub", "apiVersion: dapr.io/v2alpha1\nkind: Subscription\n") }, profile.Refused, profile.Repeats, "", "", "subscription"},
		{"another kind", func(f folder) { f.write("x", "kind: Resiliency\n") }, profile.Warning, profile.Form, "", "", "Resiliency"},
		{"everybody loads it", func(f folder) {
			f.write("state", component("state", "state.sqlite", nil, "connectionString=x", "keyPrefix=name"))
		}, profile.Refused, profile.Scope, "state", "scopes", "every app"},
		{"who needs it may not load it", func(f folder) { f.swap("email", "  - notification\n", "") }, profile.Refused, profile.Scope, "email", "scopes", "may not load it: notification"},
		{"others could write sessions", func(f folder) { f.swap("sessions", "  - gateway\n", "  - gateway\n  - course\n") }, profile.Refused, profile.Scope, "sessions", "scopes", "no use for it: course; each could read and change"},
		{"too many load it", func(f folder) { f.swap("email", "  - notification\n", "  - notification\n  - search\n") }, profile.Refused, profile.Scope, "email", "scopes", "no use for it: search"},
		{"others may publish", func(f folder) { f.swap("events-user", "user=user.events", "user=user.events;auth=user.events") }, profile.Refused, profile.Scope, "events-user", "publishingScopes", "others than user"},
		{"unprotected", func(f folder) { f.swap("events-user", "protectedTopics", "allowedTopics") }, profile.Refused, profile.Scope, "events-user", "protectedTopics", "does not name"},
		{"a consumer left out", func(f folder) { f.swap("events-user", ";analytics=user.events", "") }, profile.Refused, profile.Scope, "events-user", "subscriptionScopes", ""},
		{"a password in clear", func(f folder) {
			f.write("cache", component("cache", "state.redis", all(), "redisHost=h:6379", "keyPrefix=name", "redisPassword=hunter2"))
		}, profile.Refused, profile.Secret, "cache", "redisPassword", "stands in the file"},
		{"a password in an address", func(f folder) { f.write("events-course", topic("rabbitmq", "connectionString=amqp://u:p@h:5672")) }, profile.Refused, profile.Secret, "events-course", "connectionString", "stands in the file"},
		{"a secret without a store", func(f folder) { f.swap("cache", "value: 4s", "secretKeyRef: {name: a, key: a}") }, profile.Refused, profile.Secret, "cache", "busyTimeout", "without a secret store"},
		{"a variable that is refused", func(f folder) { f.swap("cache", "value: 4s", "envRef: DAPR_API_TOKEN") }, profile.Refused, profile.Form, "cache", "busyTimeout", "refuse to read"},
		{"errors ignored", func(f folder) { f.swap("events-user", "  initTimeout: 30s", "  ignoreErrors: true") }, profile.Refused, profile.Loses, "events-user", "ignoreErrors", "for ever"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := broken(t, "embedded")
			c.change(f)
			expect(t, check(t, profile.Options{Dir: f.dir}), c)
		})
	}
}

func expect(t *testing.T, r profile.Report, c wrong) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Level == c.level && f.Effect == c.effect && f.Component == c.component && strings.EqualFold(f.Setting, c.setting) && strings.Contains(f.Found, c.says) {
			return
		}
	}
	require.Fail(t, "not said", "%+v\nof %+v", c, r.Findings)
}

// brokers are settings that lose, repeat or reorder, by product.
func brokers() []wrong {
	const lost, again, order, able = profile.Loses, profile.Repeats, profile.Reorders, profile.Feature
	as := func(level profile.Level, effect profile.Effect, setting, kind string, settings ...string) wrong {
		return wrong{
			name: kind + " " + setting + " " + string(effect), change: func(f folder) { f.write("events-course", topic(kind, settings...)) },
			level: level, effect: effect, component: "events-course", setting: setting,
		}
	}
	no, hm := profile.Refused, profile.Warning
	return []wrong{
		as(no, lost, "initialOffset", "kafka", "brokers=h", "authType=none"),
		as(no, lost, "producerRequiredAcks", "kafka", "brokers=h", "authType=none", "producerRequiredAcks=local"),
		as(no, lost, "consumerGroup", "kafka", "brokers=h", "authType=none", "consumerGroup=lms"),
		as(no, lost, "backOffMaxRetries", "kafka", "brokers=h", "authType=none", "backOffMaxRetries=5"),
		as(no, lost, "consumeRetryEnabled", "kafka", "brokers=h", "authType=none", "consumeRetryEnabled=false"),
		as(no, lost, "processingTimeout", "redis", "redisHost=h", "processingTimeout=0"),
		as(hm, again, "processingTimeout", "redis", "redisHost=h"),
		as(no, lost, "redeliverInterval", "redis", "redisHost=h", "redeliverInterval=0s"),
		as(hm, lost, "maxLenApprox", "redis", "redisHost=h", "maxLenApprox=1000"),
		as(hm, order, "concurrency", "redis", "redisHost=h"),
		as(hm, lost, "server: appendfsync", "redis", "redisHost=h"),
		as(no, lost, "durable", "rabbitmq", "connectionString=secret:amqp", "durable=false"),
		as(no, lost, "deletedWhenUnused", "rabbitmq", "connectionString=secret:amqp"),
		as(no, lost, "deliveryMode", "rabbitmq", "connectionString=secret:amqp"),
		as(no, lost, "publisherConfirm", "rabbitmq", "connectionString=secret:amqp"),
		as(no, lost, "requeueInFailure", "rabbitmq", "connectionString=secret:amqp"),
		as(no, lost, "autoAck", "rabbitmq", "connectionString=secret:amqp", "autoAck=true"),
		as(no, lost, "prefetchCount", "rabbitmq", "connectionString=secret:amqp"),
		as(hm, order, "concurrency", "rabbitmq", "connectionString=secret:amqp"),
		as(no, lost, "durableName", "jetstream", "natsURL=nats://h:4222"),
		as(no, lost, "durableName", "jetstream", "natsURL=nats://h:4222", "durableName=lms"),
		as(no, lost, "maxDeliver", "jetstream", "natsURL=nats://h:4222", "maxDeliver=3"),
		as(no, lost, "ackPolicy", "jetstream", "natsURL=nats://h:4222", "ackPolicy=none"),
		as(no, lost, "deliverPolicy", "jetstream", "natsURL=nats://h:4222", "deliverPolicy=new"),
		as(hm, again, "ackWait", "jetstream", "natsURL=nats://h:4222"),
		as(no, lost, "qos", "mqtt3", "url=mqtt://h:1883", "qos=0"),
		as(no, lost, "cleanSession", "mqtt3", "url=mqtt://h:1883", "cleanSession=true"),
		as(no, lost, "consumerID", "mqtt3", "url=mqtt://h:1883"),
		as(hm, able, "", "mqtt3", "url=mqtt://h:1883"),
		as(no, lost, "subscribeInitialPosition", "pulsar", "host=h:6650"),
		as(no, lost, "persistent", "pulsar", "host=h:6650", "persistent=false"),
		as(hm, order, "subscribeType", "pulsar", "host=h:6650"),
		as(hm, lost, "maxDeliveryCount", "azure.servicebus.topics", "connectionString=secret:bus"),
		as(no, lost, "autoDeleteOnIdleInSec", "azure.servicebus.topics", "connectionString=secret:bus", "autoDeleteOnIdleInSec=300"),
		as(no, lost, "type", "azure.servicebus.queues", "connectionString=secret:bus"),
		as(hm, lost, "", "azure.eventhubs", "connectionString=secret:hubs"),
		as(no, lost, "disableDeleteOnRetryLimit", "aws.snssqs", "region=eu-central-1"),
		as(hm, order, "fifo", "aws.snssqs", "region=eu-central-1"),
		as(hm, again, "messageVisibilityTimeout", "aws.snssqs", "region=eu-central-1"),
		as(hm, lost, "deadLetterTopic", "gcp.pubsub", "projectId=p", "deadLetterTopic=d"),
		as(no, lost, "maxReconnectionAttempts", "gcp.pubsub", "projectId=p"),
		as(no, lost, "type", "in-memory"),
		as(hm, lost, "type", "solace.amqp", "url=amqp://h:5672"),
	}
}

func TestEachBrokersLossesAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range brokers() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := broken(t, "embedded")
			c.change(f)
			r := check(t, profile.Options{Dir: f.dir})
			expect(t, r, c)
			for _, found := range r.Findings {
				require.False(t, found.Component == "events-course" && found.Level == profile.Refused && found.Remedy == "", "what is refused says what to change: %+v", found)
			}
		})
	}
}

func TestTwoTopicsUnderOneMQTTClientAreRefused(t *testing.T) {
	t.Parallel()
	f := broken(t, "embedded")
	f.write("events-course", topic("mqtt3", "url=mqtt://h:1883", "consumerID={appID}-all"))
	f.write("events-user", strings.NewReplacer("events-course", "events-user").Replace(topic("mqtt3", "url=mqtt://h:1883", "consumerID={appID}-all")))
	expect(t, check(t, profile.Options{Dir: f.dir}), wrong{level: profile.Refused, effect: profile.Loses, component: "events-user", setting: "consumerID", says: "as that of events-course"})
}

func TestStoresThatForgetAreRefusedBehindDocuments(t *testing.T) {
	t.Parallel()
	reader := readers()
	for name, c := range map[string]struct {
		file, text string
		level      profile.Level
		effect     profile.Effect
		setting    string
	}{
		"in memory":         {"state", component("state", "state.in-memory", reader, "keyPrefix=name"), profile.Refused, profile.Loses, "type"},
		"sessions, memory":  {"sessions", component("sessions", "state.in-memory", signing(), "keyPrefix=name"), profile.Refused, profile.Feature, "type"},
		"sessions, no ETag": {"sessions", component("sessions", "state.cassandra", signing(), "hosts=h", "keyPrefix=name"), profile.Refused, profile.Feature, "type"},
		"sessions, no TTL":  {"sessions", component("sessions", "state.azure.blobstorage/v2", signing(), "accountName=a", "containerName=c", "keyPrefix=name"), profile.Warning, profile.Feature, "type"},
		"cache in memory":   {"cache", component("cache", "state.in-memory", all(), "keyPrefix=name"), profile.Warning, profile.Feature, "type"},
		"cache, no ETag":    {"cache", component("cache", "state.cassandra", all(), "hosts=h"), profile.Note, profile.Feature, "type"},
		"memcached":         {"state", component("state", "state.memcached", reader, "hosts=h", "keyPrefix=name"), profile.Refused, profile.Loses, "type"},
		"no ETag":           {"state", component("state", "state.cassandra", reader, "hosts=h", "keyPrefix=name"), profile.Refused, profile.Loses, "type"},
		"no TTL":            {"cache", component("cache", "state.azure.blobstorage/v2", all(), "accountName=a", "containerName=c", "keyPrefix=name"), profile.Warning, profile.Feature, "type"},
		"sqlite, weak":      {"state", component("state", "state.sqlite", reader, "connectionString=state.db?_pragma=synchronous(NORMAL)", "keyPrefix=name"), profile.Refused, profile.Loses, "connectionString"},
		"sqlite, no file":   {"state", component("state", "state.sqlite", reader, "connectionString=:memory:", "keyPrefix=name"), profile.Refused, profile.Loses, "type"},
		"sqlite, impatient": {"state", component("state", "state.sqlite", reader, "connectionString=state.db", "busyTimeout=30s", "keyPrefix=name"), profile.Warning, profile.Form, "busyTimeout"},
		"prefix by app":     {"state", component("state", "state.postgresql/v2", reader, "connectionString=secret:pg"), profile.Refused, profile.Loses, "keyPrefix"},
		"sessions by app":   {"sessions", component("sessions", "state.postgresql/v1", signing(), "connectionString=secret:pg"), profile.Refused, profile.Feature, "keyPrefix"},
		"redis, repeating":  {"state", component("state", "state.redis", reader, "redisHost=h:6379", "keyPrefix=name"), profile.Warning, profile.Repeats, "redisMaxRetries"},
		"redis, not asked":  {"state", component("state", "state.redis", reader, "redisHost=h:6379", "keyPrefix=name"), profile.Warning, profile.Loses, "server: appendonly"},
		"zookeeper, no TTL": {"state", component("state", "state.zookeeper", reader, "servers=h:2181", "keyPrefix=name"), profile.Warning, profile.Feature, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := broken(t, "embedded").write(c.file, c.text)
			expect(t, check(t, profile.Options{Dir: f.dir}), wrong{level: c.level, effect: c.effect, component: c.file, setting: c.setting})
		})
	}
}

func TestOneRedisForBothIsWarnedOf(t *testing.T) {
	t.Parallel()
	f := broken(t, "kafka")
	env := func(string) (string, bool) { return "127.0.0.1:6379", true }
	r := check(t, profile.Options{Dir: f.dir, Env: env})
	for _, name := range []string{"sessions", "cache"} {
		expect(t, r, wrong{level: profile.Warning, effect: profile.Loses, component: name, setting: "redisHost", says: "the same Redis"})
	}
}

func TestAServerThatIsAwayIsNamedWithItsAddress(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	require.NoError(t, ln.Close())
	env := func(name string) (string, bool) { return address, name == "LMS_KAFKA_BROKERS" }
	r := check(t, profile.Options{Dir: filepath.Join(components, "embedded"), Env: env, Live: true})
	expect(t, r, wrong{level: profile.Refused, effect: profile.Unreachable, component: "events-course", says: "nothing answers at " + address})
	require.Len(t, of(r, profile.Refused), len(contracts.Topics()))
}

func TestAFolderThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	_, err := profile.Check(t.Context(), profile.Options{Dir: filepath.Join(t.TempDir(), "absent")})
	require.ErrorContains(t, err, "is no folder of components")
}
