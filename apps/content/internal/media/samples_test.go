package media

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/go-pdf/fpdf"
	"github.com/stretchr/testify/require"
)

// Samples are made here, byte by byte where no library writes them.

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func mp4Box(kind string, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	return append(append(u32(uint32(8+len(body))), kind...), body...)
}

// mp4File is a movie with a picture and a sound track, its moov behind the data.
func mp4File(scale, ticks uint32, width, height uint16) []byte {
	mvhd := append(make([]byte, 12), append(append(u32(scale), u32(ticks)...), make([]byte, 80)...)...)
	tkhd := func(w, h uint16) []byte {
		return append(make([]byte, 76), append(u32(uint32(w)<<16), u32(uint32(h)<<16)...)...)
	}
	return bytes.Join([][]byte{
		mp4Box("ftyp", []byte("isom\x00\x00\x02\x00isomiso2mp41")),
		mp4Box("mdat", make([]byte, 5000)),
		mp4Box("moov", mp4Box("mvhd", mvhd), mp4Box("trak", mp4Box("tkhd", tkhd(0, 0))), mp4Box("trak", mp4Box("tkhd", tkhd(width, height)))),
	}, nil)
}

// mp4Fragmented says its length in mehd, with 64 bits.
func mp4Fragmented(scale uint32, ticks uint64) []byte {
	mvhd := append(make([]byte, 12), append(append(u32(scale), u32(0)...), make([]byte, 80)...)...)
	mehd := append([]byte{1, 0, 0, 0}, binary.BigEndian.AppendUint64(nil, ticks)...)
	return append(mp4Box("ftyp", []byte("iso5\x00\x00\x02\x00")), mp4Box("moov", mp4Box("mvhd", mvhd), mp4Box("mvex", mp4Box("mehd", mehd)))...)
}

func ebml(id uint32, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	out := bytes.TrimLeft(u32(id), "\x00")
	size := binary.BigEndian.AppendUint64(nil, uint64(len(body)))
	size[0] = 0x01
	return append(append(out, size...), body...)
}

// webmFile is as a browser records it: the size of its segment is not known.
func webmFile(ms float64, width, height uint16) []byte {
	length := binary.BigEndian.AppendUint64(nil, math.Float64bits(ms))
	video := ebml(mkvVideo, ebml(mkvWidth, binary.BigEndian.AppendUint16(nil, width)), ebml(mkvHeight, binary.BigEndian.AppendUint16(nil, height)))
	segment := bytes.Join([][]byte{
		ebml(mkvInfo, ebml(mkvScale, []byte{0x0f, 0x42, 0x40}), ebml(mkvDuration, length)),
		ebml(mkvTracks, ebml(mkvTrack, ebml(0x83, []byte{1}), video)),
		ebml(mkvCluster, make([]byte, 300)),
	}, nil)
	head := ebml(ebmlHeader, ebml(0x4282, []byte("webm")))
	return bytes.Join([][]byte{head, u32(mkvSegment), {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, segment}, nil)
}

// mp3File is frames of 128 kbit/s at 44.1 kHz behind a tag; with xing the first one
// says how many there are.
func mp3File(frames int, xing bool) []byte {
	out := append([]byte("ID3\x04\x00\x00\x00\x00\x01\x00"), make([]byte, 128)...)
	for i := range frames {
		frame := make([]byte, 417)
		copy(frame, []byte{0xff, 0xfb, 0x90, 0x00})
		if xing && i == 0 {
			copy(frame[36:], "Xing\x00\x00\x00\x01")
			binary.BigEndian.PutUint32(frame[44:], uint32(frames))
		}
		out = append(out, frame...)
	}
	return out
}

func wavFile(rate uint32, bytesOfData int) []byte {
	le := binary.LittleEndian
	out := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	out = le.AppendUint32(out, 16)
	out = append(out, 1, 0, 1, 0)
	out = le.AppendUint32(out, 8000)
	out = le.AppendUint32(out, rate)
	out = append(out, 2, 0, 16, 0)
	out = append(out, "LIST\x03\x00\x00\x00abc\x00data"...)
	out = le.AppendUint32(out, uint32(bytesOfData))
	return append(out, make([]byte, bytesOfData)...)
}

func flacFile(rate, samples uint64) []byte {
	out := append([]byte("fLaC\x80\x00\x00\x22"), make([]byte, 10)...)
	out = binary.BigEndian.AppendUint64(out, rate<<44|samples)
	return append(out, make([]byte, 16)...)
}

func oggFile(packet string, granule uint64) []byte {
	page := func(granule uint64, body string) []byte {
		p := []byte("OggS\x00\x02")
		p = binary.LittleEndian.AppendUint64(p, granule)
		p = append(p, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, byte(len(body)))
		return append(p, body...)
	}
	return append(page(0, packet), page(granule, "sound")...)
}

func picture(t testing.TB, kind string) []byte {
	t.Helper()
	var b bytes.Buffer
	img := image.NewPaletted(image.Rect(0, 0, 64, 48), nil)
	img.Palette = append(img.Palette, image.Black, image.White)
	var err error
	switch kind {
	case "png":
		err = png.Encode(&b, img)
	case "jpeg":
		err = jpeg.Encode(&b, img, nil)
	case "gif":
		err = gif.Encode(&b, img, nil)
	case "webp": // the extended header of a 64 × 48 picture
		b.WriteString("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x3f\x00\x00\x2f\x00\x00")
	}
	require.NoError(t, err)
	return b.Bytes()
}

// pdfTable is a PDF with a cross-reference table, as most programs write it.
func pdfTable(t testing.TB, pages int) []byte {
	t.Helper()
	doc := fpdf.New("P", "mm", "A4", "")
	for i := range pages {
		doc.AddPage()
		doc.SetFont("Helvetica", "", 12)
		doc.Cell(40, 10, fmt.Sprintf("Page %d (of >> many << pages)", i+1))
	}
	var b bytes.Buffer
	require.NoError(t, doc.Output(&b))
	return b.Bytes()
}

func deflate(p []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(p) // to memory
	_ = z.Close()
	return b.Bytes()
}

// pdfStreams is a PDF 1.5: catalog and page tree in an object stream, found by a
// cross-reference stream with a PNG predictor.
func pdfStreams(pages int) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.5\n")
	catalog := "<< /Type /Catalog /Lang (en /Pages 9 0 R) /Pages 2 0 R >>"
	tree := fmt.Sprintf("<< /Type /Pages /Kids [4 0 R] /Count %d /MediaBox [0 0 600 800] >>", pages)
	index := fmt.Sprintf("1 0 2 %d ", len(catalog)+1)
	objects := deflate([]byte(index + catalog + " " + tree))
	holder := b.Len()
	fmt.Fprintf(&b, "3 0 obj\n<< /Type /ObjStm /N 2 /First %d /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\n", len(index), len(objects), objects)
	start := b.Len()
	rows := [][]byte{{0, 0, 0, 0}, {2, 0, 3, 0}, {2, 0, 3, 1}, {1, byte(holder >> 8), byte(holder), 0}, {1, byte(start >> 8), byte(start), 0}}
	var filtered []byte
	above := make([]byte, 4)
	for _, row := range rows {
		filtered = append(filtered, 2)
		for i := range row {
			filtered = append(filtered, row[i]-above[i])
		}
		above = row
	}
	table := deflate(filtered)
	fmt.Fprintf(&b, "4 0 obj\n<< /Type /XRef /W [1 2 1] /Size 5 /Root 1 0 R /Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 4 >> /Length %d >>\nstream\r\n%s\nendstream\nendobj\n", len(table), table)
	fmt.Fprintf(&b, "startxref\n%d\n%%%%EOF\n", start)
	return b.Bytes()
}

func zipFile(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func docx(t testing.TB) []byte {
	return zipFile(t, map[string]string{
		"[Content_Types].xml": "<Types/>",
		"word/document.xml":   `<w:document><w:body><w:p><w:r><w:t>Cells &amp; genes</w:t></w:r></w:p><w:p><w:t>Second</w:t></w:p></w:body></w:document>`,
		"word/styles.xml":     "<w:styles>not this</w:styles>",
	})
}

// bomb is a ZIP of zeros.
func bomb(t testing.TB) []byte {
	t.Helper()
	return zipFile(t, map[string]string{"zeros": strings.Repeat("\x00", 30<<20)})
}
