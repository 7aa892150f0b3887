package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"lms/apps/auth/internal/keys"
	"lms/apps/auth/internal/signin"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
)

// oauthError is an error of RFC 6749 as a problem document with its members.
func oauthError(code, message string) *apperr.Error {
	return apperr.Malformed(code, message).Detail("error", code).Detail("error_description", message)
}

// readForm reads a form body. A parameter that is there twice is refused (RFC
// 6749, 3.2). Client credentials come as form fields, which is also what the
// gateway makes of Basic authentication, or in two headers.
func readForm(req *http.Request) (url.Values, signin.ClientProof, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, signin.ClientProof{}, apperr.Malformed("body_unreadable", "The body could not be read.").With(err)
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, signin.ClientProof{}, oauthError("invalid_request", "The form cannot be read.").With(err)
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, signin.ClientProof{}, oauthError("invalid_request", "A parameter is there twice.").With(errors.New(name))
		}
	}
	p := signin.ClientProof{ID: form.Get("client_id"), Secret: form.Get("client_secret")}
	if id, secret := req.Header.Get("X-OAuth-Client-Id"), req.Header.Get("X-OAuth-Client-Secret"); id != "" || secret != "" {
		if p.Secret != "" || (p.ID != "" && p.ID != id) {
			return nil, p, oauthError("invalid_request", "Send the client's credentials once.")
		}
		p = signin.ClientProof{ID: id, Secret: secret}
	}
	return form, p, nil
}

// challenged adds what RFC 6749 wants beside a 401.
func challenged(w http.ResponseWriter, err error) error {
	if apperr.IsKind(err, apperr.KindUnauthenticated) {
		w.Header().Set("Www-Authenticate", `Basic realm="oauth2", charset="UTF-8"`)
	}
	return err
}

// grantBody is the answer of RFC 6749.
type grantBody struct {
	AccessToken  string `json:"access_token"` // what the endpoint answers
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"` // as above
	Scope        string `json:"scope,omitempty"`
}

func (a *api) oauthToken(w http.ResponseWriter, req *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	form, proof, err := readForm(req)
	if err != nil {
		return err
	}
	ctx := req.Context()
	caller := callerOf(ctx, "")
	var t *signin.Tokens
	switch form.Get("grant_type") {
	case "client_credentials":
		t, err = c.SignIn.ClientToken(ctx, proof, form.Get("scope"), caller)
	case "refresh_token":
		t, err = c.SignIn.RefreshGrant(ctx, proof, form.Get("refresh_token"), caller)
	case "":
		return oauthError("invalid_request", "grant_type is missing.")
	default:
		return oauthError("unsupported_grant_type", "This grant type is not supported.")
	}
	if err != nil {
		return challenged(w, err)
	}
	w.Header().Set("Pragma", "no-cache")
	return writeJSON(w, grantBody{
		AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: int(t.AccessLife.Seconds()), RefreshToken: t.Refresh, Scope: t.Session.Scope,
	})
}

func (a *api) oauthIntrospect(w http.ResponseWriter, req *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	form, proof, err := readForm(req)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return oauthError("invalid_request", "token is missing.")
	}
	out, err := c.SignIn.Introspect(req.Context(), proof, token, callerOf(req.Context(), ""))
	if err != nil {
		return challenged(w, err)
	}
	return writeJSON(w, out)
}

func (a *api) oauthRevoke(w http.ResponseWriter, req *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	form, proof, err := readForm(req)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return oauthError("invalid_request", "token is missing.")
	}
	if err := c.SignIn.Revoke(req.Context(), proof, token, callerOf(req.Context(), "")); err != nil {
		return challenged(w, err)
	}
	return writeJSON(w, struct{}{})
}

// jwks is cacheable for five minutes: a new key is published for longer before
// it signs.
func (a *api) jwks(w http.ResponseWriter, req *http.Request) error {
	c, err := a.core()
	if err != nil {
		return err
	}
	raw, err := keys.JWKS(c.Keys.Published())
	if err != nil {
		return apperr.Internal(err)
	}
	return public(w, req, raw)
}

// metadataBody is RFC 8414.
type metadataBody struct {
	Issuer                string   `json:"issuer"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	GrantTypes            []string `json:"grant_types_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ClientAuth            []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	ServiceDocumentation  string   `json:"service_documentation"`
	AccessTokenAlgorithms []string `json:"access_token_signing_alg_values_supported"`
}

func (a *api) metadata(w http.ResponseWriter, req *http.Request) error {
	auth := []string{"client_secret_basic", "client_secret_post"}
	var buf strings.Builder
	err := encode(&buf, metadataBody{
		Issuer: a.issuer, TokenEndpoint: a.public + "/oauth2/token", JWKS: a.public + internalapi.PathJWKS,
		Introspection: a.public + "/oauth2/introspect", Revocation: a.public + "/oauth2/revoke",
		GrantTypes: []string{"client_credentials", "refresh_token"}, ResponseTypes: []string{},
		ClientAuth: append(auth, "none"), IntrospectionAuth: auth, RevocationAuth: append(auth, "none"),
		ServiceDocumentation: a.public + "/docs", AccessTokenAlgorithms: []string{"EdDSA"},
	})
	if err != nil {
		return err
	}
	return public(w, req, []byte(buf.String()))
}

// public writes a document that everybody may keep for five minutes.
func public(w http.ResponseWriter, req *http.Request, raw []byte) error {
	sum := sha256.Sum256(raw)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Etag", tag)
	h.Set("Access-Control-Allow-Origin", "*")
	if req.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	_, err := w.Write(raw)
	return err
}
