package launch

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/shared/freeport"
	"lms/shared/localpg"
)

// stateDatabase is the database of a profile that keeps state in PostgreSQL, and
// the name of the secret with its owner's password.
const (
	stateDatabase = "state"
	stateSecret   = "postgres-state-password"
)

// useProfile decides what the profile needs: which products are started, on
// which ports, with which passwords.
func (l *launch) useProfile() error {
	p := l.Profile
	l.plan.Components = p.Dir
	before, err := infra.Last(l.Home.ProfileFile())
	if err != nil {
		return err
	}
	for _, line := range switched(before, p.Name, l.filesTravel(before)) {
		l.Say(line)
	}
	if l.External {
		return l.useExternal()
	}
	if l.components, err = p.Components(); err != nil {
		return err
	}
	if err := l.addSecrets(); err != nil {
		return err
	}
	if p.Name != infra.Embedded {
		l.plan.Variables = map[string]string{}
	}
	spare := l.plan.Spare
	for _, c := range l.components {
		if len(spare) < c.Ports {
			return fmt.Errorf("profile %s needs more ports than were set aside", p.Name)
		}
		for name, value := range c.Values(l.site(c, spare[:c.Ports])) {
			l.plan.Variables[name] = value
		}
		l.sites = append(l.sites, l.site(c, spare[:c.Ports]))
		spare = spare[c.Ports:]
	}
	if p.HasStateDatabase() {
		host, port, err := net.SplitHostPort(freeport.Address(l.plan.DatabasePort))
		if err != nil {
			return fmt.Errorf("address of the database: %w", err)
		}
		for name, value := range map[string]string{
			"HOST": host, "PORT": port, "DATABASE": localpg.DatabaseName(stateDatabase), "USER": localpg.OwnerRole(stateDatabase),
		} {
			l.plan.Variables[infra.StateDatabasePrefix+name] = value
		}
	}
	if l.plan.Settings, err = p.SettingsOf(l.plan.Variables, l.secrets); err != nil {
		return err
	}
	return l.useOpenSearch(spare)
}

// useOpenSearch starts one where the caller's environment asks for it, whatever the
// profile.
func (l *launch) useOpenSearch(spare []int) error {
	if !infra.WantsOpenSearch() || l.Profile.TellsOpenSearch() {
		return nil
	}
	c := infra.OpenSearch()
	if len(spare) < c.Ports {
		return fmt.Errorf("profile %s needs more ports than were set aside", l.Profile.Name)
	}
	site := l.site(c, spare[:c.Ports])
	l.components, l.sites = append(l.components, c), append(l.sites, site)
	if l.plan.Settings[infra.SearchService] == nil {
		l.plan.Settings[infra.SearchService] = map[string]string{}
	}
	maps.Copy(l.plan.Settings[infra.SearchService], infra.SearchAt(site))
	return nil
}

// filesTravel says whether the profile keeps files where another one kept them.
func (l *launch) filesTravel(before string) bool {
	last, err := infra.FindProfile(l.Root, before)
	return err == nil && last.Objects() == l.Profile.Objects() || err != nil && l.Profile.Objects() == ""
}

// switched says what a profile does not find of what was done under another one. It is
// said at each start until one of them serves.
func switched(before, now string, files bool) []string {
	if before == "" || before == now {
		return nil
	}
	first := []string{fmt.Sprintf("profile %s over the data of %s: databases, files and accounts are the same", now, before)}
	if !files {
		first = []string{
			fmt.Sprintf("profile %s over the data of %s: databases and accounts are the same", now, before),
			fmt.Sprintf("  files do not travel: they stay in the object store of %s (objects/ where that is a folder), from where they have to be copied into that of %s under the same names", before, now),
		}
	}
	return append(first,
		fmt.Sprintf("  undelivered messages do not travel: their readers fetch them from the publishers' outboxes, so that nothing committed is lost; `lms outbox drain` under %s, before the switch, leaves the fewest", before),
		fmt.Sprintf("  sessions do not travel: everybody signs in anew; in-app messages, preferences and mail that waits stay in the store of %s: new lists are made from what publishers keep (30 days), of which the last hour is mailed, perhaps once more", before),
	)
}

func (l *launch) site(c infra.Component, ports []int) infra.Site {
	return infra.Site{Name: c.Name, Home: l.Home, Root: l.Root, Program: l.Program, Ports: ports, Secrets: l.secrets, Say: l.Say}
}

// useExternal takes addresses from the environment and passwords from the
// secrets file.
func (l *launch) useExternal() (err error) {
	if l.plan.Variables, err = l.Profile.External(); err != nil {
		return err
	}
	var missing []string
	for _, name := range l.Profile.Secrets {
		if _, ok := l.secrets[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("--external: write the passwords %s into %s", strings.Join(missing, ", "), l.Home.SecretsFile())
	}
	l.plan.Settings, err = l.Profile.SettingsOf(l.plan.Variables, l.secrets)
	return err
}

// addSecrets makes the passwords of products that are started here. The mail
// server asks for none.
func (l *launch) addSecrets() error {
	fresh := map[string]string{}
	for _, name := range l.Profile.Secrets {
		if _, ok := l.secrets[name]; ok {
			continue
		}
		fresh[name] = installation.NewSecret()
		if name == "smtp-password" {
			fresh[name] = ""
		}
	}
	return l.Home.SetSecrets(l.secrets, fresh)
}

// startProfile starts what the profile stands on, side by side.
func (l *launch) startProfile(ctx context.Context, migrated <-chan struct{}) error {
	g, gctx := errgroup.WithContext(ctx)
	if l.Profile.Name == infra.Embedded && !l.External {
		g.Go(func() error { return l.startBroker(gctx) })
	}
	for i, c := range l.components {
		g.Go(func() error { return c.Start(gctx, l.sup, l.sites[i]) })
	}
	if l.Profile.HasStateDatabase() {
		g.Go(func() error { return await(gctx, migrated) })
	}
	return g.Wait()
}

// makeStateDatabase makes the database of the state store, and gives the
// sidecars its password. The component makes its own tables.
func (l *launch) makeStateDatabase(ctx context.Context) error {
	if l.External || !l.Profile.HasStateDatabase() {
		return nil
	}
	server := l.db.server()
	if err := server.EnsureDatabase(ctx, stateDatabase); err != nil {
		return err
	}
	dsn, err := url.Parse(server.OwnerDSN(stateDatabase))
	if err != nil {
		return fmt.Errorf("address of the state database: %w", err)
	}
	password, _ := dsn.User.Password()
	if !slices.Contains(l.Profile.Secrets, stateSecret) {
		return fmt.Errorf("profile %s reads %s… and not the secret %s", l.Profile.Name, infra.StateDatabasePrefix, stateSecret)
	}
	return l.Home.SetSecrets(l.secrets, map[string]string{stateSecret: password})
}
