package infra

import (
	"context"
	"fmt"
	"os/exec"

	"lms/shared/localopensearch"
)

// lookPath finds a program that a Debian package installs.
func lookPath(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not in PATH: install it (Debian: apt-get install %s), or start your own and use --external", program, pkg)
	}
	return path, nil
}

// findJava is the newest Java, where it is at least the version that a product
// needs.
func findJava(ctx context.Context, least int) (string, error) {
	found, version, err := localopensearch.NewestJava(ctx)
	if err != nil {
		return "", err //nolint:wrapcheck // it says what it looked for
	}
	if version < least {
		return "", fmt.Errorf("it needs Java %d or newer, found is %d: install one (Debian: apt-get install openjdk-17-jre-headless) or name it by JAVA_HOME", least, version)
	}
	return found, nil
}
