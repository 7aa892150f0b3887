// Command lms runs the whole system on one machine and operates it.
package main

import (
	"os"

	"lms/apps/lms/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
