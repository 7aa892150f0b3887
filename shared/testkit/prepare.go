package testkit

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// PrepareAll prepares every package-level string constant of a folder whose name
// ends in SQL against the migrated database: names, types and parameters of every
// statement fit the schema, without one of them being run. It fails on a folder
// without any.
func PrepareAll(t testing.TB, db *pgxpool.Pool, dir string) {
	t.Helper()
	statements := statementsOf(t, dir)
	require.NotEmpty(t, statements, "no constant of %s has a name that ends in SQL", dir)
	conn, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for name, sql := range statements {
		_, err := conn.Conn().PgConn().Prepare(t.Context(), "", sql, nil)
		require.NoError(t, err, "%s:\n%s", name, sql)
	}
}

// statementsOf evaluates constants as the compiler does, so that statements may be
// put together from parts. Whatever else the files need is not resolved.
func statementsOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		require.NoError(t, err)
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
	}
	cfg := types.Config{Importer: noImports{}, Error: func(error) {}, IgnoreFuncBodies: true}
	pkg, _ := cfg.Check(dir, fset, files, nil) // imports are left out on purpose
	out := map[string]string{}
	if pkg == nil {
		return out
	}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if ok && strings.HasSuffix(name, "SQL") && c.Val().Kind() == constant.String {
			out[name] = constant.StringVal(c.Val())
		}
	}
	return out
}

type noImports struct{}

var errNoImports = errors.New("not needed")

func (noImports) Import(string) (*types.Package, error) { return nil, errNoImports }
