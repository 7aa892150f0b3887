package media

// mp3Frame is what the header of an MPEG audio frame says.
type mp3Frame struct {
	bitrate int // bits per second
	rate    int // samples per second
	samples int // of one frame
	size    int64
	mpeg1   bool
	mono    bool
}

// Bit rates in kbit/s of MPEG 1 layer III and of MPEG 2 and 2.5 layer III.
var (
	mp3Rates1 = [16]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0}
	mp3Rates2 = [16]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}
	mp3Hertz  = [3]int{44_100, 48_000, 32_000}
)

// parseMP3 reads a layer III header.
func parseMP3(h []byte) (f mp3Frame, ok bool) {
	if len(h) < 4 || h[0] != 0xff || h[1]&0xe0 != 0xe0 || h[1]>>1&3 != 1 || h[2]>>2&3 == 3 {
		return f, false
	}
	f.rate = mp3Hertz[h[2]>>2&3]
	f.mono = h[3]>>6 == 3
	switch h[1] >> 3 & 3 {
	case 3:
		f.mpeg1, f.samples, f.bitrate = true, 1152, mp3Rates1[h[2]>>4]*1000
	case 2:
		f.samples, f.bitrate, f.rate = 576, mp3Rates2[h[2]>>4]*1000, f.rate/2
	case 0:
		f.samples, f.bitrate, f.rate = 576, mp3Rates2[h[2]>>4]*1000, f.rate/4
	default:
		return f, false
	}
	if f.bitrate == 0 {
		return f, false
	}
	f.size = int64(f.samples/8*f.bitrate/f.rate) + int64(h[2]>>1&1)
	return f, true
}

// How far behind its tag the sound of an MP3 may begin, and how many frames are
// counted one by one where no header gives their number.
const (
	maxMP3Junk  = 64 << 10
	maxMP3Steps = 100_000
)

// mp3Duration takes the number of frames from a Xing, Info or VBRI header; else it
// steps from frame to frame, and of what it could not walk takes the rate so far.
func mp3Duration(b *bounded) (*int64, error) {
	start, err := behindID3(b)
	if err != nil {
		return nil, err
	}
	head, err := b.upTo(start, maxMP3Junk)
	if err != nil {
		return nil, err
	}
	at := 0
	f, ok := parseMP3(head)
	for ; !ok && at+4 < len(head); f, ok = parseMP3(head[at:]) {
		at++
	}
	if !ok {
		return nil, errUnknown
	}
	if frames := mp3Count(head[at:], f); frames > 0 {
		return duration(float64(frames)*float64(f.samples), float64(f.rate)), nil
	}
	return walkMP3(b, start+int64(at), f)
}

func behindID3(b *bounded) (int64, error) {
	h, err := b.at(0, 10)
	if err != nil {
		return 0, err
	}
	if string(h[:3]) != "ID3" {
		return 0, nil
	}
	size := int64(h[6]&0x7f)<<21 | int64(h[7]&0x7f)<<14 | int64(h[8]&0x7f)<<7 | int64(h[9]&0x7f)
	return 10 + size, nil
}

// mp3Count is the number of frames that an encoder noted in the first one.
func mp3Count(frame []byte, f mp3Frame) uint32 {
	side := 4 + 32
	switch {
	case f.mpeg1 && f.mono:
		side = 4 + 17
	case !f.mpeg1 && !f.mono:
		side = 4 + 17
	case !f.mpeg1:
		side = 4 + 9
	}
	if len(frame) >= side+12 {
		if tag := string(frame[side : side+4]); (tag == "Xing" || tag == "Info") && frame[side+7]&1 == 1 {
			return be32(frame[side+8:])
		}
	}
	if len(frame) >= 36+18 && string(frame[36:40]) == "VBRI" {
		return be32(frame[36+14:])
	}
	return 0
}

func walkMP3(b *bounded, at int64, f mp3Frame) (*int64, error) {
	from, samples, rate := at, 0.0, float64(f.rate)
	var window []byte
	var windowAt int64
	for n := 0; n < maxMP3Steps && at+4 <= b.size; n++ {
		if at < windowAt || at+4 > windowAt+int64(len(window)) {
			var err error
			if window, err = b.upTo(at, 256<<10); err != nil {
				break
			}
			windowAt = at
		}
		f, ok := parseMP3(window[at-windowAt:])
		if !ok {
			break
		}
		samples += float64(f.samples)
		at += f.size
	}
	if at == from {
		return nil, errUnknown
	}
	if at < b.size { // what is left is taken to be like what was walked, but for a tag at the end
		if rest := float64(b.size-at) / float64(at-from); rest > 0.01 {
			samples += samples * rest
		}
	}
	return duration(samples, rate), nil
}
