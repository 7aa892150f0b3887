package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MinimumMajor is the oldest PostgreSQL that the schema works on.
const MinimumMajor = 15

// BinariesVariable names a folder with PostgreSQL's programs that is taken
// before all others.
const BinariesVariable = "LMS_POSTGRES_BIN"

// Binaries is a folder with initdb and postgres.
type Binaries struct {
	Dir     string
	Version string // "17.6"
	Major   int
	Fetched bool // by us, not installed on the machine
}

func (b Binaries) program(name string) string { return filepath.Join(b.Dir, name) }

// Find looks for PostgreSQL on this machine and in the cache, without fetching
// anything. A folder named by LMS_POSTGRES_BIN wins, then the newest version;
// major 0 takes any version from MinimumMajor on.
func Find(ctx context.Context, cacheDir string, major int) (Binaries, bool, error) {
	if dir := os.Getenv(BinariesVariable); dir != "" {
		b, err := inspect(ctx, dir)
		if err != nil {
			return Binaries{}, false, fmt.Errorf("%s=%s: %w", BinariesVariable, dir, err)
		}
		if b.Major < MinimumMajor || (major != 0 && b.Major != major) {
			return Binaries{}, false, fmt.Errorf("%s=%s is PostgreSQL %s, and %s is needed", BinariesVariable, dir, b.Version, wanted(major))
		}
		return b, true, nil
	}
	var best Binaries
	consider := func(dir string, fetched bool) {
		b, err := inspect(ctx, dir)
		if err != nil || b.Major < MinimumMajor || (major != 0 && b.Major != major) {
			return // not PostgreSQL, or not one that serves
		}
		if best.Dir == "" || newer(b, best) {
			b.Fetched = fetched
			best = b
		}
	}
	for _, dir := range candidates(ctx) {
		consider(dir, false)
	}
	if best.Dir == "" {
		consider(fetchedBinDir(cacheDir), true)
	}
	return best, best.Dir != "", nil
}

// findFor finds or fetches what the cluster of h needs.
func findFor(ctx context.Context, h home, o Options) (Binaries, error) {
	cache := o.CacheDir
	if cache == "" {
		cache = DefaultCacheDir()
	}
	if h.user != nil && h.user.blockedAt(filepath.Join(cache, "x")) != "" {
		cache = "/var/cache/lms/postgres" // the server's user must reach its programs
	}
	major := h.major()
	b, ok, err := Find(ctx, cache, major)
	if err != nil {
		return Binaries{}, err
	}
	if ok {
		return b, nil
	}
	if major != 0 && major != fetchMajor {
		return Binaries{}, fmt.Errorf("the database in %s was made by PostgreSQL %d, which is not installed: install it (Debian: apt install postgresql-%d), or name its programs by %s",
			h.dir, major, major, BinariesVariable)
	}
	return fetch(ctx, cache, o.Progress)
}

// major is the version of the existing cluster, 0 for none.
func (h home) major() int {
	raw, err := os.ReadFile(filepath.Join(h.cluster(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	return n
}

func candidates(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("pg_config"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, path, "--bindir").Output(); err == nil {
			dirs = append(dirs, strings.TrimSpace(string(out)))
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		if found, err := filepath.Glob(pattern); err == nil {
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

func inspect(ctx context.Context, dir string) (Binaries, error) {
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return Binaries{}, fmt.Errorf("there is no %s in it", name)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	//nolint:gosec // the folder is the operator's own choice
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("postgres --version: %w", err)
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil {
		return Binaries{}, errors.New("postgres --version does not tell a version")
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Binaries{}, fmt.Errorf("version %s: %w", m[1], err)
	}
	return Binaries{Dir: dir, Version: strings.TrimSuffix(m[1]+"."+m[2], "."), Major: major}, nil
}

func newer(a, b Binaries) bool {
	if a.Major != b.Major {
		return a.Major > b.Major
	}
	return minor(a) > minor(b)
}

func minor(b Binaries) int {
	_, rest, _ := strings.Cut(b.Version, ".")
	n, err := strconv.Atoi(rest)
	if err != nil {
		return 0
	}
	return n
}

func wanted(major int) string {
	if major != 0 {
		return fmt.Sprintf("%d (its data folder was made by that version)", major)
	}
	return fmt.Sprintf("%d or newer", MinimumMajor)
}

// ClusterMajor is the version that made the cluster of a data folder, 0 where
// there is none yet.
func ClusterMajor(dataDir string) int {
	dir, err := locate(dataDir)
	if err != nil {
		return 0
	}
	return home{dir: dir}.major()
}
