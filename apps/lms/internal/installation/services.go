// Package installation knows what an installation on one machine consists of:
// its services, its folders, its secrets and ports, and how each process is
// started. It is the one place that knows all services.
package installation

import (
	"os"
	"path/filepath"
	"slices"
)

// Service is one service of the system.
type Service struct {
	Name string // also the app id and the name of the program
	// Database: it has the database lms_<name>.
	Database bool
	// DeadLetters: it consumes topics without a database, and keeps what it could not
	// apply in the state block.
	DeadLetters bool
	// Index: it keeps an index, which can be compared with what it was made from.
	Index bool
	// Edge: it is the one that clients reach, on the public address.
	Edge bool
}

// Gateway is the service that clients see.
const Gateway = "gateway"

// Services is the table of all services. The order is the one in which logs
// and status show them.
func Services() []Service {
	return []Service{
		{Name: "user", Database: true},
		{Name: "auth"},
		{Name: "course", Database: true},
		{Name: "enrollment", Database: true},
		{Name: "content", Database: true},
		{Name: "assignment", Database: true},
		{Name: "notification", DeadLetters: true},
		{Name: "payment", Database: true},
		{Name: "search", DeadLetters: true, Index: true},
		{Name: "analytics", Database: true},
		{Name: Gateway, Edge: true},
	}
}

// Names of the services.
func Names(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return names
}

// WithDatabase are the services that have one.
func WithDatabase(services []Service) []Service {
	return slices.DeleteFunc(slices.Clone(services), func(s Service) bool { return !s.Database })
}

// Consuming are the services that may have dead letters.
func Consuming(services []Service) []Service {
	return slices.DeleteFunc(slices.Clone(services), func(s Service) bool { return !s.Database && !s.DeadLetters })
}

// Comparing are the services that keep what can be computed again.
func Comparing(services []Service) []Service {
	return slices.DeleteFunc(slices.Clone(services), func(s Service) bool { return !s.Database && !s.Index })
}

// Present are the services whose program is in the source tree at root.
func Present(root string) []Service {
	return slices.DeleteFunc(Services(), func(s Service) bool {
		_, err := os.Stat(filepath.Join(root, "apps", s.Name, "main.go"))
		return err != nil
	})
}

// Sidecar is the name of a service's sidecar process.
func Sidecar(service string) string { return service + "-sidecar" }

// Names of the processes that belong to no service.
const (
	Database  = "postgres"
	Broker    = "broker"
	Authority = "sentry"
)
