package web

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"lms/shared/apperr"
)

// maxDepth is how deep a JSON body may nest.
const maxDepth = 64

// CheckJSON refuses what encoding/json lets pass but two readers may read
// differently: invalid UTF-8, lone surrogates, data behind the value, an
// object with the same key twice, nesting deeper than 64, and the character
// U+0000, which PostgreSQL cannot keep. The errors are 400 with a code each.
func CheckJSON(body []byte) error {
	if !utf8.Valid(body) {
		return apperr.Malformed("invalid_utf8", "The body is not valid UTF-8.")
	}
	if !json.Valid(body) {
		return syntaxError(body)
	}
	s := scanner{b: body}
	return s.run()
}

func syntaxError(body []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	msg := "The body is not valid JSON."
	if se, ok := err.(*json.SyntaxError); ok { //nolint:errorlint // Unmarshal returns it bare
		msg = "The body is not valid JSON: see the byte at offset " + strconv.FormatInt(se.Offset, 10) + "."
	}
	return apperr.Malformed("invalid_json", msg).With(err)
}

// scanner walks a body that is known to be valid JSON, so that it needs to
// look at the structure only.
type scanner struct {
	b     []byte
	i     int
	stack []frame
}

// frame is an open object or array; keys is nil for an array.
type frame struct {
	keys   map[string]struct{}
	object bool
	isKey  bool // the next string is a key
}

func (s *scanner) run() error {
	for s.i < len(s.b) {
		var err error
		switch s.b[s.i] {
		case '{':
			err = s.open(true)
		case '[':
			err = s.open(false)
		case '}', ']':
			s.stack = s.stack[:len(s.stack)-1]
			s.i++
		case ',':
			if top := s.top(); top.object {
				top.isKey = true
			}
			s.i++
		case '"':
			err = s.str()
		default:
			s.i++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) top() *frame { return &s.stack[len(s.stack)-1] }

func (s *scanner) open(object bool) error {
	if len(s.stack) == maxDepth {
		return apperr.Malformed("too_deep", "The body nests deeper than "+strconv.Itoa(maxDepth)+" levels.")
	}
	s.stack = append(s.stack, frame{object: object, isKey: object})
	s.i++
	return nil
}

// str reads one string, from its opening quote to behind its closing one.
func (s *scanner) str() error {
	start := s.i + 1
	escaped := false
	for s.i++; s.b[s.i] != '"'; s.i++ {
		if s.b[s.i] != '\\' {
			continue
		}
		escaped = true
		s.i++
		if s.b[s.i] == 'u' {
			if err := s.unicodeEscape(); err != nil {
				return err
			}
		}
	}
	raw := s.b[start:s.i]
	s.i++
	if len(s.stack) == 0 {
		return nil
	}
	top := s.top()
	if !top.isKey {
		return nil
	}
	top.isKey = false
	return top.add(raw, escaped)
}

// unicodeEscape stands at the u of \uXXXX and ends at its last digit.
func (s *scanner) unicodeEscape() error {
	r := s.hex(s.i + 1)
	s.i += 4
	switch {
	case r == 0:
		return apperr.Malformed("invalid_character", "The body has the character U+0000 in a string.")
	case !utf16.IsSurrogate(r):
		return nil
	case s.i+6 < len(s.b) && s.b[s.i+1] == '\\' && s.b[s.i+2] == 'u' && utf16.DecodeRune(r, s.hex(s.i+3)) != utf8.RuneError:
		s.i += 6
		return nil
	}
	return apperr.Malformed("invalid_character", "The body has half of a surrogate pair in a string.")
}

func (s *scanner) hex(at int) rune {
	v, err := strconv.ParseUint(string(s.b[at:at+4]), 16, 32)
	if err != nil {
		return 0
	}
	return rune(v)
}

func (f *frame) add(raw []byte, escaped bool) error {
	key := string(raw)
	if escaped {
		if err := json.Unmarshal([]byte(`"`+key+`"`), &key); err != nil {
			return apperr.Malformed("invalid_json", "The body is not valid JSON.").With(err)
		}
	}
	if f.keys == nil {
		f.keys = make(map[string]struct{}, 8)
	}
	if _, twice := f.keys[key]; twice {
		return apperr.Malformed("duplicate_key", "An object in the body has the same key twice.").Detail("key", key)
	}
	f.keys[key] = struct{}{}
	return nil
}
