package infra_test

import (
	"context"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/supervisor"
	"lms/shared/freeport"
)

const root = "../../../.."

// TestEveryProfileIsCovered: whatever a shipped profile reads is known here, and
// its passwords are in the secret store.
func TestEveryProfileIsCovered(t *testing.T) {
	t.Parallel()
	for profile, names := range map[string][]string{
		"embedded": nil,
		"kafka":    {"kafka", "minio", "opensearch", "redis-cache", "redis-state", "smtp"},
		"redis":    {"redis-cache", "redis-events", "redis-state", "smtp"},
		"rabbitmq": {"rabbitmq", "smtp"},
		"nats":     {"nats", "redis-cache", "redis-state", "smtp"},
	} {
		p, err := infra.FindProfile(root, profile)
		require.NoError(t, err)
		components, err := p.Components()
		require.NoError(t, err)
		var have []string
		for _, c := range components {
			have = append(have, c.Name)
		}
		require.ElementsMatch(t, names, have, profile)
		require.Equal(t, profile == "rabbitmq", p.HasStateDatabase(), profile)
	}
}

func TestAProfileThatCannotBeUsedIsExplained(t *testing.T) {
	t.Parallel()
	_, err := infra.FindProfile(root, "nonsense")
	require.ErrorContains(t, err, `there is no profile "nonsense": there are embedded, kafka`)

	own := t.TempDir()
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(own, "cache.yaml"), []byte(text), 0o600))
	}
	write("spec: [")
	_, err = infra.FindProfile(root, own)
	require.ErrorContains(t, err, "cache.yaml")

	write("spec:\n  metadata:\n    - {name: host, envRef: LMS_TEST_NOWHERE}\n    - {name: password, secretKeyRef: {name: some-password, key: some-password}}\n")
	p, err := infra.FindProfile(root, own)
	require.NoError(t, err, "a folder of one's own is named by its path")
	require.Equal(t, []string{"some-password"}, p.Secrets)
	_, err = p.Components()
	require.ErrorContains(t, err, "reads LMS_TEST_NOWHERE, behind which this command starts nothing")
	_, err = p.External()
	require.ErrorContains(t, err, "needs LMS_TEST_NOWHERE")
}

func TestExternalAddressesComeFromTheEnvironment(t *testing.T) {
	p, err := infra.FindProfile(root, "nats")
	require.NoError(t, err)
	for _, v := range p.Variables {
		t.Setenv(v, "value of "+v)
	}
	values, err := p.External()
	require.NoError(t, err)
	require.Equal(t, "value of LMS_NATS_URL", values["LMS_NATS_URL"])
}

func TestTheLastProfileIsRemembered(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "profile")
	before, err := infra.Last(file)
	require.NoError(t, err)
	require.Empty(t, before)
	require.NoError(t, infra.Profile{Name: "nats"}.Remember(file))
	before, err = infra.Last(file)
	require.NoError(t, err)
	require.Equal(t, "nats", before)
}

func TestMailBecomesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, err := freeport.One()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- infra.ServeMail(ctx, freeport.Address(port), dir) }()
	require.Eventually(t, func() bool { return !freeport.Free(freeport.Address(port)) }, 10*time.Second, 10*time.Millisecond)
	for _, subject := range []string{"one", "two"} {
		message := "From: a@example.test\r\nTo: <b@example.test>\r\nSubject: " + subject + "\r\n\r\n.dots\r\n"
		require.NoError(t, smtp.SendMail(freeport.Address(port), nil, "a@example.test", []string{"b@example.test"}, []byte(message)))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	for i, subject := range []string{"one", "two"} { // in the order of arrival
		raw, err := os.ReadFile(files[i])
		require.NoError(t, err)
		require.Contains(t, string(raw), "Subject: "+subject)
		require.Contains(t, string(raw), "\r\n.dots")
	}
	cancel()
	require.NoError(t, <-done)
}

// TestComponentsRunAndComeBack starts each product as lms up does, kills its last
// process and sees it serve again on the same port with its data folder.
func TestComponentsRunAndComeBack(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"redis", "rabbitmq", "nats", "kafka", "../chaos/testdata/mqtt"} {
		p, err := infra.FindProfile(root, profile)
		require.NoError(t, err)
		components, err := p.Components()
		require.NoError(t, err)
		for _, c := range components {
			if c.Kind != supervisor.KindBroker && c.Name != "minio" && c.Name != "opensearch" {
				continue // a Redis and the mail server are tried by others
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				home, err := installation.ResolveHome(filepath.Join(t.TempDir(), "home"), root)
				require.NoError(t, err)
				require.NoError(t, home.Prepare())
				ports, err := freeport.Pick(c.Ports)
				require.NoError(t, err)
				secrets := installation.Secrets{}
				for _, name := range p.Secrets {
					secrets[name] = installation.NewSecret()
				}
				absolute, err := filepath.Abs(root)
				require.NoError(t, err)
				site := infra.Site{Name: c.Name, Home: home, Root: absolute, Ports: ports, Secrets: secrets, Say: func(line string) { t.Log(line) }}
				sup := supervisor.New(func(string) {}, func([]supervisor.Status) {})
				t.Cleanup(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					require.NoError(t, sup.Stop(ctx, sup.Names()...))
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // the first time it is fetched
				defer cancel()
				require.NoError(t, c.Start(ctx, sup, site))
				for _, value := range c.Values(site) {
					require.False(t, strings.Contains(value, secrets["rabbitmq-password"]) && secrets["rabbitmq-password"] != "", "no password in a variable")
				}

				status := sup.Status()
				last := status[len(status)-1]
				require.NoError(t, last.Signal(9))
				require.Eventually(t, func() bool {
					now := sup.Status()[len(status)-1]
					return now.State == supervisor.Running && now.PID != last.PID
				}, time.Minute, 20*time.Millisecond)
				require.NoError(t, sup.WaitReady(ctx, last.Name))
			})
		}
	}
}
