package app

import (
	"math"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/report"
	"lms/apps/analytics/internal/tally"
)

func share(v *int64) any {
	if v == nil {
		return nil
	}
	return float64(*v) / 10_000
}

func (m *model) atRisk(a asked) (out []row) {
	for k, l := range m.learners {
		if l.state != "active" || l.enrolled == nil || l.enrolled.After(a.now) || !a.in(k[0], k[1]) {
			continue
		}
		missing := int64(0)
		for _, w := range m.worksOf[k[1]] {
			if s, _ := w.standing(); w.course == k[0] && s == "missing" {
				missing++
			}
		}
		var progress, expected *int64
		if l.required > 0 {
			p := (20_000*int64(min(l.met, l.required)) + int64(l.required)) / (2 * int64(l.required))
			progress = &p
		}
		ends := l.ends
		if ends == nil {
			ends = m.courses[k[0]].EndsAt
		}
		if ends != nil && ends.After(*l.enrolled) {
			until := *ends
			if a.now.Before(until) {
				until = a.now
			}
			e := int64(math.Floor(10_000*until.Sub(*l.enrolled).Seconds()/ends.Sub(*l.enrolled).Seconds() + 0.5))
			expected = &e
		}
		st := report.Standing{EnrolledAt: *l.enrolled, LastActivityAt: l.active, Missing: missing, Progress: progress, Expected: expected, Grade: l.current}
		reasons := []any{}
		for _, c := range []struct {
			code string
			is   bool
		}{
			{"inactive", l.started != nil && !l.active.After(a.now.Add(-14*24*time.Hour))},
			{"not_begun", l.started == nil && !l.enrolled.After(a.now.Add(-7*24*time.Hour))},
			{"missing_work", missing > 0},
			{"low_grade", l.current != nil && *l.current < 5000},
			{"behind", progress != nil && expected != nil && *expected-*progress > 2500},
		} {
			if c.is {
				reasons = append(reasons, report.Why(c.code, st, a.now))
			}
		}
		if len(reasons) == 0 {
			continue
		}
		r := row{
			"course_id": k[0].String(), "course_title": m.courses[k[0]].Title, "user_id": k[1].String(), "name": "", "risks": float64(len(reasons)), "reasons": reasons,
			"last_activity_at": nil, "progress": share(progress), "expected": share(expected), "current_grade": share(l.current), "missing_work": float64(missing),
		}
		if l.active != nil {
			r["last_activity_at"] = l.active.UTC().Format(time.RFC3339Nano)
		}
		out = append(out, r)
	}
	return out
}

func (m *model) instructorLoad(a asked) (out []row) {
	type load struct {
		courses, learners, waiting, graded float64
		seconds                            []int64
	}
	by := map[uuid.UUID]*load{}
	of := func(id uuid.UUID) *load {
		if by[id] == nil {
			by[id] = &load{}
		}
		return by[id]
	}
	for _, c := range a.school.Courses {
		if a.courses != nil && !a.courses[c.ID] {
			continue
		}
		for _, s := range c.Staff {
			l := of(s)
			l.courses++
			for k, learner := range m.learners {
				if k[0] == c.ID && learner.state == "active" {
					l.learners++
				}
			}
			for _, w := range m.works {
				excused := w.grade != nil && w.grade.Excused
				if w.course == c.ID && w.submitted != nil && !w.withdrawn && !excused && (w.grade == nil || w.grade.At.Before(*w.submitted)) {
					l.waiting++
				}
			}
		}
	}
	for _, w := range m.works {
		if w.grade == nil || a.courses != nil && !a.courses[w.course] || !a.within(&w.grade.At) {
			continue
		}
		l := of(*w.grade.GraderID)
		l.graded++
		if !w.grade.At.Before(*w.submitted) {
			l.seconds = append(l.seconds, int64(w.grade.At.Sub(*w.submitted)/time.Second))
		}
	}
	for id, l := range by {
		out = append(out, row{
			"user_id": id.String(), "name": "", "courses": l.courses, "learners": l.learners, "waiting": l.waiting, "graded": l.graded, "median_time": nth(l.seconds, 0.5),
		})
	}
	return out
}

func sumUp(r row, entries []modelMoney) row {
	var n [5]float64 // payments, gross, tax, refunds, refunded
	for _, e := range entries {
		if e.refund {
			n[3], n[4] = n[3]+1, n[4]+float64(e.Amount)
		} else {
			n[0], n[1], n[2] = n[0]+1, n[1]+float64(e.Amount), n[2]+float64(e.Tax)
		}
	}
	r["payments"], r["gross"], r["tax"], r["refunds"], r["refunded"], r["net"] = n[0], n[1], n[2], n[3], n[4], n[1]-n[4]
	return r
}

func (m *model) revenue(a asked) (out []row) {
	currencies := map[string]bool{}
	by := map[string][]modelMoney{}
	for _, e := range m.money {
		if i := a.bucket(e.At); i >= 0 && a.in(e.CourseID, e.UserID) {
			currencies[e.Currency] = true
			k := a.buckets[i].Label + e.Currency
			by[k] = append(by[k], e)
		}
	}
	for _, b := range a.buckets {
		for c := range currencies {
			out = append(out, sumUp(row{"bucket": b.Label, "currency": c}, by[b.Label+c]))
		}
	}
	return out
}

func (m *model) revenueByPlan(a asked) (out []row) {
	type key struct {
		plan     uuid.UUID
		currency string
	}
	by := map[key][]modelMoney{}
	for _, e := range m.money {
		if a.within(&e.At) && a.in(e.CourseID, e.UserID) {
			k := key{e.PlanID, e.Currency}
			by[k] = append(by[k], e)
		}
	}
	for k, entries := range by {
		out = append(out, sumUp(row{"plan_id": k.plan.String(), "plan": "Plan", "plan_kind": "one_off", "currency": k.currency}, entries))
	}
	return out
}

func (m *model) mrr(a asked) (out []row) {
	currencies := map[string]bool{}
	for _, c := range m.changes {
		if a.in(c[0].CourseID, c[0].UserID) {
			currencies[c[0].Currency] = true
		}
	}
	for _, b := range a.buckets {
		for currency := range currencies {
			var n, sum float64
			for _, changes := range m.changes {
				if !a.in(changes[0].CourseID, changes[0].UserID) || changes[0].Currency != currency {
					continue
				}
				i := -1
				for j, c := range changes {
					if c.At.Before(b.End) {
						i = j
					}
				}
				if i >= 0 && (changes[i].State == "active" || changes[i].State == "past_due") {
					c := changes[i]
					n, sum = n+1, sum+float64(tally.Monthly(c.Amount-c.Tax, c.PeriodUnit, c.PeriodCount))
				}
			}
			out = append(out, row{"bucket": b.Label, "currency": currency, "subscriptions": n, "mrr": sum})
		}
	}
	return out
}

func (m *model) searchTerms(a asked) (out []row) {
	by := map[string][2]float64{}
	for _, s := range m.searches {
		slot := s.At.Truncate(15 * time.Minute)
		if !a.within(&slot) {
			continue
		}
		n := by[s.Term]
		if n[0]++; s.Results == 0 {
			n[1]++
		}
		by[s.Term] = n
	}
	for term, n := range by {
		out = append(out, row{"term": term, "searches": n[0], "without_result": n[1]})
	}
	return out
}
