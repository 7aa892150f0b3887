// Package packages reads and writes quizzes and pages as course packages carry them:
// a zip with the documents of the package's format, and beside them the product's
// own, in which nothing is lost.
package packages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"path"
	"strconv"
	"strings"

	"lms/apps/content/internal/capa"
	"lms/apps/content/internal/qti"
	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/archive"
	"lms/shared/contracts/internalapi"
)

// ownName is the product's own document of a quiz; pageName that of a page.
const (
	ownName  = "quiz.json"
	pageName = "page.html"
)

// limits of a part's documents, however small they were packed.
func limits() archive.Limits {
	return archive.Limits{Entries: 2_000, Document: 8 << 20, Read: 32 << 20, Unpacked: 32 << 20, Ratio: 200}
}

func open(raw []byte) (*archive.Files, error) {
	return archive.Zip(bytes.NewReader(raw), int64(len(raw)), limits())
}

// Quiz reads a quiz of a package of a format.
func Quiz(format string, raw []byte, main, title string) (quiz.Document, []quiz.Left, error) {
	files, err := open(raw)
	if err != nil {
		return quiz.Document{}, nil, err
	}
	own, ok, err := files.Document(ownName)
	if err != nil {
		return quiz.Document{}, nil, err
	}
	if ok {
		var d quiz.Document
		if err := json.Unmarshal(own, &d); err != nil {
			return quiz.Document{}, nil, unreadable(ownName)
		}
		return d, nil, nil
	}
	if format == internalapi.PartOLX {
		return problems(files, title)
	}
	document, ok, err := files.Document(main)
	if err != nil {
		return quiz.Document{}, nil, err
	}
	if !ok {
		return quiz.Document{}, nil, unreadable(main)
	}
	return qti.ReadAssessment(document, title)
}

func problems(files *archive.Files, title string) (quiz.Document, []quiz.Left, error) {
	var list [][]byte
	for n := 1; ; n++ {
		raw, ok, err := files.Document("problem" + strconv.Itoa(n) + ".xml")
		if err != nil {
			return quiz.Document{}, nil, err
		}
		if !ok {
			break
		}
		list = append(list, raw)
	}
	if len(list) == 0 {
		return quiz.Document{}, nil, unreadable("problem1.xml")
	}
	d, left := capa.Read(list, title)
	return d, left, nil
}

func unreadable(name string) error {
	return apperr.Invalid(apperr.Field{Path: "package", Code: "unreadable", Message: path.Base(name) + " is not there, or cannot be read."})
}

// WriteQuiz writes a quiz for a package of a format.
func WriteQuiz(d quiz.Document, format string) (raw []byte, main string, left []quiz.Left, err error) {
	own, err := json.Marshal(d)
	if err != nil {
		return nil, "", nil, fmt.Errorf("quiz document: %w", err)
	}
	files := map[string][]byte{ownName: own}
	if format == internalapi.PartOLX {
		list, more, err := capa.Write(d)
		if err != nil {
			return nil, "", nil, err
		}
		left, main = more, ownName
		for n, p := range list {
			files["problem"+strconv.Itoa(n+1)+".xml"] = p
			main = "problem1.xml"
		}
	} else {
		main = "assessment.xml"
		if files[main], err = qti.WriteAssessment(d); err != nil {
			return nil, "", nil, err
		}
	}
	raw, err = archive.Pack(files, internalapi.MaxPartPackage)
	return raw, main, left, err
}

// Page reads the HTML of a page.
func Page(raw []byte, main string) (string, error) {
	files, err := open(raw)
	if err != nil {
		return "", err
	}
	text, ok, err := files.Document(main)
	if err == nil && !ok {
		err = unreadable(main)
	}
	return body(string(text)), err
}

// body is what stands between the body tags, or all where there are none.
func body(text string) string {
	if _, rest, ok := strings.Cut(text, "<body>"); ok {
		text = rest
	}
	if at := strings.LastIndex(text, "</body>"); at >= 0 {
		text = text[:at]
	}
	return text
}

// WritePage writes a page as an HTML document.
func WritePage(title, text string) (raw []byte, main string, err error) {
	document := "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>" + html.EscapeString(title) + "</title></head><body>" + text + "</body></html>\n"
	raw, err = archive.Pack(map[string][]byte{pageName: []byte(document)}, internalapi.MaxPartPackage)
	return raw, pageName, err
}
