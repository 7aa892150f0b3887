package passwords

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// What many use, from breaches; origin and terms are in NOTICE.
//
//go:embed common-passwords.txt.gz
var breached []byte

// ours are common where this product runs, and not in the list.
var ours = []string{"changeme", "change-me", "passwort", "kennwort", "passwort1", "hallo123", "learning", "learning1", "welcome123", "administrator", "admin123", "student123", "teacher123", "password123", "qwertz123", "letmein123"}

// shortest word that counts as common with digits and signs behind it.
const shortest = 6

// commonWords are the common passwords in order, lower-cased: parts of one
// string, which takes a third of what a map would.
func commonWords() ([]string, error) {
	r, err := gzip.NewReader(bytes.NewReader(breached))
	if err != nil {
		return nil, fmt.Errorf("list of common passwords: %w", err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("list of common passwords: %w", err)
	}
	words := slices.DeleteFunc(strings.Split(string(raw), "\n"), func(w string) bool { return utf8.RuneCountInString(w) < shortest })
	words = append(words, ours...)
	slices.Sort(words)
	return slices.Clip(slices.Compact(words)), nil
}

// Common implements identity.Passwords. Case does not make a password rarer,
// nor do digits and signs behind it.
func (h *Hasher) Common(password string) bool {
	lower := strings.ToLower(strings.TrimSpace(password))
	for _, word := range []string{lower, strings.TrimRight(lower, "0123456789!.?")} {
		if _, ok := slices.BinarySearch(h.common, word); ok {
			return true
		}
	}
	return monotonous(lower)
}

// monotonous says that a password is one character again and again, or a run
// through the alphabet, the digits or a keyboard's row.
func monotonous(s string) bool {
	runes := []rune(s)
	if len(runes) == 0 {
		return false
	}
	same := true
	for _, r := range runes {
		same = same && r == runes[0]
	}
	if same {
		return true
	}
	for _, run := range []string{"01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm"} {
		if strings.Contains(run, s) {
			return true
		}
	}
	return false
}
