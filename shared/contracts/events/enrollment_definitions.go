package events

import (
	"time"

	"github.com/google/uuid"
)

// TopicEnrollment is the topic of every event of the enrollment service.
const TopicEnrollment = "enrollment.events"

func exampleEnrollmentID(last byte) uuid.UUID {
	id := uuid.MustParse("0197e1c0-0000-7000-8000-000000000000")
	id[15] = last
	return id
}

func exampleEnrollment(state, previous string) EnrollmentState {
	at := time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)
	ends := at.AddDate(0, 6, 0)
	return EnrollmentState{
		EnrollmentID: exampleEnrollmentID(1), TenantID: exampleEnrollmentID(2), OrgUnitID: exampleEnrollmentID(3),
		CourseID: exampleEnrollmentID(4), CourseCode: "BIO-101", CourseTitle: "Introduction to biology",
		UserID: exampleEnrollmentID(5), State: state, PreviousState: previous, Source: "self",
		StartsAt: &at, EndsAt: &ends, Required: 12, Met: 3, At: at,
	}
}

func exampleProgress() ProgressState {
	s := exampleEnrollment(EnrollmentStateActive, "")
	return ProgressState{
		EnrollmentID: s.EnrollmentID, TenantID: s.TenantID, OrgUnitID: s.OrgUnitID, CourseID: s.CourseID,
		UserID: s.UserID, Required: 12, Met: 4, At: s.At,
	}
}

func enrollmentEvents() []Definition {
	at := exampleEnrollment("", "").At
	in := at.Add(48 * time.Hour)
	resource, score, possible, grade := exampleEnrollmentID(8), Hundredths(850), Hundredths(1000), Hundredths(8750)
	completed := exampleEnrollment(EnrollmentStateCompleted, EnrollmentStateActive)
	completed.Met, completed.CompletedAt = completed.Required, &at
	certificate := CertificateState{
		CertificateID: exampleEnrollmentID(9), EnrollmentID: completed.EnrollmentID, TenantID: completed.TenantID,
		OrgUnitID: completed.OrgUnitID, CourseID: completed.CourseID, CourseCode: completed.CourseCode,
		CourseTitle: completed.CourseTitle, UserID: completed.UserID, Name: "Ada Lovelace", CompletedAt: &at,
		IssuedAt: at, Grade: &grade,
	}
	fact := func(summary string, e Event) Definition {
		return Definition{Topic: TopicEnrollment, Summary: summary, Example: e}
	}
	return []Definition{
		fact("A person was invited to a course.", EnrollmentInvited{exampleEnrollment(EnrollmentStateInvited, ""), &in}),
		fact("A person asked for a place in a course.", EnrollmentRequested{exampleEnrollment(EnrollmentStateRequested, "")}),
		fact("Staff approved a request.", EnrollmentApproved{exampleEnrollment(EnrollmentStateActive, EnrollmentStateRequested)}),
		fact("Staff turned a request down.", EnrollmentRejected{exampleEnrollment(EnrollmentStateRejected, EnrollmentStateRequested), "The group is complete."}),
		fact("A person became an active learner of a course.", EnrollmentActivated{exampleEnrollment(EnrollmentStateActive, EnrollmentStateWithdrawn), true}),
		fact("A person turned an invitation or an offer down.", EnrollmentDeclined{exampleEnrollment(EnrollmentStateWithdrawn, EnrollmentStateInvited)}),
		fact("A person was put on the waiting list.", EnrollmentWaitlisted{exampleEnrollment(EnrollmentStateWaitlisted, ""), 7}),
		fact("A seat was offered to a person, to be paid for in time.", EnrollmentOffered{
			exampleEnrollment(EnrollmentStateOffered, EnrollmentStateWaitlisted), in,
			"https://learn.example/checkout?course_id=" + exampleEnrollmentID(4).String(),
		}),
		fact("An offer was not taken up in time.", EnrollmentOfferExpired{exampleEnrollment(EnrollmentStateExpired, EnrollmentStateOffered)}),
		fact("A person left the waiting list for a seat or an offer.", EnrollmentPromoted{exampleEnrollment(EnrollmentStateActive, EnrollmentStateWaitlisted), 7}),
		fact("A person left a course or was removed from it.", EnrollmentWithdrawn{exampleEnrollment(EnrollmentStateWithdrawn, EnrollmentStateActive), "self"}),
		fact("A person's access to a course was held back.", EnrollmentSuspended{exampleEnrollment(EnrollmentStateSuspended, EnrollmentStateActive), "Unpaid fee."}),
		fact("A suspended person has access again.", EnrollmentReactivated{exampleEnrollment(EnrollmentStateActive, EnrollmentStateSuspended)}),
		fact("A person's access to a course ends in some days.", EnrollmentExpiringSoon{exampleEnrollment(EnrollmentStateActive, EnrollmentStateActive)}),
		fact("A person's access to a course ended by date.", EnrollmentExpired{exampleEnrollment(EnrollmentStateExpired, EnrollmentStateActive)}),
		fact("The bounds of an enrollment moved.", EnrollmentDatesChanged{exampleEnrollment(EnrollmentStateActive, EnrollmentStateActive), &at, &in}),
		fact("Something became known of a person's work on an item.", ProgressChanged{
			ProgressState: exampleProgress(), ItemID: exampleEnrollmentID(6), ModuleID: exampleEnrollmentID(7), ItemKind: ItemQuiz,
			ResourceID: &resource, Change: "scored", Requirement: RequireMinScore, Score: &score, Possible: &possible, CompletedAt: &at,
		}),
		fact("A changed curriculum or a reset changed a person's progress.", ProgressRecalculated{exampleProgress(), 10, 4, "curriculum_changed", 5}),
		fact("A person completed a module.", ModuleCompleted{exampleProgress(), exampleEnrollmentID(7), "Cells", at}),
		fact("A person completed a course.", CourseCompleted{completed, &at, &grade}),
		fact("A certificate was issued.", CertificateIssued{certificate, "https://learn.example/api/v1/certificates/verify/7HK2M4QXWJ5R3T8VYB6NCP9DFG"}),
		fact("A certificate was revoked.", CertificateRevoked{certificate, in, "Issued by mistake."}),
	}
}
