package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/web"
)

// Me is the caller's account with the roles that the caller holds.
type Me struct {
	User
	Roles []Grant `json:"roles"`
}

// meOutput gives the version of the account for If-Match, but is never 304:
// roles change without the account.
type meOutput struct {
	ETag string `header:"ETag"`
	Body Me
}

func (a *API) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	u, grants, err := a.Service.Me(ctx, web.Actor(ctx))
	if err != nil {
		return nil, err
	}
	return &meOutput{ETag: web.ETag(u.Version), Body: Me{User: showUser(u), Roles: each(grants, showGrant)}}, nil
}

func (a *API) getProfile(ctx context.Context, _ *struct{}) (*web.Resource[User], error) {
	u, _, err := a.Service.Me(ctx, web.Actor(ctx))
	return shown(u, err)
}

type updateProfileInput struct {
	web.IfMatch
	Body Profile
}

func (a *API) updateProfile(ctx context.Context, in *updateProfileInput) (*web.Resource[User], error) {
	return shown(a.Service.UpdateProfile(ctx, web.Actor(ctx), in.Version(), in.Body.patch()))
}

// avatarURL is where a picture is; the address changes with the picture, so
// that it may be kept for long.
func avatarURL(u identity.User) string {
	if u.AvatarHash == "" || u.Status.Gone() {
		return ""
	}
	return at(user, u.ID) + "/avatar?v=" + u.AvatarHash
}

func (a *API) putAvatar(w http.ResponseWriter, req *http.Request) error {
	content, err := readBody(req)
	if err != nil {
		return err
	}
	u, err := a.Service.SetAvatar(req.Context(), web.Actor(req.Context()), content)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(u.Version))
	return writeJSON(w, http.StatusOK, showUser(u))
}

func (a *API) deleteAvatar(ctx context.Context, _ *struct{}) (*web.Empty, error) {
	return nil, a.Service.RemoveAvatar(ctx, web.Actor(ctx))
}

type getAvatarInput struct {
	ID      uuid.UUID `path:"id"`
	Version string    `query:"v" maxLength:"64" doc:"As avatar_url has it; lets the answer be kept for long"`
	Known   string    `header:"If-None-Match"`
}

func (a *API) getAvatar(ctx context.Context, in *getAvatarInput, w http.ResponseWriter, _ *http.Request) error {
	pic, err := a.Service.GetAvatar(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return err
	}
	h, tag := w.Header(), `"`+pic.Hash+`"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache")
	if in.Version == pic.Hash {
		h.Set("Cache-Control", "private, max-age=604800, immutable")
	}
	if in.Known == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", pic.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(pic.Content)))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(pic.Content); err != nil {
		return apperr.Internal(err)
	}
	return nil
}

type changeEmailInput struct {
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		Password string `json:"password,omitempty" maxLength:"128"`
		Code     string `json:"code,omitempty" maxLength:"64" doc:"Of the second factor, in the place of the password"`
	}
}

func (a *API) changeEmail(ctx context.Context, in *changeEmailInput) (*web.Empty, error) {
	actor := web.Actor(ctx)
	if actor.Impersonator != uuid.Nil {
		return nil, apperr.New(apperr.KindForbidden, "impersonating", "Only the person changes the address to sign in with.")
	}
	return nil, a.Service.RequestEmailChange(ctx, actor, in.Body.Email, identity.Proof{Password: in.Body.Password, Code: in.Body.Code})
}

type confirmEmailInput struct {
	Body struct {
		Token string `json:"token" maxLength:"200"`
	}
}

// Confirmed is the address that counts from now on.
type Confirmed struct {
	UserID uuid.UUID `json:"user_id"`
	Email  string    `json:"email"`
}

func (a *API) confirmEmail(ctx context.Context, in *confirmEmailInput) (*web.Resource[Confirmed], error) {
	u, err := a.Service.ConfirmEmailChange(ctx, in.Body.Token)
	if err != nil {
		return nil, err
	}
	return web.Res(Confirmed{UserID: u.ID, Email: u.Email}, 0), nil
}

// writeJSON writes the answer of a raw operation.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return apperr.Internal(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(raw); err != nil {
		return apperr.Internal(err)
	}
	return nil
}
