package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// unmapProgram takes the pages of the program's own code and constants out of
// this process. What it goes on using comes back at the next touch, from the
// page cache; what only its start had needed, two thirds of them, does not.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("name of the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("mappings: %w", err)
	}
	defer func() { _ = maps.Close() }() // read-only
	var errs []error
	scan := bufio.NewScanner(maps)
	for scan.Scan() {
		line := scan.Text()
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasSuffix(line, " "+program) {
			continue
		}
		if mode != "r-xp" && mode != "r--p" {
			continue // the process may have written there: that would be lost
		}
		if _, _, code := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); code != 0 {
			errs = append(errs, fmt.Errorf("unmap %s: %w", mode, code))
		}
	}
	return errors.Join(append(errs, scan.Err())...)
}
