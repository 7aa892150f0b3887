// Package broker is a broker that speaks the Kafka protocol, for development
// and tests: one process, no replication, everything on this machine's disk.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lms/shared/memory"
)

// Partitions of a topic that is made when it is first used. More would be slower
// here: a sidecar handles one bulk at a time per topic, and each partition fills
// a bulk of its own, so that they become smaller and wait longer
// (dapr/README.md has the figures).
const Partitions = 1

// Options of a broker.
type Options struct {
	// DataDir keeps the log through restarts.
	DataDir string
	// Port on 127.0.0.1.
	Port int
	// Log takes warnings of the broker, a line each.
	Log io.Writer
	// DropShare of the records, from 0 to 1, is acknowledged and not kept: for
	// fault tests. Each loss is a line of Log.
	DropShare float64
}

// Run serves until ctx ends. What was acknowledged is on the disk: each write
// is synced before its answer.
func Run(ctx context.Context, o Options) error {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(o.Port),
		kfake.ClusterID("lms-development"),
		kfake.DataDir(o.DataDir),
		kfake.SyncWrites(),
		kfake.DefaultNumPartitions(Partitions),
		kfake.WithLogger(logger{o.Log}),
		// A consumer that was killed gives its partitions to the next within
		// seconds.
		kfake.GroupMinSessionTimeout(3*time.Second),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "604800000"}),
	)
	if err != nil {
		return fmt.Errorf("the broker cannot start on port %d with the data in %s: %w", o.Port, o.DataDir, err)
	}
	defer cluster.Close()
	newTopics(cluster, o.Log)
	gatherSoon(cluster)
	if o.DropShare > 0 {
		dropRecords(cluster, o.DropShare, o.Log)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { memory.GiveBack(ctx, func(err error) { logger{o.Log}.Logf(kfake.LogLevelWarn, "%v", err) }) })
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			cluster.ApplyRetention()
		}
	}
}

// metadataKey is the request in which a client names the topics it wants.
const metadataKey = 3

// newTopics makes a topic when a client first names it. The broker's own way of
// doing so keeps the topic in memory until an orderly stop: after a kill its
// acknowledged records would be on the disk and belong to nothing.
func newTopics(cluster *kfake.Cluster, log io.Writer) {
	var mu sync.Mutex
	known := map[string]bool{}
	cluster.ControlKey(metadataKey, func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req, ok := r.(*kmsg.MetadataRequest)
		if !ok || !req.AllowAutoTopicCreation {
			return nil, nil, false
		}
		var wanted []string
		mu.Lock()
		for _, t := range req.Topics {
			if t.Topic != nil && !known[*t.Topic] {
				wanted = append(wanted, *t.Topic)
			}
		}
		mu.Unlock()
		if len(wanted) == 0 {
			return nil, nil, false
		}
		cluster.SleepControl(func() { // the broker cannot change itself while it waits for us
			for _, name := range wanted {
				err := cluster.CreateTopic(name, Partitions, nil)
				if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
					logger{log}.Logf(kfake.LogLevelWarn, "topic %q cannot be made: %v", name, err)
					continue
				}
				mu.Lock()
				known[name] = true
				mu.Unlock()
			}
		})
		return nil, nil, false
	})
}

// joinKey is the request by which a consumer comes into its group.
const joinKey = 11

// gatherWithin is how long a group waits for those of its members that were there
// before.
const gatherWithin = 10 * time.Second

// gatherSoon shortens what consumers ask for. Dapr's client gives a group a minute to
// gather and reads an answer for half of one: after some were killed, each of the
// others would give up before the group is ready, come anew, and be waited for again,
// for minutes.
func gatherSoon(cluster *kfake.Cluster) {
	cluster.ControlKey(joinKey, func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if req, ok := r.(*kmsg.JoinGroupRequest); ok {
			req.RebalanceTimeoutMillis = min(req.RebalanceTimeoutMillis, int32(gatherWithin.Milliseconds()))
		}
		return nil, nil, false
	})
}

type logger struct{ out io.Writer }

// Logf keeps warnings and errors; the rest is one line per request.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError && level != kfake.LogLevelWarn {
		return
	}
	// A log that cannot be written has nowhere to say so.
	_, _ = fmt.Fprintf(l.out, "%s %s %s\n", time.Now().UTC().Format(time.RFC3339), level, fmt.Sprintf(format, args...))
}
