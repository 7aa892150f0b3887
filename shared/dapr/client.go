// Package dapr is the one way out of a service: publish, state, bindings and
// secrets through the sidecar's gRPC API, other services through its HTTP
// proxy. A call has a deadline, tells failures as *apperr.Error, and is sent
// again only if that can do no harm. Nothing blocks when the sidecar is not up
// yet; until then calls end as 503 `sidecar_unavailable`.
package dapr

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	sdk "github.com/dapr/go-sdk/client"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"lms/shared/apperr"
	"lms/shared/telemetry"
)

// TokenSource gives the service token that invocations carry.
type TokenSource func(ctx context.Context) (string, error)

// Options of New. HTTP and GRPC are needed, all else has a usable zero value.
type Options struct {
	HTTP     string // the sidecar's HTTP API: "127.0.0.1:3500" or "unix:/path"
	GRPC     string // the sidecar's gRPC API, likewise
	APIToken string // DAPR_API_TOKEN of the sidecar
	Token    TokenSource
	// Rejected hears of a service token that another service answered 401 to.
	// The call is then made once more with a new one.
	Rejected func(token string)
	// Timeout bounds a call that brings no shorter deadline, all its tries
	// together; 5 s by default.
	Timeout time.Duration
	// MaxAnswer limits what Invoke reads of an answer; 4 MiB by default, which is
	// also the sidecar's limit.
	MaxAnswer  int64
	Log        *slog.Logger
	Metrics    *telemetry.Metrics
	Tracer     trace.Tracer
	Propagator propagation.TextMapPropagator
}

// Client speaks to the own sidecar. It is safe for concurrent use.
type Client struct {
	o       Options
	http    *http.Transport
	conn    *grpc.ClientConn
	sdk     sdk.Client
	targets sync.Map // app id → *target
}

// New connects to nothing yet: sidecar and service may start in any order.
func New(o Options) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 4 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	c := &Client{o: o, http: newTransport(o.HTTP)}
	// The SDK's own constructors block until the sidecar answers and log to
	// standard output; a connection of our own does neither.
	conn, err := grpc.NewClient(grpcTarget(o.GRPC),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(c.annotate),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("dapr: %w", err)
	}
	silenceSDK.Do(func() { sdk.SetLogger(nil) })
	c.conn, c.sdk = conn, sdk.NewClientWithConnection(conn)
	return c, nil
}

// silenceSDK keeps lines of the SDK off standard output, which is for logs in JSON
// and for results of commands. Its logger is a variable of the package.
var silenceSDK sync.Once

// Close ends all connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.sdk.Close()
}

func grpcTarget(addr string) string {
	if strings.HasPrefix(addr, "unix:") {
		return addr
	}
	return "passthrough:///" + addr
}

func newTransport(addr string) *http.Transport {
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	dialer := &net.Dialer{Timeout: time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		// The host of a URL is the target app, so that each app has connections
		// of its own and a slow one cannot take them all; every one of them goes
		// to the sidecar.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		WriteBufferSize:     8 << 10,
		ReadBufferSize:      8 << 10,
	}
}

// annotate adds what the sidecar wants to see on each gRPC call.
func (c *Client) annotate(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	carrier := propagation.MapCarrier{}
	c.o.Propagator.Inject(ctx, carrier)
	if c.o.APIToken != "" {
		carrier["dapr-api-token"] = c.o.APIToken
	}
	for k, v := range carrier {
		ctx = metadata.AppendToOutgoingContext(ctx, k, v)
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

// bounded gives ctx a deadline of at most d, or of the client's default.
func (c *Client) bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		d = c.o.Timeout
	}
	return context.WithTimeout(ctx, d)
}

// Healthy says whether the sidecar is up with all its components; if not, the
// error says what it answered.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := c.ask(ctx, "/v1.0/healthz")
	return err
}

// Component is a building block that the sidecar has loaded.
type Component struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Components are the building blocks that the sidecar has loaded for this app.
// One that failed to start with ignoreErrors is missing here.
func (c *Client) Components(ctx context.Context) ([]Component, error) {
	body, err := c.ask(ctx, "/v1.0/metadata")
	if err != nil {
		return nil, err
	}
	var m struct {
		Components []Component `json:"components"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, apperr.Internal(fmt.Errorf("dapr: metadata: %w", err))
	}
	return m.Components, nil
}

// ask reads one of the sidecar's own pages.
func (c *Client) ask(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := c.bounded(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sidecar"+path, nil)
	if err != nil {
		return nil, apperr.Internal(err)
	}
	if c.o.APIToken != "" {
		req.Header.Set("Dapr-Api-Token", c.o.APIToken)
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return nil, sidecarAway(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxAnswer))
	if err != nil {
		return nil, sidecarAway(err)
	}
	if resp.StatusCode >= 300 {
		return nil, sidecarAway(fmt.Errorf("%s answered %d: %.200s", path, resp.StatusCode, body))
	}
	return body, nil
}
