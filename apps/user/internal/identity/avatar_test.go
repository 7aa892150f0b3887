package identity

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
)

func picture(w, h int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: 90, A: 255})
		}
	}
	return img
}

func TestPicturesAreMadeAnew(t *testing.T) {
	t.Parallel()
	var asPNG, asJPEG, asGIF bytes.Buffer
	require.NoError(t, png.Encode(&asPNG, picture(1600, 800)))
	require.NoError(t, jpeg.Encode(&asJPEG, picture(300, 900), nil))
	require.NoError(t, gif.Encode(&asGIF, picture(40, 20), nil))
	// An Exif segment with a place in it, as a phone writes it, behind the start of the file.
	exif := append([]byte{0xff, 0xe1, 0, 0}, []byte("Exif\x00\x00GPS 52.5N 13.4E")...)
	binary.BigEndian.PutUint16(exif[2:], uint16(len(exif)-2))
	photo := append(append(append([]byte{}, asJPEG.Bytes()[:2]...), exif...), asJPEG.Bytes()[2:]...)
	for name, c := range map[string]struct {
		in            []byte
		media         string
		width, height int
	}{
		"a large PNG":             {asPNG.Bytes(), "image/png", 512, 256},
		"a JPEG with its place":   {photo, "image/jpeg", 170, 512},
		"a small GIF stays small": {asGIF.Bytes(), "image/png", 40, 20},
	} {
		media, out, err := makeAvatar(c.in)
		require.NoError(t, err, name)
		require.Equal(t, c.media, media, name)
		cfg, _, err := image.DecodeConfig(bytes.NewReader(out))
		require.NoError(t, err, name)
		require.Equal(t, []int{c.width, c.height}, []int{cfg.Width, cfg.Height}, name)
		require.NotContains(t, string(out), "GPS", name)
		require.LessOrEqual(t, len(out), MaxAvatarUpload)
	}
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	t.Parallel()
	var small bytes.Buffer
	require.NoError(t, png.Encode(&small, picture(2, 2)))
	bomb := append([]byte{}, small.Bytes()...)
	binary.BigEndian.PutUint32(bomb[16:], 30000) // the header claims 30000 × 30000
	binary.BigEndian.PutUint32(bomb[20:], 30000)
	for name, c := range map[string]struct {
		in   []byte
		kind apperr.Kind
	}{
		"nothing":     {nil, apperr.KindUnsupportedMedia},
		"HTML":        {[]byte("<svg onload=alert(1)>"), apperr.KindUnsupportedMedia},
		"cut in half": {small.Bytes()[:40], apperr.KindUnsupportedMedia},
		"too large":   {make([]byte, MaxAvatarUpload+1), apperr.KindTooLarge},
	} {
		_, _, err := makeAvatar(c.in)
		require.True(t, apperr.IsKind(err, c.kind), "%s: %v", name, err)
	}
	_, _, err := makeAvatar(bomb)
	require.Error(t, err, "a bomb is never unpacked")
}
