package texts_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/texts"
)

func shipped(t *testing.T) (*catalog.Catalog, *texts.Texts) {
	t.Helper()
	c := catalog.New()
	x, err := texts.New(c)
	require.NoError(t, err)
	return c, x
}

func samples(k catalog.Kind, optional bool) map[string]string {
	out := map[string]string{}
	for _, v := range k.Variables {
		if optional || !v.Optional {
			out[v.Name] = v.Sample
		}
	}
	return out
}

func reader(locale string) texts.Reader {
	return texts.Reader{Name: "Ada", Locale: locale, Zone: time.UTC}
}

func TestEveryKindHasTextsInEveryShippedLanguage(t *testing.T) {
	t.Parallel()
	c, x := shipped(t)
	for _, k := range c.Kinds() {
		english := ""
		for _, locale := range []string{"en", "de", "es", "vi"} {
			for _, optional := range []bool{true, false} {
				title, text, err := x.List(k.Key, reader(locale), samples(k, optional), "https://learn.example/x")
				require.NoError(t, err, "%s %s", k.Key, locale)
				require.NotEmpty(t, title, "%s %s", k.Key, locale)
				require.NotEmpty(t, text, "%s %s", k.Key, locale)
				if locale == "en" {
					english = title + text
				} else if k.Key != catalog.KindAnnouncement {
					require.NotEqual(t, english, title+text, "%s has no text of its own in %s", k.Key, locale)
				}
				m, err := x.Mail(texts.Letter{Kind: k.Key, Vars: samples(k, optional), Link: "https://learn.example/x?a=1&b=2", Unsubscribe: "https://learn.example/u"}, reader(locale))
				require.NoError(t, err, "%s %s", k.Key, locale)
				require.Contains(t, m.Text, "https://learn.example/x?a=1&b=2")
				require.Contains(t, m.HTML, "https://learn.example/u")
				require.Contains(t, m.HTML, `lang="`+locale+`"`)
				for _, s := range []string{m.Subject, m.Text, m.HTML, title, text} {
					require.NotContains(t, s, "<no value>")
					require.NotContains(t, s, "{{")
				}
			}
		}
	}
}

func TestLanguagesFallBack(t *testing.T) {
	t.Parallel()
	_, x := shipped(t)
	for locale, want := range map[string]string{
		"de-AT": "Ihr Konto ist wieder aktiv", "de_CH": "Ihr Konto ist wieder aktiv", "fr": "Your account is active again",
		"": "Your account is active again", "not a tag!": "Your account is active again", "vi-VN": "Tài khoản của bạn đã hoạt động trở lại",
	} {
		title, _, err := x.List("account.reactivated", reader(locale), nil, "")
		require.NoError(t, err)
		require.Equal(t, want, title, locale)
	}
}

func TestMomentsAreThoseOfTheReader(t *testing.T) {
	t.Parallel()
	_, x := shipped(t)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for until, want := range map[string]string{
		"2026-03-29T00:30:00Z": "29.03.2026, 01:30 CET", "2026-03-29T01:30:00Z": "29.03.2026, 03:30 CEST",
		"2026-10-25T00:30:00Z": "25.10.2026, 02:30 CEST", "2026-10-25T01:30:00Z": "25.10.2026, 02:30 CET",
	} {
		_, text, err := x.List("enrollment.expiring_soon", texts.Reader{Locale: "de", Zone: berlin}, map[string]string{"course_title": "x", "until": until}, "")
		require.NoError(t, err)
		require.Contains(t, text, want)
	}
}

func TestWhatPeopleWriteStaysText(t *testing.T) {
	t.Parallel()
	_, x := shipped(t)
	evil := "<script>alert(1)</script>\r\nBcc: all@example.test"
	m, err := x.Mail(texts.Letter{Kind: "enrollment.activated", Vars: map[string]string{"course_title": evil, "course_code": "{{.x}}"}},
		texts.Reader{Name: "visit https://evil.example", Locale: "en"})
	require.NoError(t, err)
	require.NotContains(t, m.Subject, "\n")
	require.NotContains(t, m.Subject, "\r")
	require.NotContains(t, m.HTML, "<script>")
	require.NotContains(t, m.HTML+m.Text, "evil.example")
	require.Contains(t, m.Text, "{{.x}}", "a value is never a template")
}

func TestWhatIsRefusedAtLoad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, raw, says string }{
		"it does not parse":           {"en.tmpl", "=== account.reactivated\ntitle: {{if}}\n", "missing value for if"},
		"a variable that is not":      {"en.tmpl", "=== enrollment.activated\ntitle: {{.course_titel}}\n", "there is no variable .course_titel"},
		"one in a branch not taken":   {"en.tmpl", "=== enrollment.activated\ntitle: a{{if .link}}{{else}}{{.nope}}{{end}}\n", "there is no variable .nope"},
		"a member of a variable":      {"en.tmpl", "=== enrollment.activated\ntitle: {{.starts_at.Year}}\n", "there is no variable"},
		"an unknown function":         {"en.tmpl", "=== account.reactivated\ntitle: {{shell}}\n", `function "shell" not defined`},
		"a function with width":       {"en.tmpl", "=== account.reactivated\ntitle: {{printf \"%9999999d\" 1}}\n", "printf may not be used"},
		"a loop":                      {"en.tmpl", "=== account.reactivated\ntitle: {{range 9}}x{{end}}\n", "may not be used"},
		"templates in templates":      {"en.tmpl", "=== account.reactivated\ntitle: {{define \"x\"}}a{{end}}b\n", "defines templates"},
		"a kind that is not":          {"de.tmpl", "=== no.such\ntitle: a\n", "there is no kind no.such"},
		"a name that is no language":  {"klingonisch!.tmpl", "=== account.reactivated\ntitle: a\n", "no language"},
		"a text before the first":     {"en.tmpl", "title: a\n", "before the first kind"},
		"a part twice":                {"en.tmpl", "=== account.reactivated\ntitle: a\ntitle: b\n", "twice"},
		"a title of many lines":       {"en.tmpl", "=== account.reactivated\ntitle: a\nb\n", "belongs to no part"},
		"HTML that cannot be escaped": {"en.tmpl", "=== role.granted\nhtml:\n<a href='{{.role}}\n", "ends in a non-text context"},
		"a title too long":            {"en.tmpl", "=== account.reactivated\ntitle: " + strings.Repeat("a", 2000) + "\n", "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, x := shipped(t)
			err := x.UseFolder(fstest.MapFS{c.file: {Data: []byte(c.raw)}})
			require.ErrorContains(t, err, c.says)
			title, _, err := x.List("account.reactivated", reader("en"), nil, "")
			require.NoError(t, err)
			require.Equal(t, "Your account is active again", title, "what was in use stays")
		})
	}
}

func TestOverridesInTheirOrder(t *testing.T) {
	t.Parallel()
	_, x := shipped(t)
	say := func(locale string) string {
		title, _, err := x.List("account.reactivated", reader(locale), nil, "")
		require.NoError(t, err)
		return title
	}
	require.NoError(t, x.UseFolder(fstest.MapFS{"de.tmpl": {Data: []byte("=== account.reactivated\ntitle: Aus dem Ordner\nmail:\nNur die Mail.\n")}}))
	require.Equal(t, "Aus dem Ordner", say("de"))
	require.Equal(t, "Your account is active again", say("en"))
	_, text, err := x.List("account.reactivated", reader("de"), nil, "")
	require.NoError(t, err)
	require.Contains(t, text, "anmelden", "a part that is not overridden is the shipped one")
	m, err := x.Mail(texts.Letter{Kind: "account.reactivated"}, reader("de"))
	require.NoError(t, err)
	require.Contains(t, m.Text, "Nur die Mail.")

	require.NoError(t, x.UseOverrides(map[texts.Key]texts.Source{
		{Kind: "account.reactivated", Locale: "de"}:    {texts.Title: "Über die API"},
		{Kind: "account.reactivated", Locale: "de-AT"}: {texts.Title: "Servus"},
		{Kind: "account.reactivated", Locale: "fr"}:    {texts.Title: "Bonjour"},
	}))
	require.Equal(t, "Über die API", say("de"))
	require.Equal(t, "Servus", say("de-AT"))
	require.Equal(t, "Bonjour", say("fr-CA"))
	err = x.UseOverrides(map[texts.Key]texts.Source{{Kind: "account.reactivated", Locale: "de"}: {texts.Title: "{{.nope}}"}})
	require.ErrorContains(t, err, "nope")
	require.Equal(t, "Aus dem Ordner", say("de"), "a broken override is left out")
}

func TestAnOverrideInHTMLIsEscapedWhereItUsesVariables(t *testing.T) {
	t.Parallel()
	_, x := shipped(t)
	require.NoError(t, x.UseFolder(fstest.MapFS{"en.tmpl": {Data: []byte("=== role.granted\nhtml:\n<h1>{{.role}}</h1><a href=\"{{.link}}\">go</a>\n")}}))
	m, err := x.Mail(texts.Letter{Kind: "role.granted", Vars: map[string]string{"role": "<b>x</b>"}, Link: "javascript:alert(1)"}, reader("en"))
	require.NoError(t, err)
	require.Contains(t, m.HTML, "<h1>&lt;b&gt;x&lt;/b&gt;</h1>")
	require.NotContains(t, m.HTML, `href="javascript:`)
}
