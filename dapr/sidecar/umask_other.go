//go:build !unix

package main

// keepFilesPrivate does nothing where files have no mode: there the folder's
// own access list protects them.
func keepFilesPrivate() {}
