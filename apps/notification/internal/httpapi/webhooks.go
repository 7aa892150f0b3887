package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/webhook"
	"lms/shared/once"
	"lms/shared/page"
	"lms/shared/patch"
	"lms/shared/web"
)

// EndpointBody is a webhook endpoint as it is shown.
type EndpointBody struct {
	ID          uuid.UUID   `json:"id"`
	URL         string      `json:"url"`
	Description string      `json:"description,omitempty"`
	Types       []string    `json:"types"`
	Courses     []uuid.UUID `json:"courses"`
	Status      string      `json:"status" enum:"enabled,disabled,failing"`
	Secret      string      `json:"secret,omitempty" doc:"Shown when it was made, and never again"`
	CreatedBy   uuid.UUID   `json:"created_by"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
}

func endpointBody(e webhook.Endpoint) EndpointBody {
	courses := e.Courses
	if courses == nil {
		courses = []uuid.UUID{}
	}
	return EndpointBody{
		ID: e.ID, URL: e.URL, Description: e.Description, Types: e.Types, Courses: courses, Status: e.Status,
		CreatedBy: e.CreatedBy, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
}

type endpointsInput struct {
	web.Page
	Status string `query:"status" enum:"enabled,disabled,failing"`
	Sort   string `query:"sort" enum:"created_at,-created_at" default:"created_at" doc:"-created_at has the newest first"`
}

func (a *api) endpoints(ctx context.Context, in *endpointsInput) (*web.List[EndpointBody], error) {
	var last webhook.Endpoint
	seen, err := page.Decode(in.Cursor, &last.CreatedAt, &last.ID)
	if err != nil {
		return nil, err
	}
	all, err := a.Webhooks.List(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	order := func(a, b webhook.Endpoint) int {
		if in.Sort == "-created_at" {
			a, b = b, a
		}
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), bytes.Compare(a.ID[:], b.ID[:]))
	}
	slices.SortFunc(all, order)
	var rows []webhook.Endpoint
	for _, e := range all {
		if (!seen || order(e, last) > 0) && (in.Status == "" || e.Status == in.Status) && len(rows) <= in.Request().Size() {
			rows = append(rows, e)
		}
	}
	return web.ListOf(page.Cut(rows, in.Request().Size(), func(e webhook.Endpoint) string { return page.Encode(e.CreatedAt, e.ID) }), endpointBody), nil
}

func (a *api) endpoint(ctx context.Context, in *web.ByID) (*web.Resource[EndpointBody], error) {
	e, err := a.Webhooks.Get(ctx, web.Actor(ctx), in.ID)
	return web.Res(endpointBody(e), e.Version), err
}

type createEndpointInput struct {
	Body struct {
		URL         string      `json:"url" minLength:"8" maxLength:"2000" format:"uri"`
		Description string      `json:"description,omitempty" maxLength:"200"`
		Types       []string    `json:"types,omitempty" maxItems:"100" doc:"Types of events, such as lms.course.published.v1 or lms.course.*; none: all"`
		Courses     []uuid.UUID `json:"courses,omitempty" maxItems:"100" doc:"Only events of these courses"`
	}
}

// withSecret shows the secret, which no kept answer contains: it is read anew.
func (a *api) withSecret(ctx context.Context, id uuid.UUID) (*web.Resource[EndpointBody], error) {
	e, err := a.Webhooks.Get(ctx, web.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	body := endpointBody(e)
	if body.Secret, err = a.Webhooks.Secret(e); err != nil {
		return nil, err
	}
	return web.Created(body, e.Version, base+"/webhook-endpoints/"+e.ID.String()), nil
}

type madeID struct {
	ID uuid.UUID `json:"id"`
}

func (a *api) createEndpoint(ctx context.Context, in *createEndpointInput) (*web.Resource[EndpointBody], error) {
	b := in.Body
	made, _, err := once.Do(ctx, a.Once, func() (madeID, error) {
		e, err := a.Webhooks.Create(ctx, web.Actor(ctx), webhook.Draft{URL: b.URL, Description: b.Description, Types: b.Types, Courses: b.Courses, Enabled: true})
		return madeID{e.ID}, err
	})
	if err != nil {
		return nil, err
	}
	return a.withSecret(ctx, made.ID)
}

type updateEndpointInput struct {
	web.IfMatch
	ID   uuid.UUID `path:"id"`
	Body struct {
		URL         patch.Field[string]      `json:"url,omitzero" maxLength:"2000"`
		Description patch.Field[string]      `json:"description,omitzero" maxLength:"200"`
		Types       patch.Field[[]string]    `json:"types,omitzero" maxItems:"100"`
		Courses     patch.Field[[]uuid.UUID] `json:"courses,omitzero" maxItems:"100"`
		Enabled     patch.Field[bool]        `json:"enabled,omitzero" doc:"Switches it on, also one that was switched off because it failed"`
	}
}

func (a *api) updateEndpoint(ctx context.Context, in *updateEndpointInput) (*web.Resource[EndpointBody], error) {
	e, err := a.Webhooks.Update(ctx, web.Actor(ctx), in.ID, in.Version(), func(d *webhook.Draft) {
		in.Body.URL.Apply(&d.URL)
		in.Body.Description.Apply(&d.Description)
		in.Body.Types.Apply(&d.Types)
		in.Body.Courses.Apply(&d.Courses)
		in.Body.Enabled.Apply(&d.Enabled)
	})
	return web.Res(endpointBody(e), e.Version), err
}

type deleteEndpointInput struct {
	web.IfMatch
	ID uuid.UUID `path:"id"`
}

func (a *api) deleteEndpoint(ctx context.Context, in *deleteEndpointInput) (*web.Empty, error) {
	return nil, a.Webhooks.Delete(ctx, web.Actor(ctx), in.ID, in.Version())
}

func (a *api) rotateSecret(ctx context.Context, in *web.ByID) (*web.Resource[EndpointBody], error) {
	_, _, err := once.Do(ctx, a.Once, func() (madeID, error) {
		e, err := a.Webhooks.Rotate(ctx, web.Actor(ctx), in.ID)
		return madeID{e.ID}, err
	})
	if err != nil {
		return nil, err
	}
	return a.withSecret(ctx, in.ID)
}

// WebhookDelivery is one event on its way to an endpoint.
type WebhookDelivery struct {
	ID            uuid.UUID     `json:"id"`
	EventID       uuid.UUID     `json:"event_id"`
	Type          string        `json:"type"`
	Status        webhook.State `json:"status" enum:"pending,delivered,failed"`
	Attempts      int           `json:"attempts"`
	StatusCode    int           `json:"status_code,omitempty" doc:"What the endpoint answered last"`
	Error         string        `json:"error,omitempty"`
	CreatedAt     time.Time     `json:"created_at"`
	LastAttemptAt *time.Time    `json:"last_attempt_at,omitempty"`
	NextAttemptAt *time.Time    `json:"next_attempt_at,omitempty"`
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func webhookDelivery(d webhook.Delivery) WebhookDelivery {
	return WebhookDelivery{
		ID: d.ID, EventID: d.EventID, Type: d.Type, Status: d.State, Attempts: d.Attempts, StatusCode: d.StatusCode, Error: d.Error,
		CreatedAt: d.CreatedAt, LastAttemptAt: at(d.LastAt), NextAttemptAt: at(d.NextAt),
	}
}

type webhookDeliveriesInput struct {
	web.ByTime
	ID     uuid.UUID     `path:"id"`
	Status webhook.State `query:"status" enum:"pending,delivered,failed"`
}

func (a *api) webhookDeliveries(ctx context.Context, in *webhookDeliveriesInput) (*web.List[WebhookDelivery], error) {
	p, err := a.Webhooks.Deliveries(ctx, web.Actor(ctx), in.ID, in.Status, in.Request())
	return web.ListOf(p, webhookDelivery), err
}

type redeliverInput struct {
	ID       uuid.UUID `path:"id"`
	Delivery uuid.UUID `path:"delivery"`
}

func (a *api) redeliver(ctx context.Context, in *redeliverInput) (*web.Resource[WebhookDelivery], error) {
	out, _, err := once.Do(ctx, a.Once, func() (WebhookDelivery, error) {
		d, err := a.Webhooks.Redeliver(ctx, web.Actor(ctx), in.ID, in.Delivery)
		return webhookDelivery(d), err
	})
	return web.Res(out, 0), err
}
