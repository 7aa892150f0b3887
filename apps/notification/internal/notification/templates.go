package notification

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/texts"
	"lms/shared/apperr"
	"lms/shared/journal/acts"
	"lms/shared/work"
)

// Limits of the overrides, which are one document.
const (
	maxOverrides     = 300
	maxOverrideBytes = 1 << 20
	overridesKey     = "templates"
)

// override is a template that was set through the API.
type override struct {
	Source    texts.Source `json:"source"`
	Version   int64        `json:"version"`
	ChangedAt time.Time    `json:"changed_at"`
	ChangedBy uuid.UUID    `json:"changed_by"`
}

// overrides are all of them.
type overrides struct {
	Version int64               `json:"version"`
	Items   map[string]override `json:"items"`
	Acts    acts.Lines          `json:"acts,omitempty"`
}

// overridesID names the document to the audit trail.
var overridesID = uuid.NewSHA1(uuid.NameSpaceOID, []byte(overridesKey)) //nolint:gochecknoglobals // immutable

func overridesKeyOf(id uuid.UUID) string {
	if id == overridesID {
		return overridesKey
	}
	return ""
}

// Template is a template as it is in use.
type Template struct {
	Key       texts.Key
	Source    texts.Source
	Origin    map[texts.Part]texts.Origin
	Override  texts.Source // what was set through the API
	Version   int64        // of the override, 0 without one
	ChangedAt *time.Time
}

func (s *Service) template(ctx context.Context, key texts.Key) (Template, error) {
	if _, ok := s.Texts.Kind(key.Kind); !ok {
		return Template{}, apperr.NotFound("template")
	}
	all, err := s.overrides.Get(ctx, overridesKey)
	if err != nil {
		return Template{}, err
	}
	t := Template{Key: key}
	if all != nil {
		if o, ok := all.Items[key.String()]; ok {
			t.Override, t.Version, t.ChangedAt = o.Source, o.Version, &o.ChangedAt
		}
	}
	t.Source, t.Origin = s.Texts.InUse(key)
	for p, v := range t.Override {
		t.Source[p], t.Origin[p] = v, texts.ByAPI
	}
	return t, nil
}

// Template is the template of a kind in a language.
func (s *Service) Template(ctx context.Context, key texts.Key) (Template, error) {
	return s.template(ctx, key)
}

// Templates are those of every kind in a language, in the order of their keys.
func (s *Service) Templates(ctx context.Context, locale string) ([]Template, error) {
	var out []Template
	for _, kind := range s.Texts.KindKeys() {
		t, err := s.template(ctx, texts.Key{Kind: kind, Locale: locale})
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// refused makes a template's mistake the caller's.
func refused(err error) error {
	return apperr.Invalid(apperr.Field{Path: "template", Code: "template_invalid", Message: strings.ReplaceAll(err.Error(), "\n", "; ")})
}

// SetTemplate overrides a template. version is the one that was read, nil for any.
func (s *Service) SetTemplate(ctx context.Context, key texts.Key, version *int64, source texts.Source) (Template, error) {
	if _, ok := s.Texts.Kind(key.Kind); !ok {
		return Template{}, apperr.NotFound("template")
	}
	if _, err := s.Texts.Check(key, source); err != nil {
		return Template{}, refused(err)
	}
	err := s.changeOverride(ctx, "notification_template.set", key, version, func(all *overrides, old override) error {
		who := work.ActorFrom(ctx).Principal
		all.Items[key.String()] = override{Source: source, Version: old.Version + 1, ChangedAt: s.Now(), ChangedBy: who.UserID}
		return all.bounded()
	})
	if err != nil {
		return Template{}, err
	}
	return s.template(ctx, key)
}

// DeleteTemplate takes an override back: what is below it counts again.
func (s *Service) DeleteTemplate(ctx context.Context, key texts.Key, version *int64) error {
	return s.changeOverride(ctx, "notification_template.delete", key, version, func(all *overrides, old override) error {
		if old.Version == 0 {
			return apperr.NotFound("override of this template")
		}
		delete(all.Items, key.String())
		return nil
	})
}

func templateAct(action string, key texts.Key) acts.Act {
	return acts.Act{
		Action: action, ResourceType: "notification_template", ResourceID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(key.String())),
		Changes: map[string]work.Change{"key": {To: key.String()}},
	}
}

func (s *Service) changeOverride(ctx context.Context, action string, key texts.Key, version *int64, fn func(*overrides, override) error) error {
	act := func() acts.Act { return templateAct(action, key) }
	all, err := s.audited.overrides.Update(ctx, overridesID, act, func(all *overrides) (*overrides, error) {
		if all == nil {
			all = &overrides{}
		}
		if all.Items == nil {
			all.Items = map[string]override{}
		}
		old := all.Items[key.String()]
		if version != nil && *version != old.Version {
			return nil, apperr.VersionMismatch()
		}
		if err := fn(all, old); err != nil {
			return nil, err
		}
		all.Version++
		return all, nil
	})
	if err != nil {
		return err
	}
	s.use(ctx, all)
	return nil
}

func (o *overrides) bounded() error {
	size := 0
	for _, item := range o.Items {
		for _, text := range item.Source {
			size += len(text)
		}
	}
	if len(o.Items) > maxOverrides || size > maxOverrideBytes {
		return apperr.Invalid(apperr.Field{Path: "template", Code: "too_many_templates", Message: "at most 300 templates, of 1 MiB together, can be overridden here; more fit into the folder"})
	}
	return nil
}

// use takes overrides into use. One that this version of the program refuses is
// left out.
func (s *Service) use(ctx context.Context, all *overrides) {
	set := map[texts.Key]texts.Source{}
	for k, o := range all.Items {
		if key, ok := texts.ParseKey(k); ok {
			set[key] = o.Source
		}
	}
	if err := s.Texts.UseOverrides(set); err != nil {
		s.Log.ErrorContext(ctx, "some template overrides are not used", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = all.Version
}

// RefreshTemplates takes what another replica has set into use.
func (s *Service) RefreshTemplates(ctx context.Context) error {
	all, err := s.overrides.Get(ctx, overridesKey)
	if err != nil || all == nil {
		return err
	}
	s.mu.Lock()
	current := s.seen == all.Version
	s.mu.Unlock()
	if !current {
		s.use(ctx, all)
	}
	return nil
}

// Preview is a message with sample data.
type Preview struct {
	Title, Text string
	Mail        texts.Written
}

// PreviewTemplate writes a message with sample data: with the template in use, or
// with a source that was not saved.
func (s *Service) PreviewTemplate(key texts.Key, source texts.Source, zone string) (Preview, error) {
	kind, ok := s.Texts.Kind(key.Kind)
	if !ok {
		return Preview{}, apperr.NotFound("template")
	}
	try := s.Texts
	if len(source) > 0 {
		var err error
		if try, err = s.Texts.With(key, source); err != nil {
			return Preview{}, refused(err)
		}
	}
	var p Preview
	var err error
	p.Title, p.Text, p.Mail, err = try.Sample(kind, key.Locale, zone)
	if err != nil {
		return p, refused(err)
	}
	return p, nil
}
