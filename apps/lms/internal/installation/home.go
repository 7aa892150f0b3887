package installation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// HomeVariable names the folder of an installation.
const HomeVariable = "LMS_HOME"

// DefaultHome is used when HomeVariable is not set, in the repository's root.
const DefaultHome = ".lms"

// Home is the folder in which an installation keeps all it writes.
type Home struct {
	Dir string
	// Programs is another folder of programs than bin/, "" for that.
	Programs string
}

// ResolveHome is the folder of a flag, the environment or the default under
// root, as an absolute path.
func ResolveHome(flag, root string) (Home, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv(HomeVariable)
	}
	if dir == "" {
		dir = filepath.Join(root, DefaultHome)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fmt.Errorf("folder of the installation: %w", err)
	}
	return Home{Dir: abs}, nil
}

// Prepare makes the folders.
func (h Home) Prepare() error {
	// Others may pass through the first two: PostgreSQL runs as another user
	// when the caller is root.
	for dir, mode := range map[string]os.FileMode{
		h.Dir: 0o711, h.Data(): 0o711, h.Bin(): 0o755, h.Run(): 0o700, h.Resources(): 0o700, h.Logs(): 0o700, h.Mail(): 0o700, h.Objects(): 0o700,
	} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("cannot make %s: %w: choose another folder by %s", dir, plain(err), HomeVariable)
		}
		if err := os.Chmod(dir, mode); err != nil {
			return fmt.Errorf("cannot change %s: %w: choose another folder by %s", dir, plain(err), HomeVariable)
		}
	}
	probe := filepath.Join(h.Run(), "probe")
	if err := os.WriteFile(probe, make([]byte, 4096), 0o600); err != nil {
		return fmt.Errorf("cannot write to %s: %w: make room, or choose another folder by %s", h.Dir, plain(err), HomeVariable)
	}
	if err := os.Remove(probe); err != nil {
		return fmt.Errorf("cannot write to %s: %w", h.Dir, plain(err))
	}
	return nil
}

// plain leaves the operating system's own words of an error with a path.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Bin holds the programs.
func (h Home) Bin() string {
	if h.Programs != "" {
		return h.Programs
	}
	return filepath.Join(h.Dir, "bin")
}

// Run holds what belongs to one run and the files of the
// sidecars, Data the database and the broker's log.
func (h Home) Run() string     { return filepath.Join(h.Dir, "run") }
func (h Home) Data() string    { return filepath.Join(h.Dir, "data") }
func (h Home) Logs() string    { return filepath.Join(h.Dir, "logs") }
func (h Home) Mail() string    { return filepath.Join(h.Dir, "mail") }
func (h Home) Objects() string { return filepath.Join(h.Dir, "objects") }

// Postgres is the data folder of the database.
func (h Home) Postgres() string { return filepath.Join(h.Data(), "postgres") }

// Resources holds copies of the resources that are not components. The folder
// dapr/ itself holds other files too, about which every sidecar would complain.
func (h Home) Resources() string { return filepath.Join(h.Run(), "resources") }

// Anchors holds what sidecars trust under mTLS, made at the first start with it;
// Identities is how each of them proves at this start who it is.
func (h Home) Anchors() string    { return filepath.Join(h.Data(), "sentry") }
func (h Home) Identities() string { return filepath.Join(h.Run(), "identities") }

// Program is the file of a built program.
func (h Home) Program(name string) string { return filepath.Join(h.Bin(), name) }

// Log is the log file of a process.
func (h Home) Log(name string) string { return filepath.Join(h.Logs(), name+".log") }

// StateFile records what runs; LockFile keeps others out; SecretsFile holds
// what was generated once.
func (h Home) StateFile() string   { return filepath.Join(h.Run(), "state.json") }
func (h Home) LockFile() string    { return filepath.Join(h.Run(), "lock") }
func (h Home) SecretsFile() string { return filepath.Join(h.Dir, "secrets.json") }

// ProfileFile names the profile of the last start.
func (h Home) ProfileFile() string { return filepath.Join(h.Dir, "profile") }

// AccountsFile names the first administrator, with the password that was made.
func (h Home) AccountsFile() string { return filepath.Join(h.Dir, "accounts.json") }

// ClockFile says how far ahead the services' clock is; see lms clock.
func (h Home) ClockFile() string { return filepath.Join(h.Dir, "clock") }
