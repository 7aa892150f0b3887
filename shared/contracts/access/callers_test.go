package access_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/contracts"
	"lms/shared/contracts/access"
	"lms/shared/contracts/internalapi"
)

// Who mentions another's route in its code calls it, and must be let in: a caller
// that the table forgets is refused in production alone, where a test has a fake.
func TestEveryCallerIsNamed(t *testing.T) {
	t.Parallel()
	paths := pathConstants(t)
	apps := filepath.Join("..", "..", "..", "apps")
	callers := map[string]string{"lms": internalapi.OperatorApp, access.Gateway: access.Gateway}
	for _, name := range contracts.Services() {
		callers[name] = name
	}
	seen := 0
	for dir, caller := range callers {
		for _, name := range mentioned(t, filepath.Join(apps, dir)) {
			path := paths[name]
			require.NotEmpty(t, path, "internalapi.%s", name)
			rows := slices.DeleteFunc(access.Routes(), func(r access.Route) bool {
				return r.Path != path
			})
			if slices.ContainsFunc(rows, func(r access.Route) bool { return r.App == caller }) || path == internalapi.PathCalls {
				continue // it serves it; who makes reliable calls is in Calls
			}
			seen++
			require.True(t, slices.ContainsFunc(rows, func(r access.Route) bool { return slices.Contains(r.Callers, caller) }),
				"apps/%s calls %s, and nobody lets %s in: add it to the table of access, and to web.Internal of the route", dir, path, caller)
		}
	}
	require.Greater(t, seen, 50, "calls were found")
}

// pathConstants are the paths of internalapi by their names.
func pathConstants(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, file := range parsed(t, filepath.Join("..", "internalapi")) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, name := range spec.Names {
					if lit, ok := value(spec, i).(*ast.BasicLit); ok && strings.HasPrefix(name.Name, "Path") && lit.Kind == token.STRING {
						text, err := strconv.Unquote(lit.Value)
						require.NoError(t, err)
						out[name.Name] = text
					}
				}
			}
			return true
		})
	}
	return out
}

func value(spec *ast.ValueSpec, i int) ast.Expr {
	if i < len(spec.Values) {
		return spec.Values[i]
	}
	return nil
}

// mentioned are the names internalapi.Path… that the code of a folder has.
func mentioned(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, file := range parsed(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Path") {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "internalapi" {
					out = append(out, sel.Sel.Name)
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// parsed are the files of a folder that are no tests.
func parsed(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files = append(files, file)
		return err
	}))
	require.NotEmpty(t, files, dir)
	return files
}
