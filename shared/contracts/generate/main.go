// Command generate writes the documents that follow from the event types: a
// JSON Schema and a golden example per type, and the AsyncAPI document. With
// -check it writes nothing and fails when a document is stale.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	dir := flag.String("dir", "shared/contracts", "where the documents are")
	check := flag.Bool("check", false, "fail if a document is stale instead of writing it")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	docs, err := documents()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		path := filepath.Join(dir, name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, docs[name]) {
			continue
		}
		if check {
			return fmt.Errorf("%s is stale: run `make generate`", name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, docs[name], 0o644); err != nil {
			return err
		}
	}
	return orphans(dir, docs, check)
}

// orphans are documents of events that are gone.
func orphans(dir string, docs map[string][]byte, check bool) error {
	for _, sub := range []string{"schemas", "examples"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(sub, e.Name())
			if _, ok := docs[name]; ok {
				continue
			}
			if check {
				return fmt.Errorf("%s belongs to no event: run `make generate`", name)
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
