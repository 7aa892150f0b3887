package archive_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/archive"
)

func TestXMLOfStrangersIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	for name, tc := range map[string]struct {
		raw   string
		err   error // nil with refused: any
		wrong bool
	}{
		"a document":                  {raw: `<?xml version="1.0"?><a b="c"/>`},
		"with a byte order mark":      {raw: "\xef\xbb\xbf<a/>"},
		"with a document type":        {raw: `<!DOCTYPE a PUBLIC "-//X//Y" "http://example.org/a.dtd"><a/>`},
		"as deep as it may be":        {raw: nested(100)},
		"deeper":                      {raw: nested(101), err: archive.ErrDepth, wrong: true},
		"that never ends":             {raw: strings.Repeat("<a>", 1_000_000), err: archive.ErrDepth, wrong: true},
		"with an entity of its own":   {raw: `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`, err: archive.ErrEntities, wrong: true},
		"with one in small letters":   {raw: `<!DOCTYPE a [<!entity x "y">]><a/>`, err: archive.ErrEntities, wrong: true},
		"with an entity of nobody's":  {raw: `<a>&x;</a>`, wrong: true},
		"that is not closed":          {raw: `<a>`, wrong: true},
		"without an element":          {raw: `<!-- nothing -->`, wrong: true},
		"that is empty":               {raw: "", wrong: true},
		"that is something different": {raw: "%PDF-1.7", wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, err := archive.XML([]byte(tc.raw))
			if !tc.wrong {
				require.NoError(t, err)
				require.Equal(t, "a", root.Tag)
				return
			}
			require.Error(t, err)
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
			}
		})
	}
}

func TestThePackageOfTheSameFilesIsTheSame(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"b.xml": []byte("<b/>"), "a.json": []byte("{}"), "c/d.txt": []byte("d")}
	raw, err := archive.Pack(files, 1<<20)
	require.NoError(t, err)
	for range 5 {
		again, err := archive.Pack(files, 1<<20)
		require.NoError(t, err)
		require.Equal(t, raw, again)
	}
	z, err := archive.Zip(bytes.NewReader(raw), int64(len(raw)), archive.Standard())
	require.NoError(t, err)
	require.Equal(t, []string{"a.json", "b.xml", "c/d.txt"}, z.Names())
	for name, want := range files {
		got, ok, err := z.Document(name)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	noise := make([]byte, 2<<20)
	_, err = rand.Read(noise)
	require.NoError(t, err)
	_, err = archive.Pack(map[string][]byte{"x": noise}, 2<<20)
	require.True(t, apperr.IsKind(err, apperr.KindTooLarge))
	require.ErrorContains(t, err, "2 MiB")
}
