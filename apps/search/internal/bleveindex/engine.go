// Package bleveindex is the engine in the process: Bleve, with its files in a folder
// of this replica. Nothing has to be installed for it.
package bleveindex

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"lms/apps/search/internal/search"
	"lms/shared/apperr"
)

// Engine is a folder with an index in use and, at times, one that is being made. Only
// one process may have it open.
type Engine struct {
	folder string

	mu   sync.RWMutex // held for reading by whoever uses an index
	live *one
	next *one
}

var _ search.Engine = (*Engine)(nil)

// currentFile names the index in use.
const currentFile = "CURRENT"

// rulesKey says by which rules an index was made whole.
const rulesKey = "rules"

// laidOut adds to the rules of the domain how this engine lays documents out: an index
// of an older layout answers until it is made anew.
func laidOut(rules string) []byte { return []byte(rules + " 2") }

// Open opens the folder, and makes an empty index in one that is new, or that has lost
// its own.
func Open(folder string) (*Engine, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the index: %w", err)
	}
	e := &Engine{folder: folder}
	if err := e.begin(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) begin() error {
	raw, err := os.ReadFile(filepath.Join(e.folder, currentFile))
	if err == nil {
		e.live, err = open(filepath.Join(e.folder, filepath.Base(strings.TrimSpace(string(raw)))))
	}
	if errors.Is(err, fs.ErrNotExist) || missing(err) {
		if e.live, err = create(e.fresh()); err == nil {
			err = e.point(e.live)
		}
	}
	if err != nil {
		return err
	}
	return e.tidy()
}

// fresh is the path of an index that does not exist yet.
func (e *Engine) fresh() string {
	for n := 1; ; n++ {
		path := filepath.Join(e.folder, fmt.Sprintf("index-%d", n))
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
}

// point makes an index the one in use, also after a crash at any moment.
func (e *Engine) point(o *one) error {
	name := filepath.Join(e.folder, currentFile)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("name the index in use: %w", err)
	}
	_, err = f.WriteString(filepath.Base(o.path) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("name the index in use: %w", err)
	}
	if err := errors.Join(os.Rename(name+".new", name), syncFolder(e.folder)); err != nil {
		return fmt.Errorf("name the index in use: %w", err)
	}
	return nil
}

// syncFolder makes last which files there are in a folder.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// tidy removes what a rebuild has left that did not come to its end.
func (e *Engine) tidy() error {
	old, err := filepath.Glob(filepath.Join(e.folder, "index-*"))
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	for _, path := range old {
		if path != e.live.path {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("remove an old index: %w", err)
			}
		}
	}
	return nil
}

// Write implements search.Writer.
func (e *Engine) Write(_ context.Context, docs []search.Document) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.usable(); err != nil {
		return err
	}
	if err := e.live.write(docs); err != nil {
		return err
	}
	if e.next != nil {
		return e.next.write(docs)
	}
	return nil
}

// usable is an error after Close.
func (e *Engine) usable() error {
	if e.live == nil {
		return apperr.Unavailable("search_unavailable", "The index is closed.")
	}
	return nil
}

// Search implements search.Engine.
func (e *Engine) Search(ctx context.Context, r search.Request) (search.Result, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.usable(); err != nil {
		return search.Result{}, err
	}
	return e.live.search(ctx, r)
}

// Fetch implements search.Engine.
func (e *Engine) Fetch(_ context.Context, ids []string) (map[string]search.Hit, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	return e.live.fetch(ids)
}

// Filled implements search.Engine.
func (e *Engine) Filled(_ context.Context, rules string) (bool, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if err := e.usable(); err != nil {
		return false, err
	}
	have, err := e.live.idx.GetInternal([]byte(rulesKey))
	return bytes.Equal(have, laidOut(rules)), err
}

// Ready implements search.Engine.
func (e *Engine) Ready(context.Context) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.usable()
}

// Close implements search.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, o := range []*one{e.live, e.next} {
		if o != nil {
			errs = append(errs, o.close())
		}
	}
	e.live, e.next = nil, nil
	return errors.Join(errs...)
}

// Begin implements search.Engine.
func (e *Engine) Begin(_ context.Context, rules string) (search.Rebuild, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	if e.next != nil {
		if err := e.discard(e.next); err != nil {
			return nil, err
		}
		e.next = nil
	}
	next, err := create(e.fresh())
	if err != nil {
		return nil, err
	}
	e.next = next
	return &rebuild{engine: e, index: next, rules: rules}, nil
}

func (e *Engine) discard(o *one) error {
	if err := errors.Join(o.close(), os.RemoveAll(o.path)); err != nil {
		return fmt.Errorf("remove an index: %w", err)
	}
	return nil
}

type rebuild struct {
	engine *Engine
	index  *one
	rules  string
}

// overtaken says that another rebuild was begun since.
func (r *rebuild) overtaken() error {
	if r.engine.next != r.index {
		return apperr.Conflict("rebuild_overtaken", "Another rebuild was begun in the meantime.")
	}
	return nil
}

// Write implements search.Writer.
func (r *rebuild) Write(_ context.Context, docs []search.Document) error {
	r.engine.mu.RLock()
	defer r.engine.mu.RUnlock()
	if err := r.overtaken(); err != nil {
		return err
	}
	return r.index.write(docs)
}

// Commit implements search.Rebuild.
func (r *rebuild) Commit(context.Context) error {
	old, err := r.replace()
	if err != nil {
		return err
	}
	// Nobody uses it any more. What cannot be removed goes at the next start: the new one
	// has taken its place.
	_ = r.engine.discard(old)
	return nil
}

// replace puts the index in the place of the one in use, while nobody reads or writes.
func (r *rebuild) replace() (old *one, err error) {
	e := r.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := r.overtaken(); err != nil {
		return nil, err
	}
	if err := r.index.idx.SetInternal([]byte(rulesKey), laidOut(r.rules)); err != nil {
		return nil, fmt.Errorf("finish the index: %w", err)
	}
	if err := e.point(r.index); err != nil {
		return nil, err
	}
	old, e.live, e.next = e.live, r.index, nil
	return old, nil
}

// Abort implements search.Rebuild.
func (r *rebuild) Abort(context.Context) error {
	e := r.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.overtaken() != nil {
		return nil
	}
	e.next = nil
	return e.discard(r.index)
}
