// Package session decides which sessions live: the document of a subject's
// sessions, the refresh family of each, and what ends them. The rules are pure
// functions on the document; Sessions applies them by compare-and-set.
package session

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/internalapi"
)

// Document and Record are the contract with the gateway.
type (
	Document = internalapi.SessionDocument
	Record   = internalapi.SessionRecord
)

// MaxPerSubject is how many sessions a person has at once; the oldest ends when
// one more begins.
const MaxPerSubject = 100

// floorLife is how long a document without sessions stays: longer than a login may
// take that began before they were ended, its second factor included.
const floorLife = LongestLogin + 5*time.Minute

// LongestLogin bounds the time from the first factor to the second.
const LongestLogin = 15 * time.Minute

// Ends is when a document ends.
func Ends(d *Document) time.Time { return d.ExpiresAt }

// newDocument is the document of a subject that has none.
func newDocument(subject, tenant uuid.UUID) *Document {
	return &Document{Subject: subject, Tenant: tenant}
}

// clone lets a rule change a document without touching the one it was given.
func clone(d *Document) *Document {
	c := *d
	c.Sessions = slices.Clone(d.Sessions)
	return &c
}

// settle drops what has ended and sets the document's own end.
func settle(d *Document, now time.Time) {
	d.Sessions = slices.DeleteFunc(d.Sessions, func(s Record) bool { return !live(&s, now) })
	d.ExpiresAt = now.Add(floorLife)
	for i := range d.Sessions {
		if end := endOf(&d.Sessions[i]); end.After(d.ExpiresAt) {
			d.ExpiresAt = end
		}
	}
}

func live(s *Record, now time.Time) bool {
	return now.Before(s.ExpiresAt) && now.Before(s.IdleExpiresAt)
}

// endOf is the earlier of both ends.
func endOf(s *Record) time.Time {
	if s.IdleExpiresAt.Before(s.ExpiresAt) {
		return s.IdleExpiresAt
	}
	return s.ExpiresAt
}

// insert adds a session; of more than MaxPerSubject the one that began first
// ends.
func insert(d *Document, s Record, now time.Time) {
	settle(d, now)
	d.Sessions = append(d.Sessions, s)
	slices.SortStableFunc(d.Sessions, func(a, b Record) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	if over := len(d.Sessions) - MaxPerSubject; over > 0 {
		d.Sessions = slices.Delete(d.Sessions, 0, over)
	}
	settle(d, now)
}

// remove ends one session and says whether it was there.
func remove(d *Document, id uuid.UUID, now time.Time) bool {
	settle(d, now)
	before := len(d.Sessions)
	d.Sessions = slices.DeleteFunc(d.Sessions, func(s Record) bool { return s.ID == id })
	settle(d, now)
	return len(d.Sessions) < before
}

// end applies an order of the user service and counts what ended. Orders may
// come twice and in any order: the epoch and the floor only grow.
func end(d *Document, o internalapi.EndSessions, now time.Time) int {
	settle(d, now)
	d.Epoch = max(d.Epoch, o.Epoch)
	if o.EpochOnly {
		settle(d, now)
		return 0
	}
	d.Floor = max(d.Floor, o.Epoch)
	if o.Epoch == 0 && now.After(d.Closed) {
		d.Closed = now // no epoch says which logins are older
	}
	before := len(d.Sessions)
	d.Sessions = slices.DeleteFunc(d.Sessions, func(s Record) bool {
		return (o.ExceptSession == uuid.Nil || s.ID != o.ExceptSession) && (o.Epoch == 0 || s.ProofEpoch < o.Epoch)
	})
	settle(d, now)
	return before - len(d.Sessions)
}

// View is what its owner may see of a session.
func View(s *Record) internalapi.SessionView {
	v := internalapi.SessionView{
		ID: s.ID, Kind: s.Kind, Method: s.Method, Device: s.Device, IP: s.IP, UserAgent: s.UserAgent,
		CreatedAt: s.CreatedAt, LastUsedAt: s.LastUsedAt, ExpiresAt: endOf(s),
	}
	if s.Actor != uuid.Nil {
		actor := s.Actor
		v.Actor = &actor
	}
	return v
}
