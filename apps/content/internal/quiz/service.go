package quiz

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Limits that an operator can change.
type Limits struct {
	// Grace is how long after the end of an attempt an answer or a submission that
	// was on its way is still taken (rule 28).
	Grace time.Duration
	// NoticeBefore is how long before its due time a quiz is said to be due.
	NoticeBefore time.Duration
}

// Service is everything that can be done with banks, quizzes and attempts.
type Service struct {
	Store      Store
	Authz      authz.Source
	Members    Members
	Placements Placements
	// HTML keeps only harmless markup of what people write.
	HTML   func(string) string
	Limits Limits
	Now    func() time.Time
	NewID  func() uuid.UUID
	Random io.Reader
	// Settled waits a moment for a reliable call that was just committed; false
	// means that it is still on its way.
	Settled func(ctx context.Context, call uuid.UUID) bool
}

func (s *Service) author() marking.Author { return marking.Author{Random: s.Random, HTML: s.HTML} }

// inTx runs a command once per idempotency key; what it gives back is kept as the
// answer.
func inTx[T any](ctx context.Context, s *Service, sc work.Scope, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.InTx(ctx, sc, func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &out, func() error {
			var err error
			out, err = fn(ctx, tx)
			return err
		})
	})
	return out, err
}

// read runs a question whose answer somebody else decides about: by course or by
// org unit, which is done with what it reads.
func read[T any](ctx context.Context, s *Service, fn func(context.Context, Tx) (T, error)) (out T, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = fn(ctx, tx)
		return err
	})
	return out, err
}

// generator is a source of random numbers with a seed of its own.
func (s *Service) generator() (*rand.Rand, error) {
	var seed [32]byte
	if _, err := io.ReadFull(s.Random, seed[:]); err != nil {
		return nil, apperr.Internal(fmt.Errorf("random seed: %w", err))
	}
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:]))), nil
}

// standing is how a caller stands to a course.
type standing struct {
	policy  *authz.Policy
	actor   authz.Principal
	verdict Verdict
}

// staff says that the caller teaches or administers the course.
func (st standing) staff() bool {
	return st.verdict.As == internalapi.AsStaff || st.verdict.As == internalapi.AsAdmin
}

func (st standing) may(perm authz.Permission) bool {
	role := ""
	if st.verdict.As == internalapi.AsStaff {
		role = st.verdict.Role
	}
	return st.policy.AllowsInCourse(st.actor, perm, st.verdict.OrgUnitID, role)
}

// standing asks how the caller stands to the course: 404 for who may not know of
// it, 403 for a member whose access is held back. fresh asks anew: for grading
// and for what changes something.
func (s *Service) standing(ctx context.Context, actor authz.Principal, course uuid.UUID, what string, fresh bool) (standing, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return standing{}, err
	}
	v, err := s.Members.May(ctx, actor, Ask{CourseID: course, Action: internalapi.ActionSee, Fresh: fresh})
	if err != nil {
		return standing{}, err
	}
	if !v.Allowed {
		return standing{}, denied(v, what)
	}
	return standing{policy: policy, actor: actor, verdict: v}, nil
}

// denied turns a verdict into the answer that the caller gets.
func denied(v Verdict, what string) error {
	refuse := func(code, message string) error { return apperr.New(apperr.KindForbidden, code, message) }
	switch v.Code {
	case internalapi.DeniedItemLocked:
		return apperr.New(apperr.KindForbidden, "item_locked", "The quiz is locked.").Detail("reasons", v.Reasons)
	case internalapi.DeniedReadOnly:
		return refuse("read_only", "The course can be looked at, but nothing can be handed in.")
	case internalapi.DeniedSuspended:
		return refuse("suspended", "The enrollment is suspended.")
	case internalapi.DeniedForbidden:
		return apperr.Forbidden("You may not do this in the course.")
	}
	return apperr.NotFound(what)
}

func forbidden(perm authz.Permission) error {
	return apperr.Forbidden("This needs the permission "+string(perm)+" in the course.").Detail("permission", perm)
}

// staffFor is the standing of somebody who needs a permission in the course of a
// quiz: 404 for who may not know of it, 403 for who may see but not do it.
func (s *Service) staffFor(ctx context.Context, actor authz.Principal, course uuid.UUID, what string, perm authz.Permission) (standing, error) {
	st, err := s.standing(ctx, actor, course, what, true)
	if err != nil {
		return standing{}, err
	}
	if !st.may(perm) {
		return standing{}, forbidden(perm)
	}
	return st, nil
}

func checkVersion(want *int64, have int64) error {
	if want != nil && *want != have {
		return apperr.VersionMismatch()
	}
	return nil
}
