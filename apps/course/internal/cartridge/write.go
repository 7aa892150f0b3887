package cartridge

import (
	"archive/zip"
	"fmt"
	"html"
	"io"
	"strconv"
	"time"

	"github.com/beevik/etree"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/events"
)

// Namespaces of Common Cartridge 1.3.
const (
	spaceManifest = "http://www.imsglobal.org/xsd/imsccv1p3/imscp_v1p1"
	spaceLOM      = "http://ltsc.ieee.org/xsd/imsccv1p3/LOM/manifest"
	spaceWebLink  = "http://www.imsglobal.org/xsd/imsccv1p3/imswl_v1p3"
	typeLink13    = "imswl_xmlv1p3"
	typeExtension = "associatedcontent/imscc_xmlv1p3/learning-application-resource"
)

type writer struct {
	zip       *zip.Writer
	resources *etree.Element
	settings  *etree.Element
	notes     []catalog.Note
	items     int
	size      int64
	open      catalog.OpenObject
}

// Write writes a package as a cartridge; open reads the files that it carries.
// Contents, quizzes and assignments that it does not carry keep their place: each
// is a note.
func Write(out io.Writer, pkg catalog.Package, open catalog.OpenObject) ([]catalog.Note, error) {
	doc := etree.NewDocument()
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	root := doc.CreateElement("manifest")
	root.CreateAttr("identifier", "lms_course")
	root.CreateAttr("xmlns", spaceManifest)
	root.CreateAttr("xmlns:lomimscc", spaceLOM)
	metadata(root, pkg)
	org := root.CreateElement("organizations").CreateElement("organization")
	org.CreateAttr("identifier", "org_1")
	org.CreateAttr("structure", "rooted-hierarchy")
	top := org.CreateElement("item")
	top.CreateAttr("identifier", "root")

	settings := etree.NewDocument()
	settings.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	w := &writer{zip: zip.NewWriter(out), resources: root.CreateElement("resources"), settings: settings.CreateElement("curriculum"), open: open}
	w.settings.CreateAttr("xmlns", settingsSpace)
	for _, m := range pkg.Modules {
		if err := w.module(top, m); err != nil {
			return nil, err
		}
	}
	if pkg.Gradebook != nil {
		if err := w.bundle(gradebookRef, typeExtension, gradebookPath, *pkg.Gradebook); err != nil {
			return nil, err
		}
	}
	w.resource("r_settings", typeExtension, settingsName)
	if err := w.document(settingsName, settings); err != nil {
		return nil, err
	}
	if err := w.document(manifestName, doc); err != nil {
		return nil, err
	}
	if err := w.zip.Close(); err != nil {
		return nil, fmt.Errorf("cartridge: %w", err)
	}
	return w.notes, nil
}

func metadata(root *etree.Element, pkg catalog.Package) {
	meta := root.CreateElement("metadata")
	meta.CreateElement("schema").SetText("IMS Common Cartridge")
	meta.CreateElement("schemaversion").SetText("1.3.0")
	general := meta.CreateElement("lomimscc:lom").CreateElement("lomimscc:general")
	said := func(name, value string) {
		if value != "" {
			general.CreateElement("lomimscc:" + name).CreateElement("lomimscc:string").SetText(value)
		}
	}
	said("title", pkg.Title)
	if pkg.Language != "" {
		general.CreateElement("lomimscc:language").SetText(pkg.Language)
	}
	said("description", pkg.Description)
}

func (w *writer) module(top *etree.Element, m catalog.PackageModule) error {
	e := top.CreateElement("item")
	e.CreateAttr("identifier", identifier("m", m.Key))
	e.CreateElement("title").SetText(m.Title)
	s := w.settings.CreateElement("module")
	s.CreateAttr("ref", identifier("m", m.Key))
	s.CreateAttr("published", strconv.FormatBool(m.Published))
	s.CreateAttr("sequential", strconv.FormatBool(m.Sequential))
	setTime(s, m.UnlockAt)
	if m.RequiredCount != nil {
		s.CreateAttr("required_count", strconv.Itoa(*m.RequiredCount))
	}
	for _, key := range m.Prerequisites {
		s.CreateElement("prerequisite").CreateAttr("ref", identifier("m", key))
	}
	for _, i := range m.Items {
		if err := w.item(e, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) item(module *etree.Element, i catalog.PackageItem) error {
	w.items++
	number := strconv.Itoa(w.items)
	e := module.CreateElement("item")
	e.CreateAttr("identifier", identifier("i", i.Key))
	e.CreateAttr("identifierref", "r_"+number)
	e.CreateElement("title").SetText(i.Title)
	w.itemSettings(i)
	switch i.Kind {
	case events.ItemPage:
		name := "pages/" + number + ".html"
		w.resource("r_"+number, typeWebContent, name)
		return w.file(name, []byte("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>"+html.EscapeString(i.Title)+"</title></head><body>"+i.Body+"</body></html>\n"))
	case events.ItemLink:
		name := "links/" + number + ".xml"
		w.resource("r_"+number, typeLink13, name)
		link := etree.NewDocument()
		link.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
		root := link.CreateElement("webLink")
		root.CreateAttr("xmlns", spaceWebLink)
		root.CreateElement("title").SetText(i.Title)
		root.CreateElement("url").CreateAttr("href", i.URL)
		return w.document(name, link)
	default:
		if done, err := w.part(number, i); err != nil || done {
			return err
		}
		name := "placeholders/" + i.Kind + "_" + number + ".xml"
		w.resource("r_"+number, typeExtension, name)
		w.notes = append(w.notes, catalog.Note{
			Ref: i.Title, Status: catalog.NotePlaceholder, Code: "no_resource", Message: "The " + i.Kind + " itself is not part of the package; the item keeps its place.",
		})
		doc := etree.NewDocument()
		root := doc.CreateElement("placeholder")
		root.CreateAttr("xmlns", settingsSpace)
		root.CreateAttr("kind", i.Kind)
		root.CreateElement("title").SetText(i.Title)
		return w.document(name, doc)
	}
}

func (w *writer) itemSettings(i catalog.PackageItem) {
	s := w.settings.CreateElement("item")
	s.CreateAttr("ref", identifier("i", i.Key))
	s.CreateAttr("kind", i.Kind)
	s.CreateAttr("published", strconv.FormatBool(i.Published))
	setTime(s, i.UnlockAt)
	if i.ResourceID != nil {
		s.CreateAttr("resource_id", i.ResourceID.String())
	}
	if i.Part != nil && i.Part.File != nil {
		s.CreateAttr("media_type", i.Part.File.MediaType)
	}
	if r := i.Requirement; r != nil {
		s.CreateAttr("requirement", r.Kind)
		if r.MinScore != nil {
			s.CreateAttr("min_score", r.MinScore.String())
			s.CreateAttr("unit", r.Unit)
		}
	}
}

func setTime(e *etree.Element, t *time.Time) {
	if t != nil {
		e.CreateAttr("unlock_at", t.UTC().Format(time.RFC3339Nano))
	}
}

func (w *writer) resource(id, kind, name string) *etree.Element {
	r := w.resources.CreateElement("resource")
	r.CreateAttr("identifier", id)
	r.CreateAttr("type", kind)
	r.CreateAttr("href", name)
	r.CreateElement("file").CreateAttr("href", name)
	return r
}

func (w *writer) document(name string, doc *etree.Document) error {
	raw, err := doc.WriteToBytes()
	if err != nil {
		return fmt.Errorf("cartridge: %w", err)
	}
	return w.file(name, raw)
}

func (w *writer) file(name string, raw []byte) error {
	f, err := w.zip.Create(name)
	if err != nil {
		return fmt.Errorf("cartridge: %w", err)
	}
	if _, err := f.Write(raw); err != nil {
		return fmt.Errorf("cartridge: %w", err)
	}
	return nil
}

// identifier is a name that XML allows: it begins with a letter.
func identifier(kind, key string) string { return kind + "_" + key }
