// Command gateway is the one REST API that clients see.
package main

import (
	"lms/apps/gateway/internal/app"
	"lms/shared/service"
)

func main() { service.Main("gateway", app.Build) }
