package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/web"
)

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, body, code string }{
		{"object", `{"a":1,"b":{"a":[1,2,{"a":null}]}}`, ""},
		{"scalar", `"a"`, ""},
		{"white space around", " \n{} \t", ""},
		{"same key in siblings", `[{"a":1},{"a":2}]`, ""},
		{"key after array", `{"a":["a","a"],"b":"a"}`, ""},
		{"escapes", `{"a\"b":"\\","c\\":"\""}`, ""},
		{"surrogate pair", `"\ud83d\ude00"`, ""},
		{"64 deep", strings.Repeat("[", 64) + strings.Repeat("]", 64), ""},
		{"empty", ``, "invalid_json"},
		{"cut", `{"a":`, "invalid_json"},
		{"trailing value", `{} {}`, "invalid_json"},
		{"trailing comma", `{"a":1,}`, "invalid_json"},
		{"comment", `{} // x`, "invalid_json"},
		{"single quotes", `{'a':1}`, "invalid_json"},
		{"NaN", `{"a":NaN}`, "invalid_json"},
		{"leading zero", `{"a":01}`, "invalid_json"},
		{"raw control", "{\"a\":\"\n\"}", "invalid_json"},
		{"byte order mark", "\ufeff{}", "invalid_json"},
		{"duplicate", `{"a":1,"a":2}`, "duplicate_key"},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, "duplicate_key"},
		{"duplicate deep", `{"x":[{"a":1,"b":{},"a":2}]}`, "duplicate_key"},
		{"65 deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), "too_deep"},
		{"65 deep objects", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), "too_deep"},
		{"many keys", manyKeys(100, ""), ""},
		{"duplicate of many keys", manyKeys(100, `,"k7":1`), "duplicate_key"},
		{"duplicate at the change", manyKeys(24, `,"k23":1`), "duplicate_key"},
		{"duplicate after the change", manyKeys(26, `,"k24":1`), "duplicate_key"},
		{"bad UTF-8", "\"\xff\"", "invalid_utf8"},
		{"overlong", "\"\xc0\xaf\"", "invalid_utf8"},
		{"NUL", `"a\u0000"`, "invalid_character"},
		{"NUL in a key", `{"\u0000":1}`, "invalid_character"},
		{"lone high surrogate", `"\ud800"`, "invalid_character"},
		{"lone low surrogate", `"\udc00"`, "invalid_character"},
		{"high then letter", `"\ud800a"`, "invalid_character"},
		{"high then other escape", `"\ud800\u0041"`, "invalid_character"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.code, apperr.Code(web.CheckJSON([]byte(tc.body))))
		})
	}
}

func manyKeys(n int, more string) string {
	var b strings.Builder
	b.WriteString(`{"in":{"k0":1}`)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":{"k%d":1}`, i, i)
	}
	return b.String() + more + `}`
}

// Whatever bytes come: no panic, and what passes is JSON that encoding/json
// reads, without a key twice.
func TestCheckJSONNeverPassesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.Map(rapid.SliceOf(rapid.SampledFrom([]string{`{`, `}`, `[`, `]`, `,`, `:`, `"a"`, `"b"`, `"\u0061"`, `1`, `null`, `"\ud800`, ` `, `\`, `"`})), func(p []string) []byte {
				return []byte(strings.Join(p, ""))
			}),
		).Draw(t, "body")
		if web.CheckJSON(body) == nil {
			var v any
			require.NoError(t, json.Unmarshal(body, &v))
		}
	})
}

// What encoding/json writes of maps passes: they have no key twice.
func TestCheckJSONPassesWhatGoWrites(t *testing.T) {
	t.Parallel()
	clean := rapid.Custom(func(t *rapid.T) string {
		return strings.ReplaceAll(rapid.String().Draw(t, "s"), "\x00", "")
	})
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(clean, rapid.SliceOf(clean)).Draw(t, "m")
		b, err := json.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, web.CheckJSON(b))
	})
}

func BenchmarkCheckJSON(b *testing.B) {
	body := []byte(`{"title":"Introduction to Go","code":"GO-101","tags":["go","beginner"],"modules":[{"title":"One","items":[{"kind":"page","title":"Hello"},{"kind":"quiz","title":"Try it"}]}]}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := web.CheckJSON(body); err != nil {
			b.Fatal(err)
		}
	}
}
