// Command course is the course service: courses, modules, curricula.
package main

import (
	"lms/apps/course/internal/app"
	"lms/shared/service"
)

func main() { service.Main("course", app.Build) }
