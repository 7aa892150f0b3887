// Package locals3 makes a real S3 server for developers and tests: MinIO, compiled
// from the module of deploy/minio, which pins it, into the user's cache. It is
// under the AGPL, started as a program of its own and linked by nothing. In
// production somebody operates an object store.
package locals3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// Region of the server's buckets.
const Region = "us-east-1"

// Address is what objects.Open takes for a bucket of a server.
func Address(bucket, server string) string {
	return "s3://" + bucket + "?region=" + Region + "&endpoint=http://" + server + "&use_path_style=true"
}

// Build compiles the server of the source tree at root once per user and version
// of its module; others that want it meanwhile wait. It takes minutes the first
// time.
func Build(ctx context.Context, root string, say func(string)) (string, error) {
	module := filepath.Join(root, "deploy", "minio")
	sum, err := fingerprint(module)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "lms", "minio")
	path := filepath.Join(dir, sum, "minio")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("folder of MinIO: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock the folder of MinIO: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the folder of MinIO: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil // another process built it meanwhile
	}
	say("compiling MinIO (once; some minutes)")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path+".new", "github.com/minio/minio") // constants and our own cache
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile MinIO: %w\n%s", err, out)
	}
	return path, os.Rename(path+".new", path)
}

// fingerprint changes with the version of the server and with the compiler.
func fingerprint(module string) (string, error) {
	h := sha256.New()
	h.Write([]byte(runtime.Version() + runtime.GOOS + runtime.GOARCH))
	for _, name := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(module, name)) // our own sources
		if err != nil {
			return "", fmt.Errorf("module of MinIO: %w", err)
		}
		h.Write(raw)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}
