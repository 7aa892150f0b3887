package olx

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/events"
)

type writer struct {
	tar   *tar.Writer
	notes []catalog.Note
	items int
	size  int64
	open  catalog.OpenObject
}

// Write writes a package as an OLX archive: a chapter for each module, and for each
// item a sequential with one vertical and one component, or a quiz's problems. open
// reads the files that it carries. Contents, quizzes and assignments that it does
// not carry keep their place: each is a note.
func Write(out io.Writer, pkg catalog.Package, open catalog.OpenObject) ([]catalog.Note, error) {
	gz := gzip.NewWriter(out)
	w := &writer{tar: tar.NewWriter(gz), open: open}
	code := name(pkg.Code)
	top := etree.NewElement("course")
	top.CreateAttr("url_name", "course")
	top.CreateAttr("org", "lms")
	top.CreateAttr("course", code)
	if err := w.element("course.xml", top); err != nil {
		return nil, err
	}
	root := etree.NewElement("course")
	root.CreateAttr("display_name", pkg.Title)
	if pkg.Language != "" {
		root.CreateAttr("language", pkg.Language)
	}
	if pkg.Gradebook != nil {
		root.CreateAttr("lms_gradebook", ownPath+"gradebook/")
		root.CreateAttr("lms_gradebook_main", pkg.Gradebook.Main)
		if _, err := w.documents(ownPath+"gradebook/", *pkg.Gradebook); err != nil {
			return nil, err
		}
	}
	for _, m := range pkg.Modules {
		root.CreateElement("chapter").CreateAttr("url_name", name(m.Key))
	}
	if err := w.element("course/course.xml", root); err != nil {
		return nil, err
	}
	if pkg.Description != "" {
		if err := w.file("about/short_description.html", []byte(pkg.Description)); err != nil {
			return nil, err
		}
	}
	for _, m := range pkg.Modules {
		if err := w.chapter(m); err != nil {
			return nil, err
		}
	}
	if err := w.tar.Close(); err != nil {
		return nil, fmt.Errorf("olx: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("olx: %w", err)
	}
	return w.notes, nil
}

func (w *writer) chapter(m catalog.PackageModule) error {
	e := etree.NewElement("chapter")
	e.CreateAttr("display_name", m.Title)
	hidden(e, m.Published)
	start(e, m.UnlockAt)
	if m.Sequential {
		e.CreateAttr("lms_sequential", "true")
	}
	if m.RequiredCount != nil {
		e.CreateAttr("lms_required_count", strconv.Itoa(*m.RequiredCount))
	}
	if len(m.Prerequisites) > 0 {
		keys := make([]string, len(m.Prerequisites))
		for i, key := range m.Prerequisites {
			keys[i] = name(key)
		}
		e.CreateAttr("lms_prerequisites", strings.Join(keys, " "))
	}
	for _, i := range m.Items {
		if err := w.item(e, i); err != nil {
			return err
		}
	}
	return w.element("chapter/"+name(m.Key)+".xml", e)
}

func (w *writer) item(chapter *etree.Element, i catalog.PackageItem) error {
	w.items++
	url := "item" + strconv.Itoa(w.items)
	seq := chapter.CreateElement("sequential")
	seq.CreateAttr("display_name", i.Title)
	hidden(seq, i.Published)
	start(seq, i.UnlockAt)
	v := seq.CreateElement("vertical")
	v.CreateAttr("display_name", i.Title)
	c := v
	if i.Kind != events.ItemQuiz || i.Part == nil {
		c = v.CreateElement(componentOf(i.Kind))
		c.CreateAttr("display_name", i.Title)
	}
	c.CreateAttr("url_name", url)
	c.CreateAttr("lms_kind", i.Kind)
	if i.ResourceID != nil {
		c.CreateAttr("lms_resource_id", i.ResourceID.String())
	}
	if r := i.Requirement; r != nil {
		c.CreateAttr("lms_requirement", r.Kind)
		if r.MinScore != nil {
			c.CreateAttr("lms_min_score", r.MinScore.String())
			c.CreateAttr("lms_unit", r.Unit)
		}
	}
	switch i.Kind {
	case events.ItemPage:
		c.CreateAttr("filename", url)
		return w.file("html/"+url+".html", []byte(i.Body))
	case events.ItemLink:
		c.CreateAttr("lms_url", i.URL)
		a := c.CreateElement("a")
		a.CreateAttr("href", i.URL)
		a.SetText(i.Title)
		return nil
	default:
		if done, err := w.part(c, url, i); err != nil || done {
			return err
		}
		w.notes = append(w.notes, catalog.Note{
			Ref: i.Title, Status: catalog.NotePlaceholder, Code: "no_resource", Message: "The " + i.Kind + " itself is not part of the package; the item keeps its place.",
		})
		return nil
	}
}

func componentOf(kind string) string {
	switch kind {
	case events.ItemContent:
		return "video"
	case events.ItemQuiz:
		return "problem"
	case events.ItemAssignment:
		return "openassessment"
	default:
		return "html"
	}
}

func hidden(e *etree.Element, published bool) {
	if !published {
		e.CreateAttr("visible_to_staff_only", "true")
	}
}

func start(e *etree.Element, at *time.Time) {
	if at != nil {
		e.CreateAttr("start", `"`+at.UTC().Format(time.RFC3339Nano)+`"`)
	}
}

// name is a url_name: letters, digits, "-" and "_".
func name(key string) string {
	n := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, key)
	if n == "" {
		return "course"
	}
	return n
}

func (w *writer) element(path string, e *etree.Element) error {
	doc := etree.NewDocument()
	doc.SetRoot(e)
	raw, err := doc.WriteToBytes()
	if err != nil {
		return fmt.Errorf("olx: %w", err)
	}
	return w.file(path, raw)
}

func (w *writer) file(path string, raw []byte) error {
	h := &tar.Header{Name: "course/" + path, Mode: 0o600, Size: int64(len(raw)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("olx: %w", err)
	}
	if _, err := w.tar.Write(raw); err != nil {
		return fmt.Errorf("olx: %w", err)
	}
	return nil
}
