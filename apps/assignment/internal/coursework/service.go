// Package coursework is what a course asks of its learners and what it makes of
// it: assignments, submissions, rubrics, grades and their posting (rules 16–25 as
// far as single grades go; the sums are in package grading). It decides; storage
// and neighbours are interfaces.
package coursework

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/authz"
	"lms/shared/work"
)

// Settings that an operator can change.
type Settings struct {
	// DueSoonBefore is how long before its due time an assignment is said to be due.
	DueSoonBefore time.Duration
	// MaxFileBytes is the largest file that an assignment may allow.
	MaxFileBytes int64
	// UploadFor is how long a file may be on its way before it is forgotten.
	UploadFor time.Duration
}

// Calls knows whether a reliable call of a moment ago was answered.
type Calls interface {
	Settled(ctx context.Context, id uuid.UUID, d time.Duration) bool
}

// Service is the use cases of assignment.
type Service struct {
	Store    Store
	Authz    authz.Source
	Access   Access
	People   Directory
	Text     Text
	Files    Files // nil: no files can be taken
	Calls    Calls
	Settings Settings
	Now      func() time.Time
	NewID    func() uuid.UUID
	// NewAlias gives an id that says nothing, also not when it was made.
	NewAlias func() uuid.UUID
}

// inTx runs fn in a transaction of the caller and gives its result, once per
// idempotency key.
func inTx[T any](ctx context.Context, s *Service, sc work.Scope, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			out, err = fn(ctx, tx)
			return err
		})
	})
	return out, err
}

// read runs fn in a transaction that only reads.
func read[T any](ctx context.Context, s *Service, sc work.Scope, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.Read(ctx, sc, func(ctx context.Context, tx Tx) error {
		out, err = fn(ctx, tx)
		return err
	})
	return out, err
}
