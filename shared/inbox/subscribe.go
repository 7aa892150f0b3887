package inbox

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/otel/propagation"
)

// What daprd gathers into one delivery; measured (dapr/README.md): with one
// partition 200 and 20 ms give 9,700 events/s from a backlog and a p99 of 26 ms
// at 500 events/s. 200 events of the largest size fit into maxBulkBody; a batch
// refused for its size would come back for ever.
const (
	maxBulk     = 200
	defaultWait = 20 * time.Millisecond
	maxBulkBody = 64 << 20
)

// Subscriber takes what the sidecar delivers and gives it to Apply, in bulk.
type Subscriber struct {
	Topics []string
	// Apply handles events; an error of its own per event has that event delivered
	// again.
	Apply func(ctx context.Context, batch []Event) []error
	// Unreadable keeps what is no event of ours; an error has it delivered again.
	Unreadable func(ctx context.Context, raw []byte, cause error) error
	// Wait is how long the sidecar may gather events before it delivers them; 20 ms
	// if zero. A consumer whose batch costs much, however small, and that nobody
	// waits for, spends less with a longer one.
	Wait time.Duration
	Log  *slog.Logger
}

type subscription struct {
	PubsubName    string         `json:"pubsubname"`
	Topic         string         `json:"topic"`
	Route         string         `json:"route"`
	BulkSubscribe *bulkSubscribe `json:"bulkSubscribe,omitempty"`
	// Metadata asks for the bytes as they are. daprd parses events itself
	// otherwise, and repeats for ever the whole batch of one that it cannot read:
	// nothing behind it is delivered, and no dead letter says why.
	Metadata map[string]string `json:"metadata"`
}

type bulkSubscribe struct {
	Enabled            bool `json:"enabled"`
	MaxMessagesCount   int  `json:"maxMessagesCount"`
	MaxAwaitDurationMs int  `json:"maxAwaitDurationMs"`
}

// Routes mounts what daprd calls: GET /dapr/subscribe and a route per topic.
// The caller puts the check of the app token in front.
func (s *Subscriber) Routes(r chi.Router) {
	r.Get("/dapr/subscribe", s.subscriptions)
	for _, topic := range s.Topics {
		r.Post(RouteOf(topic), s.deliver)
	}
}

// Routes mounts what daprd calls, as Subscriber.Routes does.
func (in *Inbox) Routes(r chi.Router) {
	s := &Subscriber{Topics: in.Topics(), Apply: in.Apply, Unreadable: in.buryUnreadable, Wait: in.o.Wait, Log: in.o.Log}
	s.Routes(r)
}

// RouteOf is the path to which a topic is delivered.
func RouteOf(topic string) string { return "/events/" + topic }

func (s *Subscriber) subscriptions(w http.ResponseWriter, _ *http.Request) {
	subs := []subscription{}
	wait := cmp.Or(s.Wait, defaultWait)
	for _, topic := range s.Topics {
		producer, _, _ := strings.Cut(topic, ".")
		subs = append(subs, subscription{
			PubsubName: "events-" + producer, Topic: topic, Route: RouteOf(topic),
			BulkSubscribe: &bulkSubscribe{Enabled: true, MaxMessagesCount: maxBulk, MaxAwaitDurationMs: int(wait.Milliseconds())},
			Metadata:      map[string]string{"rawPayload": "true"},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(subs); err != nil {
		s.Log.Warn("subscriptions not sent", "error", err)
	}
}

type bulkRequest struct {
	Entries []bulkEntry `json:"entries"`
}

type bulkEntry struct {
	EntryID     string          `json:"entryId"`
	ContentType string          `json:"contentType"`
	Event       json.RawMessage `json:"event"`
}

type bulkStatus struct {
	EntryID string `json:"entryId"`
	Status  string `json:"status"`
}

// deliver takes a bulk, or a single event from a component that was set up
// without bulk. It answers RETRY for what failed and SUCCESS for the rest,
// never 404 and never DROP: both lose (dapr-facts).
func (s *Subscriber) deliver(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBulkBody))
	if err != nil {
		http.Error(w, "body not read", http.StatusServiceUnavailable)
		return
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	var bulk bulkRequest
	if err := json.Unmarshal(body, &bulk); err == nil && len(bulk.Entries) > 0 {
		s.deliverBulk(ctx, w, bulk.Entries)
		return
	}
	status := s.receive(ctx, []json.RawMessage{unpack(body)})[0]
	writeStatus(w, map[string]string{"status": status})
}

func (s *Subscriber) deliverBulk(ctx context.Context, w http.ResponseWriter, entries []bulkEntry) {
	raws := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		raws[i] = unwrap(e.Event)
	}
	statuses := make([]bulkStatus, len(entries))
	for i, status := range s.receive(ctx, raws) {
		statuses[i] = bulkStatus{EntryID: entries[i].EntryID, Status: status}
	}
	writeStatus(w, map[string]any{"statuses": statuses})
}

// unwrap: an entry's event is its bytes in base64, or JSON from a component that
// was subscribed without rawPayload.
func unwrap(raw json.RawMessage) json.RawMessage {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return raw
	}
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) > 0 {
		return b
	}
	return json.RawMessage(s)
}

// unpack takes a single raw event out of the envelope that daprd puts around it.
func unpack(body []byte) json.RawMessage {
	var envelope struct {
		Data []byte `json:"data_base64"`
	}
	if err := json.Unmarshal(body, &envelope); err == nil && len(envelope.Data) > 0 {
		return envelope.Data
	}
	return body
}

const (
	success = "SUCCESS"
	retry   = "RETRY"
)

func (s *Subscriber) receive(ctx context.Context, raws []json.RawMessage) []string {
	statuses := make([]string, len(raws))
	batch := make([]Event, 0, len(raws))
	at := make([]int, 0, len(raws))
	for i, raw := range raws {
		e, err := Parse(raw)
		if err != nil {
			if statuses[i] = success; s.Unreadable(ctx, raw, err) != nil {
				statuses[i] = retry
			}
			continue
		}
		batch, at = append(batch, e), append(at, i)
	}
	if len(batch) == 0 {
		return statuses
	}
	for i, err := range s.Apply(ctx, batch) {
		statuses[at[i]] = success
		if err != nil {
			statuses[at[i]] = retry
			s.Log.Warn("event will be delivered again", "event", batch[i].ID, "type", batch[i].Type, "error", err)
		}
	}
	return statuses
}

func writeStatus(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		// daprd then delivers again, which the handlers know how to take.
		panic(http.ErrAbortHandler)
	}
}
