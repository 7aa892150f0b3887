package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/authn"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
	"lms/shared/jobs"
	"lms/shared/outbox"
	"lms/shared/policy"
)

// carrier is what the outbox and the inbox need of the sidecar.
type carrier struct{ dapr *dapr.Client }

// callTimeout bounds one delivery of a reliable call.
const callTimeout = 10 * time.Second

// PublishBulk implements outbox.Transport.
func (c carrier) PublishBulk(ctx context.Context, component, topic string, messages []outbox.Message) ([]string, error) {
	ms := make([]dapr.Message, len(messages))
	for i, m := range messages {
		ms[i] = dapr.Message{Key: m.Key, Data: m.Body}
	}
	failed := c.dapr.PublishBulk(ctx, component, topic, ms)
	if len(failed) == len(ms) && len(ms) > 0 {
		return nil, failed[0]
	}
	ids := make([]string, 0, len(failed))
	for i := range failed {
		ids = append(ids, messages[i].ID)
	}
	return ids, nil
}

// Call implements outbox.Transport. The outbox repeats it, so the client must
// not.
func (c carrier) Call(ctx context.Context, app, path string, body []byte) ([]byte, error) {
	var reply []byte
	_, err := c.dapr.Invoke(ctx, dapr.Call{App: app, Method: http.MethodPost, Path: path, Body: body, Out: &reply, Timeout: callTimeout})
	return reply, err
}

// Send implements outbox.Transport.
func (c carrier) Send(ctx context.Context, binding string, data []byte, metadata map[string]string) error {
	_, err := c.dapr.InvokeBinding(ctx, binding, "create", data, metadata)
	return err
}

type items[T any] struct {
	Items []T `json:"items"`
}

// Heads implements inbox.Producers.
func (c carrier) Heads(ctx context.Context, app string) ([]outbox.Head, error) {
	var out items[outbox.Head]
	_, err := c.dapr.Invoke(ctx, dapr.Call{App: app, Path: internalapi.PathEventHeads, Out: &out})
	return out.Items, err
}

// Kept implements inbox.Producers.
func (c carrier) Kept(ctx context.Context, app, stream string, from, to int64, limit int) ([]json.RawMessage, error) {
	var out items[json.RawMessage]
	_, err := c.dapr.Invoke(ctx, dapr.Call{App: app, Path: internalapi.PathEvents, Out: &out, Timeout: callTimeout, Query: url.Values{
		"stream": {stream}, "from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}, "limit": {strconv.Itoa(limit)},
	}})
	return out.Items, err
}

// jwksStore is the second level of the key set: a service that starts while
// auth is away finds the keys there. Every service can write to the store, so
// each keeps its own set under its own name, sealed with its own secret, and
// believes no other.
const (
	jwksStore = "cache"
	jwksKey   = "jwks-"
)

func (k *Kit) newVerifier() *authn.Verifier {
	c, key := k.Dapr, jwksKey+k.Name
	return authn.NewVerifier(authn.Config{
		Issuer: k.Config.Issuer,
		FetchJWKS: func(ctx context.Context) (raw []byte, err error) {
			_, err = c.Invoke(ctx, dapr.Call{App: "auth", Path: internalapi.PathJWKS, Anonymous: true, Out: &raw})
			return raw, err
		},
		LoadJWKS: func(ctx context.Context) ([]byte, error) {
			s, err := c.GetState(ctx, jwksStore, key)
			if err != nil {
				return nil, err
			}
			if !s.Exists() {
				return nil, errors.New("no key set was kept")
			}
			secret, err := ownSecret(ctx, c, k.Name, k.Config.ServiceSecret)
			if err != nil {
				return nil, err
			}
			return authn.OpenJWKS(secret, k.Now(), s.Value)
		},
		SaveJWKS: func(ctx context.Context, raw []byte) error {
			secret, err := ownSecret(ctx, c, k.Name, k.Config.ServiceSecret)
			if err != nil {
				return err
			}
			sealed, err := authn.SealJWKS(secret, k.Now(), raw)
			if err != nil {
				return err
			}
			return c.SaveState(ctx, jwksStore, key, sealed, dapr.SaveOptions{TTL: time.Hour})
		},
	})
}

// ownSecret proves who this service is: the one that was configured, else the
// one of the secrets component.
func ownSecret(ctx context.Context, c *dapr.Client, name, configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	secret, err := c.Secret(ctx, "service-"+name)
	if err != nil {
		return "", fmt.Errorf("own secret: %w", err)
	}
	return secret, nil
}

// fetchSnapshot asks user for roles and org units.
func fetchSnapshot(c *dapr.Client) policy.Fetch {
	return func(ctx context.Context, etag string) (policy.Answer, error) {
		call := dapr.Call{App: "user", Path: internalapi.PathAuthzSnapshot, Header: http.Header{}}
		if etag != "" {
			call.Header.Set("If-None-Match", etag)
		}
		var header http.Header
		var snapshot authz.Snapshot
		call.Out, call.OutHeader = &snapshot, &header
		status, err := c.Invoke(ctx, call)
		return policy.Answer{NotModified: status == http.StatusNotModified, ETag: header.Get("ETag"), Snapshot: snapshot}, err
	}
}

// fetchStanding asks user what who asked for a job may do now.
func fetchStanding(c *dapr.Client) jobs.Standing {
	return func(ctx context.Context, id uuid.UUID) (out internalapi.ActorStanding, err error) {
		_, err = c.Invoke(ctx, dapr.Call{App: "user", Path: strings.Replace(internalapi.PathActor, "{id}", id.String(), 1), Out: &out})
		return out, err //nolint:wrapcheck // already an apperr
	}
}

// fetchToken proves to auth who this service is.
func fetchToken(c *dapr.Client, name, secret string) func(ctx context.Context) (string, time.Time, error) {
	return func(ctx context.Context) (string, time.Time, error) {
		proof, err := ownSecret(ctx, c, name, secret)
		if err != nil {
			return "", time.Time{}, err
		}
		asked := time.Now()
		var token internalapi.ServiceToken
		_, err = c.Invoke(ctx, dapr.Call{
			App: "auth", Method: http.MethodPost, Path: internalapi.PathServiceTokens, Anonymous: true, Idempotent: true,
			Body: internalapi.ServiceTokenRequest{Service: name, Secret: proof}, Out: &token,
		})
		return token.AccessToken, asked.Add(time.Duration(token.ExpiresIn) * time.Second), err
	}
}
