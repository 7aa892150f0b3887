//go:build chaos

package chaos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lms/apps/lms/internal/infra"
	"lms/apps/lms/internal/installation"
	"lms/apps/lms/internal/system"
	"lms/shared/freeport"
)

// services are those that run: all whose program is in the source tree.
func services(t testing.TB) []installation.Service {
	t.Helper()
	return installation.Present(system.Root(t))
}

func serviceNames(t testing.TB) []string { return installation.Names(services(t)) }

// victims are all processes: services, sidecars, broker, database.
func victims(t testing.TB) [][2]string {
	var out [][2]string
	for _, kind := range []string{"service", "sidecar"} {
		for _, name := range serviceNames(t) {
			out = append(out, [2]string{name, kind})
		}
	}
	return append(out, [2]string{"broker", "broker"}, [2]string{"postgres", "database"})
}

// join gives a process that a test starts itself the profile of the installation
// and what that stands on.
func (s *school) join(t testing.TB, plan *installation.Plan) {
	t.Helper()
	plan.Components, plan.Variables = s.Profile(t)
	s.stand(t, plan)
}

// stand gives a process its settings, once its profile is known.
func (s *school) stand(t testing.TB, plan *installation.Plan) {
	t.Helper()
	profile, err := infra.FindProfile(system.Root(t), plan.Components)
	require.NoError(t, err)
	secrets := installation.Secrets{}
	raw, err := os.ReadFile(installation.Home{Dir: s.Home}.SecretsFile())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &secrets))
	plan.Settings, err = profile.SettingsOf(plan.Variables, secrets)
	require.NoError(t, err)
	s.brokerUp(t)
}

// brokerUp waits for a broker that is just being started again: a sidecar that
// cannot reach it ends, and nobody starts those of a test again.
func (s *school) brokerUp(t testing.TB) {
	t.Helper()
	await(t, time.Minute, "the broker listens", func() bool {
		for _, port := range s.Broker(t).Ports {
			conn, err := net.DialTimeout("tcp", freeport.Address(port), time.Second)
			if err != nil {
				return false
			}
			_ = conn.Close() // it was only knocked at
		}
		return true
	})
}

// setting reads one environment variable that a process of the installation was
// started with: the tokens between a service and its sidecar are made anew at
// each start and stand nowhere else.
func (s *school) setting(t testing.TB, service, name string) string {
	t.Helper()
	var raw []byte
	await(t, time.Minute, service+" runs", func() (read bool) { // it may just be started again
		var err error
		raw, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.Process(t, service, "service").PID))
		return err == nil && len(raw) > 0
	})
	for _, kv := range strings.Split(string(raw), "\x00") {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	require.Fail(t, service+" was started without "+name)
	return ""
}

// publisher publishes to a service's topic through its own sidecar.
type publisher struct {
	url, token string
	client     *http.Client
}

func (s *school) publisher(t testing.TB, service string) publisher {
	t.Helper()
	return publisher{
		url:    fmt.Sprintf("http://127.0.0.1:%d/v1.0/publish/events-%s/%s.events", s.Process(t, service, "sidecar").Ports["http"], service, service),
		token:  s.setting(t, service, "DAPR_API_TOKEN"),
		client: &http.Client{Timeout: 20 * time.Second},
	}
}

// publish sends bytes as they are.
func (p publisher) publish(key, contentType string, body []byte, query string) error {
	req, err := http.NewRequest(http.MethodPost, p.url+"?metadata.partitionKey="+key+query, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("dapr-api-token", p.token)
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if raw, err := io.ReadAll(res.Body); err != nil || res.StatusCode >= 300 {
		return fmt.Errorf("publish: %d %s %w", res.StatusCode, raw, err)
	}
	return nil
}

// event publishes a CloudEvent.
func (p publisher) event(t testing.TB, e event) {
	if err := p.publish(e.Subject, "application/cloudevents+json", e.raw, ""); err != nil {
		t.Error(err)
	}
}

// with is the event with other members of the envelope.
func (e event) with(t testing.TB, members map[string]any) event {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(e.raw, &all))
	for k, v := range members {
		all[k] = v
	}
	raw, err := json.Marshal(all)
	require.NoError(t, err)
	var out event
	require.NoError(t, json.Unmarshal(raw, &out))
	out.raw = raw
	return out
}

// app is a client that speaks to a service itself, past gateway and sidecar.
func (s *school) app(t testing.TB, service string) *system.API {
	t.Helper()
	return system.NewAPI(fmt.Sprintf("http://127.0.0.1:%d", s.Process(t, service, "service").Ports["http"]))
}
