package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"lms/apps/lms/internal/broker"
	"lms/shared/freeport"
)

type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedLog) losses() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]bool{}
	for line := range strings.Lines(l.buf.String()) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "dropped" {
			out[f[2]] = true
		}
	}
	return out
}

// TestDropShareLosesWhatItSays: everything is acknowledged, the log names what
// is gone, and exactly the rest can be read, in order.
func TestDropShareLosesWhatItSays(t *testing.T) {
	t.Parallel()
	port, err := freeport.One()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var log lockedLog
	done := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() {
		done <- broker.Run(running, broker.Options{DataDir: t.TempDir(), Port: port, Log: &log, DropShare: 0.1})
	}()
	defer func() { stop(); require.NoError(t, <-done) }()
	require.Eventually(t, func() bool { return !freeport.Free(freeport.Address(port)) }, 10*time.Second, 10*time.Millisecond)

	client, err := kgo.NewClient(kgo.SeedBrokers(freeport.Address(port)), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("course.events"),
		kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	const total = 2000
	records := make([]*kgo.Record, total)
	for i := range records {
		records[i] = &kgo.Record{Key: []byte(strconv.Itoa(i)), Value: fmt.Appendf(nil, "value %d", i)}
	}
	require.NoError(t, client.ProduceSync(ctx, records[:total-50]...).FirstErr())
	for _, r := range records[total-50:] { // requests of one record, which may lose all they bring
		require.NoError(t, client.ProduceSync(ctx, r).FirstErr())
	}
	lost := log.losses()
	require.InDelta(t, total/10, len(lost), total/25, "about the share")

	reader, err := kgo.NewClient(kgo.SeedBrokers(freeport.Address(port)), kgo.ConsumeTopics("course.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer reader.Close()
	read := map[string]bool{}
	for len(read) < total-len(lost) {
		fetches := reader.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%d of %d records came", len(read), total-len(lost))
		fetches.EachRecord(func(r *kgo.Record) {
			require.Equal(t, "value "+string(r.Key), string(r.Value))
			read[string(r.Key)] = true
		})
	}
	for i := range total {
		key := strconv.Itoa(i)
		require.NotEqual(t, lost[key], read[key], "record %s is either lost or there", key)
	}
}
