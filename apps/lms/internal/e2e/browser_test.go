package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/system"
)

// tab is a page in a real browser without a screen, with scripts switched off: what a
// person needs must work without them.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // of the browser, about what a page may not do
}

// openBrowser starts a browser that ends with the test. It contacts nobody but the
// pages that it is sent to.
func openBrowser(t *testing.T) *tab {
	t.Helper()
	program, err := exec.CommandContext(t.Context(), filepath.Join(system.Root(t), "deploy", "tools", "browser"), "find").CombinedOutput()
	require.NoError(t, err, "%s", program)
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(strings.TrimSpace(string(program))), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.WindowSize(1000, 900),
		chromedp.WSURLReadTimeout(time.Minute), // a busy machine
	)
	t.Cleanup(stop)
	return newTab(t, alloc, chromedp.WithErrorf(t.Logf))
}

// another opens one more tab of the same browser.
func (b *tab) another() *tab { return newTab(b.t, b.ctx) }

func newTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(parent, options...)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(end)
	chromedp.ListenTarget(ctx, func(event any) {
		if e, ok := event.(*log.EventEntryAdded); ok && e.Entry.Source == log.SourceSecurity {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	})
	// The first run starts the browser, and ends it with its context.
	require.NoError(t, chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(true)), "the browser starts")
	return b
}

// patience is how long a step may take on a busy machine.
const patience = time.Minute

// do runs what leads to no other page.
func (b *tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// A tab behind another one is not painted, and waits for that.
	require.NoError(b.t, chromedp.Run(ctx, append([]chromedp.Action{page.BringToFront()}, actions...)...), what)
}

// leads runs what leads to another page, waits for that and gives its status.
func (b *tab) leads(what string, actions ...chromedp.Action) int64 {
	b.t.Helper()
	b.do("to the front")
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, actions...)
	require.NoError(b.t, err, what)
	return res.Status
}

func (b *tab) open(address string) {
	b.t.Helper()
	require.EqualValues(b.t, http.StatusOK, b.leads("open", chromedp.Navigate(address)))
}

func (b *tab) reload() {
	b.t.Helper()
	require.EqualValues(b.t, http.StatusOK, b.leads("reload", chromedp.Reload()))
}

// press clicks a button or a link by what stands on it.
func (b *tab) press(label string) {
	b.t.Helper()
	require.EqualValues(b.t, http.StatusOK, b.pressed(label))
}

func (b *tab) pressed(label string) int64 {
	b.t.Helper()
	return b.leads("press "+label, chromedp.Click(`//*[self::button or self::a][normalize-space()="`+label+`"]`, chromedp.BySearch))
}

// choose clicks the words beside a choice.
func (b *tab) choose(words string) {
	b.t.Helper()
	b.do("choose "+words, chromedp.Click(`//label[contains(., "`+words+`")]`, chromedp.BySearch))
}

// keys presses keys of the keyboard, one after the other.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do("key", chromedp.KeyEvent(k))
	}
}

// tabTo goes on by the Tab key until something that says this has the focus, which a
// person can see.
func (b *tab) tabTo(words string) {
	b.t.Helper()
	for range 20 {
		b.keys(kb.Tab)
		var at struct {
			Text    string  `json:"text"`
			Outline float64 `json:"outline"` // its contrast, 0 for none
		}
		b.do("focus", chromedp.Evaluate(focusScript, &at))
		if strings.Contains(at.Text, words) {
			require.GreaterOrEqual(b.t, at.Outline, 3.0, "the focus on %q is seen", words)
			return
		}
	}
	require.Fail(b.t, "the Tab key does not lead there", words)
}

// enter presses what has the focus.
func (b *tab) enter() {
	b.t.Helper()
	require.EqualValues(b.t, http.StatusOK, b.leads("enter", chromedp.KeyEvent(kb.Enter)))
}

// main is the text of the page's main part as a person sees it.
func (b *tab) main() (text string) {
	b.t.Helper()
	b.do("text", chromedp.Text("main", &text, chromedp.ByQuery))
	return text
}

// alert is what the page tells at once, also to who hears it.
func (b *tab) alert() (text string) {
	b.t.Helper()
	b.do("alert", chromedp.Text(`[role=alert]`, &text, chromedp.ByQuery))
	return text
}

// inspect looks at the page as people with other eyes, screens and programs do, and
// keeps pictures of it.
func (b *tab) inspect(name string) {
	b.t.Helper()
	var lang, title string
	b.do("language and title", chromedp.Evaluate(`document.documentElement.lang`, &lang), chromedp.Title(&title))
	require.NotEmpty(b.t, lang, "%s: in which language it is to be read", name)
	require.NotEmpty(b.t, title, name)
	b.picture(name)
	b.spoken(name)
	for _, scheme := range []string{"light", "dark"} {
		var faint []string
		b.do("contrast", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.Evaluate(contrastScript, &faint))
		require.Empty(b.t, faint, "%s, %s: text below a contrast of 4.5", name, scheme)
	}
	var wide int
	b.do("narrow", emulation.SetEmulatedMedia(), emulation.SetDeviceMetricsOverride(320, 640, 1, true), chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide))
	require.LessOrEqual(b.t, wide, 320, "%s: nothing is cut off on a narrow screen", name)
	b.picture(name + "-narrow")
	b.do("wide", emulation.ClearDeviceMetricsOverride())
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.complaints, "%s: the page does nothing that it forbids itself", name)
}

// picture is kept with -artifacts.
func (b *tab) picture(name string) {
	b.t.Helper()
	var png []byte
	b.do("picture", chromedp.FullScreenshot(&png, 100))
	require.NoError(b.t, os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o600))
}

// spoken checks what a screen reader is told: one main part with one main heading,
// and a name for everything that can be operated.
func (b *tab) spoken(name string) {
	b.t.Helper()
	// Not through the typed command, which refuses properties younger than it.
	var tree struct {
		Nodes []struct {
			Ignored bool `json:"ignored"`
			Role    struct {
				Value json.RawMessage `json:"value"`
			} `json:"role"`
			Name struct {
				Value string `json:"value"`
			} `json:"name"`
			Properties []struct {
				Name  string `json:"name"`
				Value struct {
					Value json.RawMessage `json:"value"`
				} `json:"value"`
			} `json:"properties"`
		} `json:"nodes"`
	}
	b.do("accessibility tree", chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, "Accessibility.getFullAXTree", nil, &tree)
	}))
	count := map[string]int{}
	for _, n := range tree.Nodes {
		role := strings.Trim(string(n.Role.Value), `"`)
		if n.Ignored {
			continue
		}
		switch role {
		case "button", "link", "radio", "textbox", "group":
			require.NotEmpty(b.t, n.Name.Value, "%s: a %s has a name", name, role)
		case "heading":
			for _, p := range n.Properties {
				if p.Name == "level" {
					role += string(p.Value.Value)
				}
			}
		}
		count[role]++
	}
	require.Equal(b.t, 1, count["main"], "%s: %v", name, count)
	require.Equal(b.t, 1, count["heading1"], "%s: %v", name, count)
}

// colours are functions for the scripts below: contrast as WCAG defines it.
const colours = `
const parts = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3) };
const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c) return c } return [255, 255, 255] };
const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
`

const contrastScript = `(() => {` + colours + `
  const faint = [];
  for (const e of document.querySelectorAll('main, main *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const c = contrast(parts(getComputedStyle(e).color), behind(e));
    if (c < 4.5) faint.push(e.textContent.trim() + ': ' + c.toFixed(2));
  }
  return faint;
})()`

// What is focused, by its label; the outline stands around it, on what is behind.
const focusScript = `(() => {` + colours + `
  const e = document.activeElement, s = getComputedStyle(e);
  const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
  return { text: e.labels?.[0]?.textContent || e.textContent, outline: seen ? contrast(parts(s.outlineColor), behind(e.parentElement)) : 0 };
})()`
