package media

import (
	"bytes"
	"compress/zlib"
	"io"
)

// The number of pages of a PDF, ISO 32000: the trailer names the catalog, the
// catalog the root of the page tree, and that has the count. Objects are found by
// the cross-reference tables or streams; nothing else of the file is read. In an
// encrypted file the streams cannot be read, and neither can the count where it
// stands in one.

const (
	pdfTail    = 2 << 10 // where startxref stands
	pdfObject  = 64 << 10
	pdfStream  = 16 << 20 // of one decoded stream
	pdfInflate = 48 << 20 // of all decoded streams of one look
	pdfChain   = 64       // previous versions of the table
	pdfFields  = 8        // of a row of a cross-reference stream, in bytes
)

type pdf struct {
	b       *bounded
	inflate int64 // what may still be decoded
}

func pdfPages(b *bounded) (*int, error) {
	p := &pdf{b: b, inflate: pdfInflate}
	from := max(0, b.size-pdfTail)
	tail, err := b.upTo(from, pdfTail)
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndex(tail, []byte("startxref"))
	if i < 0 {
		return nil, errUnknown
	}
	start, ok := integer(tail[i+len("startxref"):])
	if !ok {
		return nil, errUnknown
	}
	trailer, err := p.section(start)
	if err != nil {
		return nil, err
	}
	root, ok := reference(trailer.dict, "Root")
	if !ok {
		return nil, errUnknown
	}
	catalog, err := p.object(start, root)
	if err != nil {
		return nil, err
	}
	tree, ok := reference(catalog, "Pages")
	if !ok {
		return nil, errUnknown
	}
	pages, err := p.object(start, tree)
	if err != nil {
		return nil, err
	}
	n, ok := number10(pages, "Count")
	if !ok || n < 1 || n > 1_000_000 {
		return nil, errUnknown
	}
	count := int(n)
	return &count, nil
}

// xref is one section of the cross-reference: a table or a stream.
type xref struct {
	dict  []byte
	table int64 // where the rows of a table begin; 0 for a stream
	rows  []byte
	width [3]int
	index []int64 // first, count, first, count, …
}

func (p *pdf) section(at int64) (xref, error) {
	head, err := p.b.upTo(at, pdfObject)
	if err != nil {
		return xref{}, err
	}
	skipped := len(head) - len(bytes.TrimLeft(head, "\x00\t\n\f\r "))
	if bytes.HasPrefix(head[skipped:], []byte("xref")) {
		return p.tableAt(at + int64(skipped) + 4)
	}
	dict, from := dictionary(head)
	if dict == nil {
		return xref{}, errUnknown
	}
	rows, err := p.stream(dict, at+int64(from))
	if err != nil {
		return xref{}, err
	}
	x := xref{dict: dict, rows: rows}
	w := integers(value(dict, "W"))
	if len(w) != 3 {
		return xref{}, errUnknown
	}
	for i, n := range w {
		if n < 0 || n > pdfFields {
			return xref{}, errUnknown
		}
		x.width[i] = int(n)
	}
	if x.index = integers(value(dict, "Index")); len(x.index) == 0 {
		size, ok := number10(dict, "Size")
		if !ok {
			return xref{}, errUnknown
		}
		x.index = []int64{0, size}
	}
	return x, nil
}

// tableAt steps over the subsections of a table to its trailer.
func (p *pdf) tableAt(at int64) (xref, error) {
	x := xref{table: at}
	for range pdfChain * 16 {
		head, err := p.b.upTo(at, 64)
		if err != nil {
			return xref{}, err
		}
		trimmed := bytes.TrimLeft(head, "\x00\t\n\f\r ")
		at += int64(len(head) - len(trimmed))
		if bytes.HasPrefix(trimmed, []byte("trailer")) {
			head, err := p.b.upTo(at, pdfObject)
			if err != nil {
				return xref{}, err
			}
			if x.dict, _ = dictionary(head); x.dict == nil {
				return xref{}, errUnknown
			}
			return x, nil
		}
		_, count, line, ok := subsection(trimmed)
		if !ok {
			return xref{}, errUnknown
		}
		at += int64(line) + count*20
	}
	return xref{}, errUnknown
}

// subsection reads "first count" and gives the length of its line.
func subsection(p []byte) (first, count int64, line int, ok bool) {
	end := bytes.IndexAny(p, "\r\n")
	if end < 0 {
		return 0, 0, 0, false
	}
	n := integers(p[:end])
	if len(n) != 2 || n[0] < 0 || n[1] < 0 || n[1] > 1<<32 {
		return 0, 0, 0, false
	}
	rest := bytes.TrimLeft(p[end:], "\r\n ")
	return n[0], n[1], len(p) - len(rest), true
}

// place is where an object is: at an offset, or as the index-th of an object stream.
type place struct {
	offset int64
	stream int64
	index  int
}

// find looks for an object in the newest section first.
func (p *pdf) find(start, object int64) (place, error) {
	seen := map[int64]bool{}
	queue := []int64{start}
	for len(queue) > 0 && len(seen) < pdfChain {
		at := queue[0]
		queue = queue[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		x, err := p.section(at)
		if err != nil {
			return place{}, err
		}
		where, ok, err := p.lookUp(x, object)
		if err != nil || ok {
			return where, err
		}
		for _, name := range []string{"XRefStm", "Prev"} {
			if next, ok := number10(x.dict, name); ok {
				queue = append(queue, next)
			}
		}
	}
	return place{}, errUnknown
}

func (p *pdf) lookUp(x xref, object int64) (place, bool, error) {
	if x.table > 0 {
		return p.inTable(x.table, object)
	}
	row, width := int64(0), int64(x.width[0]+x.width[1]+x.width[2])
	if width == 0 {
		return place{}, false, errUnknown
	}
	for i := 0; i+1 < len(x.index); i += 2 {
		first, count := x.index[i], x.index[i+1]
		if object >= first && object-first < count {
			at := (row + object - first) * width
			if at < 0 || at+width > int64(len(x.rows)) {
				return place{}, false, errUnknown
			}
			return entry(x.rows[at:at+width], x.width)
		}
		row += count
	}
	return place{}, false, nil
}

func entry(row []byte, width [3]int) (place, bool, error) {
	field := func(n int) (v int64) {
		for _, c := range row[:n] {
			v = v<<8 | int64(c)
		}
		row = row[n:]
		return v
	}
	kind := int64(1)
	if width[0] > 0 {
		kind = field(width[0])
	}
	second, third := field(width[1]), field(width[2])
	switch {
	case second < 0 || third < 0:
		return place{}, false, errUnknown
	case kind == 1:
		return place{offset: second}, true, nil
	case kind == 2 && third < 1<<20:
		return place{stream: second, index: int(third)}, true, nil
	}
	return place{}, false, nil
}

func (p *pdf) inTable(at, object int64) (place, bool, error) {
	for range pdfChain * 16 {
		head, err := p.b.upTo(at, 64)
		if err != nil {
			return place{}, false, err
		}
		trimmed := bytes.TrimLeft(head, "\x00\t\n\f\r ")
		at += int64(len(head) - len(trimmed))
		first, count, line, ok := subsection(trimmed)
		if !ok {
			return place{}, false, nil // the trailer
		}
		at += int64(line)
		if object >= first && object-first < count {
			row, err := p.b.at(at+(object-first)*20, 18)
			if err != nil {
				return place{}, false, err
			}
			offset, ok := integer(row[:10])
			return place{offset: offset}, ok && row[17] == 'n', nil
		}
		at += count * 20
	}
	return place{}, false, errUnknown
}

// object reads a dictionary that is an object of its own or one of a stream.
func (p *pdf) object(start, object int64) ([]byte, error) {
	where, err := p.find(start, object)
	if err != nil {
		return nil, err
	}
	if where.stream == 0 {
		head, err := p.b.upTo(where.offset, pdfObject)
		if err != nil {
			return nil, err
		}
		dict, _ := dictionary(head)
		return dict, nil
	}
	holder, err := p.find(start, where.stream)
	if err != nil || holder.stream != 0 {
		return nil, errUnknown
	}
	head, err := p.b.upTo(holder.offset, pdfObject)
	if err != nil {
		return nil, err
	}
	dict, from := dictionary(head)
	if dict == nil {
		return nil, errUnknown
	}
	data, err := p.stream(dict, holder.offset+int64(from))
	if err != nil {
		return nil, err
	}
	first, ok := number10(dict, "First")
	if !ok || first < 0 || first > int64(len(data)) {
		return nil, errUnknown
	}
	offsets := integers(data[:first]) // number, offset, number, offset, …
	if i := 2*where.index + 1; i < len(offsets) && offsets[i] >= 0 && offsets[i] < int64(len(data))-first {
		inner, _ := dictionary(data[first+offsets[i]:])
		return inner, nil
	}
	return nil, errUnknown
}

// stream decodes the stream behind a dictionary; from is where the dictionary ends.
func (p *pdf) stream(dict []byte, from int64) ([]byte, error) {
	head, err := p.b.upTo(from, 64)
	if err != nil {
		return nil, err
	}
	i := bytes.Index(head, []byte("stream"))
	if i < 0 {
		return nil, errUnknown
	}
	from += int64(i + len("stream"))
	rest := head[i+len("stream"):]
	switch {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		from += 2
	case bytes.HasPrefix(rest, []byte("\n")):
		from++
	}
	limit := min(pdfStream, p.inflate)
	raw := io.NewSectionReader(p.b, from, p.b.size-from)
	filter := value(dict, "Filter")
	if len(filter) == 0 {
		n, ok := number10(dict, "Length")
		if !ok || n < 0 || n > limit {
			return nil, errUnknown
		}
		p.inflate -= n
		return p.b.at(from, int(n))
	}
	if !bytes.Contains(filter, []byte("FlateDecode")) || bytes.Count(filter, []byte("/")) > 1 {
		return nil, errUnknown
	}
	z, err := zlib.NewReader(raw)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(z, limit+1))
	p.inflate -= int64(len(data))
	if int64(len(data)) > limit {
		return nil, errBounds
	}
	if err != nil && len(data) == 0 {
		return nil, err
	}
	return unpredict(data, value(dict, "DecodeParms"))
}

// unpredict undoes the PNG filters that tables are compressed with.
func unpredict(data, parms []byte) ([]byte, error) {
	predictor, ok := number10(parms, "Predictor")
	if !ok || predictor < 10 {
		if ok && predictor != 1 {
			return nil, errUnknown
		}
		return data, nil
	}
	columns, ok := number10(parms, "Columns")
	if !ok {
		columns = 1
	}
	if columns < 1 || columns > 1024 {
		return nil, errUnknown
	}
	width := int(columns)
	out := make([]byte, 0, len(data))
	above := make([]byte, width)
	for len(data) > width {
		filter, row := data[0], data[1:width+1]
		data = data[width+1:]
		for i := range row {
			left, corner := byte(0), byte(0)
			if i > 0 {
				left, corner = row[i-1], above[i-1]
			}
			switch filter {
			case 0:
			case 1:
				row[i] += left
			case 2:
				row[i] += above[i]
			case 3:
				row[i] += byte((int(left) + int(above[i])) / 2)
			case 4:
				row[i] += paeth(left, above[i], corner)
			default:
				return nil, errUnknown
			}
		}
		out = append(out, row...)
		above = row
	}
	return out, nil
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
