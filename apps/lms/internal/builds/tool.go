package builds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Tool builds a program of a third party from its module in deploy/<name>, which
// pins it with everything it depends on. It is compiled once per user and
// version; the program is run as it is and linked by nothing of ours.
func Tool(ctx context.Context, root, name, pkg string, say func(string)) (string, error) {
	module := filepath.Join(root, "deploy", name)
	sum, err := sourceHash(module)
	if err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "lms", name)
	path := filepath.Join(dir, sum, name)
	if Exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("folder of %s: %w", name, err)
	}
	lock, err := lockBuild(ctx, filepath.Join(dir, "lock"), say)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if Exists(path) {
		return path, nil // another process built it meanwhile
	}
	args := []string{"build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", path + ".new", pkg}
	if err := run(ctx, module, name, " (once)", args, say); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	return path, nil
}
