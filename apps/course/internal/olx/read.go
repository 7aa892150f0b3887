// Package olx reads and writes OLX, the course format of Open edX: a tar.gz of XML
// files that name each other by url_name.
package olx

import (
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/events"
)

type reader struct {
	files   *archive.Files
	base    string
	notes   []catalog.Note
	seen    int
	carried int // bytes of documents that belong to other services
}

// maxNodes bounds the elements that are followed, so that files that name each
// other in a circle end.
const maxNodes = 50_000

// Read turns an OLX archive into a package: chapters become modules, what stands in
// their sequentials and verticals becomes items. What is not understood, and what
// is kept as a placeholder, is told row by row; a file that is no OLX is 422.
func Read(r io.Reader, l archive.Limits) (catalog.Package, []catalog.Note, error) {
	files, err := archive.TarGzip(r, l, func(name string) bool {
		switch path.Ext(name) {
		case ".xml", ".html", ".htm":
			return true
		}
		return strings.Contains(name, "/"+ownPath)
	})
	if err != nil {
		return catalog.Package{}, nil, err
	}
	x := &reader{files: files}
	root, err := x.root()
	if err != nil {
		return catalog.Package{}, nil, err
	}
	pkg := catalog.Package{
		Title: root.SelectAttrValue("display_name", ""), Code: root.SelectAttrValue("course", ""),
		Language: root.SelectAttrValue("language", ""), Modules: []catalog.PackageModule{},
	}
	pkg.Description = x.about()
	if folder := root.SelectAttrValue("lms_gradebook", ""); folder != "" {
		if pkg.Gradebook, err = x.bundle("gradebook", folder, root.SelectAttrValue("lms_gradebook_main", ""), nil); err != nil {
			return catalog.Package{}, nil, err
		}
	}
	for _, e := range root.ChildElements() {
		switch e.Tag {
		case "chapter":
			if err := x.chapter(e, &pkg); err != nil {
				return catalog.Package{}, nil, err
			}
		case "wiki":
		default:
			x.note(e.Tag, catalog.NoteUnknown, "element", "A course part of this kind is not understood.")
		}
	}
	return pkg, x.notes, nil
}

func notOLX(message string) error {
	return apperr.Invalid(apperr.Field{Path: "upload_id", Code: "not_olx", Message: message})
}

// root finds course.xml, in the archive's top or in one folder below, and what it
// points to.
func (x *reader) root() (*etree.Element, error) {
	for _, name := range x.files.Names() {
		if path.Base(name) == "course.xml" && strings.Count(name, "/") <= 1 {
			x.base = path.Dir(name)
			top, err := x.xml("course.xml")
			if err != nil {
				return nil, err
			}
			if top != nil && top.Tag == "course" {
				return x.resolve(top)
			}
		}
	}
	return nil, notOLX("The file has no course.xml.")
}

func (x *reader) document(name string) ([]byte, bool, error) {
	return x.files.Document(path.Join(x.base, path.Clean("/" + name)[1:]))
}

func (x *reader) xml(name string) (*etree.Element, error) {
	raw, ok, err := x.document(name)
	if err != nil || !ok {
		return nil, err
	}
	root, err := archive.XML(raw)
	if err != nil {
		return nil, notOLX(name + " is not XML.")
	}
	return root, nil
}

// resolve follows a pointer (an element with nothing but a url_name) to its file,
// and gives the file's element the attributes of the pointer that it lacks.
func (x *reader) resolve(e *etree.Element) (*etree.Element, error) {
	if x.seen++; x.seen > maxNodes {
		return nil, notOLX("The course has too many parts.")
	}
	name := e.SelectAttrValue("url_name", "")
	if name == "" || len(e.ChildElements()) > 0 || strings.TrimSpace(e.Text()) != "" {
		return e, nil
	}
	target, err := x.xml(e.Tag + "/" + strings.ReplaceAll(name, ":", "/") + ".xml")
	if err != nil || target == nil {
		return e, err
	}
	for _, a := range e.Attr {
		if target.SelectAttr(a.Key) == nil {
			target.CreateAttr(a.Key, a.Value)
		}
	}
	return target, nil
}

func (x *reader) note(ref, status, code, message string) {
	x.notes = append(x.notes, catalog.Note{Ref: ref, Status: status, Code: code, Message: message})
}

func (x *reader) about() string {
	raw, ok, err := x.document("about/short_description.html")
	if err != nil || !ok {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

func (x *reader) chapter(pointer *etree.Element, pkg *catalog.Package) error {
	e, err := x.resolve(pointer)
	if err != nil {
		return err
	}
	m := catalog.PackageModule{
		Key: e.SelectAttrValue("url_name", strconv.Itoa(len(pkg.Modules))), Title: e.SelectAttrValue("display_name", ""),
		Published: published(e), UnlockAt: when(e.SelectAttrValue("start", "")),
		Sequential:    e.SelectAttrValue("lms_sequential", "") == "true",
		Prerequisites: strings.Fields(e.SelectAttrValue("lms_prerequisites", "")),
	}
	if n, err := strconv.Atoi(e.SelectAttrValue("lms_required_count", "")); err == nil {
		m.RequiredCount = &n
	}
	for _, c := range e.ChildElements() {
		if err := x.part(c, &m, within{published: true}); err != nil {
			return err
		}
	}
	pkg.Modules = append(pkg.Modules, m)
	return nil
}

// within is what an item takes over from the sequentials and verticals around it.
type within struct {
	title     string
	published bool
	unlockAt  *time.Time
	depth     int
}

// parts are the children of a sequential or vertical. Problems that stand together
// are one quiz.
func (x *reader) parts(e *etree.Element, m *catalog.PackageModule, w within) error {
	var problems []*etree.Element
	for _, c := range e.ChildElements() {
		if c.Tag == "problem" {
			p, err := x.resolve(c)
			if err != nil {
				return err
			}
			problems = append(problems, p)
		}
	}
	if e.SelectAttrValue("lms_kind", "") == events.ItemQuiz {
		return x.quiz(e, problems, m, w)
	}
	told := false
	for _, c := range e.ChildElements() {
		var err error
		switch {
		case c.Tag != "problem":
			err = x.part(c, m, w)
		case !told:
			told = true
			err = x.quiz(e, problems, m, w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *reader) part(pointer *etree.Element, m *catalog.PackageModule, w within) error {
	e, err := x.resolve(pointer)
	if err != nil {
		return err
	}
	switch e.Tag {
	case "sequential", "vertical":
		if w.depth++; w.depth > 20 {
			return notOLX("The course is nested too deeply.")
		}
		if t := e.SelectAttrValue("display_name", ""); t != "" {
			w.title = t
		}
		if at := when(e.SelectAttrValue("start", "")); at != nil {
			w.unlockAt = at
		}
		w.published = w.published && published(e)
		return x.parts(e, m, w)
	}
	i := catalog.PackageItem{
		Key: e.SelectAttrValue("url_name", ""), Title: e.SelectAttrValue("display_name", w.title),
		Published: w.published && published(e), UnlockAt: w.unlockAt,
	}
	if i.Title == "" {
		i.Title = w.title
	}
	ok, err := x.component(e, &i)
	if err == nil && ok {
		m.Items = append(m.Items, i)
	}
	return err
}

// component says what an item is; false for what is left out.
func (x *reader) component(e *etree.Element, i *catalog.PackageItem) (bool, error) {
	x.own(e, i)
	if i.Kind == events.ItemContent || i.Kind == events.ItemAssignment {
		return true, x.carry(e, i, nil)
	}
	if i.Kind != "" && i.Kind != events.ItemPage {
		return true, nil
	}
	switch e.Tag {
	case "html":
		return x.page(e, i)
	case "video":
		if id := e.SelectAttrValue("youtube_id_1_0", ""); id != "" {
			i.Kind, i.URL = events.ItemLink, "https://www.youtube.com/watch?v="+id
			return true, nil
		}
		i.Kind = events.ItemContent
		return true, nil
	case "openassessment":
		i.Kind = events.ItemAssignment
		return true, x.carry(e, i, []*etree.Element{e})
	case "discussion":
		x.note(i.Title, catalog.NoteUnknown, "discussion", "Discussions are not supported.")
	case "lti", "lti_consumer":
		x.note(i.Title, catalog.NoteUnknown, "lti", "External tools (LTI) are not supported.")
	default:
		x.note(i.Title, catalog.NoteUnknown, "element", "Components of this kind are not understood: "+e.Tag+".")
	}
	return false, nil
}

// own reads the attributes that only this product writes.
func (x *reader) own(e *etree.Element, i *catalog.PackageItem) {
	i.Kind, i.URL = e.SelectAttrValue("lms_kind", ""), e.SelectAttrValue("lms_url", "")
	if id, err := uuid.Parse(e.SelectAttrValue("lms_resource_id", "")); err == nil {
		i.ResourceID = &id
	}
	i.Requirement = catalog.ParseRequirement(e.SelectAttrValue("lms_requirement", ""), e.SelectAttrValue("lms_min_score", ""), e.SelectAttrValue("lms_unit", ""))
}

func (x *reader) page(e *etree.Element, i *catalog.PackageItem) (bool, error) {
	i.Kind = events.ItemPage
	if name := e.SelectAttrValue("filename", ""); name != "" {
		raw, ok, err := x.document("html/" + name + ".html")
		if err != nil {
			return false, err
		}
		if !ok {
			x.note(i.Title, catalog.NoteUnknown, "no_file", "The page's file is not in the package.")
			return false, nil
		}
		i.Body = catalog.BodyOf(string(raw))
	} else {
		i.Body = inner(e)
	}
	if strings.Contains(i.Body, "/static/") {
		x.note(i.Title, catalog.NoteAdjusted, "linked_files", "Files that the page links to are not part of it and were not taken.")
	}
	return true, nil
}

// inner is what an element holds, as text.
func inner(e *etree.Element) string {
	doc := etree.NewDocument()
	var b strings.Builder
	for _, t := range e.Child {
		switch c := t.(type) {
		case *etree.CharData:
			b.WriteString(c.Data)
		case *etree.Element:
			doc.SetRoot(c.Copy())
			if s, err := doc.WriteToString(); err == nil {
				b.WriteString(s)
			}
		}
	}
	return strings.TrimSpace(b.String())
}

func published(e *etree.Element) bool {
	return e.SelectAttrValue("visible_to_staff_only", "false") != "true"
}

// when reads a date as OLX has it: quoted or not.
func when(s string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, strings.Trim(s, `"`))
	if err != nil {
		return nil
	}
	return &t
}
