package archive

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/beevik/etree"
)

// maxDepth bounds how deep the elements of a document may be nested.
const maxDepth = 100

// Errors of XML; all others say that the document is not well-formed.
var (
	ErrEntities = errors.New("xml: declares entities")
	ErrDepth    = errors.New("xml: nested too deep")
)

// XML reads a document of an archive, within a depth, and gives its root. One that
// declares entities is refused: no honest document needs them.
func XML(raw []byte) (*etree.Element, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) // a byte order mark
	if err := bounded(raw); err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	doc.ReadSettings.Entity = map[string]string{}
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, fmt.Errorf("xml: %w", err)
	}
	if doc.Root() == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return doc.Root(), nil
}

// bounded looks at a document without keeping it.
func bounded(raw []byte) error {
	depth := 0
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("xml: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return ErrDepth
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			if bytes.Contains(bytes.ToUpper(t), []byte("ENTITY")) {
				return ErrEntities
			}
		}
	}
}
