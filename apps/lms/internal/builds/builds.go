// Package builds compiles the programs of an installation: the services from
// the source tree, and the sidecar, which takes minutes once and is then kept.
package builds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// modulePath is the first line of the source tree's go.mod.
const modulePath = "module lms"

// FindRoot is the root of the source tree that dir lies in.
func FindRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for d := abs; ; d = filepath.Dir(d) {
		raw, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(raw), modulePath+"\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not in the source tree of the LMS: change into it, or name it by --root", abs)
		}
	}
}

// quietTime is how long a build may take before it is mentioned.
const quietTime = 2 * time.Second

// carrier is the command that carries the services: the same file under each of
// their names, so that they share its pages in memory.
const carrier = "lms"

// tags leave gRPC out of Google's storage client, which speaks HTTP here; the
// Makefile says it too.
const tags = "-tags=disable_grpc_modules"

// Services builds the named services into a folder.
func Services(ctx context.Context, root, binDir string, names []string, say func(string)) error {
	args := []string{"build", "-v", tags, "-o", binDir + string(filepath.Separator)}
	var carried []string
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(root, "apps", n, "entry")); err == nil {
			carried = append(carried, n)
			continue
		}
		args = append(args, "./apps/"+n)
	}
	if len(carried) > 0 {
		args = append(args, "./apps/"+carrier)
	}
	what := "the services"
	if len(names) == 1 {
		what = names[0]
	}
	if err := run(ctx, root, what, "", args, say); err != nil {
		return err
	}
	for _, n := range carried {
		if err := link(filepath.Join(binDir, carrier), filepath.Join(binDir, n)); err != nil {
			return err
		}
	}
	return nil
}

// run runs the go command and tells its progress when it takes long.
func run(ctx context.Context, dir, what, note string, args []string, say func(string)) error {
	gobin, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%s must be built and the go command is not in PATH: install Go (https://go.dev/dl/)", what)
	}
	cmd := exec.CommandContext(ctx, gobin, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out output
	cmd.Stderr = &out
	began := time.Now()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTimer(quietTime)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				done := "linking" // every package was compiled before
				if n := out.packages.Load(); n > 0 {
					done = fmt.Sprintf("%d packages", n)
				}
				say(fmt.Sprintf("building %s%s: %s, %s", what, note, done, time.Since(began).Round(time.Second)))
				tick.Reset(5 * time.Second)
			}
		}
	})
	err = cmd.Run()
	close(done)
	wg.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", what, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s cannot be built: %w\n%s", what, err, explain(out.problems.String()))
	}
	return nil
}

// output counts the package names that go build -v prints and keeps the rest,
// which are errors.
type output struct {
	packages atomic.Int64
	problems bytes.Buffer
	partial  []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.partial = append(o.partial, p...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.partial = rest
		if !bytes.ContainsAny(line, " :#") {
			o.packages.Add(1)
		} else if o.problems.Len() < 8<<10 {
			o.problems.Write(line)
			o.problems.WriteByte('\n')
		}
	}
}

func explain(problems string) string {
	if strings.Contains(problems, "no space left on device") {
		return "the disk is full: make room (go clean -cache frees the most) and start again"
	}
	return strings.TrimRight(problems, "\n")
}

// Exists says whether a program is there.
func Exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o100 != 0
}

// link puts a file at a second place without a second copy where it can.
func link(from, to string) error {
	if a, err := os.Stat(from); err == nil {
		if b, err := os.Stat(to); err == nil && os.SameFile(a, b) {
			return nil
		}
	}
	tmp := to + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put %s in place: %w", to, err)
	}
	if err := os.Link(from, tmp); err != nil { // another file system
		if err := copyFile(from, tmp); err != nil {
			return fmt.Errorf("put %s in place: %w", to, err)
		}
	}
	if err := os.Rename(tmp, to); err != nil {
		return fmt.Errorf("put %s in place: %w", to, err)
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read-only
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
