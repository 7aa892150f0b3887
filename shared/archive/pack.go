package archive

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"slices"

	"lms/shared/apperr"
)

// Pack makes a zip that is the same for the same files. One that packed takes more
// than so many bytes is refused.
func Pack(files map[string][]byte, most int) ([]byte, error) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if buf.Len() > most {
		return nil, apperr.New(apperr.KindTooLarge, "too_large", fmt.Sprintf("It takes more than %d MiB, packed, and cannot be part of a course package.", most>>20))
	}
	return buf.Bytes(), nil
}
