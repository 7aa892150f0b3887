// Package qti reads questions from QTI 2.1 and 3.0: a zip with a manifest, or just
// with items. What it does not understand it says, item by item; it never guesses
// what is right.
package qti

import (
	"bytes"
	"io"
	"path"
	"strings"

	"github.com/beevik/etree"

	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/archive"
)

// Item is one item of a package: a question with notes on what of it was not
// understood, or why it is none.
type Item struct {
	// Ref is the file of the item.
	Ref      string
	Question *quiz.NewQuestion
	Notes    []Note
	// Code and Message say why there is no question.
	Code    string
	Message string
}

// Note is something that was left out.
type Note struct{ Code, Message string }

// Limits of what is read.
const (
	maxItems = 2_000
)

const manifestName = "imsmanifest.xml"

// Read reads a package. A file that is no zip, or holds no item at all, is 422.
func Read(r io.ReaderAt, size int64, l archive.Limits) ([]Item, error) {
	files, err := archive.Zip(r, size, l)
	if err != nil {
		return nil, err
	}
	names, err := itemNames(files)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, apperr.Invalid(apperr.Field{Path: "upload_id", Code: "no_items", Message: "The package holds no QTI items."})
	}
	if len(names) > maxItems {
		return nil, apperr.Invalid(apperr.Field{Path: "upload_id", Code: "too_many_items", Message: "At most 2,000 items in a package."})
	}
	items := make([]Item, 0, len(names))
	for _, name := range names {
		raw, ok, err := files.Document(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			items = append(items, Item{Ref: name, Code: "missing", Message: "The manifest names the file, but it is not there."})
			continue
		}
		items = append(items, ReadItem(name, raw))
	}
	return unique(items), nil
}

// unique refuses a second item with an identifier: it would overwrite the first.
func unique(items []Item) []Item {
	seen := map[string]bool{}
	for i := range items {
		q := items[i].Question
		if q == nil {
			continue
		}
		if seen[q.ExternalID] {
			items[i] = Item{Ref: items[i].Ref, Code: "duplicate_identifier", Message: "Another item has the same identifier."}
			continue
		}
		seen[q.ExternalID] = true
	}
	return items
}

// itemNames are the items that the manifest names, in its order; without a
// manifest, or if it names none, all files that look like one.
func itemNames(files *archive.Files) ([]string, error) {
	raw, ok, err := files.Document(manifestName)
	if err != nil {
		return nil, err
	}
	var names []string
	if ok {
		root, err := archive.XML(raw)
		if err != nil {
			return nil, apperr.Invalid(apperr.Field{Path: "upload_id", Code: "bad_manifest", Message: "The manifest cannot be read."})
		}
		for _, res := range all(root, "resource") {
			if !strings.HasPrefix(attr(res, "type"), "imsqti_item_") {
				continue
			}
			if href := path.Clean(attr(res, "href")); href != "." {
				names = append(names, href)
			}
		}
	}
	if len(names) > 0 {
		return names, nil
	}
	for _, name := range files.Names() {
		if !strings.EqualFold(path.Ext(name), ".xml") || name == manifestName {
			continue
		}
		raw, _, err := files.Document(name)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(raw, []byte("assessmentItem")) || bytes.Contains(raw, []byte("qti-assessment-item")) {
			names = append(names, name)
		}
	}
	return names, nil
}

// name is an element's name in the words of QTI 2: qti-choice-interaction of QTI 3
// is choiceInteraction.
func name(e *etree.Element) string {
	rest, ok := strings.CutPrefix(e.Tag, "qti-")
	if !ok {
		return e.Tag
	}
	return camel(rest)
}

func camel(kebab string) string {
	parts := strings.Split(kebab, "-")
	for i, p := range parts {
		if i > 0 && p != "" {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}

// attr is an attribute by its name in QTI 2.
func attr(e *etree.Element, key string) string {
	for _, a := range e.Attr {
		if a.Key == key || camel(a.Key) == key {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

func children(e *etree.Element, tag string) []*etree.Element {
	if e == nil {
		return nil
	}
	var out []*etree.Element
	for _, c := range e.ChildElements() {
		if name(c) == tag {
			out = append(out, c)
		}
	}
	return out
}

func child(e *etree.Element, tag string) *etree.Element {
	for _, c := range children(e, tag) {
		return c
	}
	return nil
}

// all are the elements of a name below an element, in order.
func all(e *etree.Element, tag string) []*etree.Element {
	if e == nil {
		return nil
	}
	var out []*etree.Element
	for _, c := range e.ChildElements() {
		if name(c) == tag {
			out = append(out, c)
		}
		out = append(out, all(c, tag)...)
	}
	return out
}
