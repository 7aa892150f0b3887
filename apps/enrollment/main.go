// Command enrollment is the enrollment service: who learns where, how far, and the
// certificates of it.
package main

import (
	"lms/apps/enrollment/internal/app"
	"lms/shared/service"
)

func main() { service.Main("enrollment", app.Build) }
