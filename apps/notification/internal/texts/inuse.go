package texts

import (
	"slices"
	"time"

	"lms/apps/notification/internal/catalog"
)

// KindKeys are all kinds that have texts, in order.
func (t *Texts) KindKeys() []string {
	out := make([]string, 0, len(t.kinds))
	for k := range t.kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// InUse is what is written for a kind in a language, by part, and where it is from.
func (t *Texts) InUse(key Key) (Source, map[Part]Origin) {
	s, origin := Source{}, map[Part]Origin{}
	for _, p := range Parts() {
		_, locale, from := t.find(key.Kind, key.Locale, p)
		if from == "" {
			continue
		}
		for _, l := range t.layers() {
			if l.origin == from {
				s[p], origin[p] = l.layer[Key{key.Kind, locale}].source[p], from
			}
		}
	}
	return s, origin
}

// With is these texts with one template replaced: for a preview.
func (t *Texts) With(key Key, source Source) (*Texts, error) {
	c, err := t.Check(key, source)
	if err != nil {
		return nil, err
	}
	out := &Texts{kinds: t.kinds, shipped: t.shipped, layout: t.layout}
	out.files.Store(t.files.Load())
	api := layer{}
	for k, v := range *t.api.Load() {
		api[k] = v
	}
	api[key] = c
	out.api.Store(&api)
	return out, nil
}

// Sample writes a message of a kind with the samples of its variables.
func (t *Texts) Sample(kind catalog.Kind, locale, zone string) (title, text string, mail Written, err error) {
	vars := map[string]string{}
	for _, v := range kind.Variables {
		vars[v.Name] = v.Sample
	}
	samples := map[string]string{}
	for _, v := range common() {
		samples[v.Name] = v.Sample
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	r := Reader{Name: samples["recipient"], Locale: locale, Zone: loc}
	if title, text, err = t.List(kind.Key, r, vars, samples["link"]); err != nil {
		return "", "", mail, err
	}
	unsubscribe := ""
	if !kind.Default.Transactional {
		unsubscribe = "https://learn.example/unsubscribe"
	}
	mail, err = t.Mail(Letter{Kind: kind.Key, Vars: vars, Link: samples["link"], Unsubscribe: unsubscribe}, r)
	return title, text, mail, err
}
