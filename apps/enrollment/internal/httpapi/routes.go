// Package httpapi is the enrollment service's side of the REST API: routes, bodies
// and their mapping to the domain. CSV, PDF, HTML and iCalendar are chosen by
// Accept or by the query parameter format.
package httpapi

import (
	"net/http"
	"time"

	"lms/apps/enrollment/internal/enrollment"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/web"
)

// Printer makes documents of certificates.
type Printer interface {
	PDF(c enrollment.Certificate, verifyURL string) ([]byte, error)
	HTML(c enrollment.Certificate, status, verifyURL string) ([]byte, error)
}

// API answers requests with the domain.
type API struct {
	Service *enrollment.Service
	Printer Printer
	Now     func() time.Time
}

const (
	course      = "/api/v1/courses/{id}"
	one         = "/api/v1/enrollments/{id}"
	item        = course + "/items/{item_id}"
	allowlisted = course + "/certificate-allowlist/{user_id}"
)

// Mount adds all routes.
func (a *API) Mount(r *web.Router) {
	a.enrollmentRoutes(r)
	a.progressRoutes(r)
	a.codeRoutes(r)
	a.certificateRoutes(r)
	a.ownRoutes(r)
	a.internalRoutes(r)
}

func (a *API) enrollmentRoutes(r *web.Router) {
	op := operation("Enrollments")
	update, approve := web.NeedsInCourse(authz.EnrollmentUpdate), web.NeedsInCourse(authz.EnrollmentApprove)
	enroll := op(http.MethodPost, course+"/enrollments", "enroll", "Enroll oneself, or another person as staff: 201 also when waitlisted, 200 when an old enrollment was taken up again", web.SignedIn())
	enroll.Status, enroll.Errors = http.StatusCreated, []int{http.StatusPaymentRequired, http.StatusConflict}
	web.Register(r, enroll, a.enroll)
	web.Register(r, accepted(op(http.MethodPost, course+"/enrollments/bulk", "bulk-enroll", "Enroll many people in the background", web.NeedsInCourse(authz.EnrollmentCreate))), a.bulk)
	roster := op(http.MethodGet, course+"/enrollments", "list-course-enrollments", "List who is in a course", web.NeedsInCourse(authz.EnrollmentRead))
	roster.Produces = []string{"application/json", typeCSV}
	web.Stream(r, roster, a.roster)
	describe[web.Items[Enrollment]](r, course+"/enrollments", "EnrollmentList")
	web.Register(r, op(http.MethodGet, course+"/waitlist", "get-waitlist", "List who waits for a seat, in order", web.NeedsInCourse(authz.EnrollmentRead)), a.waitlist)
	web.Register(r, op(http.MethodGet, "/api/v1/enrollments", "list-enrollments", "List my enrollments, or another person's as staff", web.SignedIn()), a.mine)
	web.Register(r, op(http.MethodGet, one, "get-enrollment", "Get an enrollment", web.SignedIn()), a.get)
	web.Register(r, op(http.MethodPatch, one, "update-enrollment", "Move an enrollment's dates, set its external id", update), a.update)
	web.Register(r, op(http.MethodPost, one+"/withdraw", "withdraw-enrollment", "Leave a course, or take a person out", web.SignedIn()), a.act(a.Service.Withdraw))
	web.Register(r, op(http.MethodPost, one+"/suspend", "suspend-enrollment", "Hold a person's access back", update), a.actWithReason(a.Service.Suspend))
	web.Register(r, op(http.MethodPost, one+"/reactivate", "reactivate-enrollment", "Give a person access again", update), a.act(a.Service.Reactivate))
	web.Register(r, op(http.MethodPost, one+"/approve", "approve-enrollment", "Approve a request", approve), a.act(a.Service.Approve))
	web.Register(r, op(http.MethodPost, one+"/reject", "reject-enrollment", "Turn a request down", approve), a.actWithReason(a.Service.Reject))
	web.Register(r, op(http.MethodPost, one+"/accept", "accept-enrollment", "Accept an invitation or an offer", web.SignedIn()), a.act(a.Service.Accept))
	web.Register(r, op(http.MethodPost, one+"/decline", "decline-enrollment", "Decline an invitation or an offer", web.SignedIn()), a.act(a.Service.Decline))
	web.Register(r, op(http.MethodPost, one+"/reset", "reset-enrollment", "Forget a person's progress and completion", web.NeedsInCourse(authz.EnrollmentReset)), a.act(a.Service.Reset))
	imports := accepted(op(http.MethodPost, "/api/v1/imports/enrollments", "import-enrollments", "Import enrollments from CSV in the background", web.NeedsInCourse(authz.EnrollmentImport)))
	imports.Accepts = []string{typeCSV}
	imports.Params = []*param{boolParam("dry_run", "Only say what each line would do")}
	web.Raw(r, imports, a.startImport)
}

func (a *API) progressRoutes(r *web.Router) {
	op := operation("Progress")
	reads := web.NeedsInCourse(authz.ProgressRead)
	web.Register(r, op(http.MethodGet, course+"/progress", "get-my-progress", "See my progress: every module and item, each lock with its reasons", web.SignedIn()), a.myProgress)
	web.Register(r, op(http.MethodGet, one+"/progress", "get-progress", "See the progress of an enrollment", web.SignedIn()), a.progressOf)
	web.Register(r, locked(op(http.MethodPost, item+"/view", "view-item", "Note that I have looked at an item", web.SignedIn())), a.view)
	web.Register(r, locked(op(http.MethodPost, item+"/done", "mark-item-done", "Mark an item as done", web.SignedIn())), a.done(true))
	web.Register(r, locked(op(http.MethodDelete, item+"/done", "unmark-item-done", "Take a mark back", web.SignedIn())), a.done(false))
	report := op(http.MethodGet, course+"/progress-report", "get-progress-report", "See how far the learners of a course are", reads)
	report.Produces = []string{"application/json", typeCSV}
	web.Stream(r, report, a.report)
	describe[web.Items[ReportLine]](r, course+"/progress-report", "ProgressReport")
	web.Register(r, op(http.MethodGet, course+"/progress-report/summary", "get-progress-summary", "See a course in numbers", reads), a.summary)
}

func (a *API) codeRoutes(r *web.Router) {
	op := operation("Join codes")
	manage := web.NeedsInCourse(authz.JoinCodeManage)
	web.Register(r, op(http.MethodGet, course+"/join-codes", "list-join-codes", "List a course's join codes", manage), a.listCodes)
	create := op(http.MethodPost, course+"/join-codes", "create-join-code", "Make a join code", manage)
	create.Status = http.StatusCreated
	web.Register(r, create, a.createCode)
	web.Register(r, op(http.MethodDelete, "/api/v1/join-codes/{id}", "revoke-join-code", "Revoke a join code", manage), a.revokeCode)
	join := op(http.MethodPost, "/api/v1/join", "join", "Join a course by a code", web.SignedIn())
	join.Status, join.Errors = http.StatusCreated, []int{http.StatusPaymentRequired, http.StatusConflict}
	web.Register(r, join, a.join)
}

func (a *API) certificateRoutes(r *web.Router) {
	op := operation("Certificates")
	manage := web.NeedsInCourse(authz.CertificateManage)
	get := op(http.MethodGet, one+"/certificate", "get-certificate", "Get the certificate of an enrollment", web.SignedIn())
	get.Produces = []string{"application/json", typePDF}
	web.Stream(r, get, a.certificate)
	describe[Certificate](r, one+"/certificate", "Certificate")
	claim := op(http.MethodPost, one+"/certificate", "claim-certificate", "Issue the certificate that was earned; one that exists is given as it is", web.SignedIn())
	web.Register(r, claim, a.claim)
	web.Register(r, op(http.MethodGet, course+"/certificates", "list-course-certificates", "List the certificates of a course", web.NeedsInCourse(authz.EnrollmentRead)), a.courseCertificates)
	web.Register(r, op(http.MethodGet, "/api/v1/me/certificates", "list-my-certificates", "List my certificates", web.SignedIn()), a.myCertificates)
	web.Register(r, op(http.MethodGet, course+"/certificate-allowlist", "list-certificate-allowlist", "List who gets a certificate whatever the grade", manage), a.allowlist)
	web.Register(r, op(http.MethodPut, allowlisted, "put-certificate-allowlist", "Put a person on the allowlist", manage), a.allow)
	web.Register(r, op(http.MethodDelete, allowlisted, "remove-certificate-allowlist", "Take a person off the allowlist", manage), a.disallow)
	web.Register(r, op(http.MethodPost, "/api/v1/certificates/{id}/revoke", "revoke-certificate", "Revoke a certificate", manage), a.revokeCertificate)
	verify := op(http.MethodGet, "/api/v1/certificates/verify/{code}", "verify-certificate", "Verify a certificate by its code", web.Public())
	verify.Produces = []string{"application/json", typeHTML}
	web.Stream(r, verify, a.verify)
	describe[Verification](r, "/api/v1/certificates/verify/{code}", "CertificateVerification")
}

func (a *API) ownRoutes(r *web.Router) {
	op := operation("Me")
	web.Register(r, op(http.MethodGet, "/api/v1/me/todo", "list-todo", "See what waits for me in my courses", web.SignedIn()), a.todo)
	calendar := op(http.MethodGet, "/api/v1/me/calendar", "get-calendar", "See the dates of my courses", web.SignedIn())
	calendar.Produces = []string{"application/json", typeCalendar}
	web.Stream(r, calendar, a.calendar)
	describe[web.Items[Date]](r, "/api/v1/me/calendar", "Calendar")
	token := op(http.MethodPost, "/api/v1/me/calendar/token", "create-calendar-token", "Make the address of my calendar anew; the one before stops working", web.SignedIn())
	token.Status = http.StatusCreated
	web.Register(r, token, a.calendarToken)
	web.Register(r, op(http.MethodDelete, "/api/v1/me/calendar/token", "revoke-calendar-token", "End the address of my calendar", web.SignedIn()), a.revokeCalendarToken)
	feed := op(http.MethodGet, "/api/v1/me/calendar/{token}/courses.ics", "get-calendar-feed", "The calendar behind an address, without a login", web.Public())
	feed.Produces = []string{typeCalendar}
	web.Stream(r, feed, a.calendarFeed)
}

func (a *API) internalRoutes(r *web.Router) {
	op := operation("Internal")
	web.Register(r, op(http.MethodPost, internalapi.PathAccess, "internal-access", "May this person do that here?", web.Internal("user", "course", "content", "assignment")), a.access)
	web.Register(r, op(http.MethodGet, internalapi.PathUserCourses, "internal-user-courses", "Where a person learns or teaches", web.Internal("course", "content", "assignment", "search", "analytics")), a.userCourses)
	web.Register(r, op(http.MethodGet, internalapi.PathCourseMembers, "internal-course-members", "A course's people, page by page", web.Internal("user", "assignment", "notification")), a.members)
	web.Register(r, op(http.MethodGet, internalapi.PathRefundFacts, "internal-refund-facts", "What a self-service refund depends on", web.Internal("payment")), a.refundFacts)
	web.Register(r, op(http.MethodPost, internalapi.PathEntitlements, "internal-entitlements", "Entitlements as they are stored here", web.Internal("payment")), a.standings)
}

func operation(tag string) func(method, path, id, summary string, access web.Access) web.Op {
	return func(method, path, id, summary string, access web.Access) web.Op {
		return web.Op{Method: method, Path: path, ID: id, Summary: summary, Tag: tag, Access: access}
	}
}

func accepted(op web.Op) web.Op {
	op.Status = http.StatusAccepted
	return op
}

func locked(op web.Op) web.Op {
	op.Errors = []int{http.StatusForbidden}
	op.Description = "403 `item_locked` says in `reasons` what is missing."
	return op
}
