package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"lms/shared/apperr"
)

// Tolerance is how old, or how far ahead, the time of a signature may be.
const Tolerance = 300 * time.Second

// Refusals of a webhook's signature; all are 400.
var (
	ErrNoSignature  = apperr.Malformed("signature_missing", "The webhook is not signed.")
	ErrBadSignature = apperr.Malformed("signature_invalid", "The webhook's signature is not ours.")
	ErrOldSignature = apperr.Malformed("signature_expired", "The webhook was signed too long ago, or in the future.")
)

// Sign makes the header of a webhook: `t=<unix seconds>,v1=<hex>`, where v1 is the
// HMAC-SHA256 of "<t>.<body>". With several secrets there is a v1 for each, so that
// a receiver that knows only the old or only the new one can verify it.
func Sign(secrets []string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	var b strings.Builder
	b.WriteString("t=" + t)
	for _, s := range secrets {
		b.WriteString(",v1=" + hex.EncodeToString(mac(s, t, body)))
	}
	return b.String()
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// maxSignatures is how many v1 of a header are looked at.
const maxSignatures = 10

// Verify checks a header made by Sign against any of the active secrets, in constant
// time, and then its age. Unknown schemes (v0, v2) are passed over.
func Verify(header string, body []byte, secrets []string, now time.Time) error {
	if header == "" {
		return ErrNoSignature
	}
	t, given, ok := parse(header)
	if !ok || len(secrets) == 0 {
		return ErrBadSignature
	}
	genuine := false
	for _, s := range secrets {
		if s == "" {
			continue
		}
		want := mac(s, t, body)
		for _, g := range given {
			if hmac.Equal(want, g) {
				genuine = true
			}
		}
	}
	if !genuine {
		return ErrBadSignature
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return ErrBadSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return ErrOldSignature
	}
	return nil
}

func parse(header string) (t string, signatures [][]byte, ok bool) {
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if t != "" {
				return "", nil, false
			}
			t = value
		case "v1":
			raw, err := hex.DecodeString(value)
			if err != nil || len(signatures) == maxSignatures {
				return "", nil, false
			}
			signatures = append(signatures, raw)
		}
	}
	return t, signatures, t != "" && len(signatures) > 0
}
