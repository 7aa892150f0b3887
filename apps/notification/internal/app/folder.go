package app

import (
	"context"
	"fmt"
	"os"
	"sync"

	"lms/apps/notification/internal/texts"
)

// folder takes an operator's texts into use when a file in it has changed.
type folder struct {
	path  string
	texts *texts.Texts

	mu    sync.Mutex
	state string
	err   error
}

// look compares names, sizes and times with the last look.
func (f *folder) look(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, err := os.ReadDir(f.path)
	if err != nil {
		f.err = fmt.Errorf("template folder: %w", err)
		return f.err
	}
	state := ""
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // it was removed just now: the next look sees the folder without it
		}
		state += fmt.Sprintf("%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	if state == f.state {
		return nil
	}
	f.state = state
	// What is refused is told once; what was in use stays.
	f.err = f.texts.UseFolder(os.DirFS(f.path))
	return f.err
}

func (f *folder) ready(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
