// Package fonts has the typefaces of printed documents (see NOTICE): DejaVu for Latin,
// Greek, Cyrillic, Hebrew, Arabic letters and more, Droid Sans Fallback for Chinese and
// Japanese, NanumGothic for Korean; what none has (Thai, Devanagari) is shown as boxes.
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

// The East Asian fonts are kept compressed and opened for who needs them: few do,
// and they take 4 and 2 MB.
//
//go:embed DroidSansFallbackFull.ttf.gz
var eastAsian []byte

//go:embed NanumGothic-Regular.ttf.gz
var korean []byte

// Names of the fonts in a document.
const (
	Family    = "dejavu"
	EastAsian = "droid"
	Korean    = "nanum"
)

// packed is a font that is opened where a text needs it.
type packed struct {
	name string
	raw  []byte
}

func compressed() []packed { return []packed{{EastAsian, eastAsian}, {Korean, korean}} }

// fontOf is the font that a character is to be written with.
func fontOf(r rune) string {
	switch {
	case unicode.Is(unicode.Hangul, r):
		return Korean
	case isEastAsian(r):
		return EastAsian
	}
	return Family
}

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
		f := fontOf(r)
		if n := len(out); n > 0 && out[n-1].Font == f {
			out[n-1].Text += string(r)
		} else {
			out = append(out, Run{f, string(r)})
		}
	}
	return out
}

// AddTo makes the fonts known to a document that the texts need, in the styles ""
// and "B". The East Asian ones have one weight, which stands for both.
func AddTo(pdf *fpdf.Fpdf, texts ...string) error {
	pdf.AddUTF8FontFromBytes(Family, "", regular)
	pdf.AddUTF8FontFromBytes(Family, "B", bold)
	for _, p := range compressed() {
		if !strings.ContainsFunc(strings.Join(texts, ""), func(r rune) bool { return fontOf(r) == p.name }) {
			continue
		}
		raw, err := p.open()
		if err != nil {
			return err
		}
		pdf.AddUTF8FontFromBytes(p.name, "", raw)
		pdf.AddUTF8FontFromBytes(p.name, "B", raw)
	}
	return nil
}

func (p packed) open() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(p.raw))
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	return raw, nil
}
