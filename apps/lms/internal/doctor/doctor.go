// Package doctor looks for what would keep an installation from starting or
// running well, and says what helps.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"lms/apps/lms/internal/builds"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/freeport"
	"lms/shared/localpg"
)

// Level of a finding.
type Level string

// Good is as it should be, Note is worth knowing, Bad keeps it from starting.
const (
	Good Level = "ok"
	Note Level = "note"
	Bad  Level = "bad"
)

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// Options say where to look. RootErr is set where there is no source tree.
type Options struct {
	Home    installation.Home
	Root    string
	RootErr error
	Listen  string
}

// Examine looks at everything; each check is independent of the others.
func Examine(ctx context.Context, o Options) []Finding {
	running := isRunning(o.Home)
	return []Finding{
		sourceTree(o), goTool(ctx, o), sidecar(o), postgres(ctx, o),
		folder(o), disk(o), gatewayPort(o, running), ports(), leftovers(o, running), orphans(), processors(),
	}
}

func isRunning(home installation.Home) bool {
	r, err := supervisor.ReadRecord(home.StateFile())
	return err == nil && r.Supervisor.Alive()
}

func sourceTree(o Options) Finding {
	f := Finding{Check: "source tree", Level: Good, Found: o.Root}
	if o.RootErr != nil {
		f.Level, f.Found, f.Remedy = Bad, o.RootErr.Error(), "change into the source tree"
		return f
	}
	f.Found += ", services: " + strings.Join(installation.Names(installation.Present(o.Root)), ", ")
	return f
}

// goTool compares the installed Go with what go.mod asks for.
func goTool(ctx context.Context, o Options) Finding {
	f := Finding{Check: "go", Level: Good}
	path, err := exec.LookPath("go")
	if err != nil {
		return Finding{"go", Bad, "the go command is not in PATH", "install Go from https://go.dev/dl/ and put its bin folder into PATH"}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "env", "GOVERSION")
	cmd.Dir = o.Root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Finding{"go", Bad, strings.TrimSpace(string(out)), "install the version of Go that go.mod names, or let Go fetch it: go env -w GOTOOLCHAIN=auto"}
	}
	f.Found = strings.TrimSpace(string(out)) + " at " + path
	return f
}

func sidecar(o Options) Finding {
	f := Finding{Check: "sidecar", Level: Good}
	if o.RootErr != nil || !builds.HasSidecar(o.Root) {
		return Finding{"sidecar", Bad, "its sources (dapr/sidecar) are not here", "check the source tree out whole"}
	}
	path, built, err := builds.SidecarBuilt(o.Root)
	switch {
	case err != nil:
		f.Level, f.Found, f.Remedy = Bad, err.Error(), "check the source tree out whole"
	case !built:
		f.Level, f.Found, f.Remedy = Note, "not built for these sources", "the next lms up builds it, which takes about 5 minutes on 2 cores; make sidecar does it now"
	default:
		f.Found = path
	}
	return f
}

func postgres(ctx context.Context, o Options) Finding {
	f := Finding{Check: "PostgreSQL", Level: Good}
	b, ok, err := localpg.Find(ctx, localpg.DefaultCacheDir(), localpg.ClusterMajor(o.Home.Postgres()))
	switch {
	case err != nil:
		f.Level, f.Found, f.Remedy = Bad, err.Error(), "name a folder with initdb and postgres, or unset the variable"
	case !ok:
		f.Level, f.Found, f.Remedy = Note, "not installed", "the next lms up fetches it (15 MB); or install it (Debian: apt install postgresql; macOS: brew install postgresql)"
	default:
		f.Found = b.Version + " in " + b.Dir
	}
	return f
}

func folder(o Options) Finding {
	f := Finding{Check: "folder", Level: Good, Found: o.Home.Dir}
	dir := o.Home.Dir
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".lms-probe-")
	if err != nil {
		f.Level, f.Found = Bad, fmt.Sprintf("%s cannot be written to: %v", dir, err)
		f.Remedy = "give yourself the right to write there, or choose another folder by " + installation.HomeVariable
		return f
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		f.Level, f.Found = Note, err.Error()
	}
	return f
}

const (
	diskBad  = 1 << 30
	diskNote = 4 << 30 // a cold build of the sidecar takes some 3 GB
)

func disk(o Options) Finding {
	f := Finding{Check: "disk", Level: Good}
	dir := o.Home.Dir
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		f.Level, f.Found = Note, "cannot be told: "+err.Error()
		return f
	}
	free := st.Bavail * uint64(st.Bsize)
	f.Found = fmt.Sprintf("%.1f GB free", float64(free)/1e9)
	switch {
	case free < diskBad:
		f.Level, f.Remedy = Bad, "make room: go clean -cache frees the most, lms down and removing "+o.Home.Dir+" forgets all data"
	case free < diskNote:
		f.Level, f.Remedy = Note, "a first build of the sidecar takes some 3 GB"
	}
	return f
}

func gatewayPort(o Options, running bool) Finding {
	f := Finding{Check: "gateway's address", Level: Good, Found: o.Listen + " is free"}
	switch {
	case running:
		f.Found = "the installation runs"
	case !freeport.Free(o.Listen):
		f.Level, f.Found = Bad, o.Listen+" is in use by another program"
		f.Remedy = "stop it, or start with --listen 127.0.0.1:8081"
	}
	return f
}

func ports() Finding {
	if _, err := freeport.Pick(60); err != nil {
		return Finding{"ports", Bad, err.Error(), "end programs that hold ports between 20000 and 32000"}
	}
	return Finding{Check: "ports", Level: Good, Found: "enough are free"}
}

func leftovers(o Options, running bool) Finding {
	f := Finding{Check: "leftovers", Level: Good, Found: "none"}
	if running {
		return f
	}
	r, err := supervisor.ReadRecord(o.Home.StateFile())
	if errors.Is(err, os.ErrNotExist) {
		return f
	}
	if err != nil {
		return Finding{"leftovers", Bad, err.Error(), "remove the file, after a look at what runs"}
	}
	if left := r.Leftovers(); len(left) > 0 {
		var names []string
		for _, p := range left {
			names = append(names, fmt.Sprintf("%s (process %d)", p.Name, p.PID))
		}
		return Finding{"leftovers", Note, "a killed run left behind: " + strings.Join(names, ", "), "lms down ends them; so does the next lms up"}
	}
	return Finding{"leftovers", Note, "a run was killed; nothing of it is left", "lms down or the next lms up forgets it"}
}

// orphans are databases that lie outside of a folder that is gone.
func orphans() Finding {
	found := localpg.Orphans()
	if len(found) == 0 {
		return Finding{Check: "databases put aside", Level: Good, Found: "each has its installation"}
	}
	var dirs []string
	for _, o := range found {
		dirs = append(dirs, fmt.Sprintf("%s (of %s)", o.Dir, o.Origin))
	}
	return Finding{"databases put aside", Note, "the installation is gone: " + strings.Join(dirs, ", "), "remove these folders if you do not need the data"}
}

func processors() Finding {
	f := Finding{Check: "processors", Level: Good, Found: fmt.Sprintf("%d, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)}
	if runtime.NumCPU() < 2 {
		f.Level, f.Remedy = Note, "it works on one, but a start takes long"
	}
	return f
}
