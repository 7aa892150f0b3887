package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/enrollment/internal/httpapi"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
)

// graduate completes a course of one item.
func (w *world) graduate(p authz.Principal, c contract.CourseState, it contract.CurriculumItem) httpapi.Enrollment {
	w.t.Helper()
	e := w.enroll(p, c)
	w.view(p, c, it)
	w.work()
	return w.read(p, e.ID)
}

func TestCertificateByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	days := 365
	c := w.course(func(c *contract.CourseState) {
		c.Completion.Certificate = contract.CertificateSettings{Enabled: true, Title: "Diploma", ValidDays: &days, Signatory: "Ada"}
	})
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	e := w.graduate(w.student, c, it)
	require.NotNil(t, e.CertificateID)
	require.Equal(t, "certificate_issued", w.told(e.ID)[len(w.told(e.ID))-1])
	var cert httpapi.Certificate
	at := path("enrollments", e.ID, "certificate")
	w.as(w.student).GET(at).Expect(200).JSON(&cert)
	require.Equal(t, "Person "+w.student.UserID.String()[:8], cert.Name)
	require.Len(t, cert.Code, 32, "160 random bits in base 32 (rule 15: at least 128)")
	require.Equal(t, "https://lms.test/api/v1/certificates/verify/"+cert.Code, cert.VerifyURL)
	pdf := w.as(w.student).With("Accept", "application/pdf").GET(at).Expect(200)
	require.Equal(t, "application/pdf", pdf.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(string(pdf.Body), "%PDF-"))
	require.Contains(t, pdf.Header.Get("Content-Disposition"), "attachment")
	w.as(w.learner()).GET(at).Expect(404)

	// Rule 15: an issued one is not made anew, also when the name changes.
	card := w.friends.people[w.student.UserID]
	card.Name = "Another name"
	w.friends.people[w.student.UserID] = card
	var again httpapi.Certificate
	w.as(w.student).POST(at, nil).Expect(200).JSON(&again)
	require.Equal(t, cert, again)

	verify := "/api/v1/certificates/verify/" + strings.ToLower(cert.Code)
	var seen httpapi.Verification
	w.client.Anonymous().GET(verify).Expect(200).JSON(&seen)
	require.Equal(t, "valid", seen.Status)
	page := w.client.Anonymous().With("Accept", "text/html,*/*").GET(verify).Expect(200)
	require.Contains(t, string(page.Body), "This certificate is valid.")
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'")
	w.client.Anonymous().GET("/api/v1/certificates/verify/nothing").Expect(404)
	w.clock.Advance(365 * 24 * time.Hour)
	w.client.Anonymous().GET(verify).Expect(200).JSON(&seen)
	require.Equal(t, "valid", seen.Status)
	w.clock.Advance(24 * time.Hour)
	w.client.Anonymous().GET(verify).Expect(200).JSON(&seen)
	require.Equal(t, "expired", seen.Status)
}

func TestCertificateNeedsAGradeOrTheAllowlist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pass := contract.Hundredths(5000)
	c := w.course(func(c *contract.CourseState) { c.Completion.Certificate.MinGrade = &pass })
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	e := w.graduate(w.student, c, it)
	require.Nil(t, e.CertificateID)
	at := path("enrollments", e.ID, "certificate")
	refused := w.as(w.student).POST(at, nil).Expect(409).Code("certificate_not_earned").Problem()
	require.Equal(t, "grade_too_low", refused.All["reason"])
	grade := func(p authz.Principal, final contract.Hundredths, version int64) {
		call[internalapi.ProgressReply](w, internalapi.CallCourseGrade, "assignment", p.UserID.String(),
			internalapi.CourseGrade{UserID: p.UserID, CourseID: c.ID, Final: &final, GradedAt: w.clock.Now(), Version: version})
		w.work()
	}
	grade(w.student, 4999, 1)
	require.Nil(t, w.read(w.student, e.ID).CertificateID)
	grade(w.student, 5000, 2)
	require.NotNil(t, w.read(w.student, e.ID).CertificateID)

	allowed, absent := w.learner(), w.learner()
	a := w.graduate(allowed, c, it)
	list := path("courses", c.ID, "certificate-allowlist")
	w.as(allowed).PUT(list+"/"+allowed.UserID.String(), map[string]any{}).Expect(403)
	w.as(w.teacher).PUT(list+"/"+allowed.UserID.String(), map[string]any{"note": "oral exam"}).Expect(204)
	w.as(w.teacher).PUT(list+"/"+absent.UserID.String(), nil).Expect(204)
	w.work()
	require.NotNil(t, w.read(allowed, a.ID).CertificateID)
	var entries struct{ Items []httpapi.AllowlistEntry }
	w.as(w.teacher).GET(list).Expect(200).JSON(&entries)
	require.Len(t, entries.Items, 2)
	w.as(w.teacher).DELETE(list + "/" + absent.UserID.String()).Expect(204)
	w.as(w.teacher).DELETE(list + "/" + absent.UserID.String()).Expect(404)
	// Not completed: the allowlist stands for the grade only.
	x := w.enroll(absent, c)
	w.as(w.teacher).PUT(list+"/"+absent.UserID.String(), nil).Expect(204)
	require.Equal(t, "not_completed", w.as(w.teacher).POST(path("enrollments", x.ID, "certificate"), nil).Expect(409).Problem().All["reason"])
	// Never for who left.
	late := w.learner()
	l := w.graduate(late, c, it)
	w.as(late).POST(path("enrollments", l.ID, "withdraw"), nil).Expect(200)
	w.as(w.teacher).PUT(list+"/"+late.UserID.String(), nil).Expect(204)
	w.work()
	require.Equal(t, "not_enrolled", w.as(w.teacher).POST(path("enrollments", l.ID, "certificate"), nil).Expect(409).Problem().All["reason"])
	var all struct{ Items []httpapi.Certificate }
	w.as(w.teacher).GET(path("courses", c.ID, "certificates")).Expect(200).JSON(&all)
	require.Len(t, all.Items, 2)
}

// The settings may be on their way while somebody completes: what they make due
// is issued when they arrive, and nothing is issued twice.
func TestCertificateThatIsSwitchedOnAfterTheCompletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course(func(c *contract.CourseState) { c.Completion.Certificate = contract.CertificateSettings{} })
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	early, waiting, left := w.learner(), w.learner(), w.learner()
	e, open, gone := w.graduate(early, c, it), w.enroll(waiting, c), w.graduate(left, c, it)
	w.as(left).POST(path("enrollments", gone.ID, "withdraw"), nil).Expect(200)
	require.Nil(t, e.CertificateID)
	for _, title := range []string{"Diploma", "Diploma, with honours"} {
		c.Completion.Certificate = contract.CertificateSettings{Enabled: true, Title: title}
		w.tell(contract.TypeCourseUpdated, c.ID, c)
		w.work()
		w.work() // the jobs that the first ones start
	}
	require.NotNil(t, w.read(early, e.ID).CertificateID)
	require.Nil(t, w.read(waiting, open.ID).CertificateID)
	var all struct{ Items []httpapi.Certificate }
	w.as(w.teacher).GET(path("courses", c.ID, "certificates")).Expect(200).JSON(&all)
	require.Len(t, all.Items, 1, "one, and none for who has not completed or has left")
}

func TestARevokedCertificateStaysRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.course()
	it := needs(contract.RequireView)
	w.curriculum(c, part("M", it))
	e := w.graduate(w.student, c, it)
	revoke := path("certificates", *e.CertificateID, "revoke")
	w.as(w.student).POST(revoke, map[string]any{"reason": "x"}).Expect(403)
	w.as(w.teacher).POST(revoke, map[string]any{}).Expect(422)
	w.as(w.alien).POST(revoke, map[string]any{"reason": "x"}).Expect(404)
	var cert httpapi.Certificate
	w.as(w.teacher).POST(revoke, map[string]any{"reason": "Issued by mistake."}).Expect(200).JSON(&cert)
	require.Equal(t, "revoked", cert.Status)
	w.as(w.teacher).POST(revoke, map[string]any{"reason": "again"}).Expect(200).JSON(&cert)
	require.Equal(t, "Issued by mistake.", cert.RevokeReason)
	require.Equal(t, "certificate_revoked", w.told(e.ID)[len(w.told(e.ID))-1])
	at := path("enrollments", e.ID, "certificate")
	w.as(w.teacher).POST(at, nil).Expect(409).Code("certificate_revoked")
	w.as(w.student).GET(at + "?format=pdf").Expect(409).Code("certificate_revoked")
	page := w.client.Anonymous().GET("/api/v1/certificates/verify/" + cert.Code + "?format=html").Expect(200)
	require.Contains(t, string(page.Body), "This certificate was revoked.")
	var mine struct{ Items []httpapi.Certificate }
	w.as(w.student).GET("/api/v1/me/certificates").Expect(200).JSON(&mine)
	require.Empty(t, mine.Items)
	w.as(w.student).POST(path("certificates", uuid.New(), "revoke"), map[string]any{"reason": "x"}).Expect(404)
}
