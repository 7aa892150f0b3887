package printed

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-pdf/fpdf"
)

//go:embed DejaVuSansCondensed.ttf
var regular []byte

//go:embed DejaVuSansCondensed-Bold.ttf
var bold []byte

// The East Asian font is kept compressed and opened for who needs it: few do,
// and it takes 4 MB.
//
//go:embed DroidSansFallbackFull.ttf.gz
var eastAsian []byte

// Names of the fonts in a document.
const (
	font          = "dejavu"
	fontEastAsian = "droid"
)

// isEastAsian says that a character is to be written with the East Asian font.
func isEastAsian(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo) ||
		r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef // punctuation, and full-width forms
}

// run is a part of a text that one font writes.
type run struct{ font, text string }

// runs divides a text by font.
func runs(text string) (out []run) {
	for _, r := range text {
		f := font
		if isEastAsian(r) {
			f = fontEastAsian
		}
		if n := len(out); n > 0 && out[n-1].font == f {
			out[n-1].text += string(r)
		} else {
			out = append(out, run{f, string(r)})
		}
	}
	return out
}

// addFonts makes the fonts known that the texts need. The East Asian one has one
// weight, which stands for both.
func addFonts(pdf *fpdf.Fpdf, texts ...string) error {
	pdf.AddUTF8FontFromBytes(font, "", regular)
	pdf.AddUTF8FontFromBytes(font, "B", bold)
	if !strings.ContainsFunc(strings.Join(texts, ""), isEastAsian) {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(eastAsian))
	if err != nil {
		return fmt.Errorf("font: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("font: %w", err)
	}
	pdf.AddUTF8FontFromBytes(fontEastAsian, "", raw)
	pdf.AddUTF8FontFromBytes(fontEastAsian, "B", raw)
	return nil
}

// line writes a text in the middle of the page, smaller if it is too long.
func line(pdf *fpdf.Fpdf, y, size float64, style, text string) {
	parts := runs(text)
	across := func() (w float64) {
		for _, p := range parts {
			pdf.SetFont(p.font, style, size)
			w += pdf.GetStringWidth(p.text)
		}
		return w
	}
	w := across()
	for w > width-2*margin && size > 8 {
		size--
		w = across()
	}
	pdf.SetXY((width-w)/2, y)
	for _, p := range parts {
		pdf.SetFont(p.font, style, size)
		pdf.CellFormat(pdf.GetStringWidth(p.text), 10, p.text, "", 0, "L", false, 0, "")
	}
}
