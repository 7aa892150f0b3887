package enrollment

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/progress"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// recomputePage is how many enrollments one page of a recomputation locks.
const recomputePage = 200

// Recompute judges one page of learners anew from the stored facts and says what
// is stored otherwise. Facts are what was reported, since when an item is
// completed (rule 3), what was open before it would be locked (rule 8), and that
// the course was completed (rule 13); all else follows. A repair stores and tells
// it as a changed curriculum would.
func (s *Service) Recompute(ctx context.Context, in internalapi.RecomputeRequest) (out internalapi.RecomputeReply, err error) {
	var after uuid.UUID
	if _, err := page.Decode(in.Cursor, &after); err != nil {
		return out, err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out = internalapi.RecomputeReply{}
		ids, err := tx.JudgedLearners(ctx, after, recomputePage)
		if err != nil || len(ids) == 0 {
			return err
		}
		if len(ids) == recomputePage {
			out.NextCursor = page.Encode(ids[len(ids)-1])
		}
		learners, err := tx.LockLearners(ctx, ids)
		if err != nil {
			return err
		}
		var wrong []uuid.UUID
		for i := range learners {
			diffs, err := s.differences(ctx, tx, &learners[i], s.Now())
			if err != nil {
				return err
			}
			if len(diffs) > 0 {
				wrong = append(wrong, learners[i].Enrollment.ID)
			}
			out.Checked++
			out.Differences = append(out.Differences, diffs...)
		}
		if !in.Repair {
			return nil
		}
		return s.judge(ctx, tx, wrong, occasion{recalculated: true})
	})
	return out, err
}

// differences compares with what is stored, under the curriculum that it was
// stored under: a newer one is brought in by its own job. What time alone opens is
// left to the sweep, so the learner is judged right before.
func (s *Service) differences(ctx context.Context, tx Tx, l *Learner, now time.Time) ([]internalapi.Difference, error) {
	e := l.Enrollment
	d := differ{id: e.ID}
	c, err := s.Curricula.Get(ctx, tx, l.Course.ID, e.CurriculumSeq)
	if err != nil {
		return nil, err
	}
	if c == nil {
		d.add("curriculum_seq", strconv.FormatInt(e.CurriculumSeq, 10), strconv.FormatInt(l.Course.CurriculumSeq, 10))
		return d.found, nil
	}
	if next := e.NextChangeAt; next != nil && !next.After(now) {
		now = next.Add(-time.Microsecond)
	}
	out := progress.Apply(l.Record, progress.Change{Old: c, New: c, From: e.From(), Now: now})
	v := out.After
	d.number("required", e.Required, v.Required)
	d.number("met", e.Met, v.Met)
	d.next(e.NextItemID, v.Next)
	save := l.diff(out, now)
	for _, row := range save.Subjects {
		was := l.Subjects[row.SubjectID]
		d.add("item "+row.SubjectID.String(), completions(was), completions(row))
	}
	for _, row := range save.Modules {
		was, known := l.Modules[row.ModuleID]
		if !known {
			was.State = "none"
		}
		d.add("module "+row.ModuleID.String(), was.text(), row.text())
	}
	for _, id := range save.GoneModules {
		d.add("module "+id.String(), l.Modules[id].text(), "none")
	}
	if e.State == Active && e.CompletedAt == nil && e.CurriculumSeq == l.Course.CurriculumSeq {
		if at, ok := progress.CourseCompletedAt(v, l.Course.Completion, e.Grade()); ok {
			d.add("completed_at", "none", at.Format(time.RFC3339Nano))
		}
	}
	return d.found, nil
}

// differ collects what differs of an enrollment.
type differ struct {
	id    uuid.UUID
	found []internalapi.Difference
}

func (d *differ) add(field, stored, computed string) {
	d.found = append(d.found, internalapi.Difference{Kind: "progress", ID: d.id, Field: field, Stored: stored, Computed: computed})
}

func (d *differ) number(field string, stored, computed int) {
	if stored != computed {
		d.add(field, strconv.Itoa(stored), strconv.Itoa(computed))
	}
}

func (d *differ) next(stored *uuid.UUID, computed *progress.Item) {
	text := func(id *uuid.UUID) string {
		if id == nil {
			return "none"
		}
		return id.String()
	}
	var want *uuid.UUID
	if computed != nil {
		want = &computed.ID
	}
	if !sameID(stored, want) {
		d.add("next_item_id", text(stored), text(want))
	}
}

func completions(r SubjectRow) string {
	return strconv.Itoa(len(r.CompletedItems)) + " completed"
}

func (r ModuleRow) text() string {
	out := r.State + ", " + strconv.Itoa(r.Met) + " of " + strconv.Itoa(r.Needed)
	if r.CompletedAt != nil {
		out += ", completed " + r.CompletedAt.Format(time.RFC3339Nano)
	}
	return out
}
