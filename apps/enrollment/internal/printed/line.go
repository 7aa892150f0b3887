package printed

import (
	"github.com/go-pdf/fpdf"

	"lms/shared/fonts"
)

// line writes a text in the middle of the page, smaller if it is too long.
func line(pdf *fpdf.Fpdf, y, size float64, style, text string) {
	parts := fonts.Runs(text)
	across := func() (w float64) {
		for _, p := range parts {
			pdf.SetFont(p.Font, style, size)
			w += pdf.GetStringWidth(p.Text)
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
		pdf.SetFont(p.Font, style, size)
		pdf.CellFormat(pdf.GetStringWidth(p.Text), 10, p.Text, "", 0, "L", false, 0, "")
	}
}
