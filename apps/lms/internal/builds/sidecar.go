package builds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// SidecarProgram is the sidecar's name in the folder of programs.
const SidecarProgram = "daprd"

// HasSidecar says whether the source tree holds the sidecar.
func HasSidecar(root string) bool {
	_, err := os.Stat(filepath.Join(root, "dapr", "sidecar", "go.mod"))
	return err == nil
}

// SidecarBuilt says whether the sidecar of these sources is in the cache.
func SidecarBuilt(root string) (path string, built bool, err error) {
	sum, err := sourceHash(filepath.Join(root, "dapr", "sidecar"))
	if err != nil {
		return "", false, err
	}
	path = filepath.Join(cacheDir(), sum, SidecarProgram)
	return path, Exists(path), nil
}

// Sidecar makes sure that binDir holds the sidecar of these sources. It is
// compiled once per user and version of its sources, which takes minutes; all
// installations share the file, and so its pages in memory.
func Sidecar(ctx context.Context, root, binDir string, say func(string)) (string, error) {
	path, built, err := SidecarBuilt(root)
	if err != nil {
		return "", err
	}
	if !built {
		if err := buildSidecar(ctx, root, path, say); err != nil {
			return "", err
		}
	}
	to := filepath.Join(binDir, SidecarProgram)
	return to, link(path, to)
}

func buildSidecar(ctx context.Context, root, path string, say func(string)) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of the sidecar: %w", err)
	}
	lock, err := lockBuild(ctx, filepath.Join(filepath.Dir(dir), "lock"), say)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if Exists(path) {
		return nil // another process built it meanwhile
	}
	tmp := path + ".new"
	args := []string{"build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", tmp, "."}
	if err := run(ctx, filepath.Join(root, "dapr", "sidecar"), "the sidecar", " (once; about 5 minutes on 2 cores)", args, say); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("keep the sidecar: %w", err)
	}
	return forgetOld(filepath.Dir(dir), filepath.Base(dir))
}

// lockBuild waits until no other process builds there.
func lockBuild(ctx context.Context, file string, say func(string)) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of builds: %w", err)
	}
	for told := false; ; told = true {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return f, nil
		}
		if !told {
			say("waiting for another process that builds the same")
		}
		select {
		case <-ctx.Done():
			_ = f.Close() // nothing is held
			return nil, fmt.Errorf("wait for the build: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// forgetOld removes builds of other sources that nobody made for two weeks.
func forgetOld(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("old sidecars: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || e.Name() == keep || time.Since(info.ModTime()) < 14*24*time.Hour {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("old sidecars: %w", err)
		}
	}
	return nil
}

func cacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "lms", "sidecar")
}

// sourceHash changes with the sidecar's sources, its dependencies and the
// compiler; tests are not part of it.
func sourceHash(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("sources of the sidecar: %w", err)
	}
	var names []string
	for _, e := range entries {
		n := e.Name()
		if (strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go")) || n == "go.mod" || n == "go.sum" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	h := sha256.New()
	h.Write([]byte(runtime.Version() + runtime.GOOS + runtime.GOARCH)) // a hash takes everything
	for _, n := range names {
		if err := addFile(h, dir, n); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func addFile(h io.Writer, dir, name string) error {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("sources of the sidecar: %w", err)
	}
	if _, err := fmt.Fprintf(h, "%s %d\n%s", name, len(raw), raw); err != nil {
		return fmt.Errorf("sources of the sidecar: %w", err)
	}
	return nil
}
