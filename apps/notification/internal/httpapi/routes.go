// Package httpapi is notification as clients and the operator's command call it.
package httpapi

import (
	"net/http"

	"github.com/google/uuid"

	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/webhook"
	"lms/shared/authz"
	"lms/shared/inbox/keyed"
	"lms/shared/journal/acts"
	"lms/shared/once"
	"lms/shared/service"
	"lms/shared/web"
)

// Links reads the tokens of one-click unsubscription.
type Links interface {
	ReadLink(token string) (who uuid.UUID, kind string, err error)
}

// Options of Mount.
type Options struct {
	Service  *notification.Service
	Webhooks *webhook.Service
	Links    Links
	Once     *once.Keys
	Consumer *keyed.Consumer
	// Draining ends streams when the service stops.
	Draining <-chan struct{}
}

type api struct{ Options }

const (
	base  = "/api/v1"
	small = 16 << 10
)

// Mount adds every route.
func Mount(r *web.Router, o Options) {
	a := &api{o}
	a.listRoutes(r)
	a.preferenceRoutes(r)
	a.templateRoutes(r)
	a.recordRoutes(r)
	a.webhookRoutes(r)
	o.Consumer.MountOperator(r)
}

func (a *api) listRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: base + "/notifications" + path, ID: id, Summary: summary, Tag: "Notifications", Access: web.SignedIn(), MaxBody: small}
	}
	web.Register(r, op(http.MethodGet, "", "list-notifications", "My notifications, the newest first"), a.list)
	web.Register(r, op(http.MethodGet, "/unread-count", "unread-count", "How many of my notifications are unread"), a.unread)
	web.Register(r, op(http.MethodGet, "/{id}", "get-notification", "One of my notifications"), a.get)
	web.Register(r, op(http.MethodPost, "/{id}/read", "read-notification", "Mark a notification as read"), a.read)
	web.Register(r, op(http.MethodPost, "/read-all", "read-all-notifications", "Mark all my notifications as read"), a.readAll)
	web.Register(r, op(http.MethodDelete, "/{id}", "delete-notification", "Take a notification out of my list"), a.remove)
	stream := op(http.MethodGet, "/stream", "stream-notifications", "New notifications as server-sent events")
	stream.Timeout, stream.Produces = -1, []string{"text/event-stream"}
	stream.Description = "Events: `notification` with the notification as data and an id to resume behind with Last-Event-ID; `unread` with the count. Without Last-Event-ID it begins with what is new from now on. A comment is sent every 15 seconds."
	web.Stream(r, stream, a.stream)
}

func (a *api) preferenceRoutes(r *web.Router) {
	op := func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: base + "/notification-preferences" + path, ID: id, Summary: summary, Tag: "Notifications", Access: access, MaxBody: 64 << 10}
	}
	web.Register(r, op(http.MethodGet, "", "get-notification-preferences", "How soon each kind of message tells me, and where", web.SignedIn()), a.preferences)
	web.Register(r, op(http.MethodPut, "", "set-notification-preferences", "Replace my choices", web.SignedIn()), a.setPreferences)
	page := op(http.MethodGet, "/unsubscribe", "show-unsubscribe", "The page behind the link in a mail, which asks before it changes anything", web.Public())
	page.Produces = []string{"text/html"}
	web.Stream(r, page, a.unsubscribePage)
	click := op(http.MethodPost, "/unsubscribe", "unsubscribe", "Stop mails of a kind by the link in one of them, without signing in (RFC 8058)", web.Public())
	click.Accepts, click.Produces, click.MaxBody = []string{"application/x-www-form-urlencoded", "multipart/form-data"}, []string{"text/html"}, 4<<10
	click.Params = tokenParam()
	web.Raw(r, click, a.unsubscribe)
}

func (a *api) templateRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{
			Method: method, Path: base + "/notification-templates" + path, ID: id, Summary: summary, Tag: "Notification templates",
			Access: web.Needs(authz.TemplateMessage), MaxBody: 256 << 10,
		}
	}
	web.Register(r, op(http.MethodGet, "", "list-notification-templates", "Every template in a language"), a.templates)
	web.Register(r, op(http.MethodGet, "/{key}", "get-notification-template", "A template: its key is kind and language, enrollment.activated.de"), a.template)
	web.Register(r, op(http.MethodPut, "/{key}", "set-notification-template", "Override parts of a template"), a.setTemplate)
	web.Register(r, op(http.MethodDelete, "/{key}", "delete-notification-template", "Take an override back"), a.deleteTemplate)
	web.Register(r, op(http.MethodPost, "/{key}/preview", "preview-notification-template", "A message with sample data, also of a template that was not saved"), a.previewTemplate)
}

func (a *api) recordRoutes(r *web.Router) {
	web.Register(r, web.Op{
		Method: http.MethodGet, Path: base + "/notification-deliveries", ID: "list-notification-deliveries", Tag: "Notifications",
		Summary: "The delivery log of 30 days, the newest first", Access: web.Needs(authz.DeliveryRead),
	}, a.deliveries)
	service.MountAudit(r, "notification", func() *acts.Trail { return a.Service.Trail.Trail })
}

func (a *api) webhookRoutes(r *web.Router) {
	op := func(method, path, id, summary string) web.Op {
		return web.Op{Method: method, Path: base + "/webhook-endpoints" + path, ID: id, Summary: summary, Tag: "Webhooks", Access: web.Needs(authz.WebhookManage), MaxBody: 64 << 10}
	}
	created := func(o web.Op) web.Op { o.Status = http.StatusCreated; return o }
	web.Register(r, op(http.MethodGet, "", "list-webhook-endpoints", "Webhook endpoints of my organisation"), a.endpoints)
	create := created(op(http.MethodPost, "", "create-webhook-endpoint", "Add a webhook endpoint; its secret is shown once"))
	create.Description = "Requests carry " + webhook.SignatureHeader + ": t=<Unix seconds>,v1=<hex HMAC-SHA256 of \"t.body\">. Deliveries come at least once, in no order: Lms-Delivery is the same in each repetition."
	web.Register(r, create, a.createEndpoint)
	web.Register(r, op(http.MethodGet, "/{id}", "get-webhook-endpoint", "One webhook endpoint"), a.endpoint)
	web.Register(r, op(http.MethodPatch, "/{id}", "update-webhook-endpoint", "Change a webhook endpoint, or switch it off or on"), a.updateEndpoint)
	web.Register(r, op(http.MethodDelete, "/{id}", "delete-webhook-endpoint", "Remove a webhook endpoint"), a.deleteEndpoint)
	web.Register(r, created(op(http.MethodPost, "/{id}/secrets", "rotate-webhook-secret", "Make a new secret; the one before signs as well for a day")), a.rotateSecret)
	web.Register(r, op(http.MethodGet, "/{id}/deliveries", "list-webhook-deliveries", "What was sent to an endpoint, the newest first"), a.webhookDeliveries)
	redeliver := op(http.MethodPost, "/{id}/deliveries/{delivery}/redeliver", "redeliver-webhook", "Send a delivery once more")
	redeliver.Status = http.StatusAccepted
	web.Register(r, redeliver, a.redeliver)
}
