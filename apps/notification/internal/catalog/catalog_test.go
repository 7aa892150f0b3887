package catalog_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lms/apps/notification/internal/catalog"
	contract "lms/shared/contracts/events"
)

// TestEveryEventIsInTheTable fails by name on an event that nobody has thought of,
// and on an entry that no event feeds.
func TestEveryEventIsInTheTable(t *testing.T) {
	t.Parallel()
	c := catalog.New()
	known := map[string]bool{}
	for _, d := range contract.All() {
		known[d.Type()] = true
		rule, ok := c.Rule(d.Type())
		if !assert.True(t, ok, "%s: say in the catalogue which message it makes for whom, or why none", d.Type()) {
			continue
		}
		assert.NotEqual(t, rule.None == "", rule.Notices == nil, "%s: a message, or a reason why none", d.Type())
	}
	for _, eventType := range c.Types() {
		assert.True(t, known[eventType], "%s: no service publishes it", eventType)
	}
}

// TestMessagesOfExamples lets every golden example make its messages.
func TestMessagesOfExamples(t *testing.T) {
	t.Parallel()
	c := catalog.New()
	for _, d := range contract.All() {
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		notices, err := c.Notices(catalog.Event{ID: uuid.New(), Type: d.Type(), Data: raw})
		require.NoError(t, err, d.Type())
		for _, n := range notices {
			k, ok := c.Kind(n.Kind)
			require.True(t, ok, "%s makes %s, which is no kind", d.Type(), n.Kind)
			for name := range n.Vars {
				require.True(t, slices.ContainsFunc(k.Variables, func(v catalog.Variable) bool { return v.Name == name }), "%s fills %s, which %s does not have", d.Type(), name, n.Kind)
			}
			for _, v := range k.Variables {
				fromCourse := (v.Name == "course_title" || v.Name == "course_code") && n.CourseID != uuid.Nil
				require.True(t, v.Optional || n.Vars[v.Name] != "" || fromCourse, "%s leaves %s of %s empty", d.Type(), v.Name, n.Kind)
			}
			require.True(t, len(n.To) > 0 || n.Audience != catalog.Named, "%s is for nobody", n.Kind)
			require.False(t, n.Audience != catalog.Named && n.CourseID == uuid.Nil, "%s is for people of no course", n.Kind)
		}
	}
}

// TestEventsMayGrow: within a version a change only adds.
func TestEventsMayGrow(t *testing.T) {
	t.Parallel()
	c := catalog.New()
	for _, d := range contract.All() {
		raw, err := json.Marshal(d.Example)
		require.NoError(t, err)
		var grown map[string]any
		require.NoError(t, json.Unmarshal(raw, &grown))
		grown["a_field_of_tomorrow"] = map[string]any{"x": 1}
		more, err := json.Marshal(grown)
		require.NoError(t, err)
		before, err := c.Notices(catalog.Event{Type: d.Type(), Data: raw})
		require.NoError(t, err)
		after, err := c.Notices(catalog.Event{Type: d.Type(), Data: more})
		require.NoError(t, err)
		require.Equal(t, before, after, d.Type())
	}
}

func TestHiddenGradesAreNotTold(t *testing.T) {
	t.Parallel()
	c := catalog.New()
	for _, data := range []contract.Event{
		contract.Graded{GradeState: contract.GradeState{UserID: uuid.New()}},
		contract.GradeHidden{GradeState: contract.GradeState{UserID: uuid.New()}},
		contract.GradeChanged{GradeState: contract.GradeState{UserID: uuid.New(), Posted: false}},
		contract.LatenessChanged{GradeState: contract.GradeState{UserID: uuid.New()}},
	} {
		raw, err := json.Marshal(data)
		require.NoError(t, err)
		notices, err := c.Notices(catalog.Event{Type: data.EventType(), Data: raw})
		require.NoError(t, err)
		require.Empty(t, notices, "rule 25: %s", data.EventType())
	}
}

// One fact, one message: what the person sees at the payment page is not told, and of
// a renewal the subscription's own events tell.
func TestAFailedPaymentIsToldOnce(t *testing.T) {
	t.Parallel()
	c := catalog.New()
	next := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for what, tc := range map[string]struct {
		failed contract.PaymentFailed
		told   bool
	}{
		"declined at the page":                {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderPurchase}}, false},
		"declined at the page for seats":      {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderSeats}}, false},
		"a renewal":                           {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderRenewal}, NextTryAt: &next}, false},
		"the last try of a renewal":           {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderRenewal}}, false},
		"an instalment that is tried again":   {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderPurchase}, Instalment: 2, NextTryAt: &next}, true},
		"the last try of an instalment":       {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderPurchase}, Instalment: 2}, true},
		"the difference of a change of plans": {contract.PaymentFailed{OrderState: contract.OrderState{OrderKind: contract.OrderChange}}, true},
	} {
		tc.failed.UserID = uuid.New()
		raw, err := json.Marshal(tc.failed)
		require.NoError(t, err)
		notices, err := c.Notices(catalog.Event{Type: tc.failed.EventType(), Data: raw})
		require.NoError(t, err)
		require.Equal(t, tc.told, len(notices) > 0, what)
	}
}
