package infra

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	natsclient "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/contracts"
)

// nats is a NATS server with JetStream, of the version that deploy/nats names.
// Debian's is older than the setting that syncs each message to the disk.
func nats() Component {
	return Component{
		Name: "nats", Kind: supervisor.KindBroker, Variables: []string{"LMS_NATS_URL"}, Ports: 1,
		values: func(s Site) map[string]string { return map[string]string{"LMS_NATS_URL": natsURL(s)} },
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			program, err := builds.Tool(ctx, s.Root, "nats", "github.com/nats-io/nats-server/v2", s.Say)
			if err != nil {
				return nil, err
			}
			file, err := s.configure("nats.conf",
				"listen: "+s.address(0),
				fmt.Sprintf("authorization { token: %q }", s.Secrets["nats-token"]),
				fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always }", filepath.ToSlash(s.file("store"))),
			)
			if err != nil {
				return nil, err
			}
			return []supervisor.Process{s.process(s.Name, "nats", s.Ports[0], supervisor.Program{
				Path: program, Args: []string{"-c", file}, Env: s.environment(), Grace: 15 * time.Second,
			})}, nil
		},
		prepare: makeStreams,
	}
}

func natsURL(s Site) string { return "nats://" + s.address(0) }

// history is how long a stream keeps events for consumers that come later.
const history = 30 * 24 * time.Hour

// makeStreams makes a stream per topic: JetStream makes none by itself.
func makeStreams(ctx context.Context, s Site) (err error) {
	conn, err := natsclient.Connect(natsURL(s), natsclient.Token(s.Secrets["nats-token"]), natsclient.RetryOnFailedConnect(true), natsclient.MaxReconnects(20))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("connect to JetStream: %w", err)
	}
	for _, topic := range contracts.Topics() {
		for {
			_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
				Name: strings.ReplaceAll(topic.Name, ".", "-"), Subjects: []string{topic.Name},
				Storage: jetstream.FileStorage, MaxAge: history, Duplicates: 2 * time.Minute,
			})
			// The server listens before JetStream serves.
			if err == nil || ctx.Err() != nil || !errors.Is(err, jetstream.ErrJetStreamNotEnabled) && !errors.Is(err, natsclient.ErrNoResponders) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("make the stream of %s: %w", topic.Name, err)
		}
	}
	return nil
}
