package infra

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"lms/apps/lms/internal/supervisor"
)

// Embedded is the profile that needs nothing installed: its broker is part of
// this command.
const Embedded = "embedded"

// Profile is a folder of components and what it needs from outside.
type Profile struct {
	Name string
	Dir  string
	// Variables and Secrets that its files read.
	Variables []string
	Secrets   []string
	// Settings of services, where its files have any.
	Settings []Settings
}

// Locate makes the path of a folder whole, so that it holds in another folder too;
// the name of a profile it leaves as it is.
func Locate(name string) (string, error) {
	if !strings.ContainsRune(name, filepath.Separator) && name != "." {
		return name, nil
	}
	dir, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("--profile %s: %w", name, err)
	}
	return dir, nil
}

// FindProfile finds a profile by its name in components/, or by the path of a
// folder.
func FindProfile(root, name string) (Profile, error) {
	dir, err := Locate(name)
	if err != nil {
		return Profile{}, err
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(root, "components", name)
	}
	p := Profile{Name: filepath.Base(dir), Dir: dir}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return Profile{}, fmt.Errorf("--profile %s: %w", name, err)
	}
	if len(files) == 0 {
		return Profile{}, fmt.Errorf("there is no profile %q: there are %s; a folder of your own is named by its path, such as ./%s", name, strings.Join(Profiles(root), ", "), name)
	}
	for _, file := range files {
		if err := p.read(file); err != nil {
			return Profile{}, err
		}
	}
	slices.Sort(p.Variables)
	p.Variables = slices.Compact(p.Variables)
	slices.Sort(p.Secrets)
	p.Secrets = slices.Compact(p.Secrets)
	return p, nil
}

// read collects what one file asks for. What else is right or wrong with it is not
// judged here.
func (p *Profile) read(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("profile %s: %w", p.Name, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var d document
		err := dec.Decode(&d)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("profile %s: %s: %w", p.Name, filepath.Base(file), err)
		}
		if d.Kind == settingsKind {
			p.Settings = append(p.Settings, d.settings())
		}
		for _, m := range d.Spec.Metadata {
			if m.EnvRef != "" {
				p.Variables = append(p.Variables, m.EnvRef)
			}
			if m.SecretKeyRef.Name != "" {
				p.Secrets = append(p.Secrets, m.SecretKeyRef.Name)
			}
		}
	}
}

// Profiles are the names of the folders in components/.
func Profiles(root string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(root, "components"))
	if err != nil {
		return nil // FindProfile then says that there are none
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// Components are what has to run for the profile, leaving out the broker of the
// embedded one. A variable that nothing here stands behind must be in the
// caller's environment.
func (p Profile) Components() ([]Component, error) {
	var needed []Component
	var unknown []string
	for _, v := range p.Variables {
		i := slices.IndexFunc(catalogue(), func(c Component) bool { return slices.Contains(c.Variables, v) })
		switch {
		case i >= 0:
			c := catalogue()[i]
			if p.Name == Embedded && c.Name == kafkaName {
				continue
			}
			if !slices.ContainsFunc(needed, func(have Component) bool { return have.Name == c.Name }) {
				needed = append(needed, c)
			}
		case strings.HasPrefix(v, StateDatabasePrefix):
		case os.Getenv(v) == "":
			unknown = append(unknown, v)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("profile %s reads %s, behind which this command starts nothing: set it, or start with --external", p.Name, strings.Join(unknown, ", "))
	}
	return needed, nil
}

// StateDatabasePrefix begins the variables of a state store in PostgreSQL: a
// database of the installation's own server.
const StateDatabasePrefix = "LMS_POSTGRES_STATE_"

// HasStateDatabase says whether the profile keeps state in PostgreSQL.
func (p Profile) HasStateDatabase() bool {
	return slices.ContainsFunc(p.Variables, func(v string) bool { return strings.HasPrefix(v, StateDatabasePrefix) })
}

// External takes the profile's variables from the caller's environment, for
// products that run already.
func (p Profile) External() (map[string]string, error) {
	values := map[string]string{}
	var missing []string
	for _, v := range p.Variables {
		value, ok := os.LookupEnv(v)
		if !ok {
			missing = append(missing, v)
		}
		values[v] = value
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("--external: profile %s needs %s: set them to where the products run, see components/README.md", p.Name, strings.Join(missing, ", "))
	}
	return values, nil
}

// Last tells which profile an installation last ran on, by the file in which Remember
// keeps it; "" for a new one.
func Last(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("last profile: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// Remember keeps the profile's name in a file.
func (p Profile) Remember(file string) error {
	if err := os.WriteFile(file, []byte(p.Name+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the profile's name: %w", err)
	}
	return nil
}

// catalogue is what this command can start, by the variables that lead to it.
func catalogue() []Component {
	return []Component{
		kafka(), rabbitmq(), nats(), mosquitto(), mailServer(), minio(), OpenSearch(),
		redis("redis-events", "LMS_REDIS_EVENTS_HOST", supervisor.KindBroker, durable),
		redis("redis-state", "LMS_REDIS_STATE_HOST", supervisor.KindStore, durable),
		redis("redis-cache", "LMS_REDIS_CACHE_HOST", supervisor.KindStore, evicting),
	}
}
