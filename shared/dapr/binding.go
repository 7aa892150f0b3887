package dapr

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/dapr/go-sdk/client"

	"lms/shared/apperr"
)

// secretStore is the component that holds the secrets in every profile.
const secretStore = "secrets"

const (
	kindBinding = "binding"
	// bindingTimeout is longer than the session with a mail server may take: who
	// gives up in the middle does not know whether the mail went, and sends it
	// again.
	bindingTimeout = 65 * time.Second
)

// InvokeBinding asks an output binding to do something, and waits 65 seconds
// for it unless ctx ends sooner. It does not retry: whether that may be done is
// the caller's to know.
func (c *Client) InvokeBinding(ctx context.Context, name, operation string, data []byte, meta map[string]string) (answer []byte, err error) {
	err = c.grpcCall(ctx, kindBinding, name, 1, func(ctx context.Context) error {
		out, err := c.sdk.InvokeBinding(ctx, &sdk.InvokeBindingRequest{Name: name, Operation: operation, Data: data, Metadata: meta})
		if err == nil && out != nil {
			answer = out.Data
		}
		return err
	})
	return answer, err
}

// Secret reads one secret. It is an error if there is none, or an empty one.
func (c *Client) Secret(ctx context.Context, key string) (string, error) {
	var data map[string]string
	err := c.grpcCall(ctx, "secret", secretStore, 3, func(ctx context.Context) (err error) {
		data, err = c.sdk.GetSecret(ctx, secretStore, key, nil)
		return err
	})
	if err != nil {
		return "", err
	}
	value := data[key]
	if value == "" && len(data) == 1 {
		for _, v := range data {
			value = v
		}
	}
	if value == "" {
		return "", apperr.Internal(fmt.Errorf("dapr: the secret %q is missing or empty", key))
	}
	return value, nil
}
