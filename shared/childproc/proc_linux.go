package childproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

func setParentDeath(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// startMark is field 22 of /proc/PID/stat: clock ticks since boot.
func startMark(pid int) (string, error) {
	fields, err := statFields(pid)
	if err != nil {
		return "", err
	}
	if s := string(fields[0]); s == "Z" || s == "X" {
		return "", os.ErrProcessDone
	}
	return string(fields[19]), nil
}

// statFields are the fields of /proc/PID/stat behind the command's name, which
// may itself hold spaces and parentheses: [0] is the state, [1] the parent,
// [19] the start time.
func statFields(pid int) ([][]byte, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return nil, os.ErrProcessDone
		}
		return nil, fmt.Errorf("read the process table: %w", err)
	}
	end := bytes.LastIndexByte(raw, ')')
	fields := bytes.Fields(raw[end+1:])
	if end < 0 || len(fields) < 20 {
		return nil, fmt.Errorf("unexpected contents of /proc/%d/stat", pid)
	}
	return fields, nil
}

// WorkingDir is the working directory of a process, "" when it cannot be told.
func WorkingDir(pid int) string {
	dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return ""
	}
	return dir
}

// Executable is the program file of a process, "" when it cannot be told.
func Executable(pid int) string {
	exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	if err != nil {
		return ""
	}
	return exe
}

// Tree is pid and all its descendants.
func Tree(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{pid}
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fields, err := statFields(child)
		if err != nil {
			continue
		}
		if parent, err := strconv.Atoi(string(fields[1])); err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// Usage is the memory of a process in bytes: RSS counts shared pages in full,
// PSS counts each page divided by the number of processes that share it.
// Processes of other users need the rights to look; what cannot be read is 0.
func Usage(pid int) Memory {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return Memory{}
	}
	return Memory{RSS: kilobytes(raw, "Rss:"), PSS: kilobytes(raw, "Pss:")}
}

func kilobytes(raw []byte, key string) int64 {
	for line := range bytes.Lines(raw) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok {
			fields := bytes.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			n, err := strconv.ParseInt(string(fields[0]), 10, 64)
			if err != nil {
				return 0
			}
			return n * 1024
		}
	}
	return 0
}
