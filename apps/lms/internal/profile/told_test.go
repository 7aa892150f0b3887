package profile_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/profile"
)

// settings are what services are told, a single one.
func settings(scopes, name, value string) string {
	text := "apiVersion: lms/v1\nkind: Settings\nmetadata: {name: x}\nspec:\n  metadata:\n    - name: " + name + "\n"
	if value != "" {
		text += "      value: " + value + "\n"
	}
	return text + "scopes: " + scopes + "\n"
}

func TestWhatServicesAreToldIsRead(t *testing.T) {
	t.Parallel()
	r := check(t, profile.Options{Dir: filepath.Join(components, "kafka")})
	for _, f := range r.Findings {
		require.NotContains(t, []string{"search", "objects"}, f.Component, f.Found)
		require.NotContains(t, f.Found, "Settings")
	}
	for _, c := range []wrong{
		{"services told a secret", func(f folder) { f.write("x", settings("[search]", "LMS_SEARCH_OPENSEARCH_PASSWORD", "hunter2")) }, profile.Refused, profile.Secret, "x", "LMS_SEARCH_OPENSEARCH_PASSWORD", "stands in the file"},
		{"services told what none reads", func(f folder) { f.write("x", settings("[search]", "SEARCH_ENGINE", "bleve")) }, profile.Refused, profile.Form, "x", "SEARCH_ENGINE", "no service reads it"},
		{"nobody told", func(f folder) { f.write("x", settings("[]", "LMS_SEARCH_ENGINE", "bleve")) }, profile.Refused, profile.Scope, "x", "scopes", "no service is told"},
		{"told who is none", func(f folder) { f.write("x", settings("[saerch]", "LMS_SEARCH_ENGINE", "bleve")) }, profile.Refused, profile.Scope, "x", "scopes", "no such service: saerch"},
		{"told nothing", func(f folder) { f.write("x", settings("[search]", "LMS_SEARCH_ENGINE", "")) }, profile.Refused, profile.Form, "x", "LMS_SEARCH_ENGINE", "no value"},
		{"settings of another version", func(f folder) {
			f.write("x", strings.Replace(settings("[search]", "LMS_SEARCH_ENGINE", "bleve"), "lms/v1", "dapr.io/v1alpha1", 1))
		}, profile.Refused, profile.Form, "x", "apiVersion", "apiVersion is"},
		{"a setting misplaced", func(f folder) {
			f.write("x", settings("[search]", "LMS_SEARCH_ENGINE", "bleve")+"services: [search]\n")
		}, profile.Refused, profile.Form, "x", "", "field services not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := broken(t, "embedded")
			c.change(f)
			expect(t, check(t, profile.Options{Dir: f.dir}), c)
		})
	}
}
