package catalog

import (
	contract "lms/shared/contracts/events"
)

const groupEnrollment = "enrollment"

func enrollmentKinds() []Kind {
	reason := Variable{Name: "reason", Type: Text, Sample: "The group is complete.", Optional: true}
	until := func(optional bool) Variable {
		return Variable{Name: "until", Type: Moment, Sample: "2026-03-29T01:30:00Z", Optional: optional}
	}
	kind := func(key string, d func() personDefault, vars ...Variable) Kind {
		return Kind{Key: key, Group: groupEnrollment, Default: d(), Variables: courseVars(vars...)}
	}
	return []Kind{
		kind("enrollment.invited", pressing, until(true)),
		kind("enrollment.requested", daily),
		kind("enrollment.rejected", telling, reason),
		kind("enrollment.activated", telling, Variable{Name: "starts_at", Type: Moment, Sample: "2026-03-09T08:30:00Z", Optional: true}),
		kind("enrollment.declined", listed),
		kind("enrollment.waitlisted", telling, Variable{Name: "number", Type: Number, Sample: "7"}),
		kind("enrollment.offered", pressing, until(false)),
		kind("enrollment.offer_expired", telling),
		kind("enrollment.promoted", telling),
		kind("enrollment.withdrawn", telling),
		kind("enrollment.suspended", telling, reason),
		kind("enrollment.reactivated", telling),
		kind("enrollment.expiring_soon", telling, until(true)),
		kind("enrollment.expired", telling),
		kind("enrollment.dates_changed", listed, until(true)),
		kind("module.completed", listed, Variable{Name: "module_title", Type: Text, Sample: "Cells"}),
		kind("course.completed", telling, Variable{Name: "grade", Type: Number, Sample: "87.5", Optional: true}),
		kind("certificate.issued", telling),
		kind("certificate.revoked", pressing, reason),
	}
}

func about(s contract.EnrollmentState) map[string]string {
	return map[string]string{"course_title": s.CourseTitle, "course_code": s.CourseCode}
}

func with(vars map[string]string, name, value string) map[string]string {
	vars[name] = value
	return vars
}

func learner(kind string, s contract.EnrollmentState, vars map[string]string) []Notice {
	return one(kind, s.UserID, s.CourseID, coursePath(s.CourseID), vars)
}

func toStaff(kind string, s contract.EnrollmentState) []Notice {
	return []Notice{{Kind: kind, Audience: Staff, Except: s.UserID, CourseID: s.CourseID, Path: coursePath(s.CourseID) + "/enrollments", Vars: about(s)}}
}

func enrollmentRules() []Rule {
	return []Rule{
		on(contract.TypeEnrollmentInvited, func(_ Event, e contract.EnrollmentInvited) []Notice {
			return learner("enrollment.invited", e.EnrollmentState, with(about(e.EnrollmentState), "until", moment(e.ExpiresAt)))
		}),
		on(contract.TypeEnrollmentRequested, func(_ Event, e contract.EnrollmentRequested) []Notice {
			return toStaff("enrollment.requested", e.EnrollmentState)
		}),
		none(contract.TypeEnrollmentApproved, "What came of it (active, waitlisted, offered) is told by the event that follows."),
		on(contract.TypeEnrollmentRejected, func(_ Event, e contract.EnrollmentRejected) []Notice {
			return learner("enrollment.rejected", e.EnrollmentState, with(about(e.EnrollmentState), "reason", e.Reason))
		}),
		on(contract.TypeEnrollmentActivated, func(_ Event, e contract.EnrollmentActivated) []Notice {
			if e.PreviousState == contract.EnrollmentStateWaitlisted {
				return learner("enrollment.promoted", e.EnrollmentState, about(e.EnrollmentState))
			}
			return learner("enrollment.activated", e.EnrollmentState, with(about(e.EnrollmentState), "starts_at", moment(e.StartsAt)))
		}),
		on(contract.TypeEnrollmentDeclined, func(_ Event, e contract.EnrollmentDeclined) []Notice {
			return toStaff("enrollment.declined", e.EnrollmentState)
		}),
		on(contract.TypeEnrollmentWaitlisted, func(_ Event, e contract.EnrollmentWaitlisted) []Notice {
			return learner("enrollment.waitlisted", e.EnrollmentState, with(about(e.EnrollmentState), "number", decimal(e.Number)))
		}),
		on(contract.TypeEnrollmentOffered, func(_ Event, e contract.EnrollmentOffered) []Notice {
			return one("enrollment.offered", e.UserID, e.CourseID, e.CheckoutURL, with(about(e.EnrollmentState), "until", moment(&e.ExpiresAt)))
		}),
		on(contract.TypeEnrollmentOfferExpired, func(_ Event, e contract.EnrollmentOfferExpired) []Notice {
			return learner("enrollment.offer_expired", e.EnrollmentState, about(e.EnrollmentState))
		}),
		none(contract.TypeEnrollmentPromoted, "The event that follows (activated, offered) tells it."),
		on(contract.TypeEnrollmentWithdrawn, func(_ Event, e contract.EnrollmentWithdrawn) []Notice {
			if e.Reason == "self" || e.Reason == "erased" || e.Reason == "merged" {
				return nil // one's own act, or nobody to tell, or another one stays
			}
			return learner("enrollment.withdrawn", e.EnrollmentState, about(e.EnrollmentState))
		}),
		on(contract.TypeEnrollmentSuspended, func(_ Event, e contract.EnrollmentSuspended) []Notice {
			return learner("enrollment.suspended", e.EnrollmentState, with(about(e.EnrollmentState), "reason", e.Reason))
		}),
		on(contract.TypeEnrollmentReactivated, func(_ Event, e contract.EnrollmentReactivated) []Notice {
			return learner("enrollment.reactivated", e.EnrollmentState, about(e.EnrollmentState))
		}),
		on(contract.TypeEnrollmentExpiringSoon, func(_ Event, e contract.EnrollmentExpiringSoon) []Notice {
			return learner("enrollment.expiring_soon", e.EnrollmentState, with(about(e.EnrollmentState), "until", moment(e.EndsAt)))
		}),
		on(contract.TypeEnrollmentExpired, func(_ Event, e contract.EnrollmentExpired) []Notice {
			return learner("enrollment.expired", e.EnrollmentState, about(e.EnrollmentState))
		}),
		on(contract.TypeEnrollmentDatesChanged, func(_ Event, e contract.EnrollmentDatesChanged) []Notice {
			return learner("enrollment.dates_changed", e.EnrollmentState, with(about(e.EnrollmentState), "until", moment(e.EndsAt)))
		}),
		none(contract.TypeProgressChanged, "A person's own act; grades are told when they are posted."),
		none(contract.TypeProgressRecalculated, "Courses change often; progress shows what is new."),
		on(contract.TypeModuleCompleted, func(_ Event, e contract.ModuleCompleted) []Notice {
			// The event names the module alone: the course's names are added from the
			// copy of the course.
			return one("module.completed", e.UserID, e.CourseID, coursePath(e.CourseID), map[string]string{"module_title": e.ModuleTitle})
		}),
		on(contract.TypeCourseCompleted, func(_ Event, e contract.CourseCompleted) []Notice {
			return learner("course.completed", e.EnrollmentState, with(about(e.EnrollmentState), "grade", hundredths(e.Grade)))
		}),
		on(contract.TypeCertificateIssued, func(_ Event, e contract.CertificateIssued) []Notice {
			return one("certificate.issued", e.UserID, e.CourseID, e.VerifyURL, map[string]string{"course_title": e.CourseTitle, "course_code": e.CourseCode})
		}),
		on(contract.TypeCertificateRevoked, func(_ Event, e contract.CertificateRevoked) []Notice {
			return one("certificate.revoked", e.UserID, e.CourseID, coursePath(e.CourseID),
				map[string]string{"course_title": e.CourseTitle, "course_code": e.CourseCode, "reason": e.Reason})
		}),
	}
}
