package infra

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// lookPath finds a program that a Debian package installs.
func lookPath(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not in PATH: install it (Debian: apt-get install %s), or start your own and use --external", program, pkg)
	}
	return path, nil
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// findJava is the newest Java that is at least the version that a product needs.
func findJava(ctx context.Context, least int) (string, error) {
	candidates, err := filepath.Glob("/usr/lib/jvm/*/bin/java")
	if err != nil {
		return "", fmt.Errorf("look for Java: %w", err)
	}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	best, found := 0, ""
	for _, c := range candidates {
		out, err := exec.CommandContext(ctx, c, "-version").CombinedOutput() //nolint:gosec // G702: the user's own JAVA_HOME and PATH
		if err != nil {
			continue // a folder without a working Java
		}
		m := javaVersion.FindSubmatch(out)
		if m == nil {
			continue
		}
		if v, err := strconv.Atoi(string(m[1])); err == nil && v > best {
			best, found = v, c
		}
	}
	if best < least {
		return "", fmt.Errorf("it needs Java %d or newer, found is %d: install one (Debian: apt-get install openjdk-17-jre-headless) or name it by JAVA_HOME", least, best)
	}
	return found, nil
}
