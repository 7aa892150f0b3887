package media

import (
	"image"
	_ "image/gif"  // the formats that browsers show
	_ "image/jpeg" // likewise
	_ "image/png"  // likewise
	"io"

	_ "golang.org/x/image/webp" // likewise
)

// maxImageHeader is how far into a picture its dimensions may stand: behind the
// colour profile and the thumbnail of a photograph.
const maxImageHeader = 16 << 20

// imageSize reads the header only; no pixel is decoded.
func imageSize(b *bounded) (width, height *int, err error) {
	c, _, err := image.DecodeConfig(io.NewSectionReader(b, 0, min(b.size, maxImageHeader)))
	if err != nil {
		return nil, nil, err
	}
	if c.Width <= 0 || c.Height <= 0 {
		return nil, nil, errUnknown
	}
	return side(uint64(c.Width)), side(uint64(c.Height)), nil
}
