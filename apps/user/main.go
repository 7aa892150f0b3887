// Command user runs the user service.
package main

import (
	_ "time/tzdata" // people name zones that the machine may not know

	"lms/apps/user/internal/app"
	"lms/shared/service"
)

func main() { service.Main("user", app.Build) }
