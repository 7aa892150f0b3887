//go:build unix && !linux

package childproc

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setParentDeath does nothing: only Linux has such a signal. What a killed
// parent left behind is found at the next start by its recorded identity.
func setParentDeath(*syscall.SysProcAttr, syscall.Signal) {}

func startMark(pid int) (string, error) {
	line := ps(pid, "stat=,lstart=")
	if line == "" || strings.HasPrefix(line, "Z") {
		return "", os.ErrProcessDone
	}
	_, start, _ := strings.Cut(line, " ")
	return strings.TrimSpace(start), nil
}

func ps(pid int, columns string) string {
	cmd := exec.Command("ps", "-p", strconv.Itoa(pid), "-o", columns)
	cmd.Env = []string{"LC_ALL=C", "PATH=/bin:/usr/bin"}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// WorkingDir is not told on this platform.
func WorkingDir(int) string { return "" }

// Executable is the program file of a process, "" when it cannot be told.
func Executable(pid int) string { return ps(pid, "comm=") }

// Tree is pid and all its descendants.
func Tree(pid int) []int {
	cmd := exec.Command("ps", "-axo", "pid=,ppid=")
	cmd.Env = []string{"LC_ALL=C", "PATH=/bin:/usr/bin"}
	out, err := cmd.Output()
	if err != nil {
		return []int{pid}
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		child, errChild := strconv.Atoi(f[0])
		parent, errParent := strconv.Atoi(f[1])
		if errChild == nil && errParent == nil {
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// Usage is the resident memory in bytes; PSS is not told on this platform.
func Usage(pid int) Memory {
	kb, err := strconv.ParseInt(ps(pid, "rss="), 10, 64)
	if err != nil {
		return Memory{}
	}
	return Memory{RSS: kb * 1024}
}
