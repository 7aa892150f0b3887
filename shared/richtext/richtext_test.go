package richtext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingThatRunsStays(t *testing.T) {
	t.Parallel()
	text := New()
	for raw, want := range map[string]string{
		`<p onclick="x()">a<script>alert(1)</script></p>`: `<p>a</p>`,
		`<a href="javascript:alert(1)">x</a>`:             `x`,
		`<iframe src="https://example.org"></iframe>y`:    `y`,
		`<h2 class="t">T</h2><ul><li>1</li></ul>`:         `<h2 class="t">T</h2><ul><li>1</li></ul>`,
		`<style>p{}</style><svg onload=x></svg>z`:         `z`,
	} {
		require.Equal(t, want, text.HTML(raw))
		require.Equal(t, want, text.HTML(want), "twice is once")
	}
}

func TestPlainText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Title\none & two\nthree", New().Plain("<h1>Title</h1><p>one &amp;  two<br>three</p>"))
}
