package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert" // all offenders of a rule at once
	"github.com/stretchr/testify/require"
)

const root = "../.."

// pure packages do no I/O: a domain package may build on them.
var pure = []string{
	"lms/shared/apperr", "lms/shared/authz", "lms/shared/clock", "lms/shared/fonts", "lms/shared/page", "lms/shared/patch", "lms/shared/sweep", "lms/shared/work",
	// Rules of compare-and-set; the store is injected.
	"lms/shared/record", "lms/shared/once", "lms/shared/journal", "lms/shared/journal/acts",
	// Files of strangers in memory; what they are read from is given to it.
	"lms/shared/archive",
	// authn signs and verifies; what it fetches is injected.
	"lms/shared/authn", "lms/shared/contracts", "lms/shared/contracts/events", "lms/shared/contracts/internalapi",
}

// computing are libraries without I/O that domain packages may use: values,
// cryptography and formats.
var computing = []string{
	"github.com/google/uuid", "golang.org/x/crypto", "golang.org/x/text", "github.com/golang-jwt/jwt/v5", "github.com/pquerna/otp",
	"github.com/beevik/etree", "github.com/arran4/golang-ical", "github.com/go-pdf/fpdf", "github.com/skip2/go-qrcode",
	"github.com/blevesearch/snowballstem", "github.com/blevesearch/bleve/v2/analysis",
	"github.com/gabriel-vasile/mimetype", "github.com/microcosm-cc/bluemonday", "github.com/go-analyze/charts", "golang.org/x/net/html", "golang.org/x/image", "golang.org/x/net/publicsuffix",
}

// inputOutput are the parts of the standard library that a domain package may
// not use.
var inputOutput = []string{"net", "net/http", "os", "os/exec", "database/sql", "syscall"}

// edges are the folders of a service that do I/O; all others are domain.
var edges = []string{"app", "httpapi", "events", "postgres"}

type file struct {
	path    string // from the root
	ast     *ast.File
	imports []string
	lines   int
	test    bool
}

func files(t *testing.T) []file {
	t.Helper()
	var out []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), ast: tree, lines: strings.Count(string(src), "\n"), test: strings.HasSuffix(path, "_test.go")}
		for _, i := range tree.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		out = append(out, f)
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(out), 100, "the walk found the repository")
	return out
}

// place is where a file of a service stands: ("course", "catalog", …).
func place(path string) (service, folder string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 5 || parts[0] != "apps" || parts[2] != "internal" {
		return "", "", false
	}
	return parts[1], parts[3], true
}

// ownShape are programs that are no services with a domain: a router without a
// store, and the operator's command.
var ownShape = []string{"gateway", "lms"}

func TestDomainPackagesDoNoInputOutput(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range files(t) {
		service, folder, ok := place(f.path)
		if !ok || f.test || slices.Contains(ownShape, service) || slices.Contains(adapters[service], folder) || slices.Contains(edges, folder) {
			continue
		}
		seen[service+"/"+folder] = true
		for _, i := range f.imports {
			assert.True(t, allowedInDomain(service, i), "%s imports %s", f.path, i)
		}
	}
	require.NotEmpty(t, seen)
}

// adapters are further folders that do I/O, by service.
var adapters = map[string][]string{
	"auth":         {"users", "oidc", "sso"},
	"course":       {"transfer", "catalogtest"},
	"content":      {"files", "transfer"},
	"assignment":   {"archive"},
	"notification": {"outgoing"},
	"search":       {"bleveindex", "opensearch", "enginetest"},
	// The mock gateway stands for a company elsewhere, with tables and pages of its own.
	"payment":   {"mockgateway"},
	"analytics": {"export"},
}

func allowedInDomain(service, path string) bool {
	if !strings.Contains(strings.Split(path, "/")[0], ".") && !strings.HasPrefix(path, "lms/") {
		return !slices.Contains(inputOutput, path)
	}
	if slices.Contains(pure, path) {
		return true
	}
	if rest, ok := strings.CutPrefix(path, "lms/apps/"+service+"/internal/"); ok {
		folder, _, _ := strings.Cut(rest, "/")
		return !slices.Contains(edges, folder) && !slices.Contains(adapters[service], folder)
	}
	return slices.ContainsFunc(computing, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

func TestEdgesDoNotImportEachOther(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		service, folder, ok := place(f.path)
		if !ok || f.test || folder == "app" || slices.Contains(ownShape, service) || !slices.Contains(edges, folder) {
			continue
		}
		for _, i := range f.imports {
			rest, own := strings.CutPrefix(i, "lms/apps/"+service+"/internal/")
			if !own {
				continue
			}
			other, _, _ := strings.Cut(rest, "/")
			assert.False(t, other != folder && slices.Contains(edges, other), "%s imports the edge %s", f.path, i)
		}
	}
}

func TestSharedKnowsNoService(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !strings.HasPrefix(f.path, "shared/") && !strings.HasPrefix(f.path, "migrations/") {
			continue
		}
		for _, i := range f.imports {
			require.False(t, strings.HasPrefix(i, "lms/apps/"), "%s imports %s", f.path, i)
		}
	}
}

func TestServicesKnowNoBroker(t *testing.T) {
	t.Parallel()
	brokers := []string{"github.com/twmb/franz-go", "github.com/redis", "github.com/nats-io", "github.com/IBM/sarama", "github.com/rabbitmq"}
	for _, f := range files(t) {
		if !strings.HasPrefix(f.path, "apps/") || strings.HasPrefix(f.path, "apps/lms/") {
			continue
		}
		for _, i := range f.imports {
			require.False(t, slices.ContainsFunc(brokers, func(b string) bool { return strings.HasPrefix(i, b) }), "%s imports %s", f.path, i)
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	documented, folders := map[string]bool{}, map[string]bool{}
	for _, f := range files(t) {
		if f.test && f.ast.Name.Name != "architecture" {
			continue
		}
		dir := filepath.Dir(f.path)
		folders[dir] = true
		documented[dir] = documented[dir] || f.ast.Doc != nil
	}
	for dir := range folders {
		assert.True(t, documented[dir], "%s has no package comment", dir)
	}
}

func TestFilesStayShortAndFreeOfHiddenState(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !ast.IsGenerated(f.ast) {
			assert.LessOrEqual(t, f.lines, 500, "%s is too long", f.path)
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				if f.path == reexec {
					continue
				}
				assert.NotEqual(t, "init", fn.Name.Name, "%s has an init function", f.path)
			}
		}
	}
}

// reexec is the one init function: a test binary started as the guard of the
// test database must not run its tests.
const reexec = "shared/localpg/testcluster/testcluster.go"

func TestTestsWaitOnSignalsAndNeverSleep(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			assert.False(t, ok && pkg.Name == "time" && sel.Sel.Name == "Sleep", "%s sleeps", f.path)
			return true
		})
	}
}

func TestNoPackageIsNamedForNothing(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		require.NotContains(t, []string{"util", "utils", "common", "helper", "helpers", "manager", "misc"}, f.ast.Name.Name, f.path)
	}
}
