package httpapi

import (
	"context"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/person"
	"lms/shared/apperr"
	"lms/shared/web"
)

// KindPreference is how soon a kind of message tells.
type KindPreference struct {
	Kind          string           `json:"kind"`
	Group         string           `json:"group"`
	Transactional bool             `json:"transactional" doc:"It concerns the account and is always told at once"`
	InApp         person.Frequency `json:"in_app" enum:"at_once,never"`
	Email         person.Frequency `json:"email" enum:"at_once,daily,weekly,never"`
	DefaultInApp  person.Frequency `json:"default_in_app"`
	DefaultEmail  person.Frequency `json:"default_email"`
}

// QuietHours are a time of each local day in which mails wait.
type QuietHours struct {
	From string `json:"from" example:"22:00" maxLength:"5"`
	To   string `json:"to" example:"07:00" maxLength:"5"`
}

// PreferencesBody is all of it.
type PreferencesBody struct {
	Kinds      []KindPreference `json:"kinds"`
	DigestHour int              `json:"digest_hour"`
	DigestDay  string           `json:"digest_day"`
	QuietHours *QuietHours      `json:"quiet_hours"`
	NoEmail    bool             `json:"no_email" doc:"No mail but what is transactional"`
}

func (a *api) preferencesBody(p person.Preferences) PreferencesBody {
	out := PreferencesBody{Kinds: []KindPreference{}, DigestHour: p.Hour(), DigestDay: strings.ToLower(p.Day().String()), NoEmail: p.NoMail}
	if q := p.Quiet; q != nil {
		out.QuietHours = &QuietHours{From: person.Clock(q.From), To: person.Clock(q.To)}
	}
	chosen := p
	chosen.NoMail = false // shown on its own
	for _, k := range a.Service.Kinds() {
		out.Kinds = append(out.Kinds, KindPreference{
			Kind: k.Key, Group: k.Group, Transactional: k.Default.Transactional,
			InApp: chosen.Wanted(k.Key, person.InApp, k.Default), Email: chosen.Wanted(k.Key, person.Email, k.Default),
			DefaultInApp: k.Default.InApp, DefaultEmail: k.Default.Email,
		})
	}
	return out
}

// The ETag of choices that were never made is that of version 1.
func (a *api) preferences(ctx context.Context, _ *web.Empty) (*web.Resource[PreferencesBody], error) {
	p, err := a.Service.Preferences(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return web.Res(a.preferencesBody(p), p.Version+1), nil
}

// KindChoice is what a person chooses for a kind; what is left out is as usual.
type KindChoice struct {
	Kind  string           `json:"kind" maxLength:"64"`
	InApp person.Frequency `json:"in_app,omitempty" enum:"at_once,never"`
	Email person.Frequency `json:"email,omitempty" enum:"at_once,daily,weekly,never"`
}

type setPreferencesInput struct {
	web.IfMatch
	Body struct {
		Kinds      []KindChoice `json:"kinds" maxItems:"200" doc:"Kinds that are not named are as usual again"`
		DigestHour *int         `json:"digest_hour,omitempty" minimum:"0" maximum:"23" doc:"Local hour of digests, 8 if not given"`
		DigestDay  string       `json:"digest_day,omitempty" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" doc:"Day of weekly digests, monday if not given"`
		QuietHours *QuietHours  `json:"quiet_hours,omitempty"`
		NoEmail    bool         `json:"no_email,omitempty"`
	}
}

func (in *setPreferencesInput) preferences(kinds []catalog.Kind) (person.Preferences, error) {
	b := in.Body
	p := person.Preferences{DigestHour: b.DigestHour, NoMail: b.NoEmail, Kinds: map[string]map[person.Channel]person.Frequency{}}
	var f apperr.Fields
	if b.DigestDay != "" {
		for d := time.Sunday; d <= time.Saturday; d++ {
			if strings.EqualFold(d.String(), b.DigestDay) {
				p.DigestDay = &d
			}
		}
	}
	if q := b.QuietHours; q != nil {
		from, err := person.ParseClock(q.From)
		f.Require(err == nil, "quiet_hours.from", "invalid", "is no time of day such as 22:00")
		to, err := person.ParseClock(q.To)
		f.Require(err == nil, "quiet_hours.to", "invalid", "is no time of day such as 07:00")
		p.Quiet = &person.Quiet{From: from, To: to}
	}
	usual := map[string]person.Default{}
	for _, k := range kinds {
		usual[k.Key] = k.Default
	}
	for _, c := range b.Kinds {
		choice := map[person.Channel]person.Frequency{}
		// What is as usual is not kept: it follows when the usual changes.
		if c.InApp != "" && c.InApp != usual[c.Kind].InApp {
			choice[person.InApp] = c.InApp
		}
		if c.Email != "" && c.Email != usual[c.Kind].Email {
			choice[person.Email] = c.Email
		}
		if _, known := usual[c.Kind]; len(choice) > 0 || !known {
			p.Kinds[c.Kind] = choice
		}
	}
	return p, f.Err()
}

func (a *api) setPreferences(ctx context.Context, in *setPreferencesInput) (*web.Resource[PreferencesBody], error) {
	p, err := in.preferences(a.Service.Kinds())
	if err != nil {
		return nil, err
	}
	saved, err := a.Service.SetPreferences(ctx, web.Actor(ctx), in.Version()-1, p)
	if err != nil {
		return nil, err
	}
	return web.Res(a.preferencesBody(saved), saved.Version+1), nil
}

func tokenParam() []*huma.Param {
	return []*huma.Param{{Name: "token", In: "query", Required: true, Description: "From the link in the mail", Schema: &huma.Schema{Type: huma.TypeString}}}
}

type tokenInput struct {
	Token string `query:"token" required:"true" maxLength:"512" doc:"From the link in the mail"`
}

// showPage is what a person sees; a program that fetches links to look at them changes
// nothing by it.
func showPage(w http.ResponseWriter, status int, data any) error {
	t, err := template.New("page").Parse(pageSource)
	if err != nil {
		return apperr.Internal(err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	return t.Execute(w, data)
}

const pageSource = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Unsubscribe</title></head>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem">
{{if .Done}}<h1>Unsubscribed</h1><p>You will get no more mail of this kind{{with .Kind}} ({{.}}){{end}}. You can change this in your notification settings at any time.</p>
{{else}}<h1>Stop this mail?</h1><p>You will get no more mail{{with .Kind}} of the kind {{.}}{{end}}. Messages that concern your account still reach you.</p>
<form method="post" action="?token={{.Token}}"><input type="hidden" name="List-Unsubscribe" value="One-Click"><button type="submit">Unsubscribe</button></form>{{end}}
</body></html>
`

type pageData struct {
	Done        bool
	Kind, Token string
}

func (a *api) unsubscribePage(_ context.Context, in *tokenInput, w http.ResponseWriter, _ *http.Request) error {
	_, kind, err := a.Links.ReadLink(in.Token)
	if err != nil {
		return err
	}
	return showPage(w, http.StatusOK, pageData{Kind: kind, Token: in.Token})
}

// maxForm is more than the one field of the form needs, in bytes.
const maxForm = 4 << 10

// unsubscribe takes what mail programs send (RFC 8058): a form with one field.
func (a *api) unsubscribe(w http.ResponseWriter, req *http.Request) error {
	who, kind, err := a.Links.ReadLink(req.URL.Query().Get("token"))
	if err != nil {
		return err
	}
	req.Body = http.MaxBytesReader(w, req.Body, maxForm)
	if err := req.ParseMultipartForm(maxForm); err != nil && req.PostForm == nil { //nolint:gosec // the reader above bounds it
		return apperr.Malformed("bad_form", "The form cannot be read.").With(err)
	}
	if req.PostForm.Get("List-Unsubscribe") != "One-Click" && !fromMultipart(req) {
		return apperr.Invalid(apperr.Field{Path: "List-Unsubscribe", Code: "required", Message: "is One-Click"})
	}
	if err := a.Service.StopMail(req.Context(), who, kind); err != nil {
		return err
	}
	return showPage(w, http.StatusOK, pageData{Done: true, Kind: kind})
}

func fromMultipart(req *http.Request) bool {
	return req.MultipartForm != nil && len(req.MultipartForm.Value["List-Unsubscribe"]) == 1 && req.MultipartForm.Value["List-Unsubscribe"][0] == "One-Click"
}
