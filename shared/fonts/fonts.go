// Package fonts has the typefaces of printed documents (see NOTICE): DejaVu for Latin,
// Greek, Cyrillic, Hebrew, Arabic letters and more, and Droid Sans Fallback for Chinese
// and Japanese; what neither has (Korean, Thai, Devanagari) is shown as boxes.
package fonts

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
	Family    = "dejavu"
	EastAsian = "droid"
)

// isEastAsian says that a character is to be written with the East Asian font.
func isEastAsian(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo) ||
		r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef // punctuation, and full-width forms
}

// Run is a part of a text that one font writes.
type Run struct{ Font, Text string }

// Runs divides a text by font.
func Runs(text string) (out []Run) {
	for _, r := range text {
		f := Family
		if isEastAsian(r) {
			f = EastAsian
		}
		if n := len(out); n > 0 && out[n-1].Font == f {
			out[n-1].Text += string(r)
		} else {
			out = append(out, Run{f, string(r)})
		}
	}
	return out
}

// AddTo makes the fonts known to a document that the texts need, in the styles ""
// and "B". The East Asian one has one weight, which stands for both.
func AddTo(pdf *fpdf.Fpdf, texts ...string) error {
	pdf.AddUTF8FontFromBytes(Family, "", regular)
	pdf.AddUTF8FontFromBytes(Family, "B", bold)
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
	pdf.AddUTF8FontFromBytes(EastAsian, "", raw)
	pdf.AddUTF8FontFromBytes(EastAsian, "B", raw)
	return nil
}
