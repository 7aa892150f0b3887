package olx

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"mime"
	"path"
	"strconv"
	"strings"

	"github.com/beevik/etree"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// ownPath is where documents lie that other services gave out for themselves; files
// of contents are static ones.
const (
	ownPath    = "lms/"
	staticPath = "static/"
)

// quiz makes one item of the problems of a vertical.
func (x *reader) quiz(vertical *etree.Element, problems []*etree.Element, m *catalog.PackageModule, w within) error {
	first := vertical
	if len(problems) > 0 {
		first = problems[0]
	}
	i := catalog.PackageItem{
		Key: vertical.SelectAttrValue("url_name", first.SelectAttrValue("url_name", "")), Title: w.title,
		Published: w.published && published(first), UnlockAt: w.unlockAt,
	}
	x.own(vertical, &i)
	if i.Kind == "" && first.SelectAttrValue("lms_kind", "") != "" {
		x.own(first, &i) // a placeholder
		i.Kind = events.ItemQuiz
		m.Items = append(m.Items, i)
		return nil
	}
	if len(problems) == 1 && i.Kind == "" {
		i.Title = first.SelectAttrValue("display_name", i.Title)
	}
	i.Kind = events.ItemQuiz
	if err := x.carry(vertical, &i, problems); err != nil {
		return err
	}
	m.Items = append(m.Items, i)
	return nil
}

// carry takes what the component is: its own elements, documents that this product
// wrote, or a file.
func (x *reader) carry(e *etree.Element, i *catalog.PackageItem, elements []*etree.Element) error {
	if name := e.SelectAttrValue("lms_file", ""); name != "" {
		entry := path.Join(x.base, path.Clean("/" + name)[1:])
		if !x.files.Has(entry) && !x.listed(entry) {
			x.note(i.Title, catalog.NoteAdjusted, "no_file", "The file is not in the package.")
			return nil
		}
		kind := e.SelectAttrValue("lms_media_type", "")
		if kind == "" {
			kind, _, _ = strings.Cut(mime.TypeByExtension(path.Ext(name)), ";")
		}
		i.Part = &catalog.PackagePart{Ref: entry, File: &catalog.PackageFile{Entry: entry, Filename: path.Base(name), MediaType: kind}}
		return nil
	}
	folder, main := e.SelectAttrValue("lms_documents", ""), e.SelectAttrValue("lms_main", "")
	if folder == "" && len(elements) == 0 {
		return nil
	}
	part, err := x.bundle(e.SelectAttrValue("url_name", i.Key), folder, main, elements)
	if err == nil && part == nil {
		x.note(i.Title, catalog.NoteAdjusted, "no_documents", "What the item is made of is too large to be read.")
	}
	i.Part = part
	return err
}

func (x *reader) listed(name string) bool {
	for _, n := range x.files.Names() {
		if n == name {
			return true
		}
	}
	return false
}

// bundle zips elements, and documents of a folder; nil where they are too many.
func (x *reader) bundle(ref, folder, main string, elements []*etree.Element) (*catalog.PackagePart, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	add := func(name string, raw []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(raw)
		}
		return err
	}
	for n, e := range elements {
		doc := etree.NewDocument()
		doc.SetRoot(e.Copy())
		raw, err := doc.WriteToBytes()
		if err != nil {
			return nil, fmt.Errorf("olx: %w", err)
		}
		name := e.Tag + strconv.Itoa(n+1) + ".xml"
		if main == "" {
			main = name
		}
		if err := add(name, raw); err != nil {
			return nil, fmt.Errorf("olx: %w", err)
		}
	}
	inside := path.Join(x.base, path.Clean("/" + folder)[1:]) + "/"
	for _, name := range x.files.Names() {
		rest, ok := strings.CutPrefix(name, inside)
		if folder == "" || !ok {
			continue
		}
		raw, ok, err := x.files.Document(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := add(rest, raw); err != nil {
			return nil, fmt.Errorf("olx: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("olx: %w", err)
	}
	if buf.Len() > internalapi.MaxPartPackage || x.carried+buf.Len() > catalog.MaxBodies {
		return nil, nil
	}
	x.carried += buf.Len()
	return &catalog.PackagePart{Ref: ref, Documents: buf.Bytes(), Main: main}, nil
}

// part writes what the item is, and says whether it did: false leaves a placeholder.
func (w *writer) part(c *etree.Element, url string, i catalog.PackageItem) (bool, error) {
	switch {
	case i.Part == nil:
		return false, nil
	case i.Part.File != nil:
		return w.carriedFile(c, url, i)
	}
	folder := ownPath + url + "/"
	elements, err := w.documents(folder, *i.Part)
	if err != nil {
		return false, err
	}
	c.CreateAttr("lms_documents", folder)
	c.CreateAttr("lms_main", i.Part.Main)
	for n, e := range elements {
		if i.Kind == events.ItemQuiz {
			name := url + "_" + strconv.Itoa(n+1)
			c.CreateElement("problem").CreateAttr("url_name", name)
			if err := w.element("problem/"+name+".xml", e); err != nil {
				return false, err
			}
			continue
		}
		for _, child := range e.ChildElements() {
			c.AddChild(child.Copy())
		}
	}
	return true, nil
}

// documents writes those of a part that are not elements of OLX into a folder, and
// gives the others.
func (w *writer) documents(folder string, part catalog.PackagePart) ([]*etree.Element, error) {
	z, err := zip.NewReader(bytes.NewReader(part.Documents), int64(len(part.Documents)))
	if err != nil {
		return nil, fmt.Errorf("olx: %w", err)
	}
	var elements []*etree.Element
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("olx: %w", err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("olx: %w", err)
		}
		if path.Ext(f.Name) == ".xml" {
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(raw); err != nil {
				return nil, fmt.Errorf("olx: %w", err)
			}
			elements = append(elements, doc.Root())
			continue
		}
		if err := w.file(folder+f.Name, raw); err != nil {
			return nil, err
		}
	}
	return elements, nil
}

// carriedFile streams a file from where it lies. One that would make the package
// too large to be imported again keeps its place.
func (w *writer) carriedFile(c *etree.Element, url string, i catalog.PackageItem) (bool, error) {
	object := i.Part.File.Object
	if w.size += object.Size; w.size > catalog.MaxPackageBytes {
		w.size -= object.Size
		w.notes = append(w.notes, catalog.Note{Ref: i.Title, Status: catalog.NotePlaceholder, Code: "too_large", Message: "The file would make the package larger than 512 MiB; the item keeps its place."})
		return false, nil
	}
	name := staticPath + url + "/" + catalog.EntryName(object.Filename)
	c.CreateAttr("lms_file", name)
	c.CreateAttr("lms_media_type", object.MediaType)
	h := &tar.Header{Name: "course/" + name, Mode: 0o600, Size: object.Size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(h); err != nil {
		return false, fmt.Errorf("olx: %w", err)
	}
	return true, w.open(object.ObjectKey, func(r io.Reader) error {
		if _, err := io.Copy(w.tar, r); err != nil {
			return fmt.Errorf("olx: %w", err)
		}
		return nil
	})
}
