package language_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/search/internal/language"
)

func stems(l *language.Languages, lang, text string) []string {
	var out []string
	for _, t := range language.Tokens(text) {
		out = append(out, l.Stems(lang, t)...)
	}
	return out
}

// Each pair is one word in two inflections.
func TestInflectionsShareAStem(t *testing.T) {
	t.Parallel()
	l := language.New()
	for lang, pairs := range map[string][][2]string{
		"en": {{"databases", "database"}, {"programming", "programs"}, {"biologies", "biology"}, {"studies", "studying"}},
		"de": {{"Übungen", "Übung"}, {"Vorlesungen", "Vorlesung"}, {"Häuser", "Haus"}, {"Grundlagen", "Grundlage"}},
		"fr": {{"mathématiques", "mathématique"}, {"nationale", "nationaux"}, {"chevaux", "cheval"}},
		"es": {{"bibliotecas", "biblioteca"}, {"canciones", "canción"}, {"estudiantes", "estudiante"}},
	} {
		for _, p := range pairs {
			require.NotEmpty(t, stems(l, lang, p[0]))
			shared := false
			for _, a := range stems(l, lang, p[0]) {
				for _, b := range stems(l, lang, p[1]) {
					shared = shared || a == b
				}
			}
			require.True(t, shared, "%s: %s %v, %s %v", lang, p[0], stems(l, lang, p[0]), p[1], stems(l, lang, p[1]))
		}
	}
}

func TestWordsAreFoldedAndKeepTheirPlace(t *testing.T) {
	t.Parallel()
	text := "L'été à Đà Nẵng: C++ & Straße 2"
	var words []string
	for _, tok := range language.Tokens(text) {
		words = append(words, tok.Word)
		require.Equal(t, tok.Word, language.Fold(text[tok.Start:tok.End]))
	}
	require.Equal(t, []string{"l", "ete", "a", "da", "nang", "c++", "strasse", "2"}, words)
	require.Len(t, language.Tokens("数学入門"), 4, "a word for each character")
}

func TestWhatIsTypedWithoutAccentsIsFound(t *testing.T) {
	t.Parallel()
	l := language.New()
	typed := l.StemsAsked("", language.Tokens("uebungen")[0])
	for _, s := range stems(l, "de", "Übung") {
		require.Contains(t, typed, s)
	}
	require.Subset(t, stems(l, "fr", "Énergies"), stems(l, "fr", "energie"))
}

func TestWordsWithoutMeaningHaveNoStem(t *testing.T) {
	t.Parallel()
	l := language.New()
	require.Empty(t, stems(l, "en", "the and of"))
	require.Empty(t, stems(l, "de", "und der die"))
	require.True(t, l.Stop("vi", "cua"))
	require.Equal(t, 2, l.StopsIn(language.Tokens("history of the world"))["en"])
	require.Equal(t, "pt", language.Base("pt-BR"))
}

func TestDistanceCountsTypos(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"biology", "biology", 0}, {"boilogy", "biology", 1}, {"bology", "biology", 1}, {"photosynthesis", "fotosynthesis", 2}, {"art", "music", 3}} {
		require.Equal(t, c.want, language.Distance(c.a, c.b, 2), c)
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z]{3,10}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		require.Equal(t, language.Distance(a, b, 9), language.Distance(b, a, 9), "the same both ways")
		require.Equal(t, a == b, language.Distance(a, b, 9) == 0)
	})
}

// TestNearIsWhatDistanceSays, of words that are like each other.
func TestNearIsWhatDistanceSays(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		w := make([]rune, r.IntN(12))
		for i := range w {
			w[i] = []rune("abé數")[r.IntN(4)]
		}
		return string(w)
	}
	found := 0
	for range 200 {
		asked, edits := word(), 1+r.IntN(2)
		near := language.NewNear(asked, edits)
		for range 200 {
			w := word()
			want := language.Distance(asked, w, edits) <= edits
			require.Equal(t, want, near.Matches(w), "%q and %q", asked, w)
			if want {
				found++
				require.True(t, near.Possible(language.LettersOf(w), utf8.RuneCountInString(w)), "%q and %q", asked, w)
			}
		}
	}
	require.NotZero(t, found)
	long := strings.Repeat("a", 70)
	require.True(t, language.NewNear(long, 1).Matches(long+"b"))
}
