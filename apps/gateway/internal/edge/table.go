package edge

import (
	"net/http"
	"strings"
	"time"
)

// Route says where requests under a path go. {} stands for one segment.
type Route struct {
	Path    string
	Service string // app id; "" for what the gateway answers itself

	// Anonymous drops credentials: signing in must work with an expired token
	// in the header.
	Anonymous bool
	// Strict counts against the small limit per address: guessing is slow.
	Strict bool
	// Cookies lets cookies through, both ways, after the check against
	// cross-site requests: auth's refresh cookie.
	Cookies bool
	// Basic translates Basic credentials into the form (RFC 6749, 2.3.1).
	Basic bool
	// AllHeaders forwards headers that the gateway does not know: the
	// signatures of webhooks.
	AllHeaders bool
	// NoCompression: answers that carry secrets beside what a client chose
	// would tell the secret by their length (BREACH).
	NoCompression bool
	// Stream is for server-sent events: no timeout, flushed at once.
	Stream bool
	// Timeout of the answer; the gateway's if zero.
	Timeout time.Duration
}

// The services.
const (
	user         = "user"
	auth         = "auth"
	course       = "course"
	enrollment   = "enrollment"
	content      = "content"
	assignment   = "assignment"
	notification = "notification"
	payment      = "payment"
	search       = "search"
	analytics    = "analytics"
)

// Services is every service that the table knows, deployed or not.
func Services() []string {
	return []string{user, auth, course, enrollment, content, assignment, notification, payment, search, analytics}
}

// Table is where every path goes; the longest match wins. What is not here
// does not exist for clients.
func Table() []Route {
	t := []Route{
		{Path: "/.well-known", Service: auth},
		{Path: "/oauth2", Service: auth, Basic: true, Anonymous: true, NoCompression: true},
		{Path: "/oauth2/token", Service: auth, Basic: true, Anonymous: true, Strict: true, NoCompression: true},

		{Path: "/api/v1/auth", Service: auth, Cookies: true, NoCompression: true},
		{Path: "/api/v1/auth/sso", Service: auth, Cookies: true, Anonymous: true, NoCompression: true},
		{Path: "/api/v1/auth/mfa/totp", Service: auth, NoCompression: true},
		{Path: "/api/v1/auth/mfa/recovery-codes", Service: auth, NoCompression: true},
		{Path: "/api/v1/me/tokens", Service: auth, NoCompression: true},

		{Path: "/api/v1/courses/{}/items", Service: enrollment},
		{Path: "/api/v1/payments/webhooks", Service: payment, Anonymous: true, AllHeaders: true},
		{Path: "/mock-gateway", Service: payment, Anonymous: true},
		{Path: "/api/v1/notifications/stream", Service: notification, Stream: true},
		{Path: "/api/v1/notification-preferences/unsubscribe", Service: notification, Anonymous: true},
		{Path: "/api/v1/users/register", Service: user, Anonymous: true, Strict: true},

		{Path: "/api/v1/jobs"},
		{Path: "/api/v1/audit"},
	}
	for _, path := range []string{"login", "mfa", "refresh", "password/forgot", "password/reset", "email/verify", "email/resend", "invitations/accept"} {
		t = append(t, Route{Path: "/api/v1/auth/" + path, Service: auth, Cookies: true, Anonymous: true, Strict: path != "refresh", NoCompression: true})
	}
	t = append(t, under(user, "/api/v1/", "users", "me", "org-units", "roles", "permissions", "groups", "group-sets", "imports/users")...)
	t = append(t, under(course, "/api/v1/", "courses", "announcements", "categories", "course-templates", "terms", "imports/uploads", "imports/courses")...)
	t = append(t, under(enrollment, "/api/v1/", "enrollments", "join-codes", "join", "certificates", "imports/enrollments", "me/certificates", "me/todo", "me/calendar")...)
	t = append(t, under(enrollment, "/api/v1/courses/{}/", "enrollments", "join-codes", "waitlist", "progress", "progress-report", "certificates", "certificate-allowlist")...)
	t = append(t, under(user, "/api/v1/courses/{}/", "group-sets")...)
	t = append(t, under(content, "/api/v1/", "contents", "question-banks", "questions", "quizzes", "attempts", "imports/questions", "courses/{}/quizzes")...)
	t = append(t, under(assignment, "/api/v1/", "assignments", "grading-schemes", "assignment-groups", "rubrics", "submissions", "me/to-grade")...)
	t = append(t, under(assignment, "/api/v1/courses/{}/", "assignments", "grading-settings", "final-grades", "assignment-groups", "late-policy", "gradebook", "grades")...)
	t = append(t, under(notification, "/api/v1/", "notifications", "notification-preferences", "notification-templates", "notification-deliveries", "webhook-endpoints")...)
	t = append(t, under(payment, "/api/v1/", "plans", "coupons", "checkout-sessions", "payments", "orders", "invoices", "subscriptions", "payment-methods",
		"price-quotes", "refunds", "credit-notes", "entitlements", "tax-rules", "legal-entities", "seat-pools", "reconciliations", "ledger", "org-units/{}/seat-pools")...)
	t = append(t, under(search, "/api/v1/", "search")...)
	t = append(t, under(analytics, "/api/v1/", "reports", "dashboards", "analytics", "xapi")...)
	return t
}

func under(service, prefix string, names ...string) []Route {
	out := make([]Route, len(names))
	for i, n := range names {
		out[i] = Route{Path: prefix + n, Service: service}
	}
	return out
}

// tree finds the route of a path, segment by segment.
type tree struct {
	next map[string]*tree
	any  *tree
	here *Route
}

func newTree(routes []Route) *tree {
	root := &tree{}
	for i := range routes {
		n := root
		for seg := range strings.SplitSeq(routes[i].Path[1:], "/") {
			n = n.child(seg)
		}
		if n.here != nil {
			panic("gateway: path twice in the table: " + routes[i].Path)
		}
		n.here = &routes[i]
	}
	return root
}

func (t *tree) child(seg string) *tree {
	if seg == "{}" {
		if t.any == nil {
			t.any = &tree{}
		}
		return t.any
	}
	if t.next == nil {
		t.next = map[string]*tree{}
	}
	if t.next[seg] == nil {
		t.next[seg] = &tree{}
	}
	return t.next[seg]
}

// find is the longest route that path is, or lies under; nil for none. path
// has passed checkPath.
func (t *tree) find(path string) *Route {
	found := t.here
	for rest := path[1:]; rest != ""; {
		seg, after, _ := strings.Cut(rest, "/")
		n := t.next[seg]
		if n == nil {
			n = t.any
		}
		if n == nil {
			return found
		}
		if n.here != nil {
			found = n.here
		}
		t, rest = n, after
	}
	return found
}

func allowedMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}
