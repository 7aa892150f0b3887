package profile

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"lms/shared/contracts"
)

// settingsKind is a document of what services are told, see components/README.md.
const settingsKind = "Settings"

// settingsVersion is the form that is read.
const settingsVersion = "lms/v1"

// told checks a document of settings: they reach the services that its scopes name.
func told(file string, doc *yaml.Node) (findings []Finding) {
	k, err := strict(doc)
	name := k.Metadata.Name
	refuse := func(effect Effect, setting, found, remedy string) {
		findings = append(findings, Finding{Refused, effect, name, setting, found, remedy})
	}
	if err != nil {
		refuse(Form, "", fmt.Sprintf("%s: %v", file, oneLine(err)), "correct the key")
	}
	if k.APIVersion != settingsVersion {
		refuse(Form, "apiVersion", fmt.Sprintf("%s: apiVersion is %q", file, k.APIVersion), "write "+settingsVersion)
	}
	services := append(contracts.Services(), "gateway")
	if len(k.Scopes) == 0 {
		refuse(Scope, "scopes", "no service is told: unlike a component's, these scopes have to name who is", "name the services")
	}
	if unknown := without(k.Scopes, services); len(unknown) > 0 {
		refuse(Scope, "scopes", "there is no such service: "+strings.Join(unknown, ", "), "correct or remove it")
	}
	for _, m := range k.Spec.Metadata {
		switch {
		case !slices.ContainsFunc([]string{"LMS_", "AWS_", "AZURE_", "GOOGLE_"}, func(p string) bool { return strings.HasPrefix(m.Name, p) }):
			refuse(Form, m.Name, "no service reads it: their settings begin with LMS_, those of object stores with AWS_, AZURE_ or GOOGLE_", "correct or remove it")
		case m.Value.Kind == 0 && m.EnvRef == "" && m.SecretKeyRef == nil:
			refuse(Form, m.Name, "the setting has no value", "give value, envRef or secretKeyRef")
		case m.Value.Value != "" && secretLike(m.Name, m.Value.Value):
			refuse(Secret, m.Name, "a secret stands in the file, for everybody who may read it", "secretKeyRef")
		}
	}
	return findings
}

// secretLike are settings whose name says that they are secret, and addresses that
// hold a password.
func secretLike(name, value string) bool {
	return slices.ContainsFunc([]string{"PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY"}, func(part string) bool { return strings.Contains(name, part) }) || hasPassword(value)
}
