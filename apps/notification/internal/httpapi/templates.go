package httpapi

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/notification"
	"lms/apps/notification/internal/person"
	"lms/apps/notification/internal/texts"
	"lms/shared/apperr"
	"lms/shared/journal"
	"lms/shared/once"
	"lms/shared/page"
	"lms/shared/web"
)

// TemplateParts are the pieces of a template. What is left out is not overridden.
type TemplateParts struct {
	Title   string `json:"title,omitempty" maxLength:"1024" doc:"The line of the list, and the subject where there is none"`
	Text    string `json:"text,omitempty" maxLength:"32768" doc:"The text of the list, and of the mail where there is none"`
	Subject string `json:"subject,omitempty" maxLength:"1024"`
	Mail    string `json:"mail,omitempty" maxLength:"32768" doc:"The text of the mail, in paragraphs"`
	HTML    string `json:"html,omitempty" maxLength:"32768" doc:"The body of the mail in HTML, within the layout"`
}

func partsOf(s texts.Source) TemplateParts {
	return TemplateParts{Title: s[texts.Title], Text: s[texts.Text], Subject: s[texts.Subject], Mail: s[texts.Mail], HTML: s[texts.HTML]}
}

func (p TemplateParts) source() texts.Source {
	s := texts.Source{}
	for part, v := range map[texts.Part]string{texts.Title: p.Title, texts.Text: p.Text, texts.Subject: p.Subject, texts.Mail: p.Mail, texts.HTML: p.HTML} {
		if v != "" {
			s[part] = v
		}
	}
	return s
}

// TemplateVariable is something that a template may use.
type TemplateVariable struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Sample   string `json:"sample"`
	Optional bool   `json:"optional,omitempty"`
}

// TemplateBody is a template as it is in use.
type TemplateBody struct {
	Key       string                      `json:"key"`
	Kind      string                      `json:"kind"`
	Locale    string                      `json:"locale"`
	InUse     TemplateParts               `json:"in_use"`
	Origin    map[texts.Part]texts.Origin `json:"origin" doc:"Where each part is from: api, file, shipped"`
	Override  *TemplateParts              `json:"override" doc:"What was set here"`
	Variables []TemplateVariable          `json:"variables"`
	ChangedAt *time.Time                  `json:"changed_at,omitempty"`
}

func (a *api) templateBody(t notification.Template) TemplateBody {
	out := TemplateBody{Key: t.Key.String(), Kind: t.Key.Kind, Locale: t.Key.Locale, InUse: partsOf(t.Source), Origin: t.Origin, Variables: []TemplateVariable{}, ChangedAt: t.ChangedAt}
	if t.Version > 0 {
		o := partsOf(t.Override)
		out.Override = &o
	}
	if k, ok := a.Service.Texts.Kind(t.Key.Kind); ok {
		for _, v := range texts.Variables(k) {
			out.Variables = append(out.Variables, TemplateVariable{Name: v.Name, Type: string(v.Type), Sample: v.Sample, Optional: v.Optional})
		}
	}
	return out
}

// TemplateKey names a template in the path. It is exported because it is embedded.
type TemplateKey struct {
	Key string `path:"key" maxLength:"128" doc:"Kind and language: enrollment.activated.de"`
}

func (k TemplateKey) parsed() (texts.Key, error) {
	key, ok := texts.ParseKey(k.Key)
	if !ok {
		return key, apperr.NotFound("template")
	}
	return key, nil
}

type templatesInput struct {
	web.Page
	Locale string `query:"locale" default:"en" maxLength:"35"`
	Kind   string `query:"kind" maxLength:"64"`
	Sort   string `query:"sort" enum:"key,-key" default:"key"`
}

func (a *api) templates(ctx context.Context, in *templatesInput) (*web.List[TemplateBody], error) {
	locale, ok := texts.Canonical(in.Locale)
	if !ok {
		return nil, apperr.Invalid(apperr.Field{Path: "query.locale", Code: "invalid", Message: "is no language"})
	}
	after := ""
	seen, err := page.Decode(in.Cursor, &after)
	if err != nil {
		return nil, err
	}
	all, err := a.Service.Templates(ctx, locale)
	if err != nil {
		return nil, err
	}
	behind := func(kind string) bool { return !seen || kind > after }
	if in.Sort == "-key" {
		slices.Reverse(all)
		behind = func(kind string) bool { return !seen || kind < after }
	}
	var rows []notification.Template
	for _, t := range all {
		if behind(t.Key.Kind) && (in.Kind == "" || t.Key.Kind == in.Kind) && len(rows) <= in.Request().Size() {
			rows = append(rows, t)
		}
	}
	return web.ListOf(page.Cut(rows, in.Request().Size(), func(t notification.Template) string { return page.Encode(t.Key.Kind) }), a.templateBody), nil
}

// A template that was never overridden has version 1: its ETag can be sent back.
func (a *api) template(ctx context.Context, in *TemplateKey) (*web.Resource[TemplateBody], error) {
	key, err := in.parsed()
	if err != nil {
		return nil, err
	}
	t, err := a.Service.Template(ctx, key)
	if err != nil {
		return nil, err
	}
	return web.Res(a.templateBody(t), t.Version+1), nil
}

type setTemplateInput struct {
	TemplateKey
	web.IfMatch
	Body TemplateParts
}

func (a *api) setTemplate(ctx context.Context, in *setTemplateInput) (*web.Resource[TemplateBody], error) {
	key, err := in.parsed()
	if err != nil {
		return nil, err
	}
	version := in.Version() - 1
	t, err := a.Service.SetTemplate(ctx, key, &version, in.Body.source())
	if err != nil {
		return nil, err
	}
	return web.Res(a.templateBody(t), t.Version+1), nil
}

type deleteTemplateInput struct {
	TemplateKey
	web.IfMatch
}

func (a *api) deleteTemplate(ctx context.Context, in *deleteTemplateInput) (*web.Empty, error) {
	key, err := in.parsed()
	if err != nil {
		return nil, err
	}
	version := in.Version() - 1
	return nil, a.Service.DeleteTemplate(ctx, key, &version)
}

type previewInput struct {
	TemplateKey
	Body struct {
		TemplateParts
		TimeZone string `json:"time_zone,omitempty" maxLength:"64"`
	}
}

// PreviewBody is a message with sample data.
type PreviewBody struct {
	Title    string `json:"title"`
	Text     string `json:"text"`
	Subject  string `json:"subject"`
	MailText string `json:"mail_text"`
	MailHTML string `json:"mail_html"`
}

func (a *api) previewTemplate(ctx context.Context, in *previewInput) (*web.Resource[PreviewBody], error) {
	key, err := in.parsed()
	if err != nil {
		return nil, err
	}
	out, _, err := once.Do(ctx, a.Once, func() (PreviewBody, error) {
		p, err := a.Service.PreviewTemplate(key, in.Body.source(), in.Body.TimeZone)
		return PreviewBody{Title: p.Title, Text: p.Text, Subject: p.Mail.Subject, MailText: p.Mail.Text, MailHTML: p.Mail.HTML}, err
	})
	return web.Res(out, 0), err
}

// DeliveryBody is a line of the delivery log.
type DeliveryBody struct {
	ID uuid.UUID `json:"id"`
	notification.Delivery
}

type deliveriesInput struct {
	web.ByTime
	TenantID uuid.UUID        `query:"tenant_id" doc:"Another organisation, for platform administrators"`
	UserID   uuid.UUID        `query:"user_id"`
	Status   person.MailState `query:"status" enum:"pending,leased,sent,failed,dropped"`
	Kind     string           `query:"kind" maxLength:"64"`
	Since    time.Time        `query:"since" doc:"RFC 3339"`
}

func (a *api) deliveries(ctx context.Context, in *deliveriesInput) (*web.List[DeliveryBody], error) {
	f := notification.DeliveryFilter{TenantID: in.TenantID, UserID: in.UserID, Status: in.Status, Kind: in.Kind, Since: in.Since}
	p, err := a.Service.Deliveries(ctx, web.Actor(ctx), f, in.Request())
	return web.ListOf(p, func(e journal.Entry[notification.Delivery]) DeliveryBody { return DeliveryBody{e.ID, e.Body} }), err
}
