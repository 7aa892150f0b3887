package builds

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// StockProgram is Dapr's own sidecar with every component, in the folder of programs.
const StockProgram = "daprd-full"

// StockSidecar makes sure that binDir holds Dapr's own daprd with all components, of
// the version that dapr/sidecar pins. It is compiled from Dapr's module as that is,
// with the dependencies that it pins itself: once per user and version, which takes
// long and some gigabytes of modules.
func StockSidecar(ctx context.Context, root, binDir string, say func(string)) (string, error) {
	module, err := daprModule(ctx, root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(cacheDir()), StockProgram)
	path := filepath.Join(dir, module.Version+"-"+runtime.Version(), StockProgram)
	to := filepath.Join(binDir, StockProgram)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("folder of the sidecar: %w", err)
	}
	lock, err := lockBuild(ctx, filepath.Join(dir, "lock"), say)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if Exists(path) {
		return to, link(path, to)
	}
	version := "-X github.com/dapr/dapr/pkg/buildinfo.version=" + strings.TrimPrefix(module.Version, "v")
	args := []string{"build", "-v", "-trimpath", "-tags", "allcomponents", "-ldflags", "-s -w " + version, "-o", path + ".new", "./cmd/daprd"}
	if err := run(ctx, module.Dir, "daprd with all components", " (once; a quarter of an hour on 2 cores)", args, say); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep the sidecar: %w", err)
	}
	return to, link(path, to)
}

// downloaded is where a module lies.
type downloaded struct{ Version, Dir string }

// daprModule is Dapr's module as dapr/sidecar pins it.
func daprModule(ctx context.Context, root string) (m downloaded, err error) {
	gobin, err := exec.LookPath("go")
	if err != nil {
		return m, fmt.Errorf("go is needed to build a sidecar: %w", err)
	}
	cmd := exec.CommandContext(ctx, gobin, "mod", "download", "-json", "github.com/dapr/dapr")
	cmd.Dir = filepath.Join(root, "dapr", "sidecar")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return m, fmt.Errorf("fetch Dapr's module: %w\n%s", err, &said)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("fetch Dapr's module: %w", err)
	}
	return m, nil
}
