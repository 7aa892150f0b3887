// Package media reads what the bytes of a file tell: pages, dimensions, duration,
// text, and whether an archive is safe to open. Files are hostile: each look reads
// and keeps a bounded amount, whatever the file claims, and what cannot be told is
// left out.
//
// Libraries that do the same keep whole tables or streams of the file in memory, of
// sizes that the file chooses; so the few headers that matter are read here.
package media

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// Facts are what a file tells; nil where it does not.
type Facts struct {
	Pages      *int
	Width      *int
	Height     *int
	DurationMS *int64
}

// Bounds of one look at a file.
const (
	maxRead  = 64 << 20 // bytes read in all
	maxReads = 200_000
	// maxSide is the largest width or height that is believed.
	maxSide = 1 << 20
	// maxDuration is the longest duration that is believed: 30 days.
	maxDuration = 30 * 24 * 3600 * 1000
)

var (
	errBounds  = errors.New("media: more would have to be read than is allowed")
	errUnknown = errors.New("media: the file does not tell")
)

// bounded is a reader that gives up after so much.
type bounded struct {
	r     io.ReaderAt
	size  int64
	bytes int64
	reads int
}

func bound(r io.ReaderAt, size int64) *bounded {
	return &bounded{r: r, size: size, bytes: maxRead, reads: maxReads}
}

// ReadAt implements io.ReaderAt.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > b.size {
		return 0, io.EOF
	}
	b.reads--
	b.bytes -= int64(len(p))
	if b.reads < 0 || b.bytes < 0 {
		return 0, errBounds
	}
	return b.r.ReadAt(p, off)
}

// at reads exactly n bytes.
func (b *bounded) at(off int64, n int) ([]byte, error) {
	if off < 0 || off+int64(n) > b.size {
		return nil, io.ErrUnexpectedEOF
	}
	p := make([]byte, n)
	got, err := b.ReadAt(p, off)
	if got == n {
		return p, nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// upTo reads at most n bytes, fewer at the end.
func (b *bounded) upTo(off int64, n int) ([]byte, error) {
	if off < 0 || off >= b.size {
		return nil, io.EOF
	}
	return b.at(off, int(min(int64(n), b.size-off)))
}

// Probe looks at a file of a media type. What it cannot tell stays nil: a file that
// plays is not refused for a header that is unusual.
func Probe(r io.ReaderAt, size int64, mediaType string) Facts {
	b := bound(r, size)
	var f Facts
	var err error
	switch mediaType {
	case "application/pdf":
		f.Pages, err = pdfPages(b)
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		f.Width, f.Height, err = imageSize(b)
	case "video/mp4", "video/quicktime", "video/x-m4v", "audio/mp4", "audio/x-m4a":
		f, err = mp4Facts(b)
	case "video/webm", "video/x-matroska", "audio/webm":
		f, err = webmFacts(b)
	case "audio/mpeg":
		f.DurationMS, err = mp3Duration(b)
	case "audio/wav":
		f.DurationMS, err = wavDuration(b)
	case "audio/flac":
		f.DurationMS, err = flacDuration(b)
	case "audio/ogg", "video/ogg":
		f.DurationMS, err = oggDuration(b)
	}
	if err != nil {
		return Facts{}
	}
	if strings.HasPrefix(mediaType, "audio/") {
		f.Width, f.Height = nil, nil
	}
	return f
}

// duration is a number of ticks in milliseconds, if it can be believed.
func duration(ticks, perSecond float64) *int64 {
	if !(perSecond > 0) || !(ticks > 0) { // NaN is neither
		return nil
	}
	ms := ticks / perSecond * 1000
	if !(ms >= 1 && ms <= maxDuration) { // NaN is neither
		return nil
	}
	d := int64(ms + 0.5)
	return &d
}

// side is a width or a height, if it can be believed.
func side(n uint64) *int {
	if n == 0 || n > maxSide {
		return nil
	}
	v := int(n)
	return &v
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
