// Package entry is the whole analytics service as one call, for its own program and
// for one that carries several services.
package entry

import (
	"lms/apps/analytics/internal/app"
	"lms/shared/service"
)

// Main runs the service until it is told to stop, and ends the process; see
// service.Main.
func Main() { service.Main("analytics", app.Build) }
