package web

import (
	"bytes"
	"encoding/json"
	"slices"
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
	keys  [][]byte // of all open objects, the innermost's last
}

// frame is an open object or array. Its keys are scanner.keys[first:]; many of
// them are also in a map, so that a large object costs no quadratic time.
type frame struct {
	first  int
	many   map[string]struct{}
	object bool
	isKey  bool // the next string is a key
}

// fewKeys is up to how many keys are compared one by one.
const fewKeys = 24

func (s *scanner) run() error {
	for s.i < len(s.b) {
		var err error
		switch s.b[s.i] {
		case '{':
			err = s.open(true)
		case '[':
			err = s.open(false)
		case '}', ']':
			s.keys = s.keys[:s.top().first]
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
	s.stack = append(s.stack, frame{first: len(s.keys), object: object, isKey: object})
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
	return s.addKey(top, raw, escaped)
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

// addKey notes a key of the innermost object, or refuses it as a duplicate.
func (s *scanner) addKey(f *frame, key []byte, escaped bool) error {
	if escaped {
		var plain string
		if err := json.Unmarshal(s.b[s.i-len(key)-2:s.i], &plain); err != nil {
			return apperr.Malformed("invalid_json", "The body is not valid JSON.").With(err)
		}
		key = []byte(plain)
	}
	own := s.keys[f.first:]
	twice := false
	if f.many != nil {
		_, twice = f.many[string(key)]
		f.many[string(key)] = struct{}{}
	} else {
		twice = slices.ContainsFunc(own, func(k []byte) bool { return bytes.Equal(k, key) })
		if len(own) == fewKeys {
			f.many = make(map[string]struct{}, 2*fewKeys)
			for _, k := range own {
				f.many[string(k)] = struct{}{}
			}
			f.many[string(key)] = struct{}{}
		}
	}
	if twice {
		return apperr.Malformed("duplicate_key", "An object in the body has the same key twice.").Detail("key", truncate(string(key), 64))
	}
	if f.many == nil {
		s.keys = append(s.keys, key)
	}
	return nil
}
