// Package app wires search.
package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lms/apps/search/internal/bleveindex"
	"lms/apps/search/internal/events"
	"lms/apps/search/internal/httpapi"
	"lms/apps/search/internal/language"
	"lms/apps/search/internal/opensearch"
	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/dapr"
	"lms/shared/inbox/keyed"
	"lms/shared/journal/acts"
	"lms/shared/once"
	"lms/shared/record"
	"lms/shared/service"
)

const (
	component      = "state"
	passwordSecret = "search-opensearch-password" // the name of a secret
	flushEvery     = time.Second
	repairEvery    = 3 * time.Second
	refreshEvery   = 2 * time.Second
	workEvery      = time.Second
	tellEvery      = 5 * time.Second
	followEvery    = 15 * time.Second
)

// Build wires the service.
func Build(_ context.Context, k *service.Kit) error {
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	engine, settle, err := openEngine(k, cfg)
	if err != nil {
		return err
	}
	store := dapr.Records{
		Sidecar: k.Dapr, Component: component, Prefix: "search.", Timeout: 5 * time.Second,
		Away: apperr.Unavailable("state_unavailable", "The search cannot keep this at the moment. Try again."),
	}
	b := build(k, engine, settle, store, events.Sources{Invoker: k.Dapr}, events.NewMembers(k.Dapr, k.Now))
	performed := events.NewPerformed(k.Dapr, k.NewID, k.Log)
	b.options.Service.Performed = performed.Note
	mount(k, b)
	run(k, b, performed)
	return nil
}

// openEngine opens the engine, and says how long replicas take to see that a new index
// is being made.
func openEngine(k *service.Kit, cfg Config) (search.Engine, time.Duration, error) {
	if cfg.Engine == engineBleve {
		e, err := bleveindex.Open(cfg.Folder)
		return e, 0, err
	}
	e, err := opensearch.New(opensearch.Options{
		Addresses: cfg.OpenSearchURLs, User: cfg.OpenSearchUser, Prefix: cfg.OpenSearchPrefix,
		Password: func(ctx context.Context) (string, error) {
			if cfg.OpenSearchPassword != "" {
				return cfg.OpenSearchPassword, nil
			}
			return k.Dapr.Secret(ctx, passwordSecret)
		},
	})
	return e, opensearch.Settle, err
}

// owners are the services that own what is indexed.
type owners interface {
	search.Sources
	search.Texts
}

// built are the parts of the service.
type built struct {
	engine  search.Engine
	options httpapi.Options
}

func build(k *service.Kit, engine search.Engine, settle time.Duration, store record.Store, sources owners, members search.Members) *built {
	languages := language.New()
	maker := search.Maker{Languages: languages}
	trail := acts.New(store, k.Authz, k.Now, k.NewID)
	synonyms := search.NewSynonymStore(store, k.Now, trail, k.Log)
	indexer := &search.Indexer{Engine: engine, Maker: maker, Texts: sources}
	return &built{engine: engine, options: httpapi.Options{
		Service:  &search.Service{Engine: engine, Policy: k.Authz, Members: members, Languages: languages, Synonyms: synonyms, Now: k.Now, Log: k.Log},
		Synonyms: synonyms,
		Jobs:     search.NewJobs(store, k.Now, k.NewID, trail, k.Log),
		Builder:  &search.Builder{Engine: engine, Maker: maker, Sources: sources, Settle: settle},
		Trail:    trail,
		Once:     once.New(store, k.Now),
		Consumer: events.NewConsumer(indexer, keyed.Options{
			Store: store, Producers: k.Producers(), Log: k.Log, Now: k.Now, NewID: k.NewID, Metrics: k.InboxMetrics(),
		}),
	}}
}

func mount(k *service.Kit, b *built) {
	httpapi.Mount(k.Web, b.options)
	events.MountCalls(k.Web)
	b.options.Consumer.MountDeliveries(k.Web)
	k.Requires(component, "secrets")
	for topic := range search.Indexed() {
		k.Requires("events-" + producer(topic))
	}
}

func producer(topic string) string { return topic[:len(topic)-len(".events")] }

func run(k *service.Kit, b *built, performed *events.Performed) {
	o := b.options
	k.Go("engine", func(ctx context.Context) error {
		<-ctx.Done()
		return b.engine.Close()
	})
	k.Every("positions", flushEvery, o.Consumer.Flush)
	k.Every("repair", repairEvery, o.Consumer.Repair)
	k.Every("synonyms", refreshEvery, o.Synonyms.Refresh)
	k.Every("audit trail", followEvery, func(ctx context.Context) error { return errors.Join(o.Synonyms.Follow(ctx), o.Jobs.Follow(ctx)) })
	k.Every("searches performed", tellEvery, performed.Tell)
	k.Every("rebuild", workEvery, func(ctx context.Context) error {
		if err := o.Jobs.Fill(ctx, b.engine); err != nil {
			return fmt.Errorf("fill the index: %w", err)
		}
		return o.Jobs.Work(ctx, o.Builder)
	})
	k.Ready("index", true, b.engine.Ready)
}
