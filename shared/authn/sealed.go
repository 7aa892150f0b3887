package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// keptKeysLife is how long a kept key set is believed. User tokens end after
// minutes, service tokens after an hour: an older set could only verify what
// has expired, or what was signed by a key that auth has withdrawn since.
const keptKeysLife = time.Hour

// keptKeys is a key set in a store that others can write to. The code proves
// that whoever holds the secret wrote it, at the time it names.
type keptKeys struct {
	At   time.Time `json:"at"`
	Set  []byte    `json:"set"`
	Code []byte    `json:"code"`
}

func (k keptKeys) code(secret string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte("lms key set\x00" + k.At.UTC().Format(time.RFC3339Nano) + "\x00"))
	m.Write(k.Set)
	return m.Sum(nil)
}

// SealJWKS makes a key set fit to be kept where others can write: only the
// holder of the same secret can make one that OpenJWKS believes.
func SealJWKS(secret string, at time.Time, set []byte) ([]byte, error) {
	if secret == "" {
		return nil, errors.New("seal the key set: there is no secret to seal it with")
	}
	k := keptKeys{At: at.UTC(), Set: set}
	k.Code = k.code(secret)
	return json.Marshal(k)
}

// OpenJWKS gives the key set of SealJWKS. One that another secret sealed, that
// was changed, or that is older than an hour or from the future is an error.
func OpenJWKS(secret string, now time.Time, sealed []byte) ([]byte, error) {
	var k keptKeys
	if err := json.Unmarshal(sealed, &k); err != nil {
		return nil, fmt.Errorf("kept key set: %w", err)
	}
	if secret == "" || !hmac.Equal(k.Code, k.code(secret)) {
		return nil, errors.New("kept key set: somebody else wrote it")
	}
	if age := now.Sub(k.At); age > keptKeysLife || age < -time.Minute {
		return nil, fmt.Errorf("kept key set: it is from %s", k.At.Format(time.RFC3339))
	}
	return k.Set, nil
}
