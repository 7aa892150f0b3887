package infra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tree is where a program of a Debian package was found.
type tree struct {
	program     string   // its path
	root        string   // "" where the system has it installed
	environment []string // what it needs to run from there
}

// fetchLimit bounds the fetching of one component.
const fetchLimit = 10 * time.Minute

// debian finds a program: of the machine where it is installed, else of the
// package and what that depends on, which are downloaded by apt-get and unpacked
// into the cache. Nothing is installed, so that no right is needed and no service
// of the system starts.
func debian(ctx context.Context, pkg, program string, say func(string)) (tree, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/lib/rabbitmq/bin"} {
		if path := filepath.Join(dir, program); executable(path) {
			return tree{program: path}, nil
		}
	}
	if path, err := exec.LookPath(program); err == nil {
		return tree{program: path}, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return tree{}, fmt.Errorf("%s is not installed: install it (Debian: apt-get install %s), or start your own and use --external", program, pkg)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	dir := filepath.Join(cacheDir(), "debian", pkg)
	root := filepath.Join(dir, "root")
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return tree{}, err
	}
	defer unlock()
	if _, err := os.Stat(root); err != nil {
		if err := unpackDebian(ctx, pkg, dir, root, say); err != nil {
			return tree{}, fmt.Errorf("%w: install it yourself (apt-get update && apt-get install %s), or start your own and use --external", err, pkg)
		}
	}
	t := tree{root: root, environment: []string{"LD_LIBRARY_PATH=" + libraries(root)}}
	for _, at := range []string{"usr/bin", "usr/sbin", "usr/lib/rabbitmq/bin"} {
		if path := filepath.Join(root, at, program); executable(path) {
			t.program = path
			return t, nil
		}
	}
	return tree{}, fmt.Errorf("the package %s has no program %s: remove %s and start again", pkg, program, dir)
}

// wanted is a line of apt-get's plan.
var wanted = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+)`)

// unpackDebian downloads what apt-get would install, which checks the
// signatures, and unpacks it. The folder appears whole or not at all.
func unpackDebian(ctx context.Context, pkg, dir, root string, say func(string)) error {
	plan, err := output(ctx, "", "apt-get", "install", "--simulate", "--no-install-recommends", pkg)
	if err != nil || !wanted.MatchString(plan) {
		// A machine that has never fetched the lists of packages.
		if _, err := output(ctx, "", "apt-get", "update"); err != nil {
			return err
		}
		if plan, err = output(ctx, "", "apt-get", "install", "--simulate", "--no-install-recommends", pkg); err != nil {
			return err
		}
	}
	var names []string
	for _, m := range wanted.FindAllStringSubmatch(plan, -1) {
		names = append(names, m[1]+"="+m[2])
		if m[1] == pkg {
			say(fmt.Sprintf("fetching Debian's %s %s into %s (once)", pkg, m[2], dir))
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("apt-get knows no package %s", pkg)
	}
	packages, err := os.MkdirTemp(dir, "packages-")
	if err != nil {
		return fmt.Errorf("folder of packages: %w", err)
	}
	defer func() { _ = os.RemoveAll(packages) }() // a leftover is only large
	if _, err := output(ctx, packages, "apt-get", append([]string{"download", "-o", "APT::Sandbox::User=root"}, names...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil || len(files) != len(names) {
		return fmt.Errorf("apt-get downloaded %d of %d packages", len(files), len(names))
	}
	fresh := root + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear an old folder: %w", err)
	}
	for _, file := range files {
		if _, err := output(ctx, "", "dpkg-deb", "--extract", file, fresh); err != nil {
			return err
		}
	}
	if err := os.Rename(fresh, root); err != nil {
		return fmt.Errorf("keep the packages: %w", err)
	}
	return nil
}

// libraries are the folders of shared libraries of an unpacked tree.
func libraries(root string) string {
	dirs, err := filepath.Glob(filepath.Join(root, "usr", "lib", "*-linux-*"))
	if err != nil {
		return ""
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// output runs a program to its end. An error holds its last words.
func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, diagnostics bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diagnostics
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(diagnostics.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, lines[len(lines)-1])
	}
	return out.String(), nil
}

// cacheDir is the user's cache of fetched products.
func cacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "lms", "infra")
}

// lockDir makes a folder and waits until no other process fetches into it.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of fetched products: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of fetched products: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another process fetches into %s: %w", dir, ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}

func number(n int) string { return strconv.Itoa(n) }
