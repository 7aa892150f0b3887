package mails_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/mails"
)

func TestEveryMessageIsWrittenInEveryLanguage(t *testing.T) {
	t.Parallel()
	m, err := mails.New()
	require.NoError(t, err)
	at := time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)
	d := identity.MailData{
		Name: "Ada", Link: "https://lms.example/x?token=abc&b=1", Email: "ada@example.org", IP: "192.0.2.7", Device: "Firefox",
		When: at, Expires: at, Detail: "a reason",
	}
	for _, kind := range mails.Kinds() {
		subjects := map[string]bool{}
		for _, locale := range []string{"en", "de"} {
			subject, text, html, err := m.Render(kind, locale, d)
			require.NoError(t, err, "%s %s", kind, locale)
			require.NotContains(t, subject+text+html, "<no value>")
			require.NotContains(t, subject, "\n")
			require.Contains(t, text, "Ada")
			require.Equal(t, strings.Contains(html, "href="), strings.Contains(text, d.Link), "both or neither have the link")
			subjects[subject] = true
		}
		require.Len(t, subjects, 2, "%s is translated", kind)
	}
}

func TestTheNearestLanguageIsTakenAndEnglishOtherwise(t *testing.T) {
	t.Parallel()
	m, err := mails.New()
	require.NoError(t, err)
	for locale, want := range map[string]string{"de-AT": "Guten Tag", "en-GB": "Hello", "vi": "Hello", "": "Hello", "not a locale": "Hello"} {
		_, text, _, err := m.Render(identity.MailReset, locale, identity.MailData{Email: "a@example.org"})
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(text, want), "%s: %s", locale, text)
	}
}

func TestWhatPeopleTypedCannotBecomeMarkupOrLines(t *testing.T) {
	t.Parallel()
	m, err := mails.New()
	require.NoError(t, err)
	subject, text, html, err := m.Render(identity.MailDeactivated, "en", identity.MailData{Name: "<b>Eve</b>\r\nBcc: all@example.org", Detail: "{{.Link}}<script>"})
	require.NoError(t, err)
	require.NotContains(t, subject, "\r")
	require.NotContains(t, html, "<script>")
	require.NotContains(t, html, "<b>")
	require.NotContains(t, text, "\r\nBcc")
	require.Contains(t, text, "{{.Link}}", "a template in a value stays text")
}
