package identity

import (
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

// Status is where an account stands:
//
//	invited → active ⇄ deactivated
//	any of these → deleted | merged
//
// Deleted and merged are final; an erased account has no row at all.
type Status string

// The states of an account.
const (
	StatusInvited     Status = "invited"
	StatusActive      Status = "active"
	StatusDeactivated Status = "deactivated"
	StatusDeleted     Status = "deleted"
	StatusMerged      Status = "merged"
)

var transitions = map[Status][]Status{
	StatusInvited:     {StatusActive, StatusDeactivated, StatusDeleted, StatusMerged},
	StatusActive:      {StatusDeactivated, StatusDeleted, StatusMerged},
	StatusDeactivated: {StatusActive, StatusInvited, StatusDeleted, StatusMerged},
}

// CanBecome says whether a state may follow.
func (s Status) CanBecome(next Status) bool {
	for _, t := range transitions[s] {
		if t == next {
			return true
		}
	}
	return false
}

// Gone says that the account is final: nobody can use it again.
func (s Status) Gone() bool { return s == StatusDeleted || s == StatusMerged }

// Origins of an account.
const (
	OriginAdmin        = "admin"
	OriginInvitation   = "invitation"
	OriginRegistration = "registration"
	OriginImport       = "import"
	OriginSSO          = "sso"
	OriginBootstrap    = "bootstrap"
)

// ExternalID is the id that another system has for a thing; unique per tenant
// and source, one per thing and source.
type ExternalID struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// User is a person with an account.
type User struct {
	ID                uuid.UUID
	TenantID          uuid.UUID
	OrgUnitID         uuid.UUID // home
	Status            Status
	Origin            string
	Email             string // "" for who has none
	EmailVerifiedAt   *time.Time
	Name              string
	GivenName         string
	FamilyName        string
	SortName          string
	Locale            string
	TimeZone          string
	Bio               string
	Attributes        map[string]string
	AvatarHash        string
	Epoch             int64 // moved by what makes access tokens stale
	LastSignedInAt    *time.Time
	DeactivatedReason string
	MergedInto        *uuid.UUID
	CreatedAt         time.Time
	UpdatedAt         time.Time
	DeactivatedAt     *time.Time
	DeletedAt         *time.Time
	Version           int64
	ExternalIDs       []ExternalID
}

// Limits of a user's fields, in characters unless said otherwise.
const (
	MaxName            = 200
	MaxEmail           = 254
	MaxBio             = 4000
	MaxAttributes      = 50
	MaxAttributeKey    = 64
	MaxAttributeValue  = 1000
	MaxExternalIDs     = 10
	MaxExternalIDChars = 200
	MaxReason          = 500
)

// EmailKey is the one spelling of an address under which an account is found:
// lower case. The local part too: no provider of our time tells ada@ from Ada@.
func EmailKey(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// validEmail accepts one plain address that a mail system would take.
func validEmail(email string) bool {
	if len(email) > MaxEmail || email != strings.TrimSpace(email) || strings.ContainsAny(email, "\r\n\x00 ") {
		return false
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email || a.Name != "" {
		return false
	}
	local, domain, _ := strings.Cut(email, "@")
	return local != "" && len(local) <= 64 && validDomain(domain) && EmailKey(email) == strings.ToLower(email)
}

func validDomain(d string) bool {
	if d == "" || len(d) > 253 || strings.HasPrefix(d, ".") || strings.HasSuffix(d, ".") || strings.Contains(d, "..") || strings.ContainsAny(d, "[]") {
		return false
	}
	for _, label := range strings.Split(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

var (
	localeShape    = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$`)
	attributeShape = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)
	sourceShape    = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)
)

// OrgAttributePrefix begins the names of attributes that only administrators
// may write.
const OrgAttributePrefix = "org."

func validText(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	})
}

func validLine(s string, limit int) bool {
	return validText(s, limit) && !strings.ContainsAny(s, "\r\n\t")
}

func checkName(f *apperr.Fields, path, v string, required bool) {
	f.Require(!required || strings.TrimSpace(v) != "", path, "required", "Must not be empty.")
	f.Require(validLine(v, MaxName), path, "invalid", "At most 200 characters on one line.")
}

func checkLocale(f *apperr.Fields, v string) {
	f.Require(localeShape.MatchString(v), "locale", "invalid", `Must be a language tag such as "en" or "de-AT".`)
}

func checkTimeZone(f *apperr.Fields, v string) {
	if v != "" && v != "Local" {
		if _, err := time.LoadLocation(v); err == nil {
			return
		}
	}
	f.Add("time_zone", "invalid", `Must be an IANA time zone such as "Europe/Berlin".`)
}

func checkAttributes(f *apperr.Fields, attrs map[string]string) {
	f.Require(len(attrs) <= MaxAttributes, "attributes", "too_many", "At most 50 attributes.")
	for k, v := range attrs {
		ok := len(k) <= MaxAttributeKey && attributeShape.MatchString(k)
		f.Require(ok, "attributes."+k, "invalid_name", "Names are lower-case letters, digits, dots, dashes and underscores, at most 64.")
		f.Require(validText(v, MaxAttributeValue), "attributes."+k, "invalid", "At most 1000 characters.")
	}
}

func checkExternalIDs(f *apperr.Fields, ids []ExternalID) {
	f.Require(len(ids) <= MaxExternalIDs, "external_ids", "too_many", "At most 10 external ids.")
	seen := map[string]bool{}
	for i, id := range ids {
		path := "external_ids[" + strconv.Itoa(i) + "]"
		f.Require(sourceShape.MatchString(id.Source), path+".source", "invalid", "Lower-case letters, digits, dots, dashes and underscores, at most 64.")
		f.Require(id.ID != "" && validLine(id.ID, MaxExternalIDChars), path+".id", "invalid", "1 to 200 characters on one line.")
		f.Require(!seen[id.Source], path+".source", "duplicate", "One id per source.")
		seen[id.Source] = true
	}
}

// check looks at every field of a user.
func (u *User) check(f *apperr.Fields) {
	checkName(f, "name", u.Name, true)
	checkName(f, "given_name", u.GivenName, false)
	checkName(f, "family_name", u.FamilyName, false)
	f.Require(u.Email == "" || validEmail(u.Email), "email", "invalid", "Must be an e-mail address.")
	checkLocale(f, u.Locale)
	checkTimeZone(f, u.TimeZone)
	f.Require(validText(u.Bio, MaxBio), "bio", "invalid", "At most 4000 characters.")
	checkAttributes(f, u.Attributes)
	checkExternalIDs(f, u.ExternalIDs)
}

// complete fills what follows from other fields.
func (u *User) complete() {
	if u.Name == "" {
		u.Name = strings.TrimSpace(u.GivenName + " " + u.FamilyName)
	}
	u.SortName = sortName(u.Name, u.GivenName, u.FamilyName)
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	if u.ExternalIDs == nil {
		u.ExternalIDs = []ExternalID{}
	}
}

// sortName orders people by family name, where it is known.
func sortName(name, given, family string) string {
	s := name
	if family != "" {
		s = strings.TrimSpace(family + " " + given)
	}
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}

// state is the snapshot that events carry.
func (u User) state(path []uuid.UUID) events.UserState {
	ids := make([]events.ExternalID, len(u.ExternalIDs))
	for i, id := range u.ExternalIDs {
		ids[i] = events.ExternalID(id)
	}
	return events.UserState{
		ID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, OrgUnitPath: path, Status: string(u.Status),
		Email: u.Email, EmailVerified: u.EmailVerifiedAt != nil, Name: u.Name, GivenName: u.GivenName, FamilyName: u.FamilyName,
		Locale: u.Locale, TimeZone: u.TimeZone, ExternalIDs: ids, MergedInto: u.MergedInto,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Version: u.Version,
	}
}
