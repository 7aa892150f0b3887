package media

// ISO base media (MP4, M4A, MOV), ISO/IEC 14496-12: boxes in boxes. Only moov and
// what is in it is looked at; media data is stepped over.

// maxBoxes bounds the boxes of one level: a recording has a handful, a fragmented
// one thousands, of which moov is among the first.
const maxBoxes = 4096

type box struct {
	kind     string
	from, to int64 // of its content
}

// boxes visits the boxes between two offsets until fn says that it is enough.
func boxes(b *bounded, from, to int64, fn func(box) (more bool, err error)) error {
	for n := 0; from+8 <= to && n < maxBoxes; n++ {
		h, err := b.at(from, 8)
		if err != nil {
			return err
		}
		size, head := int64(be32(h)), int64(8)
		switch size {
		case 0: // to the end
			size = to - from
		case 1:
			large, err := b.at(from+8, 8)
			if err != nil {
				return err
			}
			size, head = int64(be64(large)), 16
		}
		if size < head || size > to-from {
			return errUnknown
		}
		more, err := fn(box{kind: string(h[4:8]), from: from + head, to: from + size})
		if err != nil || !more {
			return err
		}
		from += size
	}
	return nil
}

func mp4Facts(b *bounded) (f Facts, err error) {
	err = boxes(b, 0, b.size, func(x box) (bool, error) {
		if x.kind != "moov" {
			return true, nil
		}
		f, err = movie(b, x)
		return false, err
	})
	return f, err
}

func movie(b *bounded, moov box) (f Facts, err error) {
	err = boxes(b, moov.from, moov.to, func(x box) (bool, error) {
		switch x.kind {
		case "mvhd":
			f.DurationMS, err = mediaHeader(b, x)
		case "mvex": // a fragmented movie says its length here
			err = boxes(b, x.from, x.to, func(y box) (bool, error) {
				if y.kind != "mehd" || f.DurationMS != nil {
					return true, nil
				}
				f.DurationMS, err = fragmentHeader(b, moov, y)
				return true, err
			})
		case "trak":
			if f.Width == nil {
				f.Width, f.Height, err = track(b, x)
			}
		}
		return true, err
	})
	return f, err
}

// mediaHeader is the duration of an mvhd.
func mediaHeader(b *bounded, x box) (*int64, error) {
	h, err := b.upTo(x.from, int(min(x.to-x.from, 32)))
	if err != nil || len(h) < 20 {
		return nil, err
	}
	if h[0] == 1 {
		if len(h) < 32 || be64(h[24:]) == ^uint64(0) {
			return nil, nil
		}
		return duration(float64(be64(h[24:])), float64(be32(h[20:]))), nil
	}
	if be32(h[16:]) == ^uint32(0) {
		return nil, nil
	}
	return duration(float64(be32(h[16:])), float64(be32(h[12:]))), nil
}

// fragmentHeader is the duration of an mehd, in the time scale of the movie.
func fragmentHeader(b *bounded, moov, x box) (*int64, error) {
	var scale float64
	err := boxes(b, moov.from, moov.to, func(y box) (bool, error) {
		if y.kind != "mvhd" {
			return true, nil
		}
		h, err := b.at(y.from, 24)
		if err == nil {
			scale = float64(be32(h[12:]))
			if h[0] == 1 {
				scale = float64(be32(h[20:]))
			}
		}
		return false, err
	})
	if err != nil {
		return nil, err
	}
	h, err := b.upTo(x.from, int(min(x.to-x.from, 12)))
	switch {
	case err != nil || len(h) < 8:
		return nil, err
	case h[0] == 1 && len(h) == 12:
		return duration(float64(be64(h[4:])), scale), nil
	}
	return duration(float64(be32(h[4:])), scale), nil
}

// track is the size of a picture track; sound has none.
func track(b *bounded, trak box) (width, height *int, err error) {
	err = boxes(b, trak.from, trak.to, func(x box) (bool, error) {
		if x.kind != "tkhd" || x.to-x.from < 8 {
			return true, nil
		}
		h, err := b.at(x.to-8, 8) // the last fields, 16.16
		if err == nil && be32(h) >= 1<<16 && be32(h[4:]) >= 1<<16 {
			width, height = side(uint64(be32(h)>>16)), side(uint64(be32(h[4:])>>16))
		}
		return false, err
	})
	return width, height, err
}
