package coursework

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// SubmissionSeen is a submission as one person sees it.
type SubmissionSeen struct {
	Submission
	Assignment Assignment
	Files      []File
	// Grade is that of who handed it in; nil where there is none.
	Grade *Grade
	Own   bool // a learner looks at their own
}

// Veiled says that the viewer grades anonymously and must not learn whose it is.
func (x SubmissionSeen) Veiled() bool {
	return !x.Own && x.Grade != nil && x.Assignment.Veils(*x.Grade)
}

// Submissions lists an assignment's submissions: to staff all, to a learner what
// counts for them.
func (s *Service) Submissions(ctx context.Context, actor authz.Principal, f SubmissionFilter, p page.Request) (page.Page[SubmissionSeen], error) {
	var none page.Page[SubmissionSeen]
	a, err := s.find(ctx, actor, f.AssignmentID)
	if err != nil {
		return none, err
	}
	st, err := s.standing(ctx, actor, a.CourseID)
	switch {
	case apperr.IsKind(err, apperr.KindNotFound), err == nil && !st.Staff && !a.Published:
		return none, apperr.NotFound("assignment")
	case err != nil:
		return none, err
	case !st.Staff:
		f.UserID, f.GroupID, f.Waiting = &actor.UserID, nil, false
	case !st.Has(authz.SubmissionRead):
		return none, apperr.Forbidden("This needs the permission " + string(authz.SubmissionRead) + " in the course.")
	}
	return read(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (page.Page[SubmissionSeen], error) {
		if st.Staff && f.UserID != nil {
			g, err := resolve(ctx, tx, a, *f.UserID)
			if apperr.IsKind(err, apperr.KindNotFound) {
				return none, nil
			}
			if err != nil {
				return none, err
			}
			if g != nil {
				f.UserID = &g.UserID
			}
		}
		if a.Anonymous && st.Staff {
			f.GroupID = nil
		}
		rows, err := tx.ListSubmissions(ctx, f, p)
		if err != nil {
			return none, err
		}
		return seenAll(ctx, tx, a, rows, !st.Staff)
	})
}

func seenAll(ctx context.Context, tx Tx, a Assignment, rows page.Page[Submission], own bool) (page.Page[SubmissionSeen], error) {
	ids, users := make([]uuid.UUID, len(rows.Items)), make([]uuid.UUID, 0, len(rows.Items))
	for i, sub := range rows.Items {
		ids[i] = sub.ID
		users = append(users, sub.UserID)
	}
	files, err := tx.FilesOf(ctx, ids)
	if err != nil {
		return page.Page[SubmissionSeen]{}, err
	}
	grades, err := tx.GradesIn(ctx, a.ID, users)
	return page.Map(rows, func(sub Submission) SubmissionSeen {
		x := SubmissionSeen{Submission: sub, Assignment: a, Files: files[sub.ID], Own: own}
		if g, ok := grades[sub.UserID]; ok {
			x.Grade = &g
		}
		return x
	}), err
}

// Submission is one submission, for staff or those whom it counts for.
func (s *Service) Submission(ctx context.Context, actor authz.Principal, id uuid.UUID) (SubmissionSeen, error) {
	return s.submissionFor(ctx, actor, id, false)
}

// submissionFor finds a submission that the caller may see; fresh asks enrollment
// anew.
func (s *Service) submissionFor(ctx context.Context, actor authz.Principal, id uuid.UUID, fresh bool) (SubmissionSeen, error) {
	x, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (x SubmissionSeen, err error) {
		if x.Submission, err = tx.Submission(ctx, id); err != nil {
			return x, err
		}
		if x.Assignment, err = tx.Assignment(ctx, x.AssignmentID); err != nil {
			return x, err
		}
		files, err := tx.FilesOf(ctx, []uuid.UUID{id})
		if err != nil {
			return x, err
		}
		x.Files = files[id]
		x.Grade, err = tx.Grade(ctx, x.AssignmentID, x.UserID)
		return x, err
	})
	if err != nil {
		return x, err
	}
	v, err := s.Access.May(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: x.CourseID, Action: See, Fresh: fresh})
	switch {
	case err != nil:
		return x, err
	case !v.Allowed && v.Code != DeniedUnknown && slices.Contains(x.MemberIDs, actor.UserID):
		return x, denied(v, "submission")
	case !v.Allowed:
		return x, apperr.NotFound("submission")
	case !v.Staff && slices.Contains(x.MemberIDs, actor.UserID):
		x.Own = true
		return x, nil
	case !v.Staff:
		return x, apperr.NotFound("submission")
	}
	_, err = s.inCourse(ctx, actor, x.CourseID, authz.SubmissionRead)
	return x, err
}

// SubmissionHistory is what happened to where a person stands: all of it for staff;
// learners see when they handed in and took back, nothing of grades.
func (s *Service) SubmissionHistory(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (page.Page[Change], SubmissionSeen, error) {
	x, err := s.submissionFor(ctx, actor, id, false)
	if err != nil {
		return page.Page[Change]{}, x, err
	}
	out, err := read(ctx, s, work.Tenant(x.TenantID), func(ctx context.Context, tx Tx) (page.Page[Change], error) {
		who := x.UserID
		if x.Own {
			who = actor.UserID
		}
		g, err := tx.Grade(ctx, x.AssignmentID, who)
		if err != nil || g == nil {
			return page.Page[Change]{}, err
		}
		return tx.History(ctx, g.ID, x.Own, p)
	})
	return out, x, err
}

// Comments are those of a submission: a learner sees what graders wrote only where
// grades are shown (rule 25).
func (s *Service) Comments(ctx context.Context, actor authz.Principal, id uuid.UUID, p page.Request) (page.Page[Comment], SubmissionSeen, error) {
	x, err := s.submissionFor(ctx, actor, id, false)
	if err != nil {
		return page.Page[Comment]{}, x, err
	}
	out, err := read(ctx, s, work.Tenant(x.TenantID), func(ctx context.Context, tx Tx) (page.Page[Comment], error) {
		staffToo := true
		if x.Own {
			g, err := tx.Grade(ctx, x.AssignmentID, actor.UserID)
			if err != nil {
				return page.Page[Comment]{}, err
			}
			staffToo = g != nil && wordsShown(x.Assignment, *g)
		}
		return tx.Comments(ctx, id, staffToo, p)
	})
	return out, x, err
}

// wordsShown says whether a learner sees what graders write.
func wordsShown(a Assignment, g Grade) bool {
	return g.PostedAt != nil || a.Posting == PostAutomatic && !g.Hidden
}

// AddComment writes a comment on a submission.
func (s *Service) AddComment(ctx context.Context, actor authz.Principal, id uuid.UUID, text string) (Comment, SubmissionSeen, error) {
	x, err := s.submissionFor(ctx, actor, id, true)
	if err != nil {
		return Comment{}, x, err
	}
	if !x.Own {
		if _, err := s.grader(ctx, actor, x.AssignmentID); err != nil {
			return Comment{}, x, err
		}
	}
	text = strings.TrimSpace(text)
	var bad apperr.Fields
	bad.Require(text != "", "text", "required", "Must not be empty.")
	bad.Require(len(text) <= maxComment, "text", "too_long", "At most 20,000 bytes.")
	if err := bad.Err(); err != nil {
		return Comment{}, x, err
	}
	c, err := inTx(ctx, s, work.Tenant(x.TenantID), func(ctx context.Context, tx Tx) (Comment, error) {
		return s.writeComment(ctx, tx, x.Assignment, x.Submission, actor.UserID, !x.Own, text)
	})
	return c, x, err
}

// writeComment stores a comment and tells the learners who may see it.
func (s *Service) writeComment(ctx context.Context, tx Tx, a Assignment, sub Submission, author uuid.UUID, byStaff bool, text string) (Comment, error) {
	c := Comment{
		ID: s.NewID(), TenantID: sub.TenantID, CourseID: sub.CourseID, AssignmentID: sub.AssignmentID, SubmissionID: sub.ID,
		AuthorID: author, ByStaff: byStaff, Body: text, CreatedAt: s.Now(),
	}
	if err := tx.InsertComment(ctx, c); err != nil {
		return Comment{}, err
	}
	grades, err := tx.GradesIn(ctx, a.ID, sub.MemberIDs)
	if err != nil {
		return Comment{}, err
	}
	recipients := []uuid.UUID{}
	for _, m := range sub.MemberIDs {
		if g, ok := grades[m]; m != author && ok && (!byStaff || wordsShown(a, g)) {
			recipients = append(recipients, m)
		}
	}
	err = tx.Emit(ctx, events.SubmissionCommented{
		SubmissionState: sub.state(a, c.CreatedAt), CommentID: c.ID, AuthorID: author, ByStaff: byStaff, RecipientIDs: recipients,
	}, a.meta())
	if err != nil {
		return Comment{}, err
	}
	return c, tx.Audit(ctx, sub.audit("submission.comment", a, nil))
}

// ToGrade lists what waits for the caller to grade, by assignment.
func (s *Service) ToGrade(ctx context.Context, actor authz.Principal, p page.Request) (page.Page[Waiting], error) {
	roles, err := s.Access.Teaches(ctx, actor.UserID)
	if err != nil {
		return page.Page[Waiting]{}, err
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return page.Page[Waiting]{}, err
	}
	var courses []uuid.UUID
	for id, role := range roles {
		if policy.RoleHas(role, authz.GradeEdit) {
			courses = append(courses, id)
		}
	}
	if len(courses) == 0 {
		return page.Page[Waiting]{}, nil
	}
	return read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (page.Page[Waiting], error) { return tx.Waiting(ctx, courses, p) })
}

func sortIDs(ids []uuid.UUID) { slices.SortFunc(ids, compareIDs) }
