// Package internalapi holds the requests and answers of internal routes and
// the bodies of reliable calls, by the service that serves them. Readers
// ignore fields they do not know, so that versions can run side by side.
package internalapi
