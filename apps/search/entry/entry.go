// Package entry is the whole search service as one call, for its own program and
// for one that carries several services.
package entry

import (
	"lms/apps/search/internal/app"
	"lms/shared/service"
)

// Main runs the service until it is told to stop, and ends the process; see
// service.Main.
func Main() { service.Main("search", app.Build) }
