package fonts

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/image/font/sfnt"
)

func TestNamesAreNotBoxes(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"王小明": 3, "山田 はなこ カナ": 9, "Anna 李 Müller": 13, "김민준 ㄱㅏ": 6, "박 Anna 李": 8, "Łucja Đặng Ω Жанна": 18} {
		var seen int
		for _, r := range Runs(name) {
			seen += utf8.RuneCountInString(r.Text)
			for _, ch := range r.Text {
				require.Positive(t, glyph(t, r.Font, ch), "%c in %s", ch, r.Font)
			}
		}
		require.Equal(t, size, seen, "nothing of %s is left out", name)
	}
}

// glyph is the number of a character's glyph in a font, 0 for none.
func glyph(t *testing.T, name string, r rune) int {
	t.Helper()
	raw := regular
	for _, p := range compressed() {
		if p.name == name {
			var err error
			raw, err = p.open()
			require.NoError(t, err)
		}
	}
	f, err := sfnt.Parse(raw)
	require.NoError(t, err)
	i, err := f.GlyphIndex(nil, r)
	require.NoError(t, err)
	return int(i)
}
