package media

import (
	"bytes"
	"strconv"
)

// dictionary is the first << … >> of p with its brackets, and where it ends. Text
// in it is stepped over.
func dictionary(p []byte) (dict []byte, end int) {
	from := bytes.Index(p, []byte("<<"))
	if from < 0 || from > 256 {
		return nil, 0
	}
	depth := 0
	for i := from; i+1 < len(p); i++ {
		switch {
		case p[i] == '(':
			i = behindText(p, i)
		case p[i] == '<' && p[i+1] == '<':
			depth++
			i++
		case p[i] == '>' && p[i+1] == '>':
			depth--
			i++
			if depth == 0 {
				return p[from : i+1], i + 1
			}
		}
	}
	return nil, 0
}

// behindText is the last character of a ( … ) that begins at i.
func behindText(p []byte, i int) int {
	depth := 0
	for ; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}

// value is what stands behind a name at the top of a dictionary, up to the next
// name there.
func value(dict []byte, name string) []byte {
	if len(dict) < 4 {
		return nil
	}
	depth := 0
	for i := 0; i+1 < len(dict); i++ {
		switch {
		case dict[i] == '(':
			i = behindText(dict, i)
		case dict[i] == '<' && dict[i+1] == '<':
			depth++
			i++
		case dict[i] == '>' && dict[i+1] == '>':
			depth--
			i++
		case dict[i] == '/' && depth == 1:
			key := token(dict[i+1:])
			i += len(key)
			if string(key) == name {
				return content(dict[i+1:])
			}
			i += len(content(dict[i+1:]))
		}
	}
	return nil
}

// token is a name without its slash.
func token(p []byte) []byte {
	if end := bytes.IndexAny(p, "\x00\t\n\f\r ()<>[]{}/%"); end >= 0 {
		return p[:end]
	}
	return p
}

// content is one value: all up to the next name at its own level.
func content(p []byte) []byte {
	depth := 0
	seen := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '(':
			i = behindText(p, i)
			seen = true
		case c == '[', c == '<' && i+1 < len(p) && p[i+1] == '<':
			depth++
			seen = true
			if c == '<' {
				i++
			}
		case c == ']', c == '>' && i+1 < len(p) && p[i+1] == '>':
			if depth == 0 {
				return p[:i]
			}
			depth--
			if c == '>' {
				i++
			}
		case c == '/' && depth == 0:
			if seen {
				return p[:i]
			}
			i += len(token(p[i+1:]))
			seen = true
		case bytes.IndexByte([]byte("\x00\t\n\f\r "), c) < 0:
			seen = true
		}
	}
	return p
}

// integers are the numbers of a list such as [1 2 1].
func integers(p []byte) (out []int64) {
	for _, word := range bytes.FieldsFunc(p, func(r rune) bool { return r <= ' ' || r == '[' || r == ']' }) {
		n, err := strconv.ParseInt(string(word), 10, 64)
		if err != nil || len(out) > 1<<20 {
			return out
		}
		out = append(out, n)
	}
	return out
}

func integer(p []byte) (int64, bool) {
	p = bytes.TrimLeft(p, "\x00\t\n\f\r ")
	end := 0
	for end < len(p) && p[end] >= '0' && p[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(p[:end]), 10, 64)
	return n, err == nil
}

// number10 is an integer value of a dictionary; a reference is none.
func number10(dict []byte, name string) (int64, bool) {
	n := integers(value(dict, name))
	if len(n) != 1 {
		return 0, false
	}
	return n[0], true
}

// reference is the object that "12 0 R" names.
func reference(dict []byte, name string) (int64, bool) {
	v := value(dict, name)
	n := integers(v)
	if len(n) != 2 || !bytes.Contains(v, []byte("R")) || n[0] <= 0 {
		return 0, false
	}
	return n[0], true
}
