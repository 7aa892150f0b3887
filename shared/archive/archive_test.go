package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/archive"
)

type file struct {
	name string
	body []byte
	link bool
}

func zipOf(t *testing.T, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.link {
			h.SetMode(fs.ModeSymlink | 0o777)
		}
		w, err := z.CreateHeader(h)
		require.NoError(t, err)
		_, err = w.Write(f.body)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return buf.Bytes()
}

func tarOf(t *testing.T, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	w := tar.NewWriter(gz)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.body)), Typeflag: tar.TypeReg}
		if f.link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0
		}
		require.NoError(t, w.WriteHeader(h))
		if !f.link {
			_, err := w.Write(f.body)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, gz.Close())
	return buf.Bytes()
}

func open(t *testing.T, kind string, l archive.Limits, files ...file) (*archive.Files, error) {
	t.Helper()
	if kind == "zip" {
		raw := zipOf(t, files...)
		return archive.Zip(bytes.NewReader(raw), int64(len(raw)), l)
	}
	return archive.TarGzip(bytes.NewReader(tarOf(t, files...)), l, func(string) bool { return true })
}

func TestHostileArchivesAreRefused(t *testing.T) {
	t.Parallel()
	small := archive.Limits{Entries: 10, Document: 1_000, Read: 5_000, Unpacked: 64 << 20, Ratio: 200}
	many := make([]file, 12)
	for i := range many {
		many[i] = file{name: fmt.Sprintf("f%d", i)}
	}
	tests := map[string]struct {
		files []file
		code  string
	}{
		"up and out":        {[]file{{name: "../../etc/passwd"}}, "bad_name"},
		"up in the middle":  {[]file{{name: "a/../../b"}}, "bad_name"},
		"absolute":          {[]file{{name: "/etc/passwd"}}, "bad_name"},
		"backslashes":       {[]file{{name: `..\..\b`}}, "bad_name"},
		"drive":             {[]file{{name: "c:/x"}}, "bad_name"},
		"link":              {[]file{{name: "a", link: true}}, "bad_name"},
		"twice":             {[]file{{name: "a"}, {name: "./a"}}, "bad_name"},
		"too many":          {many, "too_many_files"},
		"bomb by ratio":     {[]file{{name: "zeros", body: make([]byte, 32<<20)}}, "too_large"},
		"bomb by total":     {[]file{{name: "zeros", body: make([]byte, 65<<20)}}, "too_large"},
		"nothing of a kind": {nil, ""},
	}
	for name, tc := range tests {
		for _, kind := range []string{"zip", "tar.gz"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				_, err := open(t, kind, small, tc.files...)
				if tc.code == "" {
					require.NoError(t, err)
					return
				}
				require.True(t, apperr.IsKind(err, apperr.KindInvalid), "%v", err)
				require.Equal(t, tc.code, apperr.From(err).Fields[0].Code)
			})
		}
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	l := archive.Limits{Entries: 10, Document: 1_000, Read: 1_500, Unpacked: 1 << 20, Ratio: 200}
	f, err := open(t, "zip", l, file{name: "a", body: make([]byte, 1_000)}, file{name: "b", body: make([]byte, 1_000)}, file{name: "c", body: make([]byte, 1_001)})
	require.NoError(t, err)
	raw, ok, err := f.Document("a")
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, raw, 1_000)
	_, _, err = f.Document("b")
	require.Equal(t, "too_large", apperr.From(err).Fields[0].Code, "all documents together")
	_, _, err = f.Document("c")
	require.Error(t, err)
	_, ok, err = f.Document("d")
	require.NoError(t, err)
	require.False(t, ok)

	_, err = open(t, "tar.gz", l, file{name: "c", body: make([]byte, 1_001)})
	require.Equal(t, "too_large", apperr.From(err).Fields[0].Code)
}

func TestRubbishIsNoArchive(t *testing.T) {
	t.Parallel()
	rubbish := []byte("PK not really")
	_, err := archive.Zip(bytes.NewReader(rubbish), int64(len(rubbish)), archive.Standard())
	require.Equal(t, "not_a_zip", apperr.From(err).Fields[0].Code)
	_, err = archive.TarGzip(bytes.NewReader(rubbish), archive.Standard(), func(string) bool { return true })
	require.Equal(t, "not_a_tar_gz", apperr.From(err).Fields[0].Code)
	whole := tarOf(t, file{name: "a", body: bytes.Repeat([]byte("abc"), 10_000)})
	_, err = archive.TarGzip(bytes.NewReader(whole[:len(whole)/2]), archive.Standard(), func(string) bool { return true })
	require.Error(t, err)
}
