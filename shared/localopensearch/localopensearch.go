// Package localopensearch runs a real OpenSearch on this machine, for developers and
// tests: it is fetched once from Maven, pinned by version and checksum, into a cache,
// and started as a process of its own with its own port and data. In production
// somebody operates it.
package localopensearch

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lms/shared/childproc"
	"lms/shared/freeport"
)

// Version is the one that was tried.
const Version = "3.4.0"

const (
	artifact = "org.opensearch.distribution.integ-test-zip:opensearch:" + Version + ":zip"
	sum      = "6540e95fe8bfaedc3eb1c58e829912ea2203af2ac1f88f76411c20a2fc5254a6"
	leastJDK = 21
)

// Options of Command.
type Options struct {
	// Data is a folder for the indexes; what it holds stays. Where the caller is root
	// it must be one that the unprivileged user may enter (see Folder).
	Data string
	Port int
	// Output takes what it prints.
	Output io.Writer
	Say    func(string) // progress, a line each
}

// Command fetches OpenSearch where it is not in the cache, writes its configuration
// into the folder of the data and says what to start. It answers some seconds after
// its start.
func Command(ctx context.Context, o Options) (childproc.Spec, error) {
	java, err := findJava(ctx, o.Say)
	if err != nil {
		return childproc.Spec{}, err
	}
	who, err := unprivileged()
	if err != nil {
		return childproc.Spec{}, err
	}
	home, err := fetch(ctx, o.Say)
	if err != nil {
		return childproc.Spec{}, err
	}
	config, err := configure(ctx, home, java, o, who)
	if err != nil {
		return childproc.Spec{}, err
	}
	return childproc.Spec{
		Path: filepath.Join(home, "bin", "opensearch"), Dir: o.Data, Output: o.Output, Credential: who, ParentDeath: syscall.SIGKILL,
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + o.Data, "OPENSEARCH_JAVA_HOME=" + filepath.Dir(filepath.Dir(java)),
			"OPENSEARCH_PATH_CONF=" + config, "OPENSEARCH_TMPDIR=" + filepath.Join(o.Data, "tmp"), "OPENSEARCH_JAVA_OPTS=-Xms512m -Xmx512m",
		},
	}, nil
}

// Folder makes a folder for data that the unprivileged user may enter, below parent
// where that is so, and else in the system's folder for temporary files.
func Folder(parent, name string) (string, error) {
	if os.Geteuid() == 0 {
		parent = os.TempDir()
	}
	dir := filepath.Join(parent, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("folder of OpenSearch: %w", err)
	}
	return dir, nil
}

// configure writes the configuration, without passwords and certificates: it listens
// on loopback only.
func configure(ctx context.Context, home, java string, o Options, who *syscall.Credential) (string, error) {
	config := filepath.Join(o.Data, "config")
	for _, dir := range []string{config, filepath.Join(o.Data, "data"), filepath.Join(o.Data, "logs"), filepath.Join(o.Data, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("folder of OpenSearch: %w", err)
		}
	}
	settings := strings.Join([]string{
		"cluster.name: lms", "node.name: lms", "discovery.type: single-node", "network.host: 127.0.0.1",
		"http.port: " + strconv.Itoa(o.Port), "transport.port: 0",
		"path.data: " + filepath.Join(o.Data, "data"), "path.logs: " + filepath.Join(o.Data, "logs"),
		"action.auto_create_index: false",
		// A question of twenty words in every language is more clauses than the default.
		"indices.query.bool.max_clause_count: 8192",
		// A developer's disk is often nearly full.
		"cluster.routing.allocation.disk.threshold_enabled: false",
	}, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(config, "opensearch.yml"), []byte(settings), 0o600); err != nil {
		return "", fmt.Errorf("configuration of OpenSearch: %w", err)
	}
	for _, name := range []string{"jvm.options", "log4j2.properties"} {
		raw, err := os.ReadFile(filepath.Join(home, "config", name))
		if err != nil {
			return "", fmt.Errorf("configuration of OpenSearch: %w", err)
		}
		text := string(raw)
		if name == "jvm.options" {
			if text = withoutFiles(text); !hasModule(ctx, java, vectors) {
				text = without(text, vectors) // it would not start; searches by vector are slower
			}
		}
		if err := os.WriteFile(filepath.Join(config, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("configuration of OpenSearch: %w", err)
		}
	}
	if who == nil {
		return config, nil
	}
	return config, filepath.WalkDir(o.Data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(who.Uid), int(who.Gid)) //nolint:gosec // G122: our own folder; a link is changed itself
	})
}

// withoutFiles leaves out options that write files beside the program.
func withoutFiles(options string) string {
	return without(options, "logs/", "HeapDumpPath", "ErrorFile")
}

// without leaves out the options that hold one of some words.
func without(options string, words ...string) string {
	var out []string
	for line := range strings.Lines(options) {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// unprivileged is the user under whom it runs where the caller is root, whom it
// refuses; nil for an ordinary caller.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"opensearch", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil && uid != 0 {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("OpenSearch refuses to run as root, and this machine has neither a user opensearch nor nobody: make one (useradd --system opensearch) or start as an ordinary user")
}

// cacheDir is where the unprivileged user can read what was fetched.
func cacheDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/lms"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "lms")
}

// fetch returns the folder of the distribution; of several processes that want it one
// fetches.
func fetch(ctx context.Context, say func(string)) (string, error) {
	cache := filepath.Join(cacheDir(), "opensearch")
	home := filepath.Join(cache, "opensearch-"+Version)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("lock the cache folder: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the cache folder: %w", err)
	}
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("mvn is not in PATH, with which OpenSearch is fetched: install it (Debian: apt-get install maven), or name a cluster by LMS_SEARCH_OPENSEARCH_URLS")
	}
	if say != nil {
		say("fetching OpenSearch " + Version + " from Maven into " + cache + " (once, 133 MB)")
	}
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+cache)
	cmd.Dir = cache
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch %s: %w\n%s", artifact, err, out)
	}
	file := filepath.Join(cache, "opensearch-"+Version+".zip")
	if err := check(file, sum); err != nil {
		return "", err
	}
	if err := unpack(file, cache, home); err != nil {
		return "", err
	}
	return home, os.Remove(file)
}

func check(file, sum string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read what was fetched: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read what was fetched: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%s is not what was tried: its sum is %s, not %s", file, got, sum)
	}
	return nil
}

// unpack writes the distribution beside its place and then moves it there.
func unpack(file, cache, home string) (err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("unpack OpenSearch: %w", err)
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	fresh, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return fmt.Errorf("unpack OpenSearch: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := os.CopyFS(fresh, z); err != nil {
		return fmt.Errorf("unpack OpenSearch: %w", err)
	}
	top := filepath.Join(fresh, "opensearch-"+Version)
	// What was unpacked is to be read, and what is in bin/ run, by everybody.
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() || filepath.Base(filepath.Dir(path)) == "bin" {
			mode = 0o755
		}
		return os.Chmod(path, mode) //nolint:gosec // G122: a folder that was made a moment ago
	})
	if err != nil {
		return fmt.Errorf("unpack OpenSearch: %w", err)
	}
	if err := os.Rename(top, home); err != nil {
		return fmt.Errorf("unpack OpenSearch: %w", err)
	}
	return nil
}

// Address is where a client finds one that runs on this machine.
func Address(port int) string { return "http://" + freeport.Address(port) }
