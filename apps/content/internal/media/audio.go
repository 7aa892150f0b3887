package media

import "bytes"

// wavDuration reads RIFF: bytes of data by bytes per second.
func wavDuration(b *bounded) (*int64, error) {
	h, err := b.at(0, 12)
	if err != nil || string(h[:4]) != "RIFF" || string(h[8:]) != "WAVE" {
		return nil, errUnknown
	}
	var rate uint32
	for at, n := int64(12), 0; n < maxBoxes; n++ {
		h, err := b.at(at, 8)
		if err != nil {
			return nil, err
		}
		size := int64(le32(h[4:]))
		switch string(h[:4]) {
		case "fmt ":
			f, err := b.at(at+8, 12)
			if err != nil {
				return nil, err
			}
			rate = le32(f[8:])
		case "data":
			// A recorder that was cut off claims more than there is.
			return duration(float64(min(size, b.size-at-8)), float64(rate)), nil
		}
		at += 8 + size + size%2
	}
	return nil, errUnknown
}

// flacDuration reads STREAMINFO, RFC 9639.
func flacDuration(b *bounded) (*int64, error) {
	h, err := b.at(0, 8+34)
	if err != nil || string(h[:4]) != "fLaC" || h[4]&0x7f != 0 {
		return nil, errUnknown
	}
	v := be64(h[18:])
	return duration(float64(v&(1<<36-1)), float64(v>>44)), nil
}

// maxOggTail is how much of the end is searched for the last page.
const maxOggTail = 128 << 10

// oggDuration is the granule of the last page by the rate of the first stream,
// RFC 3533 with RFC 7845 (Opus counts at 48 kHz, and its start is skipped).
func oggDuration(b *bounded) (*int64, error) {
	head, err := b.upTo(0, 4096)
	if err != nil || len(head) < 28 || string(head[:4]) != "OggS" {
		return nil, errUnknown
	}
	serial := head[14:18]
	packet := head[min(27+int(head[26]), len(head)):]
	rate, skip := 0.0, 0.0
	switch {
	case bytes.HasPrefix(packet, []byte("OpusHead")) && len(packet) >= 12:
		rate, skip = 48_000, float64(le16(packet[10:]))
	case bytes.HasPrefix(packet, []byte("\x01vorbis")) && len(packet) >= 16:
		rate = float64(le32(packet[12:]))
	default:
		return nil, errUnknown
	}
	from := max(0, b.size-maxOggTail)
	tail, err := b.upTo(from, maxOggTail)
	if err != nil {
		return nil, err
	}
	for {
		at := bytes.LastIndex(tail, []byte("OggS"))
		if at < 0 {
			return nil, errUnknown
		}
		if page := tail[at:]; len(page) >= 18 && bytes.Equal(page[14:18], serial) {
			granule := uint64(le32(page[6:])) | uint64(le32(page[10:]))<<32
			if granule != ^uint64(0) {
				return duration(float64(granule)-skip, rate), nil
			}
		}
		tail = tail[:at]
	}
}
