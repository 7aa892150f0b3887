package infra

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"

	"lms/apps/lms/internal/installation"
)

// settingsKind is the kind of a file that tells services, not sidecars: which
// search engine and which object store are no building blocks of Dapr. Sidecars
// leave out what is of another kind than theirs.
const settingsKind = "Settings"

// Settings are what some services are told because of a profile.
type Settings struct {
	Services []string
	Items    []Setting
}

// Setting is a variable of a service with its value: as it stands, or from a
// variable or secret of the installation.
type Setting struct{ Name, Value, Variable, Secret string }

// document is what is read of a file of a profile: of a component and of settings
// alike.
type document struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Metadata []struct {
			Name         string    `yaml:"name"`
			Value        yaml.Node `yaml:"value"`
			EnvRef       string    `yaml:"envRef"`
			SecretKeyRef struct {
				Name string `yaml:"name"`
			} `yaml:"secretKeyRef"`
		} `yaml:"metadata"`
	} `yaml:"spec"`
	Scopes []string `yaml:"scopes"`
}

func (d document) settings() Settings {
	s := Settings{Services: d.Scopes}
	for _, m := range d.Spec.Metadata {
		s.Items = append(s.Items, Setting{Name: m.Name, Value: m.Value.Value, Variable: m.EnvRef, Secret: m.SecretKeyRef.Name})
	}
	return s
}

// SettingsOf are the settings of each service.
func (p Profile) SettingsOf(variables map[string]string, secrets installation.Secrets) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, group := range p.Settings {
		for _, service := range group.Services {
			if all[service] == nil {
				all[service] = map[string]string{}
			}
			for _, one := range group.Items {
				value, ok := one.Value, true
				switch {
				case one.Variable != "":
					value, ok = variables[one.Variable]
				case one.Secret != "":
					value, ok = secrets[one.Secret]
				}
				if !ok {
					return nil, fmt.Errorf("profile %s: there is no value for %s of %s", p.Name, one.Name, service)
				}
				all[service][one.Name] = value
			}
		}
	}
	return all, nil
}

// Objects names the object store by the variable or the address that leads to it; ""
// for the folder of the installation.
func (p Profile) Objects() string {
	for _, s := range p.Settings {
		for _, one := range s.Items {
			if one.Name == "LMS_OBJECTS_URL" {
				return one.Variable + one.Value
			}
		}
	}
	return ""
}

// tells says whether a service is told something by the profile.
func (p Profile) tells(service, name string) bool {
	return slices.ContainsFunc(p.Settings, func(s Settings) bool {
		return slices.Contains(s.Services, service) && slices.ContainsFunc(s.Items, func(one Setting) bool { return one.Name == name })
	})
}
