//go:build !linux

package memory

// unmapProgram does nothing where the system is not known to take pages back.
func unmapProgram() error { return nil }
