package mails_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/apps/user/internal/mails"
)

var kinds = []identity.MailKind{
	identity.MailInvitation, identity.MailVerification, identity.MailRegistration, identity.MailAlreadyHere, identity.MailReset,
	identity.MailPasswordChanged, identity.MailEmailChange, identity.MailEmailChangeAsked, identity.MailEmailChanged, identity.MailNewDevice,
	identity.MailMFAEnabled, identity.MailMFADisabled, identity.MailImpersonated, identity.MailExportReady, identity.MailDeactivated, identity.MailTokenCreated,
}

func texts(t *testing.T) *mails.Texts {
	t.Helper()
	m, err := mails.New()
	require.NoError(t, err)
	return m
}

func TestEveryMessageInEveryLanguage(t *testing.T) {
	t.Parallel()
	m := texts(t)
	d := identity.MailData{
		Name: "Ada <b>Lovelace</b>", Link: "https://lms.test/x#token=abc_-", Email: "ada@example.org", IP: "192.0.2.1", Device: "Firefox",
		When: time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC), Expires: time.Date(2026, 2, 4, 9, 0, 0, 0, time.UTC), Detail: "because",
	}
	for _, locale := range []string{"en", "de", "de-AT", "fr"} {
		for _, kind := range kinds {
			subject, text, html, err := m.Render(kind, locale, d)
			require.NoError(t, err, "%s %s", kind, locale)
			require.NotEmpty(t, subject)
			require.NotContains(t, subject, "\n")
			require.Contains(t, text, d.Link)
			require.Contains(t, html, "https://lms.test/x#token=abc_-")
			require.NotContains(t, html, "<b>", "names are escaped")
			require.NotContains(t, text, "<no value>")
			require.NotContains(t, text, "{{")
			require.Equal(t, strings.HasPrefix(locale, "de"), strings.HasPrefix(text, "Guten Tag"), "%s %s", kind, locale)
		}
	}
}

func TestWhatStrangersWriteBecomesNoLinkAndNoHeader(t *testing.T) {
	t.Parallel()
	m := texts(t)
	subject, text, html, err := m.Render(identity.MailRegistration, "en", identity.MailData{
		Name: "Win money at https://evil.example\r\nBcc: all", Email: "v@example.org", Link: "https://lms.test/ok",
	})
	require.NoError(t, err)
	require.NotContains(t, text+html+subject, "evil.example")
	require.NotContains(t, text, "Bcc")
}
