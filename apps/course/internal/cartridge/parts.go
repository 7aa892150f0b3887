package cartridge

import (
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

// What belongs to other services is carried as they give it out: documents in a
// folder of the resource, or a file.

const (
	typeQuiz       = "imsqti_xmlv1p2/imscc_xmlv1p3/assessment"
	typeTask       = "assignment_xmlv1p0"
	gradebookRef   = "r_gradebook"
	gradebookPath  = "lms_settings/gradebook/"
	partsPath      = "parts/"
	filesPath      = "files/"
	defaultSubtype = "application/octet-stream"
)

// documents takes the documents of a quiz or an assignment as they are.
func (x *reader) documents(ref string, res *etree.Element, i *catalog.PackageItem) error {
	part, err := x.bundle(ref, res)
	if err != nil {
		return err
	}
	if part == nil {
		x.note(i.Title, catalog.NoteAdjusted, "no_documents", "What the item is made of is not in the package, or too large to be read.")
	}
	i.Part = part
	return nil
}

// bundle zips the documents of a resource; nil where there are none, or too many.
func (x *reader) bundle(ref string, res *etree.Element) (*catalog.PackagePart, error) {
	main := x.hrefOf(res)
	names := []string{main}
	for _, f := range children(res, "file") {
		names = append(names, path.Clean(strings.TrimPrefix(f.SelectAttrValue("href", ""), "/")))
	}
	folder := path.Dir(main) + "/"
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		raw, ok, err := x.files.Document(name)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		w, err := z.Create(strings.TrimPrefix(name, folder))
		if err == nil {
			_, err = w.Write(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("cartridge: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("cartridge: %w", err)
	}
	if !x.files.Has(main) || buf.Len() > internalapi.MaxPartPackage || x.carried+buf.Len() > catalog.MaxBodies {
		return nil, nil
	}
	x.carried += buf.Len()
	return &catalog.PackagePart{Ref: ref, Documents: buf.Bytes(), Main: strings.TrimPrefix(main, folder)}, nil
}

// content is a file, or a page of the library.
func (x *reader) content(ref string, res *etree.Element, i *catalog.PackageItem) error {
	name := x.hrefOf(res)
	if strings.HasPrefix(name, partsPath) {
		return x.documents(ref, res, i)
	}
	if !x.files.Has(name) {
		x.note(i.Title, catalog.NoteAdjusted, "no_file", "The file is not in the package: "+cutShort(name))
		return nil
	}
	kind := mime.TypeByExtension(strings.ToLower(path.Ext(name)))
	if s := x.settings[i.Key]; s != nil && s.SelectAttrValue("media_type", "") != "" {
		kind = s.SelectAttrValue("media_type", "")
	}
	if kind, _, _ = strings.Cut(kind, ";"); kind == "" {
		kind = defaultSubtype
	}
	i.Part = &catalog.PackagePart{Ref: name, File: &catalog.PackageFile{Entry: name, Filename: path.Base(name), MediaType: kind}}
	return nil
}

// part writes what the item is, and says whether it did: false leaves a placeholder.
func (w *writer) part(number string, i catalog.PackageItem) (bool, error) {
	id := "r_" + number
	switch {
	case i.Part == nil:
		return false, nil
	case i.Part.File != nil:
		return w.carriedFile(id, number, i)
	}
	kind := map[string]string{events.ItemQuiz: typeQuiz, events.ItemAssignment: typeTask, events.ItemContent: typeWebContent}[i.Kind]
	return true, w.bundle(id, kind, partsPath+number+"/", *i.Part)
}

// bundle writes the documents of a part into a folder of their own.
func (w *writer) bundle(id, kind, folder string, part catalog.PackagePart) error {
	z, err := zip.NewReader(bytes.NewReader(part.Documents), int64(len(part.Documents)))
	if err != nil {
		return fmt.Errorf("cartridge: %w", err)
	}
	r := w.resource(id, kind, folder+part.Main)
	for _, f := range z.File {
		if f.Name != part.Main {
			r.CreateElement("file").CreateAttr("href", folder+f.Name)
		}
		in, err := f.Open()
		if err != nil {
			return fmt.Errorf("cartridge: %w", err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("cartridge: %w", err)
		}
		if err := w.file(folder+f.Name, raw); err != nil {
			return err
		}
	}
	return nil
}

// carriedFile streams a file from where it lies. One that would make the package
// too large to be imported again keeps its place.
func (w *writer) carriedFile(id, number string, i catalog.PackageItem) (bool, error) {
	object := i.Part.File.Object
	if w.size += object.Size; w.size > catalog.MaxPackageBytes {
		w.size -= object.Size
		w.notes = append(w.notes, catalog.Note{Ref: i.Title, Status: catalog.NotePlaceholder, Code: "too_large", Message: "The file would make the package larger than 512 MiB; the item keeps its place."})
		return false, nil
	}
	name := filesPath + number + "/" + catalog.EntryName(object.Filename)
	w.resource(id, typeWebContent, name)
	// Most files are compressed already.
	out, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return false, fmt.Errorf("cartridge: %w", err)
	}
	return true, w.open(object.ObjectKey, func(r io.Reader) error {
		n, err := io.Copy(out, r)
		if err == nil && n != object.Size {
			err = fmt.Errorf("cartridge: %s has %s bytes", object.ObjectKey, strconv.FormatInt(n, 10))
		}
		return err
	})
}
