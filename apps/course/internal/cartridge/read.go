// Package cartridge reads and writes IMS Common Cartridge 1.3: a zip with a
// manifest of organised items and the resources behind them.
package cartridge

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

const (
	manifestName = "imsmanifest.xml"
	// settingsName carries what Common Cartridge has no words for: publication,
	// requirements, prerequisites. Foreign readers pass over it.
	settingsName  = "lms_settings/curriculum.xml"
	settingsSpace = "urn:lms:course:curriculum:1"
)

// Resource types by their beginning; versions 1.0 to 1.3 differ in the middle.
const (
	typeWebContent = "webcontent"
	typeAssociated = "associatedcontent/"
	typeWebLink    = "imswl_"
	typeAssignment = "assignment_"
	typeDiscussion = "imsdt_"
	typeLTI        = "imsbasiclti_"
	typeQTI        = "imsqti_"
)

// maxDepth bounds how deep the items of a manifest may be nested.
const maxDepth = 20

type reader struct {
	files     *archive.Files
	resources map[string]*etree.Element
	settings  map[string]*etree.Element
	notes     []catalog.Note
	carried   int // bytes of documents that belong to other services
}

// Read turns a cartridge into a package, and gives the files in it, for those that
// the package names. What is not understood is told row by row; a file that is no
// cartridge is 422.
func Read(r io.ReaderAt, size int64, l archive.Limits) (catalog.Package, []catalog.Note, *archive.Files, error) {
	files, err := archive.Zip(r, size, l)
	if err != nil {
		return catalog.Package{}, nil, nil, err
	}
	x := &reader{files: files, resources: map[string]*etree.Element{}, settings: map[string]*etree.Element{}}
	root, err := x.xml(manifestName)
	if err != nil {
		return catalog.Package{}, nil, nil, err
	}
	if root == nil || root.Tag != "manifest" {
		return catalog.Package{}, nil, nil, notACartridge("The file has no imsmanifest.xml.")
	}
	if err := x.readSettings(); err != nil {
		return catalog.Package{}, nil, nil, err
	}
	for _, res := range children(child(root, "resources"), "resource") {
		x.resources[res.SelectAttrValue("identifier", "")] = res
	}
	pkg := catalog.Package{Modules: []catalog.PackageModule{}}
	x.metadata(root, &pkg)
	org := child(child(root, "organizations"), "organization")
	if org == nil {
		return catalog.Package{}, nil, nil, notACartridge("The manifest organises nothing.")
	}
	if err := x.organise(org, &pkg); err != nil {
		return catalog.Package{}, nil, nil, err
	}
	if err := x.gradebook(&pkg); err != nil {
		return catalog.Package{}, nil, nil, err
	}
	return pkg, x.notes, files, nil
}

func notACartridge(message string) error {
	return apperr.Invalid(apperr.Field{Path: "upload_id", Code: "not_a_cartridge", Message: message})
}

// xml parses a document; nil for one that is not there.
func (x *reader) xml(name string) (*etree.Element, error) {
	raw, ok, err := x.files.Document(name)
	if err != nil || !ok {
		return nil, err
	}
	root, err := archive.XML(raw)
	if err != nil {
		return nil, notACartridge(name + " is not XML.")
	}
	return root, nil
}

func (x *reader) note(ref, status, code, message string) {
	x.notes = append(x.notes, catalog.Note{Ref: ref, Status: status, Code: code, Message: message})
}

func (x *reader) metadata(root *etree.Element, pkg *catalog.Package) {
	general := child(child(child(root, "metadata"), "lom"), "general")
	pkg.Title = text(child(child(general, "title"), "string"))
	pkg.Description = text(child(child(general, "description"), "string"))
	pkg.Language = text(child(general, "language"))
}

// organise makes modules of the first level. Common Cartridge wraps everything in
// one item without a title; items that stand outside of any folder are gathered.
func (x *reader) organise(org *etree.Element, pkg *catalog.Package) error {
	top := children(org, "item")
	if len(top) == 1 && top[0].SelectAttrValue("identifierref", "") == "" && text(child(top[0], "title")) == "" {
		top = children(top[0], "item")
	}
	var loose *catalog.PackageModule
	flush := func() {
		if loose != nil {
			pkg.Modules = append(pkg.Modules, *loose)
			loose = nil
		}
	}
	for _, e := range top {
		if e.SelectAttrValue("identifierref", "") != "" && len(children(e, "item")) == 0 {
			if loose == nil {
				loose = &catalog.PackageModule{Key: "loose-" + strconv.Itoa(len(pkg.Modules)), Title: title(e), Published: true}
			}
			if err := x.item(e, loose, 1); err != nil {
				return err
			}
			continue
		}
		flush()
		m := catalog.PackageModule{Key: e.SelectAttrValue("identifier", ""), Title: title(e), Published: true}
		x.moduleSettings(&m)
		if err := x.items(e, &m, 1); err != nil {
			return err
		}
		pkg.Modules = append(pkg.Modules, m)
	}
	flush()
	return nil
}

func (x *reader) items(parent *etree.Element, m *catalog.PackageModule, depth int) error {
	if depth > maxDepth {
		return notACartridge("The items of the manifest are nested too deeply.")
	}
	for _, e := range children(parent, "item") {
		if err := x.item(e, m, depth); err != nil {
			return err
		}
	}
	return nil
}

func (x *reader) item(e *etree.Element, m *catalog.PackageModule, depth int) error {
	ref := e.SelectAttrValue("identifierref", "")
	if ref != "" {
		i := catalog.PackageItem{Key: e.SelectAttrValue("identifier", ref), Title: title(e), Published: true}
		ok, err := x.resource(ref, &i)
		if err != nil {
			return err
		}
		if ok {
			x.itemSettings(&i)
			m.Items = append(m.Items, i)
		}
	}
	if sub := children(e, "item"); len(sub) > 0 {
		x.note(title(e), catalog.NoteAdjusted, "flattened", "A folder inside of a module: its items were put into the module.")
	}
	return x.items(e, m, depth+1)
}

// resource says what the item is; false for what is left out.
func (x *reader) resource(ref string, i *catalog.PackageItem) (bool, error) {
	res := x.resources[ref]
	if res == nil {
		x.note(i.Title, catalog.NoteUnknown, "no_resource", "The item refers to a resource that is not in the manifest.")
		return false, nil
	}
	kind, own := res.SelectAttrValue("type", ""), ""
	if s := x.settings[i.Key]; s != nil {
		own = s.SelectAttrValue("kind", "")
	}
	switch {
	case strings.HasPrefix(kind, typeWebLink):
		return x.link(res, i)
	case kind == typeWebContent && own == events.ItemContent:
		i.Kind = events.ItemContent
		return true, x.content(ref, res, i)
	case kind == typeWebContent:
		return x.webContent(ref, res, i)
	case strings.HasPrefix(kind, typeAssignment), own == "" && strings.Contains(kind, "learning-application-resource") && x.namesAssignment(res):
		i.Kind = events.ItemAssignment
		return true, x.documents(ref, res, i)
	case strings.HasPrefix(kind, typeQTI) && strings.HasSuffix(kind, "/assessment"):
		i.Kind = events.ItemQuiz
		return true, x.documents(ref, res, i)
	case own != "":
		i.Kind = own // a placeholder
		return true, nil
	case strings.HasPrefix(kind, typeDiscussion):
		x.note(i.Title, catalog.NoteUnknown, "discussion", "Discussions are not supported.")
	case strings.HasPrefix(kind, typeLTI):
		x.note(i.Title, catalog.NoteUnknown, "lti", "External tools (LTI) are not supported.")
	default:
		x.note(i.Title, catalog.NoteUnknown, "resource_type", "Resources of this type are not understood: "+cutShort(kind))
	}
	return false, nil
}

func (x *reader) namesAssignment(res *etree.Element) bool {
	return strings.Contains(res.SelectAttrValue("href", ""), "assignment")
}

func (x *reader) link(res *etree.Element, i *catalog.PackageItem) (bool, error) {
	root, err := x.xml(x.hrefOf(res))
	if err != nil {
		return false, err
	}
	address := child(root, "url")
	if address == nil || address.SelectAttrValue("href", "") == "" {
		x.note(i.Title, catalog.NoteUnknown, "no_address", "The web link has no address.")
		return false, nil
	}
	i.Kind, i.URL = events.ItemLink, strings.TrimSpace(address.SelectAttrValue("href", ""))
	return true, nil
}

func (x *reader) webContent(ref string, res *etree.Element, i *catalog.PackageItem) (bool, error) {
	name := x.hrefOf(res)
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".xhtml":
	default:
		i.Kind = events.ItemContent
		return true, x.content(ref, res, i)
	}
	raw, ok, err := x.files.Document(name)
	if err != nil {
		return false, err
	}
	if !ok {
		x.note(i.Title, catalog.NoteUnknown, "no_file", "The page's file is not in the package: "+cutShort(name))
		return false, nil
	}
	i.Kind, i.Body = events.ItemPage, catalog.BodyOf(string(raw))
	if strings.Contains(i.Body, "IMS-CC-FILEBASE") || strings.Contains(i.Body, "IMS_CC_FILEBASE") {
		x.note(i.Title, catalog.NoteAdjusted, "linked_files", "Files that the page links to are not part of it and were not taken.")
	}
	return true, nil
}

// hrefOf is the file behind a resource, as a clean name inside of the archive.
func (x *reader) hrefOf(res *etree.Element) string {
	href := res.SelectAttrValue("href", "")
	if href == "" {
		if f := child(res, "file"); f != nil {
			href = f.SelectAttrValue("href", "")
		}
	}
	return path.Clean(strings.TrimPrefix(href, "/"))
}

func (x *reader) readSettings() error {
	root, err := x.xml(settingsName)
	if err != nil || root == nil || root.NamespaceURI() != settingsSpace {
		return err
	}
	for _, e := range root.ChildElements() {
		x.settings[e.SelectAttrValue("ref", "")] = e
	}
	return nil
}

// gradebook is how grades count, as only this product writes it.
func (x *reader) gradebook(pkg *catalog.Package) error {
	res := x.resources[gradebookRef]
	if res == nil || len(x.settings) == 0 {
		return nil
	}
	part, err := x.bundle(gradebookRef, res)
	pkg.Gradebook = part
	return err
}

func (x *reader) moduleSettings(m *catalog.PackageModule) {
	e := x.settings[m.Key]
	if e == nil || e.Tag != "module" {
		return
	}
	m.Published = e.SelectAttrValue("published", "true") == "true"
	m.Sequential = e.SelectAttrValue("sequential", "false") == "true"
	m.UnlockAt = when(e.SelectAttrValue("unlock_at", ""))
	if n, err := strconv.Atoi(e.SelectAttrValue("required_count", "")); err == nil {
		m.RequiredCount = &n
	}
	for _, p := range children(e, "prerequisite") {
		m.Prerequisites = append(m.Prerequisites, p.SelectAttrValue("ref", ""))
	}
}

func (x *reader) itemSettings(i *catalog.PackageItem) {
	e := x.settings[i.Key]
	if e == nil || e.Tag != "item" {
		return
	}
	i.Published = e.SelectAttrValue("published", "true") == "true"
	i.UnlockAt = when(e.SelectAttrValue("unlock_at", ""))
	if id, err := uuid.Parse(e.SelectAttrValue("resource_id", "")); err == nil {
		i.ResourceID = &id
	}
	i.Requirement = catalog.ParseRequirement(e.SelectAttrValue("requirement", ""), e.SelectAttrValue("min_score", ""), e.SelectAttrValue("unit", ""))
}

func when(s string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil
	}
	return &t
}

func title(e *etree.Element) string { return text(child(e, "title")) }

func text(e *etree.Element) string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.Text())
}

// child is the first child of a name, in whatever namespace; nil of nil is nil.
func child(e *etree.Element, tag string) *etree.Element {
	for _, c := range children(e, tag) {
		return c
	}
	return nil
}

func children(e *etree.Element, tag string) []*etree.Element {
	if e == nil {
		return nil
	}
	var out []*etree.Element
	for _, c := range e.ChildElements() {
		if c.Tag == tag {
			out = append(out, c)
		}
	}
	return out
}

func cutShort(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
