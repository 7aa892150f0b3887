// Package chaos holds the fault scenarios: each breaks something in a running
// installation, or attacks it, and counts. The scenarios are tests with the
// build tag chaos (`make chaos`); each prints its figure beside its bound. What
// judges them is here, without a running system, so that its own tests can show
// that it finds a planted loss.
package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Outcome is what the API answered to a command.
type Outcome int

// The outcomes. No answer, and a 5xx, leave open whether it was done.
const (
	Unanswered Outcome = iota
	Acknowledged
	Refused
)

// Command is one command of a history, under the key of its intended effect.
type Command struct {
	Key     string
	Outcome Outcome
	// ID is the resource that an acknowledgement named.
	ID string
	// Detail of a refusal.
	Detail string
}

// Seen is what the system says afterwards about one effect.
type Seen struct {
	Key string
	ID  string
}

// Verdict counts what is wrong with a history.
type Verdict struct {
	Commands, Acknowledged, Unanswered int

	Lost     []string // acknowledged, and not there
	Doubled  []string // there more than once
	Halfway  []string // there in one of the places only
	Foreign  []string // there, and nobody asked for it
	Refusals []string // refused although nothing was wrong with it
}

// Bad is the number of findings.
func (v Verdict) Bad() int {
	return len(v.Lost) + len(v.Doubled) + len(v.Halfway) + len(v.Foreign) + len(v.Refusals)
}

func (v Verdict) String() string {
	s := fmt.Sprintf("%d commands, %d acknowledged, %d without answer: %d lost, %d doubled, %d halfway, %d foreign, %d refused",
		v.Commands, v.Acknowledged, v.Unanswered, len(v.Lost), len(v.Doubled), len(v.Halfway), len(v.Foreign), len(v.Refusals))
	for _, kind := range [][]string{v.Lost, v.Doubled, v.Halfway, v.Foreign, v.Refusals} {
		if len(kind) > 0 {
			s += "\n  " + strings.Join(kind[:min(len(kind), 5)], "\n  ")
		}
	}
	return s
}

// Judge compares a history with what the system says: state is what the API
// shows, told is what the events tell, each effect once per mention. It starts
// from the answers alone: what was acknowledged is in both exactly once and
// under the id that was named; what got no answer is in both or in neither.
func Judge(history []Command, state, told []Seen) Verdict {
	v := Verdict{Commands: len(history)}
	inState, inEvents := byKey(state), byKey(told)
	asked := map[string]bool{}
	for _, c := range history {
		asked[c.Key] = true
		s, e := inState[c.Key], inEvents[c.Key]
		if len(s) > 1 || len(e) > 1 {
			v.Doubled = append(v.Doubled, fmt.Sprintf("%s: %d times in the state, %d times in the events", c.Key, len(s), len(e)))
			continue
		}
		switch c.Outcome {
		case Acknowledged:
			v.Acknowledged++
			if len(s) == 0 || len(e) == 0 || s[0] != c.ID || e[0] != c.ID {
				v.Lost = append(v.Lost, fmt.Sprintf("%s: acknowledged as %s, state %v, events %v", c.Key, c.ID, s, e))
			}
		case Unanswered:
			v.Unanswered++
			if len(s) != len(e) || len(s) == 1 && s[0] != e[0] {
				v.Halfway = append(v.Halfway, fmt.Sprintf("%s: state %v, events %v", c.Key, s, e))
			}
		case Refused:
			v.Refusals = append(v.Refusals, c.Key+": "+c.Detail)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(inState)) {
		if !asked[key] {
			v.Foreign = append(v.Foreign, key)
		}
	}
	return v
}

func byKey(seen []Seen) map[string][]string {
	out := map[string][]string{}
	for _, s := range seen {
		out[s.Key] = append(out[s.Key], s.ID)
	}
	return out
}

// Turn is a place in a queue as its owner was told it, with the moments between
// which it was drawn.
type Turn struct {
	Who        string
	Asked      int64 // any clock, the same for all
	Answered   int64
	PlaceInRow int
}

// OutOfTurn counts those who were answered before somebody else had even asked,
// and yet stand behind them. Places that are missing or given twice count too.
func OutOfTurn(turns []Turn) int {
	bad := 0
	inRow := slices.Clone(turns)
	slices.SortFunc(inRow, func(a, b Turn) int { return a.PlaceInRow - b.PlaceInRow })
	// Going back from the end: the earliest answer among those who stand behind.
	var earliest *Turn
	for i := len(inRow) - 1; i >= 0; i-- {
		t := inRow[i]
		if i > 0 && t.PlaceInRow != inRow[i-1].PlaceInRow+1 {
			bad++
		}
		if earliest != nil && earliest.Answered < t.Asked {
			bad++
		}
		if earliest == nil || t.Answered < earliest.Answered {
			earliest = &inRow[i]
		}
	}
	return bad
}
