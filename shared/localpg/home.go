package localpg

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// home is the folder of one cluster: cluster/ (PostgreSQL's own),
// passwords.json and lock.
type home struct {
	dir    string
	origin string // the folder that was asked for
	user   *account
}

func (h home) cluster() string { return filepath.Join(h.dir, "cluster") }

// openHome makes the folder. When the server has to run as another user who
// cannot reach it, the data move to a folder that this user can reach.
func openHome(dataDir string, progress func(string)) (home, error) {
	if dataDir == "" {
		return home{}, errors.New("PostgreSQL needs a data folder")
	}
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return home{}, fmt.Errorf("data folder %s: %w", dataDir, err)
	}
	if err := os.MkdirAll(abs, 0o711); err != nil {
		return home{}, fmt.Errorf("cannot make the data folder %s: %w", abs, err)
	}
	user, err := serverAccount()
	if err != nil {
		return home{}, err
	}
	h := home{dir: abs, origin: abs, user: user}
	if h.dir, err = locate(abs); err != nil {
		return home{}, err
	}
	if h.dir == abs && user != nil && user.blockedAt(abs) != "" {
		if h.dir, err = h.moveAside(progress); err != nil {
			return home{}, err
		}
	}
	if user != nil {
		// Others may pass through, not look around.
		if err := os.Chmod(h.dir, 0o711); err != nil {
			return home{}, fmt.Errorf("data folder %s: %w", h.dir, err)
		}
	}
	return h, nil
}

const locationFile = "location"

// locate follows the pointer that moveAside left.
func locate(dataDir string) (string, error) {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("data folder %s: %w", dataDir, err)
	}
	raw, err := os.ReadFile(filepath.Join(abs, locationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", fmt.Errorf("data folder %s: %w", abs, err)
	}
	dir := strings.TrimSpace(string(raw))
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("the database of %s is at %s, which cannot be opened (%w): bring it back, or remove %s to start with an empty one",
			abs, dir, err, filepath.Join(abs, locationFile))
	}
	return dir, nil
}

// moveAside chooses a folder that the server's user can reach. Its name is new
// each time, so that removing the data folder really starts from nothing.
func (h home) moveAside(progress func(string)) (string, error) {
	blocked := h.user.blockedAt(h.origin)
	for _, base := range asideFolders() {
		if err := os.MkdirAll(base, 0o711); err != nil || h.user.blockedAt(base) != "" {
			continue
		}
		dir := filepath.Join(base, "postgres-"+randomHex(6))
		if err := os.Mkdir(dir, 0o711); err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "origin"), []byte(h.origin+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("cannot write to %s: %w", dir, err)
		}
		if err := os.WriteFile(filepath.Join(h.origin, locationFile), []byte(dir+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("cannot write to %s: %w", h.origin, err)
		}
		progress(fmt.Sprintf("the database lies in %s: PostgreSQL runs as %s, who may not enter %s", dir, h.user.name, blocked))
		return dir, nil
	}
	return "", fmt.Errorf("PostgreSQL refuses to run as root, and the user %s may not enter %s: allow it (chmod o+x %s), choose another LMS_HOME, or start as an ordinary user",
		h.user.name, blocked, blocked)
}

func asideFolders() []string {
	return []string{"/var/lib/lms", filepath.Join(os.TempDir(), "lms")}
}

// Orphan is a database that was put aside for a data folder that is gone.
type Orphan struct{ Dir, Origin string }

// Orphans are never removed by this package: the data folder may only be away,
// and the database is all that is left of it.
func Orphans() []Orphan {
	var found []Orphan
	for _, base := range asideFolders() {
		files, err := filepath.Glob(filepath.Join(base, "postgres-*", "origin"))
		if err != nil {
			continue // only a bad pattern can fail
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				continue // of another user
			}
			o := Orphan{Dir: filepath.Dir(file), Origin: strings.TrimSpace(string(raw))}
			if dir, err := locate(o.Origin); err != nil || dir != o.Dir {
				found = append(found, o)
			}
		}
	}
	return found
}

// A lock that was given back is held for moments more by a child that this process
// was just starting: it has all our files until it becomes its own program.
const (
	lockPatience = time.Second
	lockPause    = 10 * time.Millisecond
)

// lock holds the folder for this process. The kernel lets go of it when the
// process ends, however it ends.
func (h home) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(h.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", h.dir, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for end := time.Now().Add(lockPatience); errors.Is(err, syscall.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(lockPause)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = f.Close() // the lock's own error says more
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process already runs PostgreSQL on %s: stop it first", h.origin)
		}
		return nil, fmt.Errorf("lock %s: %w", h.dir, err)
	}
	return f, nil
}

// passwords of the roles, made once and kept with mode 0600.
type passwords struct {
	Roles map[string]string `json:"roles"`
	file  string
}

func (h home) loadPasswords() (passwords, error) {
	pw := passwords{Roles: map[string]string{}, file: filepath.Join(h.dir, "passwords.json")}
	if _, err := os.Stat(pw.file); errors.Is(err, fs.ErrNotExist) && h.major() != 0 {
		return pw, fmt.Errorf("%s is missing, so the database beside it cannot be opened: restore the file, or remove %s to start with an empty one", pw.file, h.dir)
	}
	return pw, pw.ensure(Superuser)
}

// ensure gives each role a password and saves new ones before they are used.
// Several processes may do so at once.
func (p passwords) ensure(roles ...string) error {
	if p.has(roles) {
		return nil
	}
	lock, err := os.OpenFile(p.file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the database passwords: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the database passwords: %w", err)
	}
	if err := p.read(); err != nil || p.has(roles) {
		return err
	}
	for _, r := range roles {
		if p.Roles[r] == "" {
			p.Roles[r] = randomHex(24)
		}
	}
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the database passwords: %w", err)
	}
	tmp := p.file + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("save the database passwords: %w", err)
	}
	if err := os.Rename(tmp, p.file); err != nil {
		return fmt.Errorf("save the database passwords: %w", err)
	}
	return nil
}

func (p passwords) has(roles []string) bool {
	for _, r := range roles {
		if p.Roles[r] == "" {
			return false
		}
	}
	return true
}

// read takes over what the file holds; a missing file holds nothing.
func (p passwords) read() error {
	raw, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the database passwords: %w", err)
	}
	var kept passwords
	if err := json.Unmarshal(raw, &kept); err != nil {
		return fmt.Errorf("%s is damaged (%w): restore it from a backup", p.file, err)
	}
	maps.Copy(p.Roles, kept.Roles)
	return nil
}

// randomHex is n random bytes; rand.Read of Go 1.24 and later never fails.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
