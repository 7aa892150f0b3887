package tally

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/apps/analytics/internal/history"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// counted says, for each type of event, what it adds. What is kept and not counted
// is in Uncounted, with the reason; a type must be in one of the two.
//
//nolint:gochecknoglobals // immutable
var counted = map[string]func(*Book, history.Event) error{
	history.TypeSearched: add(searched),

	events.TypeUserSignedIn:       add(signedIn),
	events.TypeUserCreated:        add(account),
	events.TypeUserUpdated:        add(account),
	events.TypeUserDeactivated:    add(account),
	events.TypeUserReactivated:    add(account),
	events.TypeUserDeleted:        add(account),
	events.TypeUserMerged:         add(account),
	events.TypeOrgUnitCreated:     add(orgUnit),
	events.TypeOrgUnitChanged:     add(orgUnit),
	events.TypeOrgUnitArchived:    add(orgUnit),
	events.TypeGroupCreated:       add(group),
	events.TypeGroupUpdated:       add(group),
	events.TypeGroupDeleted:       add(group),
	events.TypeGroupMemberAdded:   add(joined),
	events.TypeGroupMemberRemoved: add(left),

	events.TypeCourseCreated:      add(course),
	events.TypeCourseUpdated:      add(course),
	events.TypeCoursePublished:    add(course),
	events.TypeCourseUnpublished:  add(course),
	events.TypeCourseArchived:     add(course),
	events.TypeCourseRestored:     add(course),
	events.TypeCourseDeleted:      add(course),
	events.TypeCourseStaffChanged: add(course),
	events.TypeCurriculumChanged:  add(curriculum),
	events.TypeCourseViewed:       add(courseViewed),

	events.TypeEnrollmentInvited:      add(enrolled),
	events.TypeEnrollmentRequested:    add(enrolled),
	events.TypeEnrollmentApproved:     add(enrolled),
	events.TypeEnrollmentRejected:     add(enrolled),
	events.TypeEnrollmentActivated:    add(enrolled),
	events.TypeEnrollmentDeclined:     add(enrolled),
	events.TypeEnrollmentWaitlisted:   add(enrolled),
	events.TypeEnrollmentOffered:      add(enrolled),
	events.TypeEnrollmentOfferExpired: add(enrolled),
	events.TypeEnrollmentPromoted:     add(enrolled),
	events.TypeEnrollmentWithdrawn:    add(withdrawn),
	events.TypeEnrollmentSuspended:    add(enrolled),
	events.TypeEnrollmentReactivated:  add(enrolled),
	events.TypeEnrollmentExpiringSoon: add(enrolled),
	events.TypeEnrollmentExpired:      add(enrolled),
	events.TypeEnrollmentDatesChanged: add(enrolled),
	events.TypeProgressChanged:        add(progressChanged),
	events.TypeProgressRecalculated:   add(progressRecalculated),
	events.TypeModuleCompleted:        add(moduleCompleted),
	events.TypeCourseCompleted:        add(courseCompleted),
	events.TypeCertificateIssued:      add(certificateIssued),

	events.TypeContentWatched:   add(contentWatched),
	events.TypeQuestionChanged:  add(questionChanged),
	events.TypeQuizCreated:      add(quiz),
	events.TypeQuizUpdated:      add(quiz),
	events.TypeQuizPublished:    add(quiz),
	events.TypeQuizUnpublished:  add(quiz),
	events.TypeQuizDeleted:      add(quiz),
	events.TypeQuizDueSoon:      add(quiz),
	events.TypeAttemptStarted:   add(attemptStarted),
	events.TypeAttemptSubmitted: add(attemptSubmitted),
	events.TypeAttemptClosed:    add(attempt),
	events.TypeQuizGraded:       add(graded),
	events.TypeQuizRegraded:     add(graded),

	events.TypeAssignmentCreated:     add(assignment),
	events.TypeAssignmentUpdated:     add(assignment),
	events.TypeAssignmentPublished:   add(assignment),
	events.TypeAssignmentUnpublished: add(assignment),
	events.TypeAssignmentDeleted:     add(assignmentDeleted),
	events.TypeSubmissionSubmitted:   add(submitted),
	events.TypeSubmissionWithdrawn:   add(submissionWithdrawn),
	events.TypeSubmissionMissing:     add(missing),
	events.TypeSubmissionCommented:   add(commented),
	events.TypeGraded:                add(grade),
	events.TypeGradePosted:           add(grade),
	events.TypeGradeChanged:          add(grade),
	events.TypeLatenessChanged:       add(grade),
	events.TypeCourseGradeChanged:    add(courseGrade),

	events.TypePlanCreated:           add(plan),
	events.TypePlanUpdated:           add(plan),
	events.TypePaymentSucceeded:      add(paid),
	events.TypePaymentRefunded:       add(refunded),
	events.TypeSubscriptionStarted:   add(subscription),
	events.TypeSubscriptionTrialEnds: add(subscription),
	events.TypeSubscriptionRenewed:   add(subscription),
	events.TypeSubscriptionChanged:   add(subscription),
	events.TypeSubscriptionPastDue:   add(subscription),
	events.TypeSubscriptionPaused:    add(subscription),
	events.TypeSubscriptionResumed:   add(subscription),
	events.TypeSubscriptionCancelled: add(subscription),
	events.TypeSubscriptionEnded:     add(subscription),
}

// Counted says whether a type adds to any number.
func Counted(eventType string) bool {
	_, ok := counted[eventType]
	return ok
}

// Uncounted are the types that are kept and not counted, with the reason.
func Uncounted() map[string]string {
	return map[string]string{
		events.TypeRoleGranted:           "who may do what is asked, not counted",
		events.TypeRoleRevoked:           "who may do what is asked, not counted",
		events.TypeOrgMemberAdded:        "reports go by a course's org unit",
		events.TypeOrgMemberRemoved:      "reports go by a course's org unit",
		events.TypeErasureRequested:      "the erasure itself comes by a reliable call",
		events.TypeErasureCompleted:      "the erasure itself comes by a reliable call",
		events.TypeAnnouncementPublished: "no report is about announcements",
		events.TypeCategoryRenamed:       "no report is about categories",
		events.TypeCertificateRevoked:    "that it was earned stays true",
		events.TypeContentCreated:        "no report is about the library",
		events.TypeContentUpdated:        "no report is about the library",
		events.TypeContentPublished:      "no report is about the library",
		events.TypeContentUnpublished:    "no report is about the library",
		events.TypeContentDeleted:        "no report is about the library",
		events.TypeUploadRejected:        "no report is about the library",
		events.TypeAssignmentDueSoon:     "a reminder",
		events.TypeOverrideChanged:       "what follows from it is said by the work",
		events.TypeGradeHidden:           "reports are for staff, who see the grade all the same",
		events.TypeCheckoutStarted:       "nothing is paid yet",
		events.TypeCheckoutExpired:       "nothing was paid",
		events.TypeOrderCreated:          "nothing is paid yet",
		events.TypePaymentFailed:         "nothing was paid",
		events.TypeInvoiceIssued:         "the payment is counted",
		events.TypeCreditNoteIssued:      "the refund is counted",
		events.TypeEntitlementGranted:    "the enrollment that follows is counted",
		events.TypeEntitlementChanged:    "the enrollment that follows is counted",
		events.TypeEntitlementRevoked:    "the enrollment that follows is counted",
		events.TypeSeatsBought:           "the payment is counted",
		events.TypeSeatAssigned:          "the enrollment that follows is counted",
		events.TypeSeatReleased:          "the enrollment that follows is counted",
	}
}

func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func searched(b *Book, _ history.Event, d internalapi.SearchPerformed) {
	slot := d.At.UTC().Truncate(15 * time.Minute)
	row := SearchTerm{TenantID: d.TenantID, Term: d.Term, Slot: slot, Searches: 1}
	if d.Results == 0 {
		row.WithoutResult = 1
	}
	put(b.Terms, TermKey{d.TenantID, d.Term, slot.Unix()}, row)
}

func signedIn(b *Book, e history.Event, d events.UserSignedIn) {
	b.act(e.TenantID, uuid.Nil, d.UserID, d.SignedInAt)
}

func account(b *Book, e history.Event, d events.UserState) {
	put(b.People, d.ID, Person{
		UserID: d.ID, TenantID: e.TenantID, OrgUnitID: optional(d.OrgUnitID), Status: d.Status, CreatedAt: &d.CreatedAt, Seq: e.Seq,
	})
}

func orgUnit(b *Book, e history.Event, d events.OrgUnitState) {
	put(b.OrgUnits, d.ID, OrgUnit{
		OrgUnitID: d.ID, TenantID: e.TenantID, ParentID: d.ParentID, Name: d.Name, Kind: d.Kind, Archived: d.Archived, Deleted: d.Deleted, Seq: e.Seq,
	})
}

func group(b *Book, e history.Event, d events.GroupState) {
	put(b.Cohorts, d.ID, Cohort{
		GroupID: d.ID, TenantID: e.TenantID, OrgUnitID: optional(d.OrgUnitID), Kind: d.Kind, Name: d.Name, CourseID: d.CourseID, Deleted: d.Deleted, Seq: e.Seq,
	})
}

func joined(b *Book, e history.Event, d events.GroupMemberAdded) {
	put(b.Members, Pair{d.GroupID, d.UserID}, CohortMember{GroupID: d.GroupID, UserID: d.UserID, TenantID: e.TenantID, Member: true, Seq: e.Seq})
}

func left(b *Book, e history.Event, d events.GroupMemberRemoved) {
	put(b.Members, Pair{d.GroupID, d.UserID}, CohortMember{GroupID: d.GroupID, UserID: d.UserID, TenantID: e.TenantID, Seq: e.Seq})
}

// list is JSON of a list, [] for none.
func list[T any](items []T) json.RawMessage {
	if len(items) == 0 {
		return json.RawMessage(`[]`)
	}
	raw, err := json.Marshal(items)
	if err != nil {
		panic(err) // plain values
	}
	return raw
}

func course(b *Book, e history.Event, d events.CourseState) {
	var staff []Staff
	for _, s := range d.Staff {
		if s.Active {
			staff = append(staff, Staff{s.UserID, s.Role})
		}
	}
	put(b.Courses, d.ID, Course{
		CourseID: d.ID, TenantID: e.TenantID, OrgUnitID: optional(d.OrgUnitID), Code: d.Code, Title: d.Title, Status: d.Status, Language: d.Language,
		StartsAt: d.StartsAt, EndsAt: d.EndsAt, Deleted: d.Deleted, Staff: list(staff), Seq: e.Seq, Items: json.RawMessage(`[]`),
	})
}

func curriculum(b *Book, e history.Event, d events.CurriculumState) {
	var items []Item
	for _, m := range d.Modules {
		for _, it := range m.Items {
			row := Item{
				ItemID: it.ID, ModuleID: m.ID, ModuleTitle: m.Title, Title: it.Title, Kind: it.Kind, ResourceID: it.ResourceID, Visible: it.Visible, Position: len(items) + 1,
			}
			if it.Requirement != nil {
				row.Requirement = it.Requirement.Kind
			}
			items = append(items, row)
		}
	}
	put(b.Courses, d.CourseID, Course{
		CourseID: d.CourseID, TenantID: e.TenantID, Staff: json.RawMessage(`[]`), Items: list(items), CurriculumSeq: e.Seq,
	})
}

func courseViewed(b *Book, e history.Event, d events.CourseViewed) {
	l := b.learner(e.TenantID, d.CourseID, d.UserID)
	l.ViewedAt = &d.ViewedAt
	b.learn(l)
}
