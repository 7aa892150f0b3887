package main

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/installation"
)

func TestWhatHasAnEntryIsCarried(t *testing.T) {
	t.Parallel()
	var entered []string // services that can be carried
	folders, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, f := range folders {
		if _, err := os.Stat("../" + f.Name() + "/entry"); err == nil {
			entered = append(entered, f.Name())
		}
	}
	names := installation.Names(installation.Services())
	carried := slices.Sorted(maps.Keys(carried()))
	require.Subset(t, names, carried, "apps/lms/internal/installation/services.go knows them")
	require.Equal(t, entered, carried, "what has a folder entry is carried")
}
