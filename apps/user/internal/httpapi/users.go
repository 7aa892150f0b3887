package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/patch"
	"lms/shared/web"
	"lms/shared/work"
)

// User is a person with an account.
type User struct {
	ID                uuid.UUID             `json:"id"`
	TenantID          uuid.UUID             `json:"tenant_id" doc:"The root org unit"`
	OrgUnitID         uuid.UUID             `json:"org_unit_id" doc:"The home org unit"`
	Status            string                `json:"status" enum:"invited,active,deactivated,deleted,merged"`
	Origin            string                `json:"origin" enum:"admin,invitation,registration,import,sso,bootstrap"`
	Email             string                `json:"email" doc:"Empty for who has none"`
	EmailVerified     bool                  `json:"email_verified"`
	Name              string                `json:"name"`
	GivenName         string                `json:"given_name"`
	FamilyName        string                `json:"family_name"`
	Locale            string                `json:"locale"`
	TimeZone          string                `json:"time_zone"`
	Bio               string                `json:"bio"`
	Attributes        map[string]string     `json:"attributes" doc:"Those that begin with org. belong to the organisation"`
	AvatarURL         string                `json:"avatar_url,omitempty"`
	ExternalIDs       []identity.ExternalID `json:"external_ids"`
	LastSignedInAt    *time.Time            `json:"last_signed_in_at,omitempty"`
	DeactivatedAt     *time.Time            `json:"deactivated_at,omitempty"`
	DeactivatedReason string                `json:"deactivated_reason,omitempty"`
	DeletedAt         *time.Time            `json:"deleted_at,omitempty"`
	MergedInto        *uuid.UUID            `json:"merged_into,omitempty"`
	CreatedAt         time.Time             `json:"created_at"`
	UpdatedAt         time.Time             `json:"updated_at"`
}

func showUser(u identity.User) User {
	out := User{
		ID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID, Status: string(u.Status), Origin: u.Origin,
		Email: u.Email, EmailVerified: u.EmailVerifiedAt != nil, Name: u.Name, GivenName: u.GivenName, FamilyName: u.FamilyName,
		Locale: u.Locale, TimeZone: u.TimeZone, Bio: u.Bio, Attributes: u.Attributes, AvatarURL: avatarURL(u), ExternalIDs: u.ExternalIDs,
		LastSignedInAt: u.LastSignedInAt, DeactivatedAt: u.DeactivatedAt, DeactivatedReason: u.DeactivatedReason,
		DeletedAt: u.DeletedAt, MergedInto: u.MergedInto, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if out.Attributes == nil {
		out.Attributes = map[string]string{}
	}
	if out.ExternalIDs == nil {
		out.ExternalIDs = []identity.ExternalID{}
	}
	return out
}

type listUsersInput struct {
	web.Page
	Query          string    `query:"q" maxLength:"200" doc:"Words, each the beginning of a word of the name or the address"`
	Status         []string  `query:"status" enum:"invited,active,deactivated,deleted,merged" doc:"Several by commas; absent: all but deleted and merged"`
	OrgUnitID      uuid.UUID `query:"org_unit_id" doc:"The home, or one of membership"`
	Subtree        bool      `query:"subtree" doc:"With the org units below org_unit_id"`
	Role           string    `query:"role" maxLength:"64" doc:"Key or id of a role that they hold"`
	GroupID        uuid.UUID `query:"group_id"`
	Email          string    `query:"email" maxLength:"254"`
	ExternalSource string    `query:"external_source" maxLength:"64"`
	ExternalID     string    `query:"external_id" maxLength:"200"`
	CreatedFrom    time.Time `query:"created_from"`
	CreatedTo      time.Time `query:"created_to"`
	UpdatedSince   time.Time `query:"updated_since"`
	Sort           string    `query:"sort" enum:"name,-name,created_at,-created_at,last_signed_in_at,-last_signed_in_at,email,-email" default:"name"`
}

func (a *API) listUsers(ctx context.Context, in *listUsersInput) (*web.List[User], error) {
	f := identity.UserFilter{
		Query: in.Query, OrgUnitID: in.OrgUnitID, Subtree: in.Subtree, Role: in.Role, GroupID: in.GroupID, Email: in.Email,
		ExternalSource: in.ExternalSource, ExternalID: in.ExternalID, CreatedFrom: optional(in.CreatedFrom), CreatedTo: optional(in.CreatedTo),
		UpdatedSince: optional(in.UpdatedSince), Sort: in.Sort, Page: in.Request(),
	}
	for _, s := range in.Status {
		f.Statuses = append(f.Statuses, identity.Status(s))
	}
	p, err := a.Service.ListUsers(ctx, web.Actor(ctx), f)
	return web.ListOf(p, showUser), err
}

type createUserInput struct {
	Body struct {
		OrgUnitID     uuid.UUID             `json:"org_unit_id" doc:"The home org unit"`
		Email         string                `json:"email,omitempty" maxLength:"254" doc:"May be absent for who has an external id"`
		Name          string                `json:"name,omitempty" maxLength:"200" doc:"Absent: given and family name"`
		GivenName     string                `json:"given_name,omitempty" maxLength:"200"`
		FamilyName    string                `json:"family_name,omitempty" maxLength:"200"`
		Locale        string                `json:"locale,omitempty" maxLength:"35" doc:"BCP 47"`
		TimeZone      string                `json:"time_zone,omitempty" maxLength:"64" doc:"IANA"`
		Bio           string                `json:"bio,omitempty" maxLength:"4000"`
		Attributes    map[string]string     `json:"attributes,omitempty"`
		ExternalIDs   []identity.ExternalID `json:"external_ids,omitempty" maxItems:"10" doc:"Unique per source"`
		Password      string                `json:"password,omitempty" maxLength:"128" doc:"Makes the account active at once; without one it is invited"`
		Invite        bool                  `json:"invite,omitempty" doc:"Send the invitation now"`
		EmailVerified bool                  `json:"email_verified,omitempty" doc:"The organisation vouches for the address"`
	}
}

func (a *API) createUser(ctx context.Context, in *createUserInput) (*web.Resource[User], error) {
	b := in.Body
	u, err := a.Service.CreateUser(ctx, web.Actor(ctx), identity.NewUser{
		OrgUnitID: b.OrgUnitID, Email: b.Email, Name: b.Name, GivenName: b.GivenName, FamilyName: b.FamilyName, Locale: b.Locale, TimeZone: b.TimeZone,
		Bio: b.Bio, Attributes: b.Attributes, ExternalIDs: b.ExternalIDs, Password: b.Password, Invite: b.Invite, EmailVerified: b.EmailVerified,
	})
	if err != nil {
		return nil, err
	}
	return web.Created(showUser(u), u.Version, at(user, u.ID)), nil
}

func (a *API) getUser(ctx context.Context, in *web.ByID) (*web.Resource[User], error) {
	return shown(a.Service.GetUser(ctx, web.Actor(ctx), in.ID))
}

// shown is the answer with one user.
func shown(u identity.User, err error) (*web.Resource[User], error) {
	if err != nil {
		return nil, err
	}
	return web.Res(showUser(u), u.Version), nil
}

// Profile are the fields that a person changes too.
type Profile struct {
	Name       patch.Field[string]             `json:"name"`
	GivenName  patch.Field[string]             `json:"given_name"`
	FamilyName patch.Field[string]             `json:"family_name"`
	Locale     patch.Field[string]             `json:"locale" doc:"BCP 47; null: the default"`
	TimeZone   patch.Field[string]             `json:"time_zone" doc:"IANA; null: the default"`
	Bio        patch.Field[string]             `json:"bio" doc:"At most 4000 characters"`
	Attributes patch.Field[map[string]*string] `json:"attributes" doc:"Merged; a null value removes a name"`
}

func (p Profile) patch() identity.UserPatch {
	return identity.UserPatch{
		Name: p.Name, GivenName: p.GivenName, FamilyName: p.FamilyName, Locale: p.Locale, TimeZone: p.TimeZone, Bio: p.Bio, Attributes: p.Attributes,
	}
}

type updateUserInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		Profile
		Email       patch.Field[string]                `json:"email" doc:"Takes effect at once and counts as not proved; both addresses are told"`
		ExternalIDs patch.Field[[]identity.ExternalID] `json:"external_ids" doc:"Replaced as a whole; at most 10, one per source"`
	}
}

func (a *API) updateUser(ctx context.Context, in *updateUserInput) (*web.Resource[User], error) {
	p := in.Body.patch()
	p.Email, p.ExternalIDs = in.Body.Email, in.Body.ExternalIDs
	return shown(a.Service.UpdateUser(ctx, web.Actor(ctx), in.ID, in.Version(), p))
}

type versionedInput struct {
	web.ByID
	web.IfMatch
}

func (a *API) deleteUser(ctx context.Context, in *versionedInput) (*web.Empty, error) {
	return nil, a.Service.DeleteUser(ctx, web.Actor(ctx), in.ID, in.Version())
}

// Reason says why something is done; the body may be left out.
type Reason struct {
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Told to the person where the person is told of it"`
}

func (r *Reason) text() string {
	if r == nil {
		return ""
	}
	return r.Reason
}

type deactivateInput struct {
	web.ByID
	Body *Reason
}

func (a *API) deactivateUser(ctx context.Context, in *deactivateInput) (*web.Resource[User], error) {
	return shown(a.Service.Deactivate(ctx, web.Actor(ctx), in.ID, in.Body.text()))
}

func (a *API) reactivateUser(ctx context.Context, in *web.ByID) (*web.Resource[User], error) {
	return shown(a.Service.Reactivate(ctx, web.Actor(ctx), in.ID))
}

func (a *API) inviteUser(ctx context.Context, in *web.ByID) (*web.Resource[User], error) {
	return shown(a.Service.Invite(ctx, web.Actor(ctx), in.ID))
}

type registerInput struct {
	Body struct {
		Email      string `json:"email" maxLength:"254"`
		Password   string `json:"password" maxLength:"128" doc:"8 to 128 characters"`
		Name       string `json:"name,omitempty" maxLength:"200" doc:"Absent: given and family name"`
		GivenName  string `json:"given_name,omitempty" maxLength:"200"`
		FamilyName string `json:"family_name,omitempty" maxLength:"200"`
		Locale     string `json:"locale,omitempty" maxLength:"35"`
		TimeZone   string `json:"time_zone,omitempty" maxLength:"64"`
	}
}

// caller is where the request of ctx comes from.
func caller(ctx context.Context) identity.From {
	act := work.ActorFrom(ctx)
	return identity.From{IP: act.IP, UserAgent: act.UserAgent, RequestID: act.RequestID}
}

func (a *API) register(ctx context.Context, in *registerInput) (*web.Empty, error) {
	b := in.Body
	return nil, a.Service.Register(ctx, identity.NewRegistration{
		Email: b.Email, Password: b.Password, Name: b.Name, GivenName: b.GivenName, FamilyName: b.FamilyName,
		Locale: b.Locale, TimeZone: b.TimeZone, From: caller(ctx),
	})
}
