// Package app wires notification.
package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/audited"
	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/events"
	"lms/apps/notification/internal/httpapi"
	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/outgoing"
	"lms/apps/notification/internal/person"
	"lms/apps/notification/internal/sealing"
	"lms/apps/notification/internal/texts"
	"lms/apps/notification/internal/webhook"
	"lms/shared/apperr"
	"lms/shared/contracts"
	"lms/shared/dapr"
	"lms/shared/inbox"
	"lms/shared/inbox/keyed"
	"lms/shared/journal/acts"
	"lms/shared/once"
	"lms/shared/record"
	"lms/shared/service"
)

const (
	component    = "state"
	flushEvery   = time.Second
	repairEvery  = 3 * time.Second
	refreshEvery = 5 * time.Second
	webhooksEach = 8 // endpoints of a shard at once
	auditEach    = 20
	auditLease   = time.Minute
)

// built are the parts of the service.
type built struct {
	service  *notification.Service
	webhooks *webhook.Service
	consumer *keyed.Consumer
	texts    *texts.Texts
	keys     *sealing.Keys
}

// Build wires the service.
func Build(_ context.Context, k *service.Kit) error {
	var cfg Config
	if err := k.LoadConfig(&cfg); err != nil {
		return err
	}
	if err := cfg.check(); err != nil {
		return err
	}
	store := dapr.Records{
		Sidecar: k.Dapr, Component: component, Timeout: 5 * time.Second,
		Away: apperr.Unavailable("state_unavailable", "Notifications are not available at the moment. Try again."),
	}
	post, err := outgoing.NewPost(k.Dapr, k.Config.MailFrom)
	if err != nil {
		return err
	}
	poster, err := outgoing.NewPoster(cfg.WebhookNetworks)
	if err != nil {
		return err
	}
	b, err := build(k, cfg, outside{
		store: store, people: events.NewPeople(k.Dapr, k.Now), roster: events.Roster{Invoker: k.Dapr}, courses: events.Courses{Invoker: k.Dapr},
		post: post, sender: poster, producers: k.Producers(),
	})
	if err != nil {
		return err
	}
	mount(k, b, store)
	run(k, cfg, b)
	return nil
}

// outside is everything that is not this process.
type outside struct {
	store     record.Store
	people    notification.Directory
	roster    notification.Roster
	courses   notification.CourseSource
	post      notification.Post
	sender    webhook.Sender
	producers inbox.Producers
}

func build(k *service.Kit, cfg Config, o outside) (*built, error) {
	b := &built{keys: &sealing.Keys{}}
	table := catalog.New()
	var err error
	if b.texts, err = texts.New(table); err != nil {
		return nil, err
	}
	if cfg.Templates != "" {
		if err := b.texts.UseFolder(os.DirFS(cfg.Templates)); err != nil {
			return nil, fmt.Errorf("configuration: LMS_NOTIFICATION_TEMPLATES: %w", err)
		}
	}
	public := strings.TrimSuffix(k.Config.PublicURL, "/")
	trail := audited.New(o.store, acts.New(o.store, k.Authz, k.Now, k.NewID), k.Now, k.NewID, k.Log)
	b.webhooks = webhook.New(webhook.Options{
		Store: o.store, Sender: o.sender, Sealer: b.keys, Policy: k.Authz, Now: k.Now, NewID: k.NewID, Log: k.Log,
		Disabled: func(ctx context.Context, e webhook.Endpoint, since time.Time) error {
			return tellDisabled(ctx, b.service, e, since)
		},
		Attempted: func(s webhook.State) { k.Metrics.OutboxSent("webhook", string(s), 1) },
		Trail:     trail,
	})
	b.service = notification.New(notification.Options{
		Store: o.store, Catalog: table, Texts: b.texts, People: o.people, Roster: o.roster, Courses: o.courses, Post: o.post, Hooks: b.webhooks, Policy: k.Authz, Now: k.Now, NewID: k.NewID, Log: k.Log,
		LinkBase: cfg.linkBase(public), ListSize: cfg.ListSize, Trail: trail,
		Unsubscribe: func(to uuid.UUID, kind string) (string, error) {
			token, err := b.keys.Link(to, kind)
			return public + "/api/v1/notification-preferences/unsubscribe?token=" + url.QueryEscape(token), err
		},
		Metrics: notification.Metrics{
			Told:      func(kind string, c person.Channel) { k.Metrics.Inbox(kind, "told_"+string(c), 1) },
			Delivered: func(s person.MailState) { k.Metrics.OutboxSent("mail", string(s), 1) },
			Uncertain: func() { k.Metrics.OutboxSent("mail", "uncertain", 1) },
			Forgotten: func(n int) { k.Metrics.Inbox("memory", "forgotten", n) },
		},
	})
	b.consumer = events.NewConsumer(b.service, cfg.LookBack, keyed.Options{
		Store: o.store, Producers: o.producers, Log: k.Log, Now: k.Now, NewID: k.NewID,
		Metrics: k.InboxMetrics(),
	})
	return b, nil
}

// tellDisabled tells who made an endpoint that it was switched off.
func tellDisabled(ctx context.Context, s *notification.Service, e webhook.Endpoint, since time.Time) error {
	id := uuid.NewSHA1(e.ID, []byte("disabled "+since.UTC().Format(time.RFC3339)))
	return s.Tell(ctx, id, catalog.Notice{
		Kind: catalog.KindWebhookDisabled, To: []uuid.UUID{e.CreatedBy}, Path: "/webhook-endpoints/" + e.ID.String(),
		Vars: map[string]string{"url": e.URL, "since": since.UTC().Format(time.RFC3339)},
	})
}

func mount(k *service.Kit, b *built, store record.Store) {
	httpapi.Mount(k.Web, httpapi.Options{
		Service: b.service, Webhooks: b.webhooks, Links: b.keys, Once: once.New(store, k.Now), Consumer: b.consumer,
		Draining: k.Draining(),
	})
	events.MountCalls(k.Web, b.service)
	b.consumer.MountDeliveries(k.Web)
	for _, t := range contracts.Topics() {
		k.Requires(t.Component)
	}
	k.Requires(component, "email", "secrets")
}

// run starts the loops. Each shard of a queue has one, so that a shard that fails
// holds up no other.
func run(k *service.Kit, cfg Config, b *built) {
	mail, spread := b.service.Queues()
	for shard := range mail.Shards() {
		k.Go(fmt.Sprintf("mail %d", shard), func(ctx context.Context) error { return b.service.RunMail(ctx, shard) })
	}
	for shard := range spread.Shards() {
		k.Go(fmt.Sprintf("fan-out %d", shard), func(ctx context.Context) error { return b.service.RunFanouts(ctx, shard) })
	}
	for shard := range b.webhooks.Queue().Shards() {
		k.Go(fmt.Sprintf("webhooks %d", shard), func(ctx context.Context) error {
			return notification.Work(ctx, b.webhooks.Queue(), shard, webhooksEach, b.webhooks.Lease(), k.Now, b.webhooks.Serve)
		})
	}
	audit := b.service.Trail.Queue()
	for shard := range audit.Shards() {
		k.Go(fmt.Sprintf("audit trail %d", shard), func(ctx context.Context) error {
			return notification.Work(ctx, audit, shard, auditEach, auditLease, k.Now, b.service.Trail.Serve)
		})
	}
	k.Go("sealing key", func(ctx context.Context) error { return loadKeys(ctx, k, cfg, b.keys) })
	k.Ready("sealing key", true, func(context.Context) error {
		if !b.keys.Ready() {
			return errNoKey
		}
		return nil
	})
	k.Every("positions", flushEvery, func(ctx context.Context) error {
		// Also before the first event comes: a broker that is away from the start holds
		// back no mail.
		_, err := b.consumer.Began(ctx)
		return errors.Join(err, b.consumer.Flush(ctx))
	})
	k.Every("repair", repairEvery, b.consumer.Repair)
	k.Every("template overrides", refreshEvery, b.service.RefreshTemplates)
	if cfg.Templates != "" {
		f := &folder{path: cfg.Templates, texts: b.texts}
		k.Every("template folder", refreshEvery, f.look)
		k.Ready("template folder", false, f.ready)
	}
}
