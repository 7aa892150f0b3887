package broker_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"lms/apps/lms/internal/broker"
	"lms/shared/freeport"
)

// TestBrokerProcess is what the killed process runs.
func TestBrokerProcess(t *testing.T) {
	dir := os.Getenv("BROKER_DATA")
	if dir == "" {
		return
	}
	port, err := strconv.Atoi(os.Getenv("BROKER_PORT"))
	require.NoError(t, err)
	require.NoError(t, broker.Run(t.Context(), broker.Options{DataDir: dir, Port: port, Log: os.Stderr}))
}

func startBroker(t *testing.T, dir string, port int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBrokerProcess$")
	cmd.Env = append(os.Environ(), "BROKER_DATA="+dir, "BROKER_PORT="+strconv.Itoa(port))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool { return !freeport.Free(freeport.Address(port)) }, 10*time.Second, 10*time.Millisecond)
	return cmd
}

// TestAcknowledgedRecordsSurviveAKill: the broker is killed in the middle of
// writing, three times, and what it acknowledged is there in order.
func TestAcknowledgedRecordsSurviveAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := freeport.One()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()

	var acknowledged []string
	for round := range 3 {
		cmd := startBroker(t, dir, port)
		client, err := kgo.NewClient(kgo.SeedBrokers(freeport.Address(port)), kgo.AllowAutoTopicCreation(),
			kgo.DefaultProduceTopic("user.events"), kgo.RecordRetries(1), kgo.UnknownTopicRetries(20))
		require.NoError(t, err)
		for i := range 40 {
			value := fmt.Sprintf("%d-%d", round, i)
			require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Key: []byte("k"), Value: []byte(value)}).FirstErr())
			acknowledged = append(acknowledged, value)
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed on purpose
		client.Close()
	}

	startBroker(t, dir, port)
	client, err := kgo.NewClient(kgo.SeedBrokers(freeport.Address(port)), kgo.ConsumeTopics("user.events"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithLogger(kgo.BasicLogger(io.Discard, kgo.LogLevelError, nil)))
	require.NoError(t, err)
	defer client.Close()
	var read []string
	for len(read) < len(acknowledged) {
		fetches := client.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "only %d of %d records came", len(read), len(acknowledged))
		fetches.EachRecord(func(r *kgo.Record) { read = append(read, string(r.Value)) })
	}
	require.Equal(t, acknowledged, read)
}

// TestCommittedOffsetsSurviveAKill: a group goes on where it was, and neither
// misses nor repeats what it had committed.
func TestCommittedOffsetsSurviveAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := freeport.One()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	client := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(freeport.Address(port)), kgo.AllowAutoTopicCreation()}, opts...)...)
		require.NoError(t, err)
		return c
	}
	group := func() *kgo.Client {
		return client(kgo.ConsumerGroup("course"), kgo.ConsumeTopics("user.events"), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(3*time.Second), kgo.HeartbeatInterval(500*time.Millisecond))
	}
	produce := func(from, to int) {
		c := client(kgo.DefaultProduceTopic("user.events"))
		defer c.Close()
		for i := from; i < to; i++ {
			require.NoError(t, c.ProduceSync(ctx, &kgo.Record{Key: []byte("k"), Value: []byte(strconv.Itoa(i))}).FirstErr())
		}
	}
	read := func(c *kgo.Client, n int) (values []string) {
		for len(values) < n {
			fetches := c.PollFetches(ctx)
			require.NoError(t, ctx.Err(), "only %d of %d records came", len(values), n)
			fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
		}
		return values
	}

	cmd := startBroker(t, dir, port)
	produce(0, 10)
	consumer := group()
	require.Len(t, read(consumer, 10), 10)
	require.NoError(t, consumer.CommitUncommittedOffsets(ctx))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed on purpose
	consumer.Close()

	startBroker(t, dir, port)
	produce(10, 13)
	consumer = group()
	defer consumer.Close()
	require.Equal(t, []string{"10", "11", "12"}, read(consumer, 3))
}

// TestAGroupDoesNotWaitForWhoWasKilled: a consumer is answered before Dapr's client
// gives up reading, whoever has stopped without a word.
func TestAGroupDoesNotWaitForWhoWasKilled(t *testing.T) {
	t.Parallel()
	port, err := freeport.One()
	require.NoError(t, err)
	startBroker(t, t.TempDir(), port)
	first, second := joiner(t, port), joiner(t, port)
	require.NoError(t, kerr.ErrorForCode(first(t).ErrorCode)) // and is not heard of again
	const readTimeout = 30 * time.Second                      // of Dapr's client
	began := time.Now()
	require.NoError(t, kerr.ErrorForCode(second(t).ErrorCode))
	require.Less(t, time.Since(began), readTimeout/2)
}

// joiner is a client that joins a group with the times that Dapr's client allows.
func joiner(t *testing.T, port int) func(*testing.T) *kmsg.JoinGroupResponse {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(freeport.Address(port)))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType = "notification", "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 45_000, 60_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	req.Protocols = append(req.Protocols, protocol)
	return func(t *testing.T) *kmsg.JoinGroupResponse {
		t.Helper()
		resp, err := req.RequestWith(t.Context(), client)
		require.NoError(t, err)
		if resp.ErrorCode == kerr.MemberIDRequired.Code {
			req.MemberID = resp.MemberID
			resp, err = req.RequestWith(t.Context(), client)
			require.NoError(t, err)
		}
		return resp
	}
}
