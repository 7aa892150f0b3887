// Command notification tells people what happened: in their list, by mail, and
// to integrators by webhooks.
package main

import (
	"lms/apps/notification/internal/app"
	"lms/shared/service"
)

func main() { service.Main("notification", app.Build) }
