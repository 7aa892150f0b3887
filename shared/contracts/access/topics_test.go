package access_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"lms/shared/contracts"
	"lms/shared/contracts/access"
	"lms/shared/testkit/sidecartest"
)

// reader is an app that subscribes to every topic and notes what reaches it.
type reader struct {
	mu   sync.Mutex
	seen map[string]int // by topic
}

func (r *reader) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/dapr/subscribe" {
		var all []map[string]any
		for _, t := range contracts.Topics() {
			all = append(all, map[string]any{"pubsubname": t.Component, "topic": t.Name, "route": "/events/" + t.Name})
		}
		_ = json.NewEncoder(w).Encode(all) // the sidecar asks again
		return
	}
	if topic, ok := strings.CutPrefix(req.URL.Path, "/events/"); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen[topic]++
	}
}

func (r *reader) count(topic string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[topic]
}

// TestEveryAppOnEveryTopic tries to publish to, and to read, every topic as every
// app. Every app loads every component here, so that nothing but the scopes of topics
// is left to refuse it.
func TestEveryAppOnEveryTopic(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	var components []string
	for _, topic := range contracts.Topics() {
		components = append(components, topic.Component+".yaml")
	}
	home := t.TempDir()
	readers, sidecars := map[string]*reader{}, map[string]sidecartest.Sidecar{}
	for _, app := range append(access.Apps(), "stranger") {
		readers[app] = &reader{seen: map[string]int{}}
		server := httptest.NewServer(readers[app])
		t.Cleanup(server.Close)
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		require.NoError(t, err)
		sidecars[app] = sidecartest.Start(t, sidecartest.Options{
			App: app, Home: home, AppPort: port, Components: components, Env: []string{"LMS_KAFKA_BROKERS=" + strings.Join(broker.ListenAddrs(), ",")},
			Edit: func(text string) string {
				head, _, scoped := strings.Cut(text, "\nscopes:\n")
				require.True(t, scoped)
				return head + "\n"
			},
		})
	}
	published, refused, read := 0, 0, 0
	const rounds = 2 // what was read by mistake in the first would be there before the second is
	for round := range rounds {
		for app, s := range sidecars {
			for _, topic := range contracts.Topics() {
				status := publish(t, s, topic)
				if app == topic.Publisher {
					require.Equal(t, http.StatusNoContent, status, "%s publishes to %s", app, topic.Name)
					published++
				} else {
					require.Equal(t, http.StatusForbidden, status, "%s publishes to %s", app, topic.Name)
					refused++
				}
			}
		}
		for app, r := range readers {
			for _, topic := range contracts.Topics() {
				if slices.Contains(topic.Consumers, app) {
					require.Eventually(t, func() bool { return r.count(topic.Name) > round }, 20*time.Second, 10*time.Millisecond, "%s reads %s", app, topic.Name)
					read++
				}
			}
		}
	}
	unread := 0
	for app, r := range readers {
		for _, topic := range contracts.Topics() {
			if !slices.Contains(topic.Consumers, app) {
				require.Zero(t, r.count(topic.Name), "%s reads %s", app, topic.Name)
				unread++
			}
		}
	}
	t.Logf("topics: %d apps × %d topics: publishing %d as allowed and %d refused, reading %d as allowed and %d never, 0 otherwise",
		len(sidecars), len(contracts.Topics()), published/rounds, refused/rounds, read/rounds, unread)
}

func publish(t *testing.T, s sidecartest.Sidecar, topic contracts.Topic) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+s.HTTP+"/v1.0/publish/"+topic.Component+"/"+topic.Name, bytes.NewReader([]byte(`{"a":1}`)))
	require.NoError(t, err)
	req.Header.Set("Dapr-Api-Token", sidecartest.APIToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}
