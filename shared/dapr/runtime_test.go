package dapr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"lms/shared/apperr"
	"lms/shared/dapr"
)

// runtime speaks the sidecar's gRPC API with a map for a store. plain makes it
// answer a failed first write with a plain error, as the redis and postgresql
// stores do; lost is the answer to a write that it made, 0 for the true one; anew
// writes JSON anew, as stores with a JSON type do.
type runtime struct {
	pb.UnimplementedDaprServer
	mu          sync.Mutex
	state       map[string][]byte
	version     map[string]int
	ttl         map[string]string
	plain, anew bool
	away        bool // for writes
	lost        codes.Code
	published   []*pb.BulkPublishRequest
	single      *pb.PublishEventRequest
	token       string
}

func (r *runtime) PublishEvent(_ context.Context, in *pb.PublishEventRequest) (*emptypb.Empty, error) {
	r.single = in
	return &emptypb.Empty{}, nil
}

func (r *runtime) BulkPublishEvent(_ context.Context, in *pb.BulkPublishRequest) (*pb.BulkPublishResponse, error) {
	r.published = append(r.published, in)
	resp := &pb.BulkPublishResponse{}
	for _, e := range in.GetEntries() {
		if strings.HasPrefix(string(e.GetEvent()), "bad") {
			resp.FailedEntries = append(resp.FailedEntries, &pb.BulkPublishResponseFailedEntry{EntryId: e.GetEntryId(), Error: "no leader"})
		}
	}
	return resp, nil
}

func (r *runtime) etag(key string) string { return fmt.Sprint(r.version[key]) }

func (r *runtime) GetState(ctx context.Context, in *pb.GetStateRequest) (*pb.GetStateResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("dapr-api-token")) > 0 {
		r.token = md.Get("dapr-api-token")[0]
	}
	if in.GetStoreName() == "broken" {
		return nil, status.Error(codes.Internal, "disk full")
	}
	if r.state[in.GetKey()] == nil {
		return &pb.GetStateResponse{}, nil
	}
	return &pb.GetStateResponse{Data: r.state[in.GetKey()], Etag: r.etag(in.GetKey())}, nil
}

func (r *runtime) SaveState(_ context.Context, in *pb.SaveStateRequest) (*emptypb.Empty, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := in.GetStates()[0]
	key := s.GetKey()
	switch {
	case r.away:
		return nil, status.Error(codes.Unavailable, "connection lost")
	case s.GetEtag() != nil && s.GetEtag().GetValue() == "garbage":
		return nil, status.Error(codes.InvalidArgument, "invalid etag")
	case s.GetEtag() != nil && s.GetEtag().GetValue() != r.etag(key):
		return nil, status.Error(codes.Aborted, "etag mismatch")
	case s.GetEtag() == nil && s.GetOptions().GetConcurrency() == 1 && r.state[key] != nil:
		if r.plain {
			return nil, status.Error(codes.Internal, "failed to set value")
		}
		return nil, status.Error(codes.Aborted, "etag mismatch")
	}
	r.state[key], r.ttl[key] = s.GetValue(), s.GetMetadata()["ttlInSeconds"]
	if r.anew {
		var fields map[string]any
		if err := json.Unmarshal(s.GetValue(), &fields); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		r.state[key], _ = json.MarshalIndent(fields, "", " ") // what was just read can be written
	}
	r.version[key]++
	if r.lost != codes.OK {
		return nil, status.Error(r.lost, "connection lost")
	}
	return &emptypb.Empty{}, nil
}

func (r *runtime) DeleteState(_ context.Context, in *pb.DeleteStateRequest) (*emptypb.Empty, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.GetEtag() != nil && in.GetEtag().GetValue() != r.etag(in.GetKey()) {
		return nil, status.Error(codes.Aborted, "etag mismatch")
	}
	delete(r.state, in.GetKey())
	return &emptypb.Empty{}, nil
}

func (r *runtime) InvokeBinding(_ context.Context, in *pb.InvokeBindingRequest) (*pb.InvokeBindingResponse, error) {
	return &pb.InvokeBindingResponse{Data: append([]byte(in.GetOperation()+":"), in.GetData()...)}, nil
}

func (r *runtime) GetSecret(_ context.Context, in *pb.GetSecretRequest) (*pb.GetSecretResponse, error) {
	return &pb.GetSecretResponse{Data: map[string]string{
		"single": map[string]string{"service-course": "s3cret"}[in.GetKey()],
	}}, nil
}

func start(t *testing.T, r *runtime) *dapr.Client {
	t.Helper()
	r.state, r.version, r.ttl = map[string][]byte{}, map[string]int{}, map[string]string{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := grpc.NewServer()
	pb.RegisterDaprServer(srv, r)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	c, err := dapr.New(dapr.Options{HTTP: "127.0.0.1:1", GRPC: ln.Addr().String(), APIToken: "app"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestStateKeepsItsConditions(t *testing.T) {
	t.Parallel()
	r := &runtime{}
	c, ctx := start(t, r), context.Background()
	s, err := c.GetState(ctx, "state", "k")
	require.NoError(t, err)
	require.False(t, s.Exists())
	require.Equal(t, "app", r.token)

	require.NoError(t, c.SaveState(ctx, "state", "k", []byte(`{"v":"a"}`), dapr.SaveOptions{FirstWrite: true, TTL: 1500 * time.Millisecond}))
	require.Equal(t, "2", r.ttl["k"])
	require.Equal(t, "etag_mismatch", apperr.Code(c.SaveState(ctx, "state", "k", []byte(`{"v":"b"}`), dapr.SaveOptions{FirstWrite: true})))

	s, err = c.GetState(ctx, "state", "k")
	require.NoError(t, err)
	require.JSONEq(t, `{"v":"a"}`, string(s.Value))
	require.Len(t, s.Value, len(`{"v":"a"}`), "byte by byte")
	require.NoError(t, c.SaveState(ctx, "state", "k", []byte("c"), dapr.SaveOptions{ETag: s.ETag}))
	for _, etag := range []string{s.ETag, "garbage"} {
		err = c.SaveState(ctx, "state", "k", []byte("d"), dapr.SaveOptions{ETag: etag})
		require.Equal(t, "etag_mismatch", apperr.Code(err))
		require.True(t, apperr.IsKind(err, apperr.KindConflict))
	}
	require.Equal(t, "etag_mismatch", apperr.Code(c.DeleteState(ctx, "state", "k", s.ETag)))
	require.NoError(t, c.DeleteState(ctx, "state", "k", ""))

	_, err = c.GetState(ctx, "broken", "k")
	require.Equal(t, "component_failed", apperr.Code(err))
}

func TestAFailedFirstWriteIsReadBack(t *testing.T) {
	t.Parallel()
	first := dapr.SaveOptions{FirstWrite: true}
	mine, theirs := []byte(`{"n":1,"by":"me"}`), []byte(`{"n":1,"by":"them"}`)
	t.Run("another value is there: somebody was faster", func(t *testing.T) {
		t.Parallel()
		c := start(t, &runtime{plain: true})
		require.NoError(t, c.SaveState(t.Context(), "state", "k", theirs, first))
		require.Equal(t, "etag_mismatch", apperr.Code(c.SaveState(t.Context(), "state", "k", mine, first)))
	})
	t.Run("the same value is there: of two who write it one was faster", func(t *testing.T) {
		t.Parallel()
		for _, value := range []string{`{"n":1}`, `{}`} {
			c := start(t, &runtime{plain: true})
			require.NoError(t, c.SaveState(t.Context(), "state", "k", []byte(value), first))
			require.Equal(t, "etag_mismatch", apperr.Code(c.SaveState(t.Context(), "state", "k", []byte(value), first)))
			s, err := c.GetState(t.Context(), "state", "k")
			require.NoError(t, err)
			require.Equal(t, value, string(s.Value), "as it was written")
		}
	})
	for _, lost := range []codes.Code{codes.Internal, codes.Unavailable} {
		t.Run("only the answer was lost: "+lost.String(), func(t *testing.T) {
			t.Parallel()
			r := &runtime{lost: lost}
			c := start(t, r)
			require.NoError(t, c.SaveState(t.Context(), "state", "k", mine, first))
			r.anew = true
			require.NoError(t, c.SaveState(t.Context(), "state", "k2", mine, first), "a store that writes JSON anew")
			s, err := c.GetState(t.Context(), "state", "k2")
			require.NoError(t, err)
			var read struct{ By string }
			require.NoError(t, json.Unmarshal(s.Value, &read))
			require.Equal(t, "me", read.By)
		})
	}
	t.Run("nobody knows whether it was written before somebody wrote the same", func(t *testing.T) {
		t.Parallel()
		r := &runtime{}
		c := start(t, r)
		require.NoError(t, c.SaveState(t.Context(), "state", "k", mine, first))
		r.away = true
		require.Equal(t, "sidecar_unavailable", apperr.Code(c.SaveState(t.Context(), "state", "k", mine, first)))
	})
	t.Run("what is no object cannot be signed", func(t *testing.T) {
		t.Parallel()
		c := start(t, &runtime{})
		for _, value := range []string{"", "{", "1", `[{}]`} {
			require.True(t, apperr.IsKind(c.SaveState(t.Context(), "state", "k", []byte(value), first), apperr.KindInternal), value)
		}
	})
}

func TestPublishingKeepsKeysPerEntryAndTellsFailures(t *testing.T) {
	t.Parallel()
	r := &runtime{}
	c, ctx := start(t, r), context.Background()
	require.NoError(t, c.Publish(ctx, "events-course", "course.events", dapr.Message{Key: "k", Data: []byte(`{}`)}))
	require.Equal(t, "application/cloudevents+json", r.single.GetDataContentType())
	require.Equal(t, "k", r.single.GetMetadata()["partitionKey"])

	big := bytes.Repeat([]byte("x"), 2<<20)
	failed := c.PublishBulk(ctx, "events-course", "course.events", []dapr.Message{
		{Key: "a", Data: []byte("one")}, {Key: "b", Data: []byte("bad")}, {Key: "c", Data: big}, {Key: "d", Data: big},
	})
	require.Len(t, failed, 1)
	require.ErrorContains(t, failed[1], "no leader")
	require.Len(t, r.published, 2, "split below the sidecar's message size")
	require.Len(t, r.published[0].GetEntries(), 3)
	require.Empty(t, r.published[0].GetMetadata(), "a key on the request would overwrite those of the entries")
	require.Equal(t, "a", r.published[0].GetEntries()[0].GetMetadata()["partitionKey"])
	require.Equal(t, "d", r.published[1].GetEntries()[0].GetMetadata()["partitionKey"])
	require.Equal(t, "application/cloudevents+json", r.published[1].GetEntries()[0].GetContentType())
}

func TestAllFailWhenTheSidecarIsAway(t *testing.T) {
	t.Parallel()
	c, err := dapr.New(dapr.Options{HTTP: "127.0.0.1:1", GRPC: "127.0.0.1:1"})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	failed := c.PublishBulk(context.Background(), "p", "t", []dapr.Message{{}, {}})
	require.Len(t, failed, 2)
	require.Equal(t, "sidecar_unavailable", apperr.Code(failed[0]))
}

func TestBindingsAndSecrets(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, &runtime{}), context.Background()
	out, err := c.InvokeBinding(ctx, "email", "create", []byte("hi"), nil)
	require.NoError(t, err)
	require.Equal(t, "create:hi", string(out))
	secret, err := c.Secret(ctx, "service-course")
	require.NoError(t, err)
	require.Equal(t, "s3cret", secret)
	_, err = c.Secret(ctx, "none")
	require.ErrorContains(t, err, `the secret "none" is missing`)
}
