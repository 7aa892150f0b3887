// Package packages reads and writes assignments as course packages carry them: a zip
// with a document of the package's format, and beside it the product's own, in which
// nothing is lost.
package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

const (
	ownName       = "assignment.json"
	gradebookName = "gradebook.json"
	cartridgeName = "assignment.xml"
	olxName       = "openassessment1.xml"
	spaceTask     = "http://www.imsglobal.org/xsd/imscc_extensions/assignment"
)

// limits of a part's documents, however small they were packed.
func limits() archive.Limits {
	return archive.Limits{Entries: 100, Document: 4 << 20, Read: 8 << 20, Unpacked: 16 << 20, Ratio: 200}
}

func document(raw []byte, names ...string) (found []byte, name string, err error) {
	files, err := archive.Zip(bytes.NewReader(raw), int64(len(raw)), limits())
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		if found, ok, err := files.Document(name); err != nil || ok {
			return found, name, err
		}
	}
	return nil, "", unreadable()
}

func unreadable() error {
	return apperr.Invalid(apperr.Field{Path: "package", Code: "unreadable", Message: "The documents of the assignment are not there, or cannot be read."})
}

// Assignment reads an assignment of a package of a format; blank has what is not
// said.
func Assignment(format string, raw []byte, main string, blank coursework.Document) (coursework.Document, error) {
	found, name, err := document(raw, ownName, main)
	if err != nil {
		return blank, err
	}
	if name == ownName {
		var d coursework.Document
		if err := json.Unmarshal(found, &d); err != nil {
			return blank, unreadable()
		}
		return d, nil
	}
	root, err := archive.XML(found)
	if err != nil {
		return blank, unreadable()
	}
	blank.Published = true
	if format == internalapi.PartOLX {
		return openAssessment(root, blank), nil
	}
	return task(root, blank), nil
}

// Gradebook reads how a course counts, as only this product writes it.
func Gradebook(raw []byte) (coursework.GradebookDocument, error) {
	var d coursework.GradebookDocument
	found, _, err := document(raw, gradebookName)
	if err == nil && json.Unmarshal(found, &d) != nil {
		err = unreadable()
	}
	return d, err
}

func child(e *etree.Element, tag string) *etree.Element {
	for _, c := range e.ChildElements() {
		if c.Tag == tag {
			return c
		}
	}
	return nil
}

// task reads the assignment extension of Common Cartridge 1.3.
func task(root *etree.Element, d coursework.Document) coursework.Document {
	if t := child(root, "title"); t != nil && strings.TrimSpace(t.Text()) != "" {
		d.Title = strings.TrimSpace(t.Text())
	}
	if t := child(root, "text"); t != nil {
		d.Description = t.Text()
	}
	if g := child(root, "gradable"); g != nil {
		points, err := strconv.ParseFloat(g.SelectAttrValue("points_possible", ""), 64)
		switch {
		case strings.TrimSpace(g.Text()) == "false":
			d.GradingType, d.Points = coursework.GradeNotGraded, 0
		case err == nil && points >= 0 && points <= 1_000_000:
			d.Points = events.Hundredths(points*100 + 0.5)
		}
	}
	formats := child(root, "submission_formats")
	if formats == nil {
		return d
	}
	d.SubmissionTypes = nil
	for _, f := range formats.ChildElements() {
		kind := map[string]string{
			"html": coursework.SubmitText, "text": coursework.SubmitText, "url": coursework.SubmitLink, "file": coursework.SubmitFile,
		}[f.SelectAttrValue("type", "")]
		if kind != "" && !slices.Contains(d.SubmissionTypes, kind) {
			d.SubmissionTypes = append(d.SubmissionTypes, kind)
		}
	}
	return d
}

// openAssessment reads what can be read of an open response assessment of OLX.
func openAssessment(root *etree.Element, d coursework.Document) coursework.Document {
	if t := child(root, "title"); t != nil && strings.TrimSpace(t.Text()) != "" {
		d.Title = strings.TrimSpace(t.Text())
	}
	var prompts []string
	for _, p := range root.FindElements(".//prompt") {
		text := p.Text()
		if in := child(p, "description"); in != nil {
			text = in.Text()
		}
		if text = strings.TrimSpace(text); text != "" {
			prompts = append(prompts, text)
		}
	}
	d.Description = strings.Join(prompts, "\n")
	if at, err := time.Parse(time.RFC3339, root.SelectAttrValue("submission_due", "")); err == nil {
		d.DueAt = &at
	}
	d.SubmissionTypes = []string{coursework.SubmitText}
	if root.SelectAttrValue("file_upload_type", "") != "" {
		d.SubmissionTypes = append(d.SubmissionTypes, coursework.SubmitFile)
	}
	return d
}

// WriteAssignment writes an assignment for a package of a format.
func WriteAssignment(d coursework.Document, format string) (raw []byte, main string, err error) {
	own, err := json.Marshal(d)
	if err != nil {
		return nil, "", fmt.Errorf("assignment document: %w", err)
	}
	main = cartridgeName
	root := etree.NewElement("assignment")
	if format == internalapi.PartOLX {
		main, root = olxName, etree.NewElement("openassessment")
		writeOpenAssessment(root, d)
	} else {
		writeTask(root, d)
	}
	doc := etree.NewDocument()
	doc.SetRoot(root)
	foreign, err := doc.WriteToBytes()
	if err != nil {
		return nil, "", fmt.Errorf("assignment document: %w", err)
	}
	raw, err = archive.Pack(map[string][]byte{ownName: own, main: foreign}, internalapi.MaxPartPackage)
	return raw, main, err
}

func writeTask(root *etree.Element, d coursework.Document) {
	root.CreateAttr("xmlns", spaceTask)
	root.CreateAttr("identifier", "assignment")
	root.CreateElement("title").SetText(d.Title)
	text := root.CreateElement("text")
	text.CreateAttr("texttype", "text/html")
	text.SetText(d.Description)
	g := root.CreateElement("gradable")
	g.CreateAttr("points_possible", d.Points.String())
	g.SetText(strconv.FormatBool(d.GradingType != coursework.GradeNotGraded))
	formats := root.CreateElement("submission_formats")
	for _, kind := range d.SubmissionTypes {
		name := map[string]string{coursework.SubmitText: "html", coursework.SubmitLink: "url", coursework.SubmitFile: "file"}[kind]
		formats.CreateElement("format").CreateAttr("type", name)
	}
}

func writeOpenAssessment(root *etree.Element, d coursework.Document) {
	if d.DueAt != nil {
		root.CreateAttr("submission_due", d.DueAt.UTC().Format(time.RFC3339))
	}
	if slices.Contains(d.SubmissionTypes, coursework.SubmitFile) {
		root.CreateAttr("file_upload_type", "pdf-and-image")
	}
	root.CreateElement("title").SetText(d.Title)
	root.CreateElement("prompts").CreateElement("prompt").CreateElement("description").SetText(d.Description)
}

// WriteGradebook writes how a course counts.
func WriteGradebook(d coursework.GradebookDocument) (raw []byte, main string, err error) {
	own, err := json.Marshal(d)
	if err != nil {
		return nil, "", fmt.Errorf("gradebook document: %w", err)
	}
	raw, err = archive.Pack(map[string][]byte{gradebookName: own}, internalapi.MaxPartPackage)
	return raw, gradebookName, err
}
