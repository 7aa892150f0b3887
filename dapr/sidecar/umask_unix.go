//go:build unix

package main

import "syscall"

// keepFilesPrivate makes what components write readable by this user alone:
// the state files hold sessions, the mail files hold password-reset links, and
// the components create both with whatever the umask leaves of 0666.
func keepFilesPrivate() { syscall.Umask(0o077) }
