// Command auth signs people, clients and services in; see README.md.
package main

import (
	"lms/apps/auth/internal/app"
	"lms/shared/service"
)

func main() { service.Main("auth", app.Build) }
