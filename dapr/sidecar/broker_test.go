package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// startBroker runs the broker as the embedded profile does: one partition per
// topic, kept in a folder.
func startBroker(t *testing.T, folder string, port int) *kfake.Cluster {
	t.Helper()
	broker, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(port), kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(1), kfake.DataDir(folder), kfake.SyncWrites(),
	)
	require.NoError(t, err)
	return broker
}

// While the broker is away publishing fails within its time limit, so that the
// relay can go on; when it is back both directions work without a restart.
func TestBrokerRestartIsSurvived(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	folder, port := t.TempDir(), freePorts(t, 1)[0]
	home.brokers = "127.0.0.1:" + strconv.Itoa(port)
	broker := startBroker(t, folder, port)
	app := newSubscriber("events-course", "course.events", recommended)
	home.start("enrollment", sidecarOptions{app: app})
	course := home.start("course", sidecarOptions{})
	publish := func(id string) answer {
		return course.publishBulk("events-course", "course.events", []map[string]any{bulkEntry(id, "course-1")})
	}
	require.Equal(t, http.StatusNoContent, publish("before").status)
	require.Eventually(t, func() bool { return app.distinct() == 1 }, patience, 10*time.Millisecond)

	broker.Close()
	begin := time.Now()
	failed := publish("during")
	require.GreaterOrEqual(t, failed.status, http.StatusInternalServerError)
	t.Logf("publishing without a broker fails after %v", time.Since(begin))
	require.Less(t, time.Since(begin), 15*time.Second)

	broker = startBroker(t, folder, port)
	defer broker.Close()
	begin = time.Now()
	require.Eventually(t, func() bool { return publish("after").status == http.StatusNoContent }, patience, 50*time.Millisecond)
	t.Logf("publishing works again %v after the broker", time.Since(begin))
	require.Eventually(t, func() bool { return app.has("after") }, 2*patience, 10*time.Millisecond)
	t.Logf("consuming works again %v after the broker", time.Since(begin))
}

// A killed consumer's partition waits for its session to end, a stopped one
// gives it back; what was not acknowledged comes to the successor.
func TestConsumerIsFollowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal syscall.Signal
		within time.Duration
	}{
		"killed":  {syscall.SIGKILL, 2 * patience},
		"stopped": {syscall.SIGTERM, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := newInstallation(t, installationOptions{partitions: 1})
			app := newSubscriber("events-course", "course.events", recommended)
			first := home.start("enrollment", sidecarOptions{app: app})
			course := home.start("course", sidecarOptions{})
			publish := func(id string) {
				got := course.publishBulk("events-course", "course.events", []map[string]any{bulkEntry(id, "course-1")})
				require.Equal(t, http.StatusNoContent, got.status, string(got.body))
			}
			publish("a")
			require.Eventually(t, func() bool { return app.has("a") }, patience, 10*time.Millisecond)

			first.stop(c.signal)
			publish("b")
			begin := time.Now()
			home.start("enrollment", sidecarOptions{app: app})
			require.Eventually(t, func() bool { return app.has("b") }, c.within, 10*time.Millisecond)
			t.Logf("consuming again after %v", time.Since(begin))
		})
	}
}

// The reference profile's topics differ in the version of the protocol; the
// embedded broker speaks that one too.
func TestReferenceProfileSpeaksToTheBroker(t *testing.T) {
	t.Parallel()
	home := newInstallation(t, installationOptions{})
	folder := t.TempDir()
	raw, err := os.ReadFile(repository(t, "components", "kafka", "events-course.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "events-course.yaml"), raw, 0o600))
	resources := []string{folder, repository(t, "dapr")}
	app := newSubscriber("events-course", "course.events", recommended)
	home.start("enrollment", sidecarOptions{app: app, resources: resources})
	course := home.start("course", sidecarOptions{resources: resources})
	require.Equal(t, http.StatusNoContent, course.publishBulk("events-course", "course.events", []map[string]any{bulkEntry("a", "c")}).status)
	require.Eventually(t, func() bool { return app.has("a") }, patience, 10*time.Millisecond)
}
