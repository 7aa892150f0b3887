// Package richtext makes the HTML that people write harmless, and gives its plain
// text for messages.
package richtext

import (
	"html"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
)

// Text implements the domain's Text. It is safe for concurrent use.
type Text struct {
	rich  *bluemonday.Policy
	plain *bluemonday.Policy
	block *regexp.Regexp
	space *regexp.Regexp
}

// New makes the policies. What stays is what a page of a course needs: headings,
// lists, tables, images, links (opened without a reference to this page).
func New() *Text {
	rich := bluemonday.UGCPolicy()
	rich.RequireNoReferrerOnLinks(true)
	rich.AllowAttrs("class").Matching(regexp.MustCompile(`^[a-zA-Z0-9 _-]{1,100}$`)).Globally()
	rich.AllowElements("figure", "figcaption")
	return &Text{
		rich: rich, plain: bluemonday.StrictPolicy(),
		block: regexp.MustCompile(`(?i)</(p|div|h[1-6]|li|tr|blockquote|pre)>|<br\s*/?>`),
		space: regexp.MustCompile(`[ \t]+`),
	}
}

// HTML keeps only harmless markup.
func (t *Text) HTML(raw string) string { return t.rich.Sanitize(raw) }

// Plain is the text without any markup; blocks end their line.
func (t *Text) Plain(raw string) string {
	text := html.UnescapeString(t.plain.Sanitize(t.block.ReplaceAllString(raw, "\n$0")))
	lines := strings.Split(t.space.ReplaceAllString(text, " "), "\n")
	kept := lines[:0]
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
