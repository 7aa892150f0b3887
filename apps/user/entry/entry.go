// Package entry is the whole user service as one call, for its own program and
// for one that carries several services.
package entry

import (
	_ "time/tzdata" // people name zones that the machine may not know

	"lms/apps/user/internal/app"
	"lms/shared/service"
)

// Main runs the service until it is told to stop, and ends the process; see
// service.Main.
func Main() { service.Main("user", app.Build) }
