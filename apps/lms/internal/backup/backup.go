// Package backup copies an installation while it runs into a folder, and makes an
// installation of such a folder again.
//
// What belongs together is copied in an order in which nothing that is restored
// names something that is not there, or knows more than what it was told by: first
// the state documents, whose owner catches up from what the databases kept; then
// all databases as of one moment; files before and after them. The broker's log
// and the cache are not copied: what was not consumed is fetched from the
// publishers' outboxes, and who was signed in signs in again.
package backup

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/shared/localpg"
)

// Names in the folder of a backup. The manifest is written last: a backup without
// one is not whole.
const (
	manifestFile  = "manifest.json"
	databaseFile  = "postgres.tar.gz"
	passwordsFile = "passwords.json"
	secretsFile   = "secrets.json"
	stateFile     = "state.db"
	clockFile     = "clock"
	accountsFile  = "accounts.json" // of the first administrator
	objectsDir    = "objects"
)

// format is the number of this layout.
const format = 1

// Manifest says what a backup holds.
type Manifest struct {
	Format int `json:"format"`
	// AsOf is not before the moment as of which the databases are.
	AsOf          time.Time         `json:"as_of"`
	PostgresMajor int               `json:"postgres_major"`
	Files         map[string]string `json:"files"`   // SHA-256 in hexadecimal, by name
	Objects       map[string]string `json:"objects"` // likewise, by key
	Bytes         int64             `json:"bytes"`
	Took          time.Duration     `json:"took_ns"`
}

// maker is a backup that is being made.
type maker struct {
	home installation.Home
	dir  string
	out  Manifest
	seen map[string]fs.FileInfo // objects as they were when they were copied
}

// Make copies the installation into dir, which must not be there or be empty. say
// is told what takes long.
func Make(ctx context.Context, home installation.Home, server *localpg.Server, dir string, say func(string)) (Manifest, error) {
	began := time.Now()
	if err := embedded(home); err != nil {
		return Manifest{}, err
	}
	if err := empty(dir); err != nil {
		return Manifest{}, err
	}
	m := &maker{home: home, dir: dir, seen: map[string]fs.FileInfo{}, out: Manifest{
		Format: format, PostgresMajor: localpg.ClusterMajor(home.Postgres()), Files: map[string]string{}, Objects: map[string]string{},
	}}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"files", m.objects},
		{"secrets", m.secrets},
		{"state", m.state},
		{"databases", func(ctx context.Context) error { return m.databases(ctx, server) }},
		{"files that came meanwhile", m.objects},
	}
	for _, step := range steps {
		say("copying " + step.what)
		if err := step.do(ctx); err != nil {
			return Manifest{}, fmt.Errorf("%s: %w (what was copied to %s is not whole: remove it)", step.what, err, dir)
		}
	}
	syscall.Sync() // all files at once, before the one that says that they are there
	m.out.Took = time.Since(began)
	raw, err := json.MarshalIndent(m.out, "", "  ")
	if err != nil {
		return Manifest{}, fmt.Errorf("encode the manifest: %w", err)
	}
	return m.out, write(filepath.Join(dir, manifestFile), append(raw, '\n'))
}

// embedded refuses an installation whose state documents are in another product:
// without them it would not be whole.
func embedded(home installation.Home) error {
	raw, err := os.ReadFile(home.ProfileFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	if name := strings.TrimSpace(string(raw)); name != infra.Embedded {
		return fmt.Errorf("the installation runs with the profile %s, whose state documents only that product's own tools can copy: back them up first, then the databases and files", name)
	}
	return nil
}

// empty makes the folder, or sees that nothing is in it.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of the backup: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot read the folder of the backup: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	return nil
}

func (m *maker) secrets(context.Context) error {
	if err := m.copy(m.home.SecretsFile(), secretsFile); err != nil {
		return err
	}
	for name, path := range map[string]string{clockFile: m.home.ClockFile(), accountsFile: m.home.AccountsFile()} {
		if err := m.copy(path, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (m *maker) databases(ctx context.Context, server *localpg.Server) error {
	passwords, err := server.Passwords()
	if err != nil {
		return err
	}
	if err := write(filepath.Join(m.dir, passwordsFile), passwords); err != nil {
		return err
	}
	if err := m.sum(passwordsFile); err != nil {
		return err
	}
	f, err := create(filepath.Join(m.dir, databaseFile))
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err == nil {
		err = errors.Join(server.Backup(ctx, z), z.Close())
	}
	m.out.AsOf = time.Now().UTC()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return m.sum(databaseFile)
}

// objects copies files that are new, or other than when they were copied. One that
// was deleted meanwhile stays: the databases may name it.
func (m *maker) objects(ctx context.Context) error {
	root := m.home.Objects()
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return nil // files are elsewhere
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err() // a folder that was deleted meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err() // deleted meanwhile
		}
		if err != nil {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if was := m.seen[key]; was != nil && was.Size() == info.Size() && was.ModTime().Equal(info.ModTime()) {
			return ctx.Err()
		}
		sum, n, err := copyFile(path, filepath.Join(m.dir, objectsDir, key))
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		m.seen[key], m.out.Objects[filepath.ToSlash(key)] = info, sum
		m.out.Bytes += n
		return ctx.Err()
	})
}

// copy copies one file under a name of the backup.
func (m *maker) copy(from, name string) error {
	sum, n, err := copyFile(from, filepath.Join(m.dir, name))
	if err != nil {
		return err
	}
	m.out.Files[name] = sum
	m.out.Bytes += n
	return nil
}

// sum notes a file that was written already.
func (m *maker) sum(name string) error {
	sum, n, err := sumOf(filepath.Join(m.dir, name))
	m.out.Files[name] = sum
	m.out.Bytes += n
	return err
}

func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write: %w", err)
	}
	return f, nil
}

func write(path string, raw []byte) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

// copyFile copies a file and gives its SHA-256 and size.
func copyFile(from, to string) (sum string, n int64, err error) {
	src, err := os.Open(from)
	if err != nil {
		return "", 0, fmt.Errorf("cannot read: %w", err)
	}
	defer func() { _ = src.Close() }() // nothing is written to it
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", 0, fmt.Errorf("cannot write: %w", err)
	}
	dst, err := create(to)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	n, err = io.Copy(io.MultiWriter(dst, h), src)
	return hex.EncodeToString(h.Sum(nil)), n, errors.Join(err, dst.Close())
}

func sumOf(path string) (sum string, n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("cannot read: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing is written to it
	h := sha256.New()
	n, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}
