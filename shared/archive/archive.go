// Package archive opens zip and tar.gz files that strangers sent, and reads the XML in
// them: every name, count, size, ratio and depth is bounded, nothing is written to a
// disk, and a link is never followed. It packs what is sent on in their place.
package archive

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"lms/shared/apperr"
)

// Limits of an archive. A document is a file that is read: XML, HTML, JSON.
type Limits struct {
	Entries  int   // files in the archive
	Document int64 // bytes of one document
	Read     int64 // bytes of all documents together
	Unpacked int64 // bytes of all files together
	Ratio    int64 // unpacked : packed, beyond the first 16 MiB
}

// Standard are the limits for course packages.
func Standard() Limits {
	return Limits{Entries: 20_000, Document: 16 << 20, Read: 256 << 20, Unpacked: 4 << 30, Ratio: 200}
}

// ratioFree is how much may be unpacked whatever the ratio.
const ratioFree = 16 << 20

// Files are the files of an archive by their clean names.
type Files struct {
	limits Limits
	names  []string
	zipped map[string]*zip.File
	kept   map[string][]byte
	read   int64
}

func bad(code, message string) error {
	return apperr.Invalid(apperr.Field{Path: "upload_id", Code: code, Message: message})
}

// clean is the name of an entry as it is used here; false for one that leads out
// of the archive or cannot be told apart by every system.
func clean(name string) (string, bool) {
	if name == "" || len(name) > 1_000 || strings.ContainsAny(name, "\\\x00:") || strings.HasPrefix(name, "/") {
		return "", false
	}
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", false
		}
	}
	c := path.Clean(name)
	return c, c != "."
}

// Zip opens a zip file.
func Zip(r io.ReaderAt, size int64, l Limits) (*Files, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, bad("not_a_zip", "The file is not a zip archive.")
	}
	if len(z.File) > l.Entries {
		return nil, bad("too_many_files", fmt.Sprintf("At most %d files.", l.Entries))
	}
	f := &Files{limits: l, zipped: make(map[string]*zip.File, len(z.File))}
	var total uint64
	for _, entry := range z.File {
		if entry.FileInfo().IsDir() {
			continue
		}
		name, ok := clean(entry.Name)
		if !ok || !entry.Mode().IsRegular() {
			return nil, bad("bad_name", "A file of the archive leads out of it, or is a link.")
		}
		if _, twice := f.zipped[name]; twice {
			return nil, bad("bad_name", "A file is in the archive twice.")
		}
		total += entry.UncompressedSize64
		if total > uint64(l.Unpacked) || total > ratioFree && total/uint64(max(size, 1)) > uint64(l.Ratio) {
			return nil, bad("too_large", "The archive unpacks to more than is taken.")
		}
		f.zipped[name] = entry
		f.names = append(f.names, name)
	}
	return f, nil
}

// TarGzip reads a tar.gz file, keeping the documents.
func TarGzip(r io.Reader, l Limits, document func(name string) bool) (*Files, error) {
	packed := &counting{r: r}
	gz, err := gzip.NewReader(packed)
	if err != nil {
		return nil, bad("not_a_tar_gz", "The file is not a tar.gz archive.")
	}
	f := &Files{limits: l, kept: map[string][]byte{}}
	unpacked := &counting{r: gz, check: func(n int64) error {
		if n > l.Unpacked || n > ratioFree && n/max(packed.n, 1) > l.Ratio {
			return errTooLarge
		}
		return nil
	}}
	t := tar.NewReader(unpacked)
	for count := 0; ; count++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if errors.Is(err, errTooLarge) {
			return nil, bad("too_large", "The archive unpacks to more than is taken.")
		}
		if err != nil {
			return nil, bad("not_a_tar_gz", "The archive is damaged.")
		}
		if count > l.Entries {
			return nil, bad("too_many_files", fmt.Sprintf("At most %d files.", l.Entries))
		}
		if err := f.entry(t, h, document); err != nil {
			return nil, err
		}
	}
}

func (f *Files) entry(t *tar.Reader, h *tar.Header, document func(string) bool) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
	default:
		return bad("bad_name", "A file of the archive is a link or a device.")
	}
	name, ok := clean(h.Name)
	if !ok {
		return bad("bad_name", "A file of the archive leads out of it.")
	}
	f.names = append(f.names, name)
	if !document(name) {
		return nil
	}
	if _, twice := f.kept[name]; twice {
		return bad("bad_name", "A file is in the archive twice.")
	}
	raw, err := f.take(t)
	if errors.Is(err, errTooLarge) {
		return bad("too_large", "A document of the archive is larger than is taken: "+name)
	}
	if err != nil {
		return bad("not_a_tar_gz", "The archive is damaged.")
	}
	f.kept[name] = raw
	return nil
}

var errTooLarge = errors.New("archive: too large")

// take reads one document within what is left.
func (f *Files) take(r io.Reader) ([]byte, error) {
	most := min(f.limits.Document, f.limits.Read-f.read)
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, errTooLarge
	}
	f.read += int64(len(raw))
	return raw, nil
}

// Names are all files in the order of the archive.
func (f *Files) Names() []string { return f.names }

// Has says whether there is a file.
func (f *Files) Has(name string) bool {
	if _, ok := f.zipped[name]; ok {
		return true
	}
	_, ok := f.kept[name]
	return ok
}

// Document reads a document; false for one that is not there.
func (f *Files) Document(name string) ([]byte, bool, error) {
	if raw, ok := f.kept[name]; ok {
		return raw, true, nil
	}
	entry, ok := f.zipped[name]
	if !ok {
		return nil, false, nil
	}
	r, err := entry.Open()
	if err != nil {
		return nil, true, bad("damaged", "A file of the archive is damaged: "+name)
	}
	defer func() { _ = r.Close() }() // the checksum was compared at the end of the read
	raw, err := f.take(r)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, true, bad("too_large", "A document of the archive is larger than is taken: "+name)
	case err != nil:
		return nil, true, bad("damaged", "A file of the archive is damaged: "+name)
	}
	return raw, true, nil
}

// Each gives files of a zip one after the other, to be read as a stream: they are
// no documents, and bounded by Unpacked only. A name that is not there is passed
// over.
func (f *Files) Each(names []string, fn func(name string, r io.Reader) error) error {
	for _, name := range names {
		entry, ok := f.zipped[name]
		if !ok {
			continue
		}
		if err := each(entry, name, fn); err != nil {
			return err
		}
	}
	return nil
}

func each(entry *zip.File, name string, fn func(string, io.Reader) error) error {
	r, err := entry.Open()
	if err != nil {
		return bad("damaged", "A file of the archive is damaged: "+name)
	}
	defer func() { _ = r.Close() }() // the checksum was compared at the end of the read
	return fn(name, &declared{r: r, left: int64(entry.UncompressedSize64), name: name})
}

// declared reads what an entry says to hold, and not more: Zip counted by that.
type declared struct {
	r    io.Reader
	left int64
	name string
}

func (d *declared) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return 0, bad("too_large", "A file of the archive is larger than it says: "+d.name)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = bad("damaged", "A file of the archive is damaged: "+d.name)
	}
	return n, err
}

// EachTarGzip gives files of a tar.gz that was read by TarGzip before, as Each does
// those of a zip, in the order of the archive.
func EachTarGzip(r io.Reader, names []string, fn func(name string, r io.Reader) error) error {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return bad("not_a_tar_gz", "The file is not a tar.gz archive.")
	}
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	t := tar.NewReader(gz)
	for len(wanted) > 0 {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bad("not_a_tar_gz", "The archive is damaged.")
		}
		name, ok := clean(h.Name)
		if !ok || h.Typeflag != tar.TypeReg || !wanted[name] {
			continue
		}
		delete(wanted, name)
		if err := fn(name, t); err != nil {
			return err
		}
	}
	return nil
}

type counting struct {
	r     io.Reader
	n     int64
	check func(n int64) error
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.check != nil {
		if cerr := c.check(c.n); cerr != nil {
			return 0, cerr
		}
	}
	return n, err
}
