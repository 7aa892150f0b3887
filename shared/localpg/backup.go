package localpg

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Backup writes the whole cluster, all databases as of one moment near the end of
// the call, to w as a tar archive. The server goes on serving. It needs a server
// that was started with Durable.
func (s *Server) Backup(ctx context.Context, w io.Writer) error {
	config, err := pgconn.ParseConfig(s.DSN(Superuser, Superuser))
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	config.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w: was it started by an older version? Restart the installation", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is pending on it
	// The write-ahead log up to the end is part of it: the copy is whole without
	// any other file.
	_, err = conn.CopyTo(ctx, &baseBackup{w: w}, `BASE_BACKUP (LABEL 'lms', CHECKPOINT 'fast', WAL)`)
	if err != nil {
		return fmt.Errorf("back the cluster up: %w", err)
	}
	return nil
}

// baseBackup takes the messages of BASE_BACKUP apart and keeps the bytes of the
// archive. There is one archive, since there are no tablespaces.
type baseBackup struct {
	w        io.Writer
	archives int
}

// Write takes one message, as CopyTo passes it on.
func (b *baseBackup) Write(message []byte) (int, error) {
	if len(message) == 0 {
		return 0, errors.New("an empty message")
	}
	switch message[0] {
	case 'n':
		if b.archives++; b.archives > 1 {
			return 0, errors.New("the cluster has tablespaces, which are not backed up")
		}
	case 'd':
		if _, err := b.w.Write(message[1:]); err != nil {
			return 0, err //nolint:wrapcheck // of the caller's own writer
		}
	}
	return len(message), nil
}

// Passwords are the passwords of all roles, as the data folder keeps them; what
// Backup wrote cannot be opened without them.
func (s *Server) Passwords() ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(s.Home, "passwords.json"))
	if err != nil {
		return nil, fmt.Errorf("read the database passwords: %w", err)
	}
	return raw, nil
}

// Restore makes a cluster of what Backup wrote, where there is none yet. The server
// recovers at its first start.
func Restore(o Options, archive io.Reader, passwords []byte) error {
	o = o.withDefaults()
	h, err := openHome(o.DataDir, o.Progress)
	if err != nil {
		return err
	}
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if h.major() != 0 {
		return fmt.Errorf("there is a database in %s already", h.dir)
	}
	fresh := h.cluster() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove a half-made cluster: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	if err := h.user.own(fresh); err != nil {
		return err
	}
	if err := h.unpack(fresh, archive); err != nil {
		return err
	}
	syscall.Sync() // thousands of files at once
	if err := os.WriteFile(filepath.Join(h.dir, "passwords.json"), passwords, 0o600); err != nil {
		return fmt.Errorf("save the database passwords: %w", err)
	}
	if err := os.Rename(fresh, h.cluster()); err != nil {
		return fmt.Errorf("put the database cluster in place: %w", err)
	}
	return nil
}

// unpack writes the files of a cluster. Nothing leaves the folder, and no links
// are made.
func (h home) unpack(dir string, archive io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the cluster's folder: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	for r := tar.NewReader(archive); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the database's archive: %w", err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(head.Name, "./"), "/")
		if name == "" || name == "." {
			continue
		}
		switch head.Typeflag {
		case tar.TypeDir:
			err = root.Mkdir(name, 0o700)
		case tar.TypeReg:
			err = unpackFile(root, name, r)
		default:
			err = fmt.Errorf("unexpected entry %s", head.Name)
		}
		if err == nil {
			err = h.user.own(filepath.Join(dir, name))
		}
		if err != nil {
			return fmt.Errorf("unpack the database: %w", err)
		}
	}
}

func unpackFile(root *os.Root, name string, from io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err //nolint:wrapcheck // unpack does
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
