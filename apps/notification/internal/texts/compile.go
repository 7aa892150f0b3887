package texts

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"slices"
	texttemplate "text/template"
	"text/template/parse"

	"lms/apps/notification/internal/catalog"
)

// maxWritten bounds what a template may write.
const maxWritten = 128 << 10

var errWritten = errors.New("the text becomes longer than 128 KiB")

type executor interface {
	Execute(w io.Writer, data any) error
}

// compiled is one kind in one language and layer.
type compiled struct {
	source Source
	parts  map[Part]executor
}

// allowed are the functions that a template may use: nothing that could run long.
func allowed() []string {
	return []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "date", "time"}
}

func functions() map[string]any {
	return map[string]any{"date": dateOf, "time": timeOf}
}

// compile checks and compiles a source for a kind. The error names the part.
func compile(kind catalog.Kind, s Source) (*compiled, error) {
	out := &compiled{source: s, parts: map[Part]executor{}}
	for _, p := range Parts() {
		src, ok := s[p]
		if !ok || src == "" {
			continue
		}
		t, err := compilePart(kind, p, src)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", p, kind.Key, err)
		}
		out.parts[p] = t
	}
	return out, nil
}

func compilePart(kind catalog.Kind, p Part, src string) (executor, error) {
	limit := maxSource
	if p == Title || p == Subject {
		limit = maxLine
	}
	if len(src) > limit {
		return nil, fmt.Errorf("it is longer than %d bytes", limit)
	}
	t, err := texttemplate.New(string(p)).Funcs(functions()).Option("missingkey=error").Parse(src)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("it defines templates of its own")
	}
	if t.Tree != nil {
		if err := check(t.Tree.Root, names(kind)); err != nil {
			return nil, err
		}
	}
	var e executor = t
	if p == HTML {
		if e, err = htmltemplate.New(string(p)).Funcs(functions()).Option("missingkey=error").Parse(src); err != nil {
			return nil, err
		}
	}
	// What only execution shows: a comparison of things that cannot be compared, an
	// HTML context that cannot be escaped.
	for _, full := range []bool{true, false} {
		if _, err := write(e, sample(kind, "en", full)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// common are the variables that every mail has.
func common() []catalog.Variable {
	return []catalog.Variable{
		{Name: "recipient", Type: catalog.Name, Sample: "Ada Lovelace", Optional: true},
		{Name: "link", Type: catalog.Text, Sample: "https://learn.example/courses/1", Optional: true},
	}
}

// Variables are all that a kind's texts may use.
func Variables(kind catalog.Kind) []catalog.Variable {
	return slices.Concat(kind.Variables, common())
}

func names(kind catalog.Kind) []string {
	var out []string
	for _, v := range Variables(kind) {
		out = append(out, v.Name)
	}
	return out
}

// check walks a template and refuses what it may not use.
func check(n parse.Node, known []string) error {
	switch n := n.(type) {
	case nil:
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return checkAll(n.Nodes, known)
	case *parse.ActionNode:
		return check(n.Pipe, known)
	case *parse.PipeNode:
		if len(n.Decl) > 0 {
			return fmt.Errorf("line %d: it declares variables of its own", n.Line)
		}
		for _, c := range n.Cmds {
			if err := checkAll(c.Args, known); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return checkBranch(&n.BranchNode, known)
	case *parse.FieldNode:
		if len(n.Ident) != 1 || !slices.Contains(known, n.Ident[0]) {
			return fmt.Errorf("there is no variable %s; there are: %v", n, known)
		}
	case *parse.IdentifierNode:
		if !slices.Contains(allowed(), n.Ident) {
			return fmt.Errorf("the function %s may not be used", n.Ident)
		}
	case *parse.TextNode, *parse.CommentNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
	default:
		return fmt.Errorf("%s may not be used", n)
	}
	return nil
}

func checkAll(nodes []parse.Node, known []string) error {
	for _, n := range nodes {
		if err := check(n, known); err != nil {
			return err
		}
	}
	return nil
}

func checkBranch(b *parse.BranchNode, known []string) error {
	if err := check(b.Pipe, known); err != nil {
		return err
	}
	if err := check(b.List, known); err != nil {
		return err
	}
	if b.ElseList == nil {
		return nil
	}
	return check(b.ElseList, known)
}

// limited refuses to grow above maxWritten.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxWritten {
		return 0, errWritten
	}
	return l.Buffer.Write(p) //nolint:wrapcheck // a buffer's error is never seen
}

func write(e executor, data map[string]any) (string, error) {
	var out limited
	if err := e.Execute(&out, data); err != nil {
		return "", err
	}
	return out.String(), nil
}
