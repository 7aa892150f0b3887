package internalapi

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
)

// Paths that the user service serves to every service.
const (
	// PathAuthzSnapshot: GET answers authz.Snapshot with an ETag.
	PathAuthzSnapshot = "/internal/authz/snapshot"
	// PathUserCards: POST CardsRequest answers CardsReply.
	PathUserCards = "/internal/users/cards"
	// PathActor: GET answers ActorStanding of a person or client; 404 for who never
	// was, or was erased or deleted. For what is decided after the request that asked
	// for it, which carries the grants of then.
	PathActor = "/internal/actors/{id}"
	// PathGroupMembers: POST GroupMembersRequest answers GroupMembersReply.
	PathGroupMembers = "/internal/groups/members"
	// PathCourseGroups: GET answers CourseGroupsReply: the group sets of a course.
	PathCourseGroups = "/internal/courses/{id}/groups"
	// PathBootstrap: POST BootstrapRequest answers BootstrapReply. Idempotent.
	// Caller: lms.
	PathBootstrap = "/internal/bootstrap"
)

// Paths that the user service serves to auth alone. All are POST unless said
// otherwise. What acts for a signed-in person names that person (Acting): user
// reads grants anew and decides, 403 and 404 come back as they are. No answer
// differs, nor its time, for known and unknown addresses where the caller is
// not signed in.
const (
	// PathCredentialsVerify: CredentialsRequest → LoginReply.
	PathCredentialsVerify = "/internal/credentials/verify" // a path, no credential
	// PathUserSubject: GET → LoginSubject; 404 for who never was or was erased.
	// Read at every refresh.
	PathUserSubject = "/internal/users/{id}/subject"

	PathMFAVerify     = "/internal/mfa/verify"         // MFARequest → LoginReply
	PathTOTPBegin     = "/internal/mfa/totp/begin"     // ActingRequest → TOTPSetup; 409 mfa_enabled
	PathTOTPConfirm   = "/internal/mfa/totp/confirm"   // TOTPConfirm → RecoveryCodes; 422 code_wrong, 409 mfa_not_begun
	PathTOTPRemove    = "/internal/mfa/totp/remove"    // PasswordProof → Done
	PathRecoveryCodes = "/internal/mfa/recovery-codes" // PasswordProof → RecoveryCodes; 409 mfa_not_enabled

	PathPasswordForgot = "/internal/passwords/forgot" // EmailRequest → Done, always
	PathPasswordReset  = "/internal/passwords/reset"  // TokenPassword → AccountReply; 422 token_invalid, password_*
	PathPasswordChange = "/internal/passwords/change" // PasswordChange → Done; 422 current_password wrong

	PathEmailVerify = "/internal/email/verify" // TokenRequest → AccountReply; 422 token_invalid
	PathEmailResend = "/internal/email/resend" // EmailRequest → Done, always

	PathInvitationAccept = "/internal/invitations/accept" // InvitationAccept → AccountReply

	PathClientsList   = "/internal/clients/list"   // ListRequest → ClientPage
	PathClientsCreate = "/internal/clients/create" // ClientCreate → ClientSecret
	PathClientsDelete = "/internal/clients/delete" // ActingOn → Done
	PathClientsSecret = "/internal/clients/secret" // ClientSecretCreate → ClientSecret
	PathClientsGrants = "/internal/clients/grants" // ClientGrants → Client
	PathClientsVerify = "/internal/clients/verify" // ClientVerify → ClientReply

	PathTokensList   = "/internal/tokens/list"   // ListRequest → TokenPage (personal access tokens)
	PathTokensCreate = "/internal/tokens/create" // TokenCreate → TokenCreated
	PathTokensDelete = "/internal/tokens/delete" // ActingOn → Done
	PathTokensVerify = "/internal/tokens/verify" // TokenVerify → TokenReply

	PathIDPList   = "/internal/identity-providers/list"   // ListRequest → IDPPage
	PathIDPCreate = "/internal/identity-providers/create" // IDPCreate → IdentityProvider
	PathIDPUpdate = "/internal/identity-providers/update" // IDPUpdate → IdentityProvider
	PathIDPDelete = "/internal/identity-providers/delete" // ActingOn → Done
	PathIDPPublic = "/internal/identity-providers/public" // Empty → IDPPublicList: what a login page shows
	// PathIDPSecret: GET → IDPSecret: what the code exchange needs.
	PathIDPSecret  = "/internal/identity-providers/{id}/secret" // a path, no credential
	PathSSOResolve = "/internal/sso/resolve"                    // SSORequest → LoginReply

	// PathSigningKeys: GET → SigningKeys; PUT SigningKeys replaces the set if
	// Version is the stored one, else 409 version_conflict.
	PathSigningKeys = "/internal/signing-keys"
	// PathSecurityEvents: SecurityEvent → Done; one line of the security audit.
	PathSecurityEvents = "/internal/security-events"
	// PathImpersonate: ImpersonateRequest → LoginSubject of the target; 403 when
	// the acting person may not, or the target may do more than the acting person.
	PathImpersonate = "/internal/impersonations"
)

// Reliable calls that the user service makes to every service that keeps
// personal data. Key of all: the person's id.
const (
	CallPersonStatus = "person-status" // PersonStatus → Done
	CallErasePerson  = "erase-person"  // ErasePerson → ErasePersonReply
	CallExportPerson = "export-person" // ExportPerson → ExportPersonReply
)

// Done answers what has nothing more to say.
type Done struct{}

// Empty is a request without fields.
type Empty struct{}

// Statuses of a person as other services see them.
const (
	PersonInvited     = "invited" // has an account, never signed in
	PersonActive      = "active"
	PersonDeactivated = "deactivated"
	PersonDeleted     = "deleted"
	PersonMerged      = "merged"
	PersonErased      = "erased"
)

// CardsRequest asks for cards of at most 500 people.
type CardsRequest struct {
	IDs []uuid.UUID `json:"ids"`
}

// CardsReply has the cards in the order of their ids; who is not known or was
// erased is left out.
type CardsReply struct {
	Cards []Card `json:"cards"`
}

// Card is what other services may show of a person. Email is filled only for
// notification, payment and auth.
type Card struct {
	ID            uuid.UUID `json:"id"`
	TenantID      uuid.UUID `json:"tenant_id"`
	OrgUnitID     uuid.UUID `json:"org_unit_id"`
	Name          string    `json:"name"`
	SortName      string    `json:"sort_name"`
	Locale        string    `json:"locale"`
	TimeZone      string    `json:"time_zone"`
	Status        string    `json:"status"`
	AvatarURL     string    `json:"avatar_url,omitempty"`
	Email         string    `json:"email,omitempty"`
	EmailVerified bool      `json:"email_verified,omitempty"`
}

// GroupMembersRequest asks for the members of groups, of at most 100 groups.
type GroupMembersRequest struct {
	GroupIDs []uuid.UUID `json:"group_ids"`
	// ActorID limits it to groups that this person may see: 422 for others.
	ActorID *uuid.UUID `json:"actor_id,omitempty"`
	Cursor  string     `json:"cursor,omitempty"`
	Limit   int        `json:"limit,omitempty"` // ≤ 1000
}

// GroupMembersReply is a page of memberships.
type GroupMembersReply struct {
	Items      []GroupMember `json:"items"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// GroupMember is one person in one group.
type GroupMember struct {
	GroupID uuid.UUID `json:"group_id"`
	UserID  uuid.UUID `json:"user_id"`
}

// CourseGroupsReply is every group set of a course.
type CourseGroupsReply struct {
	CourseID uuid.UUID  `json:"course_id"`
	Sets     []GroupSet `json:"sets"`
}

// GroupSet is a set of groups in a course: a person is in at most one group of
// a set.
type GroupSet struct {
	ID     uuid.UUID     `json:"id"`
	Name   string        `json:"name"`
	Groups []CourseGroup `json:"groups"`
}

// CourseGroup is one group of a set.
type CourseGroup struct {
	ID      uuid.UUID   `json:"id"`
	Name    string      `json:"name"`
	Members []uuid.UUID `json:"members"`
}

// BootstrapRequest makes the first root org unit and the first platform
// administrator.
type BootstrapRequest struct {
	Organisation  string `json:"organisation"`
	AdminEmail    string `json:"admin_email"`
	AdminPassword string `json:"admin_password"`
	AdminName     string `json:"admin_name,omitempty"`
	Locale        string `json:"locale,omitempty"`
	TimeZone      string `json:"time_zone,omitempty"`
}

// BootstrapReply says what is there. Created is false when it was there before;
// nothing of an existing account is changed then.
type BootstrapReply struct {
	TenantID uuid.UUID `json:"tenant_id"`
	AdminID  uuid.UUID `json:"admin_id"`
	Created  bool      `json:"created"`
}

// Acting is the signed-in person for whom auth acts, as their token said.
type Acting struct {
	UserID       uuid.UUID          `json:"user_id"`
	SessionID    uuid.UUID          `json:"session_id"`
	Impersonator uuid.UUID          `json:"impersonator"`
	ReadOnly     bool               `json:"read_only,omitempty"`
	Limited      []authz.Permission `json:"limited,omitempty"` // nil: no limit
	IP           string             `json:"ip,omitempty"`
	UserAgent    string             `json:"user_agent,omitempty"`
	RequestID    string             `json:"request_id,omitempty"`
}

// From is where a request of somebody who is not signed in comes from.
type From struct {
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// LoginSubject is all that a session and its tokens are made from.
type LoginSubject struct {
	UserID        uuid.UUID     `json:"user_id"`
	TenantID      uuid.UUID     `json:"tenant_id"`
	OrgUnitID     uuid.UUID     `json:"org_unit_id"`
	Status        string        `json:"status"` // a session lives only while it is active
	Grants        []authz.Grant `json:"grants"` // platform and org units only
	Epoch         int64         `json:"epoch"`
	MFAEnabled    bool          `json:"mfa_enabled"`
	Email         string        `json:"email"`
	EmailVerified bool          `json:"email_verified"`
	Name          string        `json:"name"`
	Locale        string        `json:"locale"`
	// PasswordChangedAt: a session that began before it ends at its refresh.
	PasswordChangedAt *time.Time `json:"password_changed_at,omitempty"`
}

// ActorStanding is what somebody may do now.
type ActorStanding struct {
	ID        uuid.UUID     `json:"id"`
	TenantID  uuid.UUID     `json:"tenant_id"`
	OrgUnitID uuid.UUID     `json:"org_unit_id"`
	Active    bool          `json:"active"`
	Grants    []authz.Grant `json:"grants"` // platform and org units only
}

// Refusals of a LoginReply.
const (
	// RefusalInvalid is the same for an unknown address, a wrong password, an
	// account without a password.
	RefusalInvalid = "invalid_credentials"
	// RefusalDeactivated is told only to who gave the right password.
	RefusalDeactivated = "account_deactivated"
	// RefusalUnverified is told only to who gave the right password.
	RefusalUnverified = "email_unverified"
	RefusalCode       = "code_wrong"
	// RefusalUnknownSubject: single sign-on found no account and may not make one.
	RefusalUnknownSubject = "account_unknown"
	RefusalProvider       = "provider_disabled" // the identity provider is switched off
	RefusalBusy           = "busy"              // too many logins at this moment: 503 with Retry-After
)

// LoginReply is a verdict. OK with MFAEnabled of the subject after a password
// means: ask for the second factor, make no session yet. Both the failure and
// the success are then in the security audit.
type LoginReply struct {
	OK      bool          `json:"ok"`
	Refusal string        `json:"refusal,omitempty"`
	Subject *LoginSubject `json:"subject,omitempty"`
	// RecoveryCodesLeft is set when a recovery code was used.
	RecoveryCodesLeft *int `json:"recovery_codes_left,omitempty"`
	// Created: single sign-on made the account.
	Created bool `json:"created,omitempty"`
}

// CredentialsRequest is a login by password.
type CredentialsRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Device   string `json:"device,omitempty"` // the client's name for it
	From     From   `json:"from"`
}

// MFARequest is the second step of a login. Code is 6 digits of TOTP, or a
// recovery code; each works once.
type MFARequest struct {
	UserID uuid.UUID `json:"user_id"`
	Code   string    `json:"code"`
	Device string    `json:"device,omitempty"`
	From   From      `json:"from"`
}

// ActingRequest is a request that says nothing but who acts.
type ActingRequest struct {
	Acting Acting `json:"acting"`
}

// ActingOn names one thing.
type ActingOn struct {
	Acting Acting    `json:"acting"`
	ID     uuid.UUID `json:"id"`
}

// ListRequest asks for a page.
type ListRequest struct {
	Acting Acting `json:"acting"`
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// TOTPSetup is shown once. The factor counts only after TOTPConfirm.
type TOTPSetup struct {
	Secret string `json:"secret"` // base32 without padding
	URI    string `json:"uri"`    // otpauth://totp/…
}

// TOTPConfirm proves that the authenticator works.
type TOTPConfirm struct {
	Acting Acting `json:"acting"`
	Code   string `json:"code"`
}

// PasswordProof is what a signed-in person must give again: the password, or a
// code of the second factor (always the code for who has no password).
type PasswordProof struct {
	Acting   Acting `json:"acting"`
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"`
}

// RecoveryCodes are shown once; earlier ones no longer work.
type RecoveryCodes struct {
	Codes []string `json:"codes"`
}

// EmailRequest names an address, known or not.
type EmailRequest struct {
	Email  string `json:"email"`
	Locale string `json:"locale,omitempty"` // for who is not known
	From   From   `json:"from"`
}

// TokenRequest presents a single-use token from a mail.
type TokenRequest struct {
	Token string `json:"token"`
	From  From   `json:"from"`
}

// TokenPassword presents a single-use token and a new password.
type TokenPassword struct {
	Token    string `json:"token"`
	Password string `json:"password"`
	From     From   `json:"from"`
}

// InvitationAccept ends an invitation: the account becomes active.
type InvitationAccept struct {
	Token    string `json:"token"`
	Password string `json:"password"`
	Name     string `json:"name,omitempty"` // else the invitation's
	Locale   string `json:"locale,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
	From     From   `json:"from"`
}

// AccountReply says whose account a token was for. Subject is set when the
// account is active, so that a session may begin (the second factor is still
// asked for when Subject.MFAEnabled).
type AccountReply struct {
	UserID  uuid.UUID     `json:"user_id"`
	Email   string        `json:"email"`
	Subject *LoginSubject `json:"subject,omitempty"`
}

// PasswordChange is by the person who knows the current one. Every other
// session ends.
type PasswordChange struct {
	Acting  Acting `json:"acting"`
	Current string `json:"current"`
	New     string `json:"new"`
}

// SecurityEvent is one line of the security audit of a person (or of nobody:
// UserID nil). Details carries no secret and no address of another person.
type SecurityEvent struct {
	ID      uuid.UUID         `json:"id"` // repeated ids count once
	Kind    string            `json:"kind"`
	UserID  uuid.UUID         `json:"user_id"`
	ActorID uuid.UUID         `json:"actor_id"`
	At      time.Time         `json:"at"`
	From    From              `json:"from"`
	Details map[string]string `json:"details,omitempty"`
}

// ImpersonateRequest asks to act as UserID.
type ImpersonateRequest struct {
	Acting Acting    `json:"acting"`
	UserID uuid.UUID `json:"user_id"`
	Reason string    `json:"reason"` // ≥ 10 characters, audited
	Write  bool      `json:"write,omitempty"`
}

// PersonStatus says that a person may or may not act from now on.
type PersonStatus struct {
	UserID   uuid.UUID `json:"user_id"`
	TenantID uuid.UUID `json:"tenant_id"`
	Status   string    `json:"status"` // active, deactivated, deleted, merged
	// MergedInto is whom the person's things belong to from now on (merged).
	MergedInto *uuid.UUID `json:"merged_into,omitempty"`
	At         time.Time  `json:"at"`
}

// ErasePerson asks to forget a person. Pseudonym takes the person's place
// everywhere, the same in all services.
type ErasePerson struct {
	RequestID uuid.UUID `json:"request_id"`
	UserID    uuid.UUID `json:"user_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	Pseudonym uuid.UUID `json:"pseudonym"`
}

// ErasePersonReply says what was done.
type ErasePersonReply struct {
	Erased []string   `json:"erased"` // categories of data: "progress"
	Kept   []KeptData `json:"kept,omitempty"`
}

// KeptData is what had to be kept, pseudonymised, and why.
type KeptData struct {
	Category string     `json:"category"`
	Reason   string     `json:"reason"`
	Until    *time.Time `json:"until,omitempty"`
}

// ExportPerson asks for everything that is kept of a person.
type ExportPerson struct {
	RequestID uuid.UUID `json:"request_id"`
	UserID    uuid.UUID `json:"user_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
}

// ExportPersonReply is the data by section ("enrollments"); each is a JSON
// value. All together stay under 3 MiB; what is larger goes into an object
// whose key is named instead.
type ExportPersonReply struct {
	Sections  map[string]json.RawMessage `json:"sections,omitempty"`
	ObjectKey string                     `json:"object_key,omitempty"`
}
