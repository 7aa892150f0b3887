package app

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/historytest"
	"lms/apps/analytics/internal/period"
	"lms/apps/analytics/internal/report"
)

// asked is what a report is asked with.
type asked struct {
	from, to time.Time
	buckets  []period.Bucket
	now      time.Time
	school   *historytest.School
	courses  map[uuid.UUID]bool // nil: all
	users    map[uuid.UUID]bool // nil: all
}

func (a asked) in(course, user uuid.UUID) bool {
	return (a.courses == nil || a.courses[course]) && (a.users == nil || a.users[user])
}

func (a asked) within(t *time.Time) bool { return t != nil && !t.Before(a.from) && t.Before(a.to) }

func (a asked) bucket(t time.Time) int {
	return slices.IndexFunc(a.buckets, func(b period.Bucket) bool { return !t.Before(b.Start) && t.Before(b.End) })
}

type row = map[string]any

// rounded is a ÷ b in ten-thousandths, half up, as a fraction; nil for nothing.
func rounded(a, b int64) any {
	if b == 0 {
		return nil
	}
	return float64((20_000*a+b)/(2*b)) / 10_000
}

// nth is the first value of which that share of all values is not above.
func nth(values []int64, share float64) any {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return float64(values[int(math.Ceil(share*float64(len(values))))-1])
}

// reports are the plain recomputation of each report.
func (m *model) reports() map[report.Name]func(asked) []row {
	return map[report.Name]func(asked) []row{
		report.CourseFunnel: m.courseFunnel, report.FunnelOverTime: m.funnelOverTime, report.ProgressDistribution: m.progressDistribution,
		report.TimeToComplete: m.timeToComplete, report.ActiveLearners: m.activeLearners, report.Retention: m.retention, report.Cohorts: m.cohorts,
		report.ItemDifficulty: m.itemDifficulty, report.QuestionDifficulty: m.questionDifficulty, report.GradeDistribution: m.gradeDistribution,
		report.LateWork: m.lateWork, report.AtRisk: m.atRisk, report.InstructorLoad: m.instructorLoad, report.Revenue: m.revenue,
		report.RevenueByPlan: m.revenueByPlan, report.MRR: m.mrr, report.SearchTerms: m.searchTerms,
	}
}

func (m *model) courseFunnel(a asked) (out []row) {
	for id, c := range m.courses {
		var n [4]float64
		for key, l := range m.learners {
			if key[0] != id || !a.in(key[0], key[1]) {
				continue
			}
			for i, t := range []*time.Time{l.viewed, l.enrolled, l.started, l.completed} {
				if a.within(t) {
					n[i]++
				}
			}
		}
		if n != [4]float64{} {
			out = append(out, row{"course_id": id.String(), "course_code": c.Code, "course_title": c.Title, "viewed": n[0], "enrolled": n[1], "started": n[2], "completed": n[3]})
		}
	}
	return out
}

func (m *model) funnelOverTime(a asked) (out []row) {
	for i, b := range a.buckets {
		r := row{"bucket": b.Label}
		for key, times := range map[string]func(*modelLearner) *time.Time{
			"viewed": func(l *modelLearner) *time.Time { return l.viewed }, "enrolled": func(l *modelLearner) *time.Time { return l.enrolled },
			"started": func(l *modelLearner) *time.Time { return l.started }, "completed": func(l *modelLearner) *time.Time { return l.completed },
			"withdrawn": func(l *modelLearner) *time.Time { return l.withdrawn },
		} {
			n := 0.0
			for k, l := range m.learners {
				if t := times(l); t != nil && a.in(k[0], k[1]) && a.bucket(*t) == i {
					n++
				}
			}
			r[key] = n
		}
		out = append(out, r)
	}
	return out
}

func running(l *modelLearner) bool { return l.state == "active" || l.state == "completed" }

func (m *model) progressDistribution(a asked) (out []row) {
	labels := []string{"nothing required"}
	for i := range 10 {
		labels = append(labels, fmt.Sprintf("%d–%d %%", i*10, i*10+9))
	}
	labels = append(labels, "100 %")
	n := make([]float64, len(labels))
	for k, l := range m.learners {
		switch {
		case !running(l) || !a.in(k[0], k[1]):
		case l.required == 0:
			n[0]++
		case l.met >= l.required:
			n[11]++
		default:
			n[1+l.met*10/l.required]++
		}
	}
	for i, label := range labels {
		out = append(out, row{"band": label, "learners": n[i]})
	}
	return out
}

func (m *model) timeToComplete(a asked) (out []row) {
	for id, c := range m.courses {
		var seconds []int64
		for k, l := range m.learners {
			if k[0] == id && a.in(k[0], k[1]) && a.within(l.completed) && l.enrolled != nil {
				seconds = append(seconds, int64(l.completed.Sub(*l.enrolled)/time.Second))
			}
		}
		if len(seconds) > 0 {
			out = append(out, row{
				"course_id": id.String(), "course_code": c.Code, "course_title": c.Title, "completions": float64(len(seconds)),
				"p25": nth(seconds, 0.25), "median": nth(seconds, 0.5), "p75": nth(seconds, 0.75), "p90": nth(seconds, 0.9),
			})
		}
	}
	return out
}

// active are the people who did something in each bucket.
func (m *model) active(a asked) []map[uuid.UUID]bool {
	out := make([]map[uuid.UUID]bool, len(a.buckets))
	for i := range out {
		out[i] = map[uuid.UUID]bool{}
	}
	for _, act := range m.acts {
		if i := a.bucket(act.at); i >= 0 && a.in(act.course, act.user) {
			out[i][act.user] = true
		}
	}
	return out
}

func (m *model) activeLearners(a asked) (out []row) {
	for i, people := range m.active(a) {
		out = append(out, row{"bucket": a.buckets[i].Label, "learners": float64(len(people))})
	}
	return out
}

func (m *model) retention(a asked) (out []row) {
	firsts := map[uuid.UUID]*time.Time{}
	for k, l := range m.learners {
		if l.enrolled != nil && a.in(k[0], k[1]) {
			t := firsts[k[1]]
			first(&t, *l.enrolled)
			firsts[k[1]] = t
		}
	}
	active := m.active(a)
	for c := range a.buckets {
		var cohort []uuid.UUID
		for user, t := range firsts {
			if a.bucket(*t) == c {
				cohort = append(cohort, user)
			}
		}
		if len(cohort) == 0 {
			continue
		}
		for b := c; b < len(a.buckets); b++ {
			n := int64(0)
			for _, user := range cohort {
				if active[b][user] {
					n++
				}
			}
			out = append(out, row{
				"cohort": a.buckets[c].Label, "offset": float64(b - c), "size": float64(len(cohort)), "active": float64(n), "share": rounded(n, int64(len(cohort))),
			})
		}
	}
	return out
}

func (m *model) cohorts(a asked) (out []row) {
	for _, g := range a.school.Cohorts {
		var members, learners, active, completed float64
		var sum, n float64
		for key := range m.members {
			if key[0] != g {
				continue
			}
			members++
			var is, did, done bool
			var grades, count float64
			for _, course := range m.coursesOf[key[1]] {
				if l := m.learners[[2]uuid.UUID{course, key[1]}]; a.in(course, key[1]) {
					is, done = is || running(l), done || l.completed != nil
					if l.final != nil {
						grades, count = grades+float64(*l.final), count+1
					}
				}
			}
			for _, act := range m.actsOf[key[1]] {
				day := act.at.UTC().Truncate(24 * time.Hour)
				did = did || a.in(act.course, act.user) && !day.Before(a.from.Truncate(24*time.Hour)) && !day.After(a.to.Add(-1).Truncate(24*time.Hour))
			}
			for hit, counter := range map[*float64]bool{&learners: is, &active: did, &completed: done} {
				if counter {
					*hit++
				}
			}
			if count > 0 {
				sum, n = sum+grades/count, n+1
			}
		}
		if members == 0 {
			continue
		}
		r := row{"group_id": g.String(), "name": "Cohort", "kind": "cohort", "members": members, "learners": learners, "active": active, "completed": completed, "mean_grade": nil}
		if n > 0 {
			r["mean_grade"] = math.Round(sum/n) / 10_000
		}
		out = append(out, r)
	}
	return out
}

func (m *model) itemDifficulty(a asked) (out []row) {
	for _, c := range a.school.Courses {
		if !a.courses[c.ID] {
			continue
		}
		for i, item := range c.Items {
			var learners, completed, scored, score, possible int64
			for k, it := range m.items {
				if k[0] != c.ID || k[1] != item || !a.in(k[0], k[2]) || !a.within(&it.first) {
					continue
				}
				learners++
				if it.completed {
					completed++
				}
				if it.score != nil {
					scored, score, possible = scored+1, score+*it.score, possible+*it.possible
				}
			}
			out = append(out, row{
				"position": float64(i + 1), "item_id": item.String(), "title": "Item", "module": "Module", "kind": "page", "learners": float64(learners),
				"completed": float64(completed), "completion": rounded(completed, learners), "scored": float64(scored), "mean_score": rounded(score, possible),
			})
		}
	}
	return out
}

func (m *model) questionDifficulty(a asked) (out []row) {
	type key struct {
		quiz, question uuid.UUID
		version        int
	}
	type sums struct {
		classes          map[string]float64
		n                float64
		points, possible int64
	}
	by := map[key]*sums{}
	for _, g := range m.attempts {
		if !a.in(g.CourseID, g.UserID) || !a.within(g.FinishedAt) {
			continue
		}
		for _, q := range g.Questions {
			k := key{g.QuizID, q.QuestionID, q.Version}
			if by[k] == nil {
				by[k] = &sums{classes: map[string]float64{}}
			}
			s := by[k]
			s.n++
			s.classes[q.Class]++
			if q.Points != nil {
				s.points, s.possible = s.points+int64(*q.Points), s.possible+int64(q.Possible)
			}
		}
	}
	for k, s := range by {
		out = append(out, row{
			"quiz_id": k.quiz.String(), "quiz_title": "Quiz", "question_id": k.question.String(), "version": float64(k.version), "title": "Question", "kind": "single",
			"answers": s.n, "correct": s.classes["correct"], "partial": s.classes["partial"], "wrong": s.classes["wrong"], "blank": s.classes["blank"],
			"manual": s.classes["manual"], "facility": rounded(s.points, s.possible),
		})
	}
	return out
}

func (m *model) gradeDistribution(a asked) (out []row) {
	labels := []string{"none"}
	for i := range 10 {
		labels = append(labels, fmt.Sprintf("%d–%d %%", i*10, i*10+9))
	}
	labels = append(labels, "100 % and more")
	band := func(g *int64) int {
		if g == nil {
			return 0
		}
		return 1 + int(min(*g/1000, 10))
	}
	final, current := make([]float64, 12), make([]float64, 12)
	for k, l := range m.learners {
		if running(l) && a.in(k[0], k[1]) {
			final[band(l.final)]++
			current[band(l.current)]++
		}
	}
	for i, label := range labels {
		out = append(out, row{"band": label, "final": final[i], "current": current[i]})
	}
	return out
}

func (m *model) lateWork(a asked) (out []row) {
	for id, due := range m.due {
		n := map[string]int64{}
		var late []int64
		for k, w := range m.works {
			at := due
			if w.due != nil {
				at = w.due
			}
			if k[0] != id || !a.in(w.course, k[1]) || !a.within(at) {
				continue
			}
			s, seconds := w.standing()
			if n[s]++; s == "late" {
				late = append(late, seconds)
			}
		}
		if n["on_time"]+n["late"]+n["missing"]+n["excused"] == 0 {
			continue
		}
		out = append(out, row{
			"assignment_id": id.String(), "title": "Essay", "course_id": m.courseOf[id].String(), "course_title": m.courses[m.courseOf[id]].Title,
			"on_time": float64(n["on_time"]), "late": float64(n["late"]), "missing": float64(n["missing"]), "excused": float64(n["excused"]),
			"late_share": rounded(n["late"], n["on_time"]+n["late"]), "median_late": nth(late, 0.5),
		})
	}
	return out
}
