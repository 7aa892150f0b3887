// Package follow shows log files of many processes as one stream, a coloured
// name before each line.
package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Source is one log file. A file that is not there yet is waited for.
type Source struct {
	Name string
	File string
}

const (
	poll    = 100 * time.Millisecond
	maxLine = 64 << 10
	chunk   = 256 << 10 // read at most so much of one file before the next
)

// Follower reads sources. The zero value of Offsets starts each at its
// beginning.
type Follower struct {
	Sources []Source
	Out     Printer
	Offsets map[string]int64 // by file

	partial map[string][]byte
}

// FromEnd lets the follower begin behind what is there now.
func (f *Follower) FromEnd() {
	f.Offsets = map[string]int64{}
	for _, s := range f.Sources {
		if info, err := os.Stat(s.File); err == nil {
			f.Offsets[s.File] = info.Size()
		}
	}
}

// Run shows new lines until ctx ends, and then what came until then.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err := f.drain(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.drain()
		case <-tick.C:
		}
	}
}

func (f *Follower) drain() error {
	for {
		more := false
		for _, s := range f.Sources {
			again, err := f.read(s)
			if err != nil {
				return err
			}
			more = more || again
		}
		if !more {
			return nil
		}
	}
}

// read shows the next part of one file; true when there may be more.
func (f *Follower) read(s Source) (bool, error) {
	file, err := os.Open(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the log of %s: %w", s.Name, err)
	}
	defer func() { _ = file.Close() }() // read-only
	if f.Offsets == nil {
		f.Offsets = map[string]int64{}
	}
	if f.partial == nil {
		f.partial = map[string][]byte{}
	}
	offset := f.Offsets[s.File]
	if info, err := file.Stat(); err == nil && info.Size() < offset {
		offset = 0 // it was cut when it had grown too large
		f.partial[s.File] = nil
	}
	buf, err := io.ReadAll(io.NewSectionReader(file, offset, chunk))
	if err != nil {
		return false, fmt.Errorf("read the log of %s: %w", s.Name, err)
	}
	f.Offsets[s.File] = offset + int64(len(buf))
	return len(buf) == chunk, f.lines(s, buf)
}

func (f *Follower) lines(s Source, buf []byte) error {
	data := slices.Concat(f.partial[s.File], buf)
	for {
		line, rest, found := bytes.Cut(data, []byte("\n"))
		if !found {
			break
		}
		data = rest
		if err := f.Out.Print(s.Name, line); err != nil {
			return err
		}
	}
	if len(data) > maxLine {
		if err := f.Out.Print(s.Name, data); err != nil {
			return err
		}
		data = nil
	}
	f.partial[s.File] = bytes.Clone(data)
	return nil
}

// Tail shows the last n lines of each source.
func Tail(sources []Source, n int, out Printer) error {
	for _, s := range sources {
		lines, err := lastLines(s.File, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the log of %s: %w", s.Name, err)
		}
		for _, l := range lines {
			if err := out.Print(s.Name, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// LastLines are the last n lines of a file as text; what cannot be read is
// empty.
func LastLines(file string, n int) []string {
	lines, err := lastLines(file, n)
	if err != nil {
		return nil
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = string(l)
	}
	return out
}

func lastLines(file string, n int) ([][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read-only
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const window = 1 << 20
	start := max(0, info.Size()-window)
	raw, err := io.ReadAll(io.NewSectionReader(f, start, window))
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	if len(raw) == 0 || n < 1 {
		return nil, nil
	}
	lines := bytes.Split(raw, []byte("\n"))
	return lines[max(0, len(lines)-n):], nil
}
