package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/apperr"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/objects"
	"lms/shared/personexport"
	"lms/shared/pg"
)

// Receivers registers what is copied from events and what is told by reliable
// call. wrap gives the domain's transaction for the receiver's; forget drops what
// is remembered of a person.
type Receivers struct {
	Service *enrollment.Service
	Wrap    func(*pg.Unit) enrollment.Tx
	People  *People
	Now     func() time.Time
	// Objects is nil where files cannot be kept.
	Objects *objects.Store
}

// Types of course's events that carry the course's snapshot.
var courseStates = []string{ //nolint:gochecknoglobals // immutable
	contract.TypeCourseCreated, contract.TypeCourseUpdated, contract.TypeCoursePublished, contract.TypeCourseUnpublished,
	contract.TypeCourseArchived, contract.TypeCourseRestored, contract.TypeCourseDeleted, contract.TypeCourseStaffChanged,
}

// Register registers all of them. Course and curriculum are two snapshots of one
// aggregate, so each has a handler, and a newest, of its own.
func (r Receivers) Register(in *inbox.Inbox) {
	in.State("course-copy", contract.TopicCourse, courseStates, r.courses)
	in.State("curriculum-copy", contract.TopicCourse, []string{contract.TypeCurriculumChanged}, r.curricula)
	inbox.Receive(in, internalapi.CallProgressReport, []string{"content", "assignment"}, r.progressReport)
	inbox.Receive(in, internalapi.CallCourseGrade, []string{"assignment"}, r.courseGrade)
	inbox.Receive(in, internalapi.CallSeatHold, []string{"payment"}, r.seatHold)
	inbox.Receive(in, internalapi.CallSeatRelease, []string{"payment"}, r.seatRelease)
	inbox.Receive(in, internalapi.CallEntitlement, []string{"payment"}, r.entitlement)
	inbox.Receive(in, internalapi.CallCoursePriced, []string{"payment"}, r.coursePriced)
	inbox.Receive(in, internalapi.CallPersonStatus, []string{"user"}, r.personStatus)
	inbox.Receive(in, internalapi.CallErasePerson, []string{"user"}, r.erasePerson)
	inbox.Receive(in, internalapi.CallExportPerson, []string{"user"}, r.exportPerson)
}

func (r Receivers) courses(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
	snapshots := make([]enrollment.CourseSnapshot, len(batch))
	for i, e := range batch {
		state, err := inbox.Decode[contract.CourseState](e)
		if err != nil {
			return err
		}
		snapshots[i] = enrollment.CourseSnapshot{State: state, Seq: e.Seq}
	}
	return r.Service.ApplyCourses(ctx, r.Wrap(u), snapshots)
}

func (r Receivers) curricula(ctx context.Context, u *pg.Unit, batch []inbox.Event) error {
	docs := make([]enrollment.CurriculumSnapshot, len(batch))
	for i, e := range batch {
		state, err := inbox.Decode[contract.CurriculumState](e)
		if err != nil {
			return err
		}
		docs[i] = enrollment.CurriculumSnapshot{State: state, Seq: e.Seq}
	}
	return r.Service.ApplyCurricula(ctx, r.Wrap(u), docs)
}

func (r Receivers) progressReport(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ProgressReport) (internalapi.ProgressReply, error) {
	report := enrollment.Report{UserID: in.UserID, CourseID: in.CourseID, ResourceID: in.ResourceID, ItemID: in.ItemID, ViewedAt: in.ViewedAt}
	if w := in.Watched; w != nil {
		report.Watched = &enrollment.Watched{Percent: w.Percent, At: w.At}
	}
	if s := in.Submission; s != nil {
		report.Submission = &enrollment.Submission{SubmittedAt: s.SubmittedAt}
	}
	if g := in.Grade; g != nil {
		report.Grade = &enrollment.ItemGrade{Score: g.Score, Possible: g.Possible, GradedAt: g.GradedAt, ExcusedAt: g.ExcusedAt}
	}
	done, err := r.Service.TakeReport(ctx, r.Wrap(u), report)
	return internalapi.ProgressReply{Ignored: done.Ignored, Completed: done.Completed}, err
}

func (r Receivers) courseGrade(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.CourseGrade) (internalapi.ProgressReply, error) {
	done, err := r.Service.TakeCourseGrade(ctx, r.Wrap(u), enrollment.CourseGrade{
		UserID: in.UserID, CourseID: in.CourseID, Current: in.Current, Final: in.Final, Letter: in.Letter, GradedAt: in.GradedAt, Version: in.Version,
	})
	return internalapi.ProgressReply{Ignored: done.Ignored}, err
}

// courseWait is how long a call about a course that is not known here is repeated:
// its event is on the way. After that the course is taken to be gone.
const courseWait = 5 * time.Minute

// notYet makes a call about an unknown course one that is repeated, for a while.
func (r Receivers) notYet(m inbox.CallMeta, err error) (gone bool, _ error) {
	if !apperr.IsKind(err, apperr.KindNotFound) {
		return false, err
	}
	if r.Now().Sub(m.Time) > courseWait {
		return true, nil
	}
	return false, apperr.Unavailable("course_unknown", "The course is not known here yet.").With(err)
}

// doubted makes a call that the copy of its course refuses one that is decided once
// more, after course was asked: what was published is for sale at once.
func (r Receivers) doubted(m inbox.CallMeta, course uuid.UUID, byCopy bool, err error) error {
	if m.Again || !byCopy && !apperr.IsKind(err, apperr.KindNotFound) {
		return err
	}
	began := r.Now()
	return inbox.After(func(ctx context.Context) error { return r.Service.LookAtCourse(ctx, course, began) })
}

func (r Receivers) seatHold(ctx context.Context, u *pg.Unit, m inbox.CallMeta, in internalapi.SeatHold) (internalapi.SeatHoldReply, error) {
	held, err := r.Service.HoldSeat(ctx, r.Wrap(u), enrollment.Hold{ID: in.HoldID, CourseID: in.CourseID, UserID: in.UserID, ExpiresAt: in.ExpiresAt}, in.Replaces)
	err = r.doubted(m, in.CourseID, held.RefusedByCopy(), err)
	if gone, err := r.notYet(m, err); gone || err != nil {
		return internalapi.SeatHoldReply{Code: enrollment.RefusedUnavailable}, err
	}
	return internalapi.SeatHoldReply{Held: held.Until != nil, Code: held.Code, ExpiresAt: held.Until, Missing: held.Missing}, nil
}

func (r Receivers) seatRelease(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.SeatRelease) (internalapi.SeatReleaseReply, error) {
	released, err := r.Service.ReleaseSeat(ctx, r.Wrap(u), enrollment.Hold{ID: in.HoldID, CourseID: in.CourseID, UserID: in.UserID})
	return internalapi.SeatReleaseReply{Released: released}, err
}

func (r Receivers) coursePriced(ctx context.Context, u *pg.Unit, m inbox.CallMeta, in internalapi.CoursePriced) (internalapi.Done, error) {
	return internalapi.Done{}, r.Service.Priced(ctx, r.Wrap(u), in.CourseID, m.TenantID, in.Priced)
}

func (r Receivers) entitlement(ctx context.Context, u *pg.Unit, m inbox.CallMeta, in internalapi.Entitlement) (internalapi.EntitlementReply, error) {
	done, err := r.Service.Entitle(ctx, r.Wrap(u), enrollment.Grant{
		Entitlement: enrollment.Entitlement{
			ID: in.EntitlementID, CourseID: in.CourseID, UserID: in.UserID, State: in.State, ValidFrom: in.ValidFrom, ValidUntil: in.ValidUntil,
		},
		Enroll: in.Enroll, HoldID: in.HoldID, KeepAccess: in.KeepAccess, Reason: in.Reason,
	})
	err = r.doubted(m, in.CourseID, done.RefusedByCopy(), err)
	if gone, err := r.notYet(m, err); gone || err != nil {
		return internalapi.EntitlementReply{Code: enrollment.RefusedUnavailable}, err
	}
	return internalapi.EntitlementReply{
		Enrolled: done.Enrolled, Code: done.Code, EnrollmentID: done.EnrollmentID, State: string(done.State), Certified: done.Certified,
	}, nil
}

// statuses maps a person's status at user to what it means here.
var statuses = map[string]string{ //nolint:gochecknoglobals // immutable
	internalapi.PersonInvited: enrollment.PersonActive, internalapi.PersonActive: enrollment.PersonActive,
	internalapi.PersonDeactivated: enrollment.PersonDeactivated, internalapi.PersonDeleted: "deleted",
	internalapi.PersonMerged: "merged", internalapi.PersonErased: enrollment.PersonErased,
}

func (r Receivers) personStatus(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.PersonStatus) (internalapi.Done, error) {
	status, ok := statuses[in.Status]
	if !ok {
		return internalapi.Done{}, apperr.Invalid(apperr.Field{Path: "status", Code: "unknown", Message: "no such status"})
	}
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.Done{}, r.Service.SetPerson(ctx, r.Wrap(u), enrollment.Person{UserID: in.UserID, TenantID: in.TenantID, Status: status}, in.MergedInto)
}

func (r Receivers) erasePerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ErasePerson) (internalapi.ErasePersonReply, error) {
	if err := r.Service.ErasePerson(ctx, r.Wrap(u), in.UserID, in.TenantID, in.Pseudonym); err != nil {
		return internalapi.ErasePersonReply{}, err
	}
	u.AfterCommit(func() { r.People.Forget(in.UserID) })
	return internalapi.ErasePersonReply{
		Erased: []string{"enrollments", "certificates", "certificate_allowlist", "entitlements", "seat_holds", "calendar"},
		Kept: []internalapi.KeptData{
			{Category: "progress", Reason: "Under a pseudonym, for the numbers of the course."},
			{Category: "certificates", Reason: "Without the name and revoked, so that a code does not become free."},
		},
	}, nil
}

func (r Receivers) exportPerson(ctx context.Context, u *pg.Unit, _ inbox.CallMeta, in internalapi.ExportPerson) (internalapi.ExportPersonReply, error) {
	sections, err := r.Service.ExportPerson(ctx, r.Wrap(u), in.UserID)
	if err != nil {
		return internalapi.ExportPersonReply{}, err
	}
	return personexport.Reply(ctx, r.Objects, "enrollment", in, sections)
}
