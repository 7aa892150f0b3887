//go:build chaos

package chaos_test

import "testing"

// TestCalm holds the scenarios in which everything runs: they share one
// installation, one after the other.
func TestCalm(t *testing.T) {
	s := start(t)
	for _, scenario := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"21 22 idempotency keys", s.replayedKey},
		{"22 running key", s.runningKey},
		{"23 lost updates", s.contended},
		{"25 one seat", s.race},
		{"27 refresh reuse", s.reusedRefresh},
		{"28 forged tokens", s.forged},
		{"31 ended sessions", s.endings},
		{"38 internal routes", s.inside},
		{"39 steering", s.steering},
		{"40 webhooks", s.forgedWebhooks},
		{"8 13 late consumer", s.lateConsumer}, // before events are published that no service told
		{"11 panics", s.panics},
		{"6 the same event", s.sameEvent},
		{"7 shuffled events", s.shuffled},
		{"9 poison", s.poison},
		{"12 stopped consumer", s.pausedConsumer},
		{"11 dying consumer", s.dyingConsumer},
		{"13 new consumer", s.newConsumer},
		{"17 leaving replica", s.leavingReplica},
	} {
		s.again(t)
		t.Run(scenario.name, scenario.run)
	}
	s.again(t)
	t.Run("routes", func(t *testing.T) {
		here, there := s.organisation(t, "Here"), s.organisation(t, "There")
		d := s.document(t)
		t.Run("33 foreign ids", func(t *testing.T) { s.foreignIDs(t, d, here, there) })
		t.Run("34 matrix", func(t *testing.T) { s.matrix(t, d, s.organisation(t, "Matrix")) })
	})
	s.again(t)
	t.Run("30 key rotation", s.rotation) // the last: all older tokens end
}
