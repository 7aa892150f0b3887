package app

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/outbox"
)

// school stands for course, user and enrollment. Its seats follow the rules of the
// real one: taken are learners and live holds, a hold that lapsed is nobody's, and a
// payment after that takes a seat only if one is free (rule 35).
type school struct {
	mu           sync.Mutex
	now          func() time.Time
	people       map[uuid.UUID]billing.Card
	courses      map[uuid.UUID]*lecture
	entitlements map[uuid.UUID]internalapi.Entitlement
	prices       map[uuid.UUID]internalapi.PriceSummary
	priced       map[uuid.UUID]bool // nobody is let in without a right
	newest       map[string]int64   // seq of calls by name and key
	certified    bool
	startsAt     *time.Time
	away         bool // enrollment does not answer
}

type lecture struct {
	billing.Course
	seats int
	in    map[uuid.UUID]uuid.UUID // learner → enrollment
	holds map[uuid.UUID]*hold
}

type hold struct {
	user     uuid.UUID
	until    time.Time
	released bool
}

func (l *lecture) taken(now time.Time, without uuid.UUID) int {
	n := len(l.in)
	for _, h := range l.holds {
		if !h.released && h.user != without && !now.After(h.until) {
			n++
		}
	}
	return n
}

func (s *school) Course(_ context.Context, id uuid.UUID) (billing.Course, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.courses[id]; ok {
		return l.Course, nil
	}
	return billing.Course{}, apperr.NotFound("course")
}

func (s *school) Cards(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]billing.Card, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[uuid.UUID]billing.Card{}
	for _, id := range ids {
		if c, ok := s.people[id]; ok {
			out[id] = c
		}
	}
	return out, nil
}

func (s *school) RefundFacts(context.Context, uuid.UUID, uuid.UUID) (billing.RefundFacts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return billing.RefundFacts{EverCertified: s.certified, CourseStartsAt: s.startsAt}, nil
}

func (s *school) Standings(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]billing.Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[uuid.UUID]billing.Standing{}
	for _, id := range ids {
		e, ok := s.entitlements[id]
		if !ok {
			continue
		}
		x := billing.Standing{EntitlementID: id, State: e.State, ValidUntil: e.ValidUntil}
		if _, in := s.courses[e.CourseID].in[e.UserID]; in {
			x.EnrollmentState = "active"
		}
		out[id] = x
	}
	return out, nil
}

// PublishBulk implements outbox.Transport.
func (s *school) PublishBulk(context.Context, string, string, []outbox.Message) ([]string, error) {
	return nil, nil
}

// Send implements outbox.Transport.
func (s *school) Send(context.Context, string, []byte, map[string]string) error { return nil }

// Call implements outbox.Transport.
func (s *school) Call(_ context.Context, app, path string, raw []byte) ([]byte, error) {
	var env outbox.CallEnvelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away && app == "enrollment" {
		return nil, apperr.Unavailable("service_unavailable", "away")
	}
	// As the real receivers: what was overtaken has no effect and no answer.
	name := strings.TrimPrefix(path, "/internal/calls/")
	if env.Seq <= s.newest[name+env.Key] {
		return []byte("null"), nil
	}
	s.newest[name+env.Key] = env.Seq
	switch name {
	case internalapi.CallPriceSummary:
		return answer(env, func(in internalapi.PriceSummary) any { s.prices[in.CourseID] = in; return internalapi.Applied{} })
	case internalapi.CallCoursePriced:
		return answer(env, func(in internalapi.CoursePriced) any { s.priced[in.CourseID] = in.Priced; return internalapi.Done{} })
	case internalapi.CallSeatHold:
		return answer(env, func(in internalapi.SeatHold) any {
			reply := s.hold(in)
			for _, id := range in.Replaces {
				s.courses[in.CourseID].holds[id] = &hold{user: in.UserID, released: true}
			}
			return reply
		})
	case internalapi.CallSeatRelease:
		return answer(env, func(in internalapi.SeatRelease) any {
			l := s.courses[in.CourseID]
			h, ok := l.holds[in.HoldID]
			if !ok {
				l.holds[in.HoldID] = &hold{user: in.UserID, released: true}
				return internalapi.SeatReleaseReply{}
			}
			h.released = true
			return internalapi.SeatReleaseReply{Released: true}
		})
	case internalapi.CallEntitlement:
		return answer(env, func(in internalapi.Entitlement) any { return s.entitle(in) })
	}
	return nil, apperr.NotFound("call")
}

func answer[In any](env outbox.CallEnvelope, fn func(In) any) ([]byte, error) {
	var in In
	if err := json.Unmarshal(env.Data, &in); err != nil {
		return nil, err
	}
	return json.Marshal(fn(in))
}

func (s *school) hold(in internalapi.SeatHold) internalapi.SeatHoldReply {
	l, ok := s.courses[in.CourseID]
	if !ok {
		return internalapi.SeatHoldReply{Code: "course_unavailable"}
	}
	if h, ok := l.holds[in.HoldID]; ok && h.released {
		return internalapi.SeatHoldReply{Code: "released"}
	}
	if _, in := l.in[in.UserID]; in {
		return internalapi.SeatHoldReply{Code: "already_enrolled"}
	}
	if l.seats > 0 && l.taken(s.now(), in.UserID) >= l.seats {
		return internalapi.SeatHoldReply{Code: "course_full"}
	}
	for _, h := range l.holds {
		if h.user == in.UserID {
			h.released = true // a second checkout takes the first one's place
		}
	}
	l.holds[in.HoldID] = &hold{user: in.UserID, until: in.ExpiresAt}
	return internalapi.SeatHoldReply{Held: true, ExpiresAt: &in.ExpiresAt}
}

func (s *school) entitle(in internalapi.Entitlement) internalapi.EntitlementReply {
	l := s.courses[in.CourseID]
	s.entitlements[in.EntitlementID] = in
	if in.State == internalapi.EntitlementRevoked {
		if _, ok := l.in[in.UserID]; ok && !in.KeepAccess && !s.hasOther(in) {
			delete(l.in, in.UserID)
		}
		return internalapi.EntitlementReply{Certified: s.certified}
	}
	id, enrolled := l.in[in.UserID]
	if !enrolled {
		if l.seats > 0 && l.taken(s.now(), in.UserID) >= l.seats {
			return internalapi.EntitlementReply{Code: "course_full"}
		}
		id = uuid.New()
		l.in[in.UserID] = id
		for _, h := range l.holds {
			if h.user == in.UserID {
				h.released = true
			}
		}
	}
	return internalapi.EntitlementReply{Enrolled: true, EnrollmentID: &id, State: "active", Certified: s.certified}
}

func (s *school) hasOther(in internalapi.Entitlement) bool {
	for _, e := range s.entitlements {
		if e.EntitlementID != in.EntitlementID && e.UserID == in.UserID && e.CourseID == in.CourseID && e.State == internalapi.EntitlementGranted {
			return true
		}
	}
	return false
}
