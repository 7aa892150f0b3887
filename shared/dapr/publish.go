package dapr

import (
	"context"
	"strconv"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"

	"lms/shared/apperr"
)

// bulkBytes is how much one bulk request carries at most: the sidecar refuses
// messages above 4 MiB.
const bulkBytes = 3 << 20

const cloudEvents = "application/cloudevents+json"

// Message is one event to publish. Data is a whole CloudEvent as JSON. Key
// keeps events of one aggregate in one partition, where the broker has any.
type Message struct {
	Key      string
	Data     []byte
	Metadata map[string]string
}

func (m Message) metadata() map[string]string {
	md := map[string]string{}
	for k, v := range m.Metadata {
		md[k] = v
	}
	if m.Key != "" {
		md["partitionKey"] = m.Key
	}
	return md
}

// Publish publishes one event. It does not retry: the outbox does.
func (c *Client) Publish(ctx context.Context, component, topic string, m Message) error {
	return c.grpcCall(ctx, "publish", component, 1, func(ctx context.Context) error {
		_, err := c.sdk.GrpcClient().PublishEvent(ctx, &pb.PublishEventRequest{
			PubsubName: component, Topic: topic, Data: m.Data, DataContentType: cloudEvents, Metadata: m.metadata(),
		})
		return err
	})
}

// PublishBulk publishes events in as few requests as the sidecar's message size
// allows. failed holds, by index into ms, what was not published and why; it is
// empty when all were. The metadata, and with it the partition key, goes with
// each entry: on the request it would overwrite them all.
func (c *Client) PublishBulk(ctx context.Context, component, topic string, ms []Message) (failed map[int]error) {
	failed = map[int]error{}
	for from := 0; from < len(ms); {
		to, size := from, 0
		for to < len(ms) && (to == from || size+len(ms[to].Data) <= bulkBytes) {
			size += len(ms[to].Data)
			to++
		}
		c.publishChunk(ctx, component, topic, ms, from, to, failed)
		from = to
	}
	return failed
}

func (c *Client) publishChunk(ctx context.Context, component, topic string, ms []Message, from, to int, failed map[int]error) {
	req := &pb.BulkPublishRequest{PubsubName: component, Topic: topic, Entries: make([]*pb.BulkPublishRequestEntry, 0, to-from)}
	for i := from; i < to; i++ {
		req.Entries = append(req.Entries, &pb.BulkPublishRequestEntry{
			EntryId: strconv.Itoa(i), Event: ms[i].Data, ContentType: cloudEvents, Metadata: ms[i].metadata(),
		})
	}
	var resp *pb.BulkPublishResponse
	// The generated client rather than the SDK's PublishEvents, which drops the
	// reason of each failed entry.
	err := c.grpcCall(ctx, "publish", component, 1, func(ctx context.Context) (err error) {
		resp, err = c.sdk.GrpcClient().BulkPublishEvent(ctx, req)
		return err
	})
	if err != nil {
		for i := from; i < to; i++ {
			failed[i] = err
		}
		return
	}
	for _, f := range resp.GetFailedEntries() {
		i, err := strconv.Atoi(f.GetEntryId())
		if err != nil || i < from || i >= to {
			continue
		}
		failed[i] = apperr.Unavailable("publish_failed", f.GetError())
	}
}

// grpcCall runs one call of the sidecar's gRPC API with deadline, tries,
// metrics and errors as they are everywhere.
func (c *Client) grpcCall(ctx context.Context, kind, component string, tries uint, fn func(context.Context) error) error {
	began := time.Now()
	limit := c.o.Timeout
	if kind == kindBinding {
		limit = bindingTimeout
	}
	ctx, cancel := c.bounded(ctx, limit)
	defer cancel()
	ctx, span := c.o.Tracer.Start(ctx, kind+" "+component)
	defer span.End()
	err := again(ctx, tries, func() error { return grpcError(component, fn(ctx)) })
	result := "ok"
	if err != nil {
		span.RecordError(err)
		result = apperr.Code(err)
	}
	c.o.Metrics.DaprCall(kind, component, result, time.Since(began))
	return err
}
