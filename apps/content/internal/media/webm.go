package media

import (
	"math"
	"math/bits"
)

// Matroska and WebM, RFC 9559 on RFC 8794: elements in elements. Info and Tracks
// stand before the clusters in every file that can be streamed.

const (
	ebmlHeader   = 0x1A45DFA3
	mkvSegment   = 0x18538067
	mkvInfo      = 0x1549A966
	mkvScale     = 0x2AD7B1
	mkvDuration  = 0x4489
	mkvTracks    = 0x1654AE6B
	mkvTrack     = 0xAE
	mkvVideo     = 0xE0
	mkvWidth     = 0xB0
	mkvHeight    = 0xBA
	mkvCluster   = 0x1F43B675
	maxElements  = 4096
	defaultScale = 1_000_000 // nanoseconds per tick
)

type element struct {
	id       uint64
	from, to int64 // of its content
}

// elements visits the elements between two offsets until fn says that it is enough.
func elements(b *bounded, from, to int64, fn func(element) (more bool, err error)) error {
	for n := 0; from < to && n < maxElements; n++ {
		h, err := b.upTo(from, 12)
		if err != nil {
			return err
		}
		id, idLen := vint(h, 4, false)
		if idLen == 0 {
			return errUnknown
		}
		size, sizeLen := vint(h[idLen:], 8, true)
		if sizeLen == 0 {
			return errUnknown
		}
		e := element{id: id, from: from + int64(idLen+sizeLen)}
		e.to = to // a size of all ones is not known
		if size != 1<<(7*sizeLen)-1 {
			if size > uint64(to-e.from) && id != mkvSegment {
				return errUnknown
			}
			e.to = min(to, e.from+int64(min(size, math.MaxInt32<<20)))
		}
		more, err := fn(e)
		if err != nil || !more {
			return err
		}
		from = e.to
	}
	return nil
}

// vint reads a number of variable length; a size loses its marker.
func vint(p []byte, longest int, size bool) (v uint64, n int) {
	if len(p) == 0 || p[0] == 0 {
		return 0, 0
	}
	n = bits.LeadingZeros8(p[0]) + 1
	if n > longest || n > len(p) {
		return 0, 0
	}
	for _, c := range p[:n] {
		v = v<<8 | uint64(c)
	}
	if size {
		v &^= 1 << (7 * n)
	}
	return v, n
}

func webmFacts(b *bounded) (f Facts, err error) {
	err = elements(b, 0, b.size, func(e element) (bool, error) {
		if e.id != mkvSegment {
			return e.id == ebmlHeader, nil
		}
		return false, elements(b, e.from, e.to, func(e element) (bool, error) {
			switch e.id {
			case mkvInfo:
				f.DurationMS, err = mkvLength(b, e)
			case mkvTracks:
				f.Width, f.Height, err = mkvSize(b, e)
			case mkvCluster:
				return f.DurationMS == nil && f.Width == nil, nil
			}
			return true, err
		})
	})
	return f, err
}

func mkvLength(b *bounded, info element) (*int64, error) {
	scale, ticks := float64(defaultScale), 0.0
	err := elements(b, info.from, info.to, func(e element) (more bool, err error) {
		switch e.id {
		case mkvScale:
			var v uint64
			v, err = number(b, e)
			scale = float64(v)
		case mkvDuration:
			ticks, err = float(b, e)
		}
		return true, err
	})
	if err != nil || scale == 0 {
		return nil, err
	}
	return duration(ticks, 1e9/scale), nil
}

func mkvSize(b *bounded, tracks element) (width, height *int, err error) {
	err = elements(b, tracks.from, tracks.to, func(t element) (bool, error) {
		if t.id != mkvTrack {
			return true, nil
		}
		return width == nil, elements(b, t.from, t.to, func(v element) (bool, error) {
			if v.id != mkvVideo {
				return true, nil
			}
			return true, elements(b, v.from, v.to, func(e element) (bool, error) {
				n, err := uint64(0), error(nil)
				switch e.id {
				case mkvWidth:
					n, err = number(b, e)
					width = side(n)
				case mkvHeight:
					n, err = number(b, e)
					height = side(n)
				}
				return true, err
			})
		})
	})
	return width, height, err
}

func number(b *bounded, e element) (v uint64, err error) {
	if e.to-e.from > 8 || e.to == e.from {
		return 0, errUnknown
	}
	p, err := b.at(e.from, int(e.to-e.from))
	for _, c := range p {
		v = v<<8 | uint64(c)
	}
	return v, err
}

func float(b *bounded, e element) (float64, error) {
	v, err := number(b, e)
	switch {
	case err != nil:
		return 0, err
	case e.to-e.from == 4:
		return float64(math.Float32frombits(uint32(v))), nil
	case e.to-e.from == 8:
		return math.Float64frombits(v), nil
	}
	return 0, errUnknown
}
