package follow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Printer writes one log line at a time.
type Printer interface {
	Print(name string, line []byte) error
}

// Console is a Printer for a person: name, time, level, message, the rest.
type Console struct {
	w      io.Writer
	colour bool
	width  int
	hue    map[string]string
	mu     sync.Mutex
}

func palette() []string {
	return []string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}
}

// NewConsole prints the given names in a column; each has its colour.
func NewConsole(w io.Writer, names []string, colour bool) *Console {
	c := &Console{w: w, colour: colour, hue: map[string]string{}}
	colours := palette()
	for i, n := range names {
		c.width = max(c.width, len(n))
		c.hue[n] = colours[i%len(colours)]
	}
	return c
}

// Print implements Printer.
func (c *Console) Print(name string, line []byte) error {
	text := humanLine(line)
	prefix := fmt.Sprintf("%-*s |", c.width, name)
	if c.colour {
		prefix = "\x1b[" + c.hue[name] + "m" + prefix + "\x1b[0m"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintf(c.w, "%s %s\n", prefix, text)
	return err
}

// Raw is a Printer for a program: JSON lines as they are.
type Raw struct{ W io.Writer }

// Print implements Printer.
func (r Raw) Print(_ string, line []byte) error {
	_, err := r.W.Write(append(bytes.Clone(line), '\n'))
	return err
}

// humanLine turns a JSON log line into text. Anything else stays as it is, but
// for control characters, with which a log could write on the terminal.
func humanLine(line []byte) string {
	if !bytes.HasPrefix(line, []byte("{")) {
		return printable(string(line))
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	fields, err := orderedObject(dec)
	if err != nil {
		return printable(string(line))
	}
	var when, level, msg string
	var rest []string
	for _, f := range fields {
		switch f.key {
		case "time":
			when = clockTime(f.value)
		case "level":
			level = strings.ToUpper(f.value)
		case "msg", "message":
			msg = f.value
		case "service", "app_id", "instance", "scope", "type", "ver": // the column names it
		default:
			rest = append(rest, f.key+"="+quoteIfNeeded(f.value))
		}
	}
	return printable(strings.Join(append([]string{when, fmt.Sprintf("%-5s", level), msg}, rest...), " "))
}

type field struct{ key, value string }

// orderedObject reads one flat object in the order of its keys; nested values
// stay JSON.
func orderedObject(dec *json.Decoder) ([]field, error) {
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var fields []field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		value := string(raw)
		var s string
		if json.Unmarshal(raw, &s) == nil {
			value = s
		}
		fields = append(fields, field{fmt.Sprint(key), value})
	}
	return fields, nil
}

func clockTime(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.Local().Format("15:04:05.000")
}

func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"=") && !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return -1
	}, s)
}
