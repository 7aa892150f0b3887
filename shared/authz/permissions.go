package authz

import (
	"maps"
	"slices"
)

// Permission is `resource:action`.
type Permission string

// Every permission there is. A route names the one it needs.
const (
	UserRead        Permission = "user:read"
	UserCreate      Permission = "user:create"
	UserUpdate      Permission = "user:update"
	UserDeactivate  Permission = "user:deactivate"
	UserDelete      Permission = "user:delete"
	UserImport      Permission = "user:import"
	UserMerge       Permission = "user:merge"
	UserErase       Permission = "user:erase"
	UserSecurity    Permission = "user:security"
	UserImpersonate Permission = "user:impersonate"
	OrgUnitRead     Permission = "org_unit:read"
	OrgUnitManage   Permission = "org_unit:manage"
	RoleRead        Permission = "role:read"
	RoleManage      Permission = "role:manage"
	RoleGrant       Permission = "role:grant"
	GroupRead       Permission = "group:read"
	GroupManage     Permission = "group:manage"
	AuditRead       Permission = "audit:read"
	ClientManage    Permission = "client:manage"
	IDPManage       Permission = "identity_provider:manage"
	WebhookManage   Permission = "webhook:manage"
	OperationManage Permission = "operation:manage"

	CourseRead         Permission = "course:read"
	CourseCreate       Permission = "course:create"
	CourseUpdate       Permission = "course:update"
	CoursePublish      Permission = "course:publish"
	CourseDelete       Permission = "course:delete"
	CourseStaff        Permission = "course:staff"
	CourseImport       Permission = "course:import"
	CourseExport       Permission = "course:export"
	CourseAnnounce     Permission = "course:announce"
	CurriculumEdit     Permission = "curriculum:edit"
	CategoryManage     Permission = "category:manage"
	TermManage         Permission = "term:manage"
	TemplateManage     Permission = "course_template:manage"
	EnrollmentRead     Permission = "enrollment:read"
	EnrollmentCreate   Permission = "enrollment:create"
	EnrollmentUpdate   Permission = "enrollment:update"
	EnrollmentApprove  Permission = "enrollment:approve"
	EnrollmentImport   Permission = "enrollment:import"
	EnrollmentReset    Permission = "enrollment:reset"
	JoinCodeManage     Permission = "join_code:manage"
	ProgressRead       Permission = "progress:read"
	CertificateManage  Permission = "certificate:manage"
	ContentRead        Permission = "content:read"
	ContentEdit        Permission = "content:edit"
	QuizEdit           Permission = "quiz:edit"
	AssignmentEdit     Permission = "assignment:edit"
	SubmissionRead     Permission = "submission:read"
	GradeRead          Permission = "grade:read"
	GradeEdit          Permission = "grade:edit"
	GradingManage      Permission = "grading:manage"
	TemplateMessage    Permission = "notification_template:manage"
	DeliveryRead       Permission = "delivery:read"
	PlanManage         Permission = "plan:manage"
	OrderRead          Permission = "order:read"
	RefundCreate       Permission = "refund:create"
	LedgerRead         Permission = "ledger:read"
	SeatManage         Permission = "seat:manage"
	SearchManage       Permission = "search:manage"
	ReportRead         Permission = "report:read"
	ReportReadPlatform Permission = "report:read_platform"
)

var descriptions = map[Permission]string{
	UserRead: "See users and their profiles", UserCreate: "Create and invite users", UserUpdate: "Change users' profiles and external ids",
	UserDeactivate: "Deactivate and reactivate users", UserDelete: "Delete users", UserImport: "Import users from files",
	UserMerge: "Merge two users into one", UserErase: "Erase a person's data", UserSecurity: "See and end sessions, reset second factors and passwords",
	UserImpersonate: "Act as another user, read-only unless granted more",
	OrgUnitRead:     "See org units and their members", OrgUnitManage: "Create, move, rename and archive org units, change members",
	RoleRead: "See roles and permissions", RoleManage: "Create and change custom roles", RoleGrant: "Grant and revoke roles",
	GroupRead: "See groups and cohorts", GroupManage: "Create and change groups and cohorts", AuditRead: "Read the audit trail",
	ClientManage: "Manage service accounts", IDPManage: "Manage identity providers", WebhookManage: "Manage webhook endpoints", OperationManage: "Operate the installation: keys, rebuilds, dead letters",
	CourseRead: "See courses that are not published, and their staff", CourseCreate: "Create courses", CourseUpdate: "Change a course's settings",
	CoursePublish: "Publish, unpublish, archive and restore a course", CourseDelete: "Delete a course", CourseStaff: "Change a course's staff",
	CourseImport: "Import course packages", CourseExport: "Export course packages", CourseAnnounce: "Write announcements",
	CurriculumEdit: "Change a course's curriculum", CategoryManage: "Manage categories", TermManage: "Manage terms", TemplateManage: "Manage course templates",
	EnrollmentRead: "See a course's roster", EnrollmentCreate: "Enroll others", EnrollmentUpdate: "Withdraw, suspend and change enrollments of others",
	EnrollmentApprove: "Approve and reject requests", EnrollmentImport: "Import enrollments", EnrollmentReset: "Reset progress and completion", JoinCodeManage: "Manage join codes",
	ProgressRead: "See the progress of others", CertificateManage: "Issue and revoke certificates, change the allowlist",
	ContentRead: "See content that is not published", ContentEdit: "Create and change content", QuizEdit: "Create and change quizzes and questions",
	AssignmentEdit: "Create and change assignments and rubrics", SubmissionRead: "See submissions of others", GradeRead: "See grades of others",
	GradeEdit: "Grade", GradingManage: "Change grading settings and policies",
	TemplateMessage: "Change message templates", DeliveryRead: "Read the delivery log",
	PlanManage: "Manage plans, coupons, tax rules and legal entities", OrderRead: "See orders and invoices of others", RefundCreate: "Refund",
	LedgerRead: "Read the ledger", SeatManage: "Manage an organisation's seats", SearchManage: "Change synonyms, rebuild the index",
	ReportRead: "Read reports of one's scope", ReportReadPlatform: "Read reports of the whole platform",
}

// Permissions is every permission with its description.
func Permissions() map[Permission]string { return maps.Clone(descriptions) }

// AllPermissions is every permission in order.
func AllPermissions() []Permission { return slices.Sorted(maps.Keys(descriptions)) }

// BuiltinRoles are the roles that every installation has. They hold no
// tenant; where they apply is said by each grant's scope.
func BuiltinRoles() []Role {
	student := []Permission{}
	assistant := []Permission{
		CourseRead, EnrollmentRead, ProgressRead, ContentRead, SubmissionRead, GradeRead, GradeEdit, CourseAnnounce, GroupRead, UserRead,
	}
	instructor := append(slices.Clone(assistant),
		CourseCreate, CourseUpdate, CoursePublish, CourseStaff, CourseImport, CourseExport, CurriculumEdit,
		EnrollmentCreate, EnrollmentUpdate, EnrollmentApprove, EnrollmentImport, EnrollmentReset, JoinCodeManage, CertificateManage,
		ContentEdit, QuizEdit, AssignmentEdit, GradingManage, GroupManage, ReportRead,
	)
	platformOnly := []Permission{OperationManage, ReportReadPlatform, LedgerRead, TemplateMessage, PlanManage, SearchManage}
	org := slices.DeleteFunc(AllPermissions(), func(p Permission) bool { return slices.Contains(platformOnly, p) })
	return []Role{
		{Key: RolePlatformAdmin, Name: "Platform administrator", Permissions: AllPermissions()},
		{Key: RoleOrgAdmin, Name: "Organisation administrator", Permissions: org},
		{Key: RoleInstructor, Name: "Instructor", Permissions: instructor},
		{Key: RoleTeachingAssistant, Name: "Teaching assistant", Permissions: assistant},
		{Key: RoleStudent, Name: "Student", Permissions: student},
	}
}
