package objects

import (
	"context"
	"errors"
	"io"
	"os"

	"gocloud.dev/blob"
)

// Random reads an object here and there, for what only needs to look at its
// parts. It keeps a few blocks of it. It is for one goroutine.
type Random struct {
	size   int64
	file   *os.File // file:// only
	bucket *blob.Bucket
	key    string
	ctx    context.Context //nolint:containedctx // io.ReaderAt has none
	blocks [randomBlocks]block
	next   int
}

type block struct {
	at   int64
	data []byte
}

const (
	randomBlock  = 128 << 10
	randomBlocks = 8
)

var _ io.ReaderAt = (*Random)(nil)

// Random opens an object for reading here and there, until ctx ends. The caller
// closes it.
func (s *Store) Random(ctx context.Context, key string) (*Random, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	r := &Random{size: info.Size, bucket: s.bucket, key: key, ctx: ctx}
	if s.root != nil {
		if r.file, err = s.root.Open(key); err != nil {
			return nil, failure(err)
		}
	}
	return r, nil
}

// Size is the size of the object.
func (r *Random) Size() int64 { return r.size }

// Close ends it.
func (r *Random) Close() error {
	if r.file != nil {
		return r.file.Close()
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *Random) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.file != nil {
		return r.file.ReadAt(p, off)
	}
	if off < 0 {
		return 0, os.ErrInvalid
	}
	n := 0
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		data, err := r.block(off - off%randomBlock)
		if err != nil {
			return n, err
		}
		got := copy(p[n:], data[off%randomBlock:])
		n, off = n+got, off+int64(got)
	}
	return n, nil
}

func (r *Random) block(at int64) ([]byte, error) {
	for _, b := range r.blocks {
		if b.data != nil && b.at == at {
			return b.data, nil
		}
	}
	want := min(randomBlock, r.size-at)
	in, err := r.bucket.NewRangeReader(r.ctx, r.key, at, want, nil)
	if err != nil {
		return nil, failure(err)
	}
	data := make([]byte, want)
	_, err = io.ReadFull(in, data)
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, failure(err)
	}
	r.blocks[r.next] = block{at: at, data: data}
	r.next = (r.next + 1) % randomBlocks
	return data, nil
}
