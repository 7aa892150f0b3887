package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the sidecars' own format of the durable state
)

// state copies the documents of the component `state` as of one moment, while
// sidecars write to them.
func (m *maker) state(ctx context.Context) error {
	from := filepath.Join(m.home.Run(), stateFile)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was written yet, or the state is elsewhere
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: from, RawQuery: "mode=rw&_pragma=busy_timeout(10000)"}).String())
	if err != nil {
		return fmt.Errorf("open the state: %w", err)
	}
	_, err = db.ExecContext(ctx, "vacuum into ?", filepath.Join(m.dir, stateFile))
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	if err := os.Chmod(filepath.Join(m.dir, stateFile), 0o600); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	return m.sum(stateFile)
}
