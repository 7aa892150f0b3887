// Command lms runs the whole system on one machine and operates it.
package main

import (
	"os"
	"path/filepath"

	"lms/apps/lms/internal/cli"
)

func main() {
	if service, ok := carried()[filepath.Base(os.Args[0])]; ok {
		service()
		return
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
