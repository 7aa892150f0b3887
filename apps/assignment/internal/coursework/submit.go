package coursework

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// CodeTypeNotAllowed says that the assignment does not take what was handed in.
const CodeTypeNotAllowed = "type_not_allowed"

// Limits of a submission.
const (
	MaxText      = 500_000 // bytes
	MaxLinks     = 20
	maxLink      = 2000
	maxNumbered  = 1000 // attempts of one person or group, withdrawn ones counted
	settleWithin = time.Second
)

// Work is what somebody hands in.
type Work struct {
	Text    string // HTML
	Links   []string
	FileIDs []uuid.UUID
}

// Handed is a submission with its files. Pending says that progress will show it
// in a moment, and not yet.
type Handed struct {
	Submission
	Files   []File
	Pending bool `json:"-"`
	calls   []uuid.UUID
}

// submittable finds an assignment to which the caller may hand in: a learner whom
// enrollment lets, asked each time. Its dates are another question.
func (s *Service) submittable(ctx context.Context, actor authz.Principal, id uuid.UUID) (Assignment, extensions, error) {
	a, ext, err := s.extended(ctx, work.ScopeOf(actor), id)
	if err != nil {
		return a, ext, err
	}
	v, err := s.unlocked(ctx, Ask{Actor: actor, UserID: actor.UserID, CourseID: a.CourseID, ResourceID: &a.ID, Action: Submit})
	switch {
	case err != nil:
		return a, ext, err
	case !a.Published && !v.Staff:
		return a, ext, apperr.NotFound("assignment")
	case v.Staff:
		return a, ext, apperr.New(apperr.KindForbidden, "learners_only", "Only learners of the course hand in.")
	case !a.Expects():
		return a, ext, apperr.Conflict("nothing_to_submit", "Nothing is handed in here.")
	}
	a.OrgUnitID = v.OrgUnitID
	return a, ext, nil
}

// Submit hands work in: one more attempt, received now by the server's clock. In
// group work it counts for all who are in the group.
func (s *Service) Submit(ctx context.Context, actor authz.Principal, assignment uuid.UUID, in Work) (Handed, error) {
	received := s.Now()
	a, ext, err := s.submittable(ctx, actor, assignment)
	if err != nil {
		return Handed{}, err
	}
	if err := s.settleWork(a, &in); err != nil {
		return Handed{}, err
	}
	owner, err := s.ownerOf(ctx, a, actor.UserID)
	if err != nil {
		return Handed{}, err
	}
	h, err := inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (Handed, error) {
		now, err := tx.ShareAssignment(ctx, a.ID)
		if err != nil {
			return Handed{}, err
		}
		now.OrgUnitID = a.OrgUnitID
		ext, err := ext.now(ctx, tx, a.ID)
		if err != nil {
			return Handed{}, err
		}
		dates := ext.dates(now, actor.UserID)
		if err := open(dates, received); err != nil {
			return Handed{}, err
		}
		return s.handIn(ctx, tx, now, ext, owner, actor.UserID, in, received)
	})
	if err == nil {
		h.Pending = !s.settled(ctx, h.calls)
	}
	return h, err
}

// owner is who hands in: a person, or a group with its members.
type owner struct {
	id      uuid.UUID
	group   *uuid.UUID
	members []uuid.UUID // in order
}

func (s *Service) ownerOf(ctx context.Context, a Assignment, user uuid.UUID) (owner, error) {
	if a.GroupSetID == nil {
		return owner{id: user, members: []uuid.UUID{user}}, nil
	}
	g, err := s.groupOf(ctx, a, user)
	if err != nil {
		return owner{}, err
	}
	if g == nil {
		return owner{}, apperr.Conflict("no_group", "You are in no group of this assignment.")
	}
	return *g, nil
}

// groupOf is the group of a person in group work; nil for none.
func (s *Service) groupOf(ctx context.Context, a Assignment, user uuid.UUID) (*owner, error) {
	groups, err := s.People.CourseGroups(ctx, a.CourseID)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.SetID == *a.GroupSetID && slices.Contains(g.Members, user) {
			members := slices.Clone(g.Members)
			slices.SortFunc(members, compareIDs)
			return &owner{id: g.ID, group: &g.ID, members: slices.Compact(members)}, nil
		}
	}
	return nil, nil //nolint:nilnil // in no group
}

// settleWork normalises and checks what is handed in.
func (s *Service) settleWork(a Assignment, w *Work) error {
	w.Text = s.Text.HTML(w.Text)
	if strings.TrimSpace(s.Text.Plain(w.Text)) == "" && !strings.Contains(w.Text, "<img") {
		w.Text = ""
	}
	var bad apperr.Fields
	allowed := func(path, kind string, given bool) {
		bad.Require(!given || slices.Contains(a.SubmissionTypes, kind), path, CodeTypeNotAllowed, "The assignment takes: "+strings.Join(a.SubmissionTypes, ", ")+".")
	}
	allowed("text", SubmitText, w.Text != "")
	allowed("links", SubmitLink, len(w.Links) > 0)
	allowed("file_ids", SubmitFile, len(w.FileIDs) > 0)
	bad.Require(w.Text != "" || len(w.Links) > 0 || len(w.FileIDs) > 0, "text", "required", "Hand something in: "+strings.Join(a.SubmissionTypes, ", ")+".")
	bad.Require(len(w.Text) <= MaxText, "text", "too_long", "At most 500,000 bytes.")
	bad.Require(len(w.Links) <= MaxLinks, "links", "too_many", "At most 20.")
	for i, raw := range w.Links {
		w.Links[i] = strings.TrimSpace(raw)
		bad.Require(webLink(w.Links[i]), indexed("links", i), "invalid_link", "An address that begins with http:// or https://.")
	}
	bad.Require(len(w.FileIDs) <= a.MaxFiles, "file_ids", "too_many", "More files than the assignment allows.")
	bad.Require(len(slices.Compact(slices.SortedFunc(slices.Values(w.FileIDs), compareIDs))) == len(w.FileIDs), "file_ids", "duplicate", "Each file once.")
	return bad.Err()
}

func webLink(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && len(raw) <= maxLink && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

func compareIDs(a, b uuid.UUID) int { return strings.Compare(string(a[:]), string(b[:])) }

// handIn numbers and stores an attempt. Attempts of one person, or of one group,
// come one after the other: the grades of all whom it counts for are locked.
func (s *Service) handIn(ctx context.Context, tx Tx, a Assignment, ext extensions, own owner, user uuid.UUID, in Work, received time.Time) (Handed, error) {
	if own.group != nil {
		if err := tx.LockGroup(ctx, a.ID, *own.group); err != nil {
			return Handed{}, err
		}
	}
	rows, err := tx.EnsureGrades(ctx, s.freshGrades(a, own.members, received))
	if err != nil {
		return Handed{}, err
	}
	last, used, err := tx.Attempts(ctx, a.ID, own.id)
	if err != nil {
		return Handed{}, err
	}
	dates := ext.dates(a, user)
	if dates.Attempts != nil && used >= *dates.Attempts {
		return Handed{}, apperr.Conflict("attempts_used_up", "All attempts are used up.").Detail("attempts", *dates.Attempts)
	}
	if last >= maxNumbered {
		return Handed{}, apperr.Conflict("too_many_attempts", "There are 1,000 attempts already.")
	}
	sub := Submission{
		ID: s.NewID(), TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, AssignmentID: a.ID, UserID: user, GroupID: own.group,
		MemberIDs: own.members, Attempt: last + 1, Body: in.Text, Links: in.Links, SubmittedAt: received, DueAt: dates.DueAt,
		SecondsLate: late(dates.DueAt, received), Version: 1,
	}
	if err := tx.InsertSubmission(ctx, sub); err != nil {
		return Handed{}, err
	}
	h := Handed{Submission: sub}
	if len(in.FileIDs) > 0 {
		if h.Files, err = tx.AttachFiles(ctx, sub.ID, a.ID, user, in.FileIDs); err != nil {
			return Handed{}, err
		}
		if len(h.Files) != len(in.FileIDs) {
			return Handed{}, apperr.Invalid(apperr.Field{Path: "file_ids", Code: "unknown_file", Message: "Only files that you uploaded here, completed, and did not hand in yet."})
		}
	}
	if h.calls, err = s.standNow(ctx, tx, a, ext, own.members, rows, &sub, used+1, CauseSubmitted); err != nil {
		return Handed{}, err
	}
	if err := tx.Emit(ctx, events.SubmissionSubmitted{SubmissionState: sub.state(a, received), Files: len(h.Files)}, a.meta()); err != nil {
		return Handed{}, err
	}
	return h, tx.Audit(ctx, sub.audit("submission.create", a, map[string]work.Change{"attempt": {To: sub.Attempt}}))
}

// standNow writes where members stand after a submission came or went; sub is the
// one that counts now, nil for none.
func (s *Service) standNow(ctx context.Context, tx Tx, a Assignment, ext extensions, members []uuid.UUID, rows map[uuid.UUID]Grade, sub *Submission, used int, cause string) ([]uuid.UUID, error) {
	rules, err := s.rules(ctx, tx, a)
	if err != nil {
		return nil, err
	}
	var calls []uuid.UUID
	for _, member := range members {
		before, ok := rows[member]
		if !ok {
			continue
		}
		g := before
		g.AttemptsUsed = used
		g.SubmissionID, g.SubmittedAt, g.GroupID = nil, nil, before.GroupID
		if sub != nil {
			g.SubmissionID, g.SubmittedAt, g.GroupID = &sub.ID, &sub.SubmittedAt, sub.GroupID
			g.Attempts = max(g.Attempts, sub.Attempt)
		}
		judge(a, &g, ext.dates(a, member).DueAt, rules, s.Now())
		done, err := s.saveGrade(ctx, tx, a, &before, g, saving{cause: cause})
		if err != nil {
			return nil, err
		}
		calls = append(calls, done...)
	}
	return calls, nil
}

// concerned are the members for whom a withdrawn attempt counted, or the one that is
// left does: who handed in with another group since stands by that.
func concerned(sub Submission, newest *Submission, rows map[uuid.UUID]Grade) []uuid.UUID {
	return slices.DeleteFunc(slices.Clone(sub.MemberIDs), func(member uuid.UUID) bool {
		counts := rows[member].SubmissionID
		return counts != nil && *counts != sub.ID && (newest == nil || *counts != newest.ID)
	})
}

// freshGrades are the rows of people who have none yet.
func (s *Service) freshGrades(a Assignment, users []uuid.UUID, now time.Time) []Grade {
	out := make([]Grade, len(users))
	for i, user := range users {
		out[i] = Grade{
			ID: s.NewID(), TenantID: a.TenantID, OrgUnitID: a.OrgUnitID, CourseID: a.CourseID, AssignmentID: a.ID, UserID: user, Alias: s.NewAlias(),
			CreatedAt: now, UpdatedAt: now, Version: FirstVersion + 1,
		}
	}
	return out
}

// settled waits a moment for reports to be answered, so that who handed in reads
// their own progress.
func (s *Service) settled(ctx context.Context, calls []uuid.UUID) bool {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for _, id := range calls {
		if !s.Calls.Settled(ctx, id, settleWithin) {
			return false
		}
	}
	return true
}

// Withdraw takes an attempt back, while it is open and no grader has seen it. The
// newest attempt that is left counts again, and the attempt is not used up.
func (s *Service) Withdraw(ctx context.Context, actor authz.Principal, id uuid.UUID) (Handed, error) {
	now := s.Now()
	sub, err := read(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Submission, error) { return tx.Submission(ctx, id) })
	if err == nil && !slices.Contains(sub.MemberIDs, actor.UserID) {
		err = s.notMine(ctx, actor, sub)
	}
	if err != nil {
		return Handed{}, err
	}
	a, ext, err := s.submittable(ctx, actor, sub.AssignmentID)
	if err != nil {
		return Handed{}, err
	}
	h, err := inTx(ctx, s, work.Tenant(a.TenantID), func(ctx context.Context, tx Tx) (Handed, error) {
		current, err := tx.ShareAssignment(ctx, a.ID)
		if err != nil {
			return Handed{}, err
		}
		current.OrgUnitID = a.OrgUnitID
		ext, err := ext.now(ctx, tx, a.ID)
		if err != nil {
			return Handed{}, err
		}
		return s.withdraw(ctx, tx, current, ext, sub, actor.UserID, now)
	})
	if err == nil {
		h.Pending = !s.settled(ctx, h.calls)
	}
	return h, err
}

// notMine is why somebody may not change a submission of others.
func (s *Service) notMine(ctx context.Context, actor authz.Principal, sub Submission) error {
	if _, err := s.inCourse(ctx, actor, sub.CourseID, authz.SubmissionRead); err != nil {
		return apperr.NotFound("submission")
	}
	return apperr.New(apperr.KindForbidden, "learners_only", "Only who handed it in can take it back.")
}

func (s *Service) withdraw(ctx context.Context, tx Tx, a Assignment, ext extensions, sub Submission, user uuid.UUID, now time.Time) (Handed, error) {
	ownerID := sub.UserID
	if sub.GroupID != nil {
		ownerID = *sub.GroupID
		if err := tx.LockGroup(ctx, a.ID, ownerID); err != nil {
			return Handed{}, err
		}
	}
	rows, err := tx.LockGrades(ctx, a.ID, sub.MemberIDs)
	if err != nil {
		return Handed{}, err
	}
	if sub, err = tx.Submission(ctx, sub.ID); err != nil {
		return Handed{}, err
	}
	if sub.WithdrawnAt != nil {
		return Handed{Submission: sub}, nil
	}
	if err := open(ext.dates(a, user), now); err != nil {
		return Handed{}, err
	}
	for _, g := range rows {
		if g.GradedSubmission != nil && *g.GradedSubmission == sub.ID {
			return Handed{}, apperr.Conflict("already_graded", "The attempt was graded: it stays.")
		}
	}
	sub.WithdrawnAt, sub.WithdrawnBy, sub.Version = &now, &user, sub.Version+1
	if err := tx.WithdrawSubmission(ctx, sub); err != nil {
		return Handed{}, err
	}
	newest, err := tx.NewestSubmission(ctx, a.ID, ownerID)
	if err != nil {
		return Handed{}, err
	}
	_, used, err := tx.Attempts(ctx, a.ID, ownerID)
	if err != nil {
		return Handed{}, err
	}
	h := Handed{Submission: sub}
	if h.calls, err = s.standNow(ctx, tx, a, ext, concerned(sub, newest, rows), rows, newest, used, CauseWithdrawn); err != nil {
		return Handed{}, err
	}
	if err := tx.Emit(ctx, events.SubmissionWithdrawn{SubmissionState: sub.state(a, now)}, a.meta()); err != nil {
		return Handed{}, err
	}
	return h, tx.Audit(ctx, sub.audit("submission.withdraw", a, map[string]work.Change{"attempt": {From: sub.Attempt}}))
}
