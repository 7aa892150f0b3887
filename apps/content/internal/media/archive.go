package media

import (
	"archive/zip"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of an archive that is safe to hand out: what opens it elsewhere is not
// surprised by its size.
const (
	MaxEntries      = 20_000
	MaxUnpacked     = 4 << 30
	maxRatio        = 200 // of one entry above maxSmallEntry
	maxSmallEntry   = 10 << 20
	maxDirectory    = 16 << 20 // bytes of the list of entries
	maxTextEntry    = 16 << 20 // of one entry that is read for its text
	maxTextUnpacked = 32 << 20
)

// ErrUnsafe says that an archive would become too much when it is opened.
var ErrUnsafe = errors.New("media: the archive would become too large, or its list of entries is broken")

// Archive is what the list of entries of a ZIP says.
type Archive struct {
	Entries  int
	Unpacked uint64
	// MediaType is the kind of document that the entries make, or application/zip.
	MediaType string

	reader *zip.Reader
}

// OpenArchive reads the list of entries of a ZIP, and nothing of the entries. An
// archive that is not safe, or no archive, is ErrUnsafe.
func OpenArchive(r io.ReaderAt, size int64) (*Archive, error) {
	b := bound(r, size)
	b.bytes = maxDirectory
	z, err := zip.NewReader(b, size)
	if err != nil || len(z.File) > MaxEntries {
		return nil, ErrUnsafe
	}
	b.bytes, b.reads = maxRead, maxReads
	a := &Archive{Entries: len(z.File), reader: z}
	names, packed := map[string]bool{}, uint64(0)
	for _, f := range z.File {
		a.Unpacked += f.UncompressedSize64
		packed += f.CompressedSize64 // more than the file: entries that share their bytes
		if f.UncompressedSize64 > maxSmallEntry && f.UncompressedSize64/maxRatio > f.CompressedSize64 ||
			f.UncompressedSize64 > MaxUnpacked || a.Unpacked > MaxUnpacked || packed > uint64(size) {
			return nil, ErrUnsafe
		}
		names[f.Name] = true
	}
	a.MediaType = a.kind(names)
	return a, nil
}

const office = "application/vnd.openxmlformats-officedocument."

// kind tells office documents from other archives by the entries they must have.
func (a *Archive) kind(names map[string]bool) string {
	switch {
	case !names["[Content_Types].xml"] && !names["mimetype"]:
	case names["word/document.xml"]:
		return office + "wordprocessingml.document"
	case names["ppt/presentation.xml"]:
		return office + "presentationml.presentation"
	case names["xl/workbook.xml"]:
		return office + "spreadsheetml.sheet"
	case names["mimetype"]:
		declared, err := a.entry("mimetype", 100)
		kind := strings.TrimSpace(string(declared))
		if err == nil && (strings.HasPrefix(kind, "application/vnd.oasis.opendocument.") || kind == "application/epub+zip") {
			return kind
		}
	}
	return "application/zip"
}

func (a *Archive) entry(name string, most int64) ([]byte, error) {
	f, err := a.reader.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	return data, errors.Join(err, f.Close())
}

// MaxText is how much text of a file is kept for a search, in bytes.
const MaxText = 1 << 20

// Text is what a search should find of a file: of plain text all of it, of office
// documents their words. Bounded like everything here; "" where there is none.
func Text(r io.ReaderAt, size int64, mediaType string) string {
	switch {
	case strings.HasPrefix(mediaType, "text/") && mediaType != "text/rtf":
		return plain(io.NewSectionReader(bound(r, size), 0, min(size, MaxText)))
	case strings.HasPrefix(mediaType, office), strings.HasPrefix(mediaType, "application/vnd.oasis.opendocument."):
		a, err := OpenArchive(r, size)
		if err != nil {
			return ""
		}
		return a.words()
	}
	return ""
}

func plain(r io.Reader) string {
	raw, err := io.ReadAll(r)
	if err != nil {
		return ""
	}
	return clip(strings.ReplaceAll(strings.ToValidUTF8(string(raw), ""), "\x00", ""))
}

func clip(s string) string {
	if len(s) <= MaxText {
		return s
	}
	s = s[:MaxText]
	for !utf8.ValidString(s) && s != "" {
		s = s[:len(s)-1]
	}
	return s
}

// words are the texts of the parts of an office document that hold them.
func (a *Archive) words() string {
	var out strings.Builder
	left := int64(maxTextUnpacked)
	for _, f := range a.reader.File {
		if !holdsWords(f.Name) || out.Len() >= MaxText || left <= 0 {
			continue
		}
		in, err := f.Open()
		if err != nil {
			continue // one broken part does not hide the others
		}
		limited := &io.LimitedReader{R: in, N: min(maxTextEntry, left)}
		from := limited.N
		collect(&out, limited)
		left -= from - limited.N
		_ = in.Close() // it was only read
	}
	return clip(strings.ReplaceAll(strings.TrimSpace(out.String()), "\x00", ""))
}

func holdsWords(name string) bool {
	return name == "word/document.xml" || name == "content.xml" || name == "xl/sharedStrings.xml" ||
		strings.HasPrefix(name, "ppt/slides/slide") && strings.HasSuffix(name, ".xml")
}

// collect takes the character data of an XML document; the end of a paragraph ends
// a line. It takes what comes before an error.
func collect(out *strings.Builder, r io.Reader) {
	d := xml.NewDecoder(r)
	d.Strict = false
	for out.Len() < MaxText {
		t, err := d.RawToken()
		if err != nil {
			return
		}
		switch t := t.(type) {
		case xml.CharData:
			out.Write(t)
		case xml.EndElement:
			switch t.Name.Local {
			case "p", "h", "si", "tab":
				out.WriteByte('\n')
			}
		}
	}
}
