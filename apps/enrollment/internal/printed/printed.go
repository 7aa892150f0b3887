// Package printed makes certificates to look at: a PDF with a QR code, and the
// public page that verifies one.
package printed

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"

	"github.com/go-pdf/fpdf"
	"github.com/skip2/go-qrcode"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/fonts"
)

//go:embed verify.html
var verifyHTML string

// Printer makes documents. It is safe for use by many at once.
type Printer struct {
	page *template.Template
	zone *time.Location
}

// New is a printer that writes dates as they are in UTC.
func New() (*Printer, error) {
	page, err := template.New("verify").Parse(verifyHTML)
	if err != nil {
		return nil, fmt.Errorf("page of a certificate: %w", err)
	}
	return &Printer{page: page, zone: time.UTC}, nil
}

const (
	width   = 297.0 // A4 across, in mm
	height  = 210.0
	margin  = 25.0
	qrSize  = 34.0
	qrPixel = 256
)

// PDF is the certificate on one page, with the address that verifies it as text
// and as a QR code.
func (p *Printer) PDF(c enrollment.Certificate, verifyURL string) ([]byte, error) {
	pdf := fpdf.New("L", "mm", "A4", "")
	if err := fonts.AddTo(pdf, titleOf(c), c.Name, c.CourseTitle, c.CourseCode, c.Signatory); err != nil {
		return nil, err
	}
	pdf.SetTitle(titleOf(c), true)
	pdf.SetCreationDate(c.IssuedAt)
	pdf.SetModificationDate(c.IssuedAt)
	pdf.SetCatalogSort(true) // the same certificate is the same file
	pdf.SetAutoPageBreak(false, 0)
	pdf.AddPage()
	pdf.SetLineWidth(0.8)
	pdf.Rect(10, 10, width-20, height-20, "D")

	line(pdf, 32, 26, "B", titleOf(c))
	line(pdf, 58, 14, "", "This certifies that")
	line(pdf, 74, 30, "B", c.Name)
	line(pdf, 96, 14, "", "has completed the course")
	line(pdf, 110, 22, "B", c.CourseTitle)
	line(pdf, 124, 12, "", c.CourseCode)
	detail := "Completed on " + p.date(c.CompletedAt)
	if c.Grade != nil {
		detail += ", with a grade of " + c.Grade.String() + " %"
	}
	line(pdf, 138, 12, "", detail)
	if c.ValidUntil != nil {
		line(pdf, 146, 12, "", "Valid until "+p.date(*c.ValidUntil))
	}
	if c.Signatory != "" {
		line(pdf, 160, 14, "", c.Signatory)
	}
	if err := qr(pdf, verifyURL); err != nil {
		return nil, err
	}
	pdf.SetFont(fonts.Family, "", 8)
	pdf.SetXY(margin, height-28)
	pdf.CellFormat(width-2*margin-qrSize, 5, "Issued on "+p.date(c.IssuedAt)+" · "+c.Code, "", 2, "L", false, 0, "")
	pdf.CellFormat(width-2*margin-qrSize, 5, verifyURL, "", 0, "L", false, 0, verifyURL)
	var out bytes.Buffer
	if err := pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.ID, err)
	}
	return out.Bytes(), nil
}

func qr(pdf *fpdf.Fpdf, url string) error {
	png, err := qrcode.Encode(url, qrcode.Medium, qrPixel)
	if err != nil {
		return fmt.Errorf("QR code: %w", err)
	}
	options := fpdf.ImageOptions{ImageType: "PNG"}
	pdf.RegisterImageOptionsReader("qr", options, bytes.NewReader(png))
	pdf.ImageOptions("qr", width-margin-qrSize, height-margin-qrSize+6, qrSize, qrSize, false, options, 0, url)
	return nil
}

func titleOf(c enrollment.Certificate) string {
	if c.Title != "" {
		return c.Title
	}
	return "Certificate of completion"
}

func (p *Printer) date(t time.Time) string { return t.In(p.zone).Format("2 January 2006") }

type verifyPage struct {
	Status, Title, Name, Course, Code, Completed, Issued, Until, Revoked, URL string
}

// HTML is the public page of a certificate; everything in it is escaped.
func (p *Printer) HTML(c enrollment.Certificate, status, verifyURL string) ([]byte, error) {
	v := verifyPage{
		Status: status, Title: titleOf(c), Name: c.Name, Course: c.CourseTitle, Code: c.Code,
		Completed: p.date(c.CompletedAt), Issued: p.date(c.IssuedAt), URL: verifyURL,
	}
	if c.ValidUntil != nil {
		v.Until = p.date(*c.ValidUntil)
	}
	if c.RevokedAt != nil {
		v.Revoked = p.date(*c.RevokedAt)
	}
	var out bytes.Buffer
	if err := p.page.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("page of certificate %s: %w", c.ID, err)
	}
	return out.Bytes(), nil
}
