package enrollment

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/page"
	"lms/shared/work"
)

// joinCodeBytes makes codes of 16 letters: 80 random bits, not to be guessed at
// any rate that the gateway lets through.
const joinCodeBytes = 10

// NewJoinCode asks for a code.
type NewJoinCode struct {
	CourseID  uuid.UUID
	Label     string
	MaxUses   *int
	ExpiresAt *time.Time
}

// CreateJoinCode makes a code that lets people into a course.
func (s *Service) CreateJoinCode(ctx context.Context, actor authz.Principal, in NewJoinCode) (j JoinCode, err error) {
	now := s.Now()
	var f apperr.Fields
	f.Require(in.ExpiresAt == nil || in.ExpiresAt.After(now), "expires_at", "in_the_past", "must be in the future")
	if err := f.Err(); err != nil {
		return j, err
	}
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &j, func() error {
			c, role, err := tx.Course(ctx, in.CourseID, actor.UserID)
			if err != nil {
				return err
			}
			if err := s.may(ctx, actor, authz.JoinCodeManage, c, role); err != nil {
				return err
			}
			code, err := s.randomCode(joinCodeBytes)
			if err != nil {
				return err
			}
			j = JoinCode{
				ID: s.NewID(), TenantID: c.TenantID, CourseID: c.ID, Code: code, Label: in.Label,
				MaxUses: in.MaxUses, ExpiresAt: in.ExpiresAt, CreatedBy: &actor.UserID, CreatedAt: now,
			}
			if err := tx.InsertJoinCode(ctx, j); err != nil {
				return err
			}
			return auditCode(ctx, tx, "join_code.create", j, c)
		})
	})
	return j, err
}

func auditCode(ctx context.Context, tx Tx, action string, j JoinCode, c Course) error {
	return tx.Audit(ctx, work.AuditEntry{
		Action: action, ResourceType: "join_code", ResourceID: j.ID, TenantID: j.TenantID, OrgUnitID: c.OrgUnitID,
	})
}

// JoinCodes are a course's codes, for staff.
func (s *Service) JoinCodes(ctx context.Context, actor authz.Principal, course uuid.UUID, p page.Request) (out page.Page[JoinCode], err error) {
	err = s.inCourse(ctx, actor, course, authz.JoinCodeManage, func(ctx context.Context, tx Tx, _ Course) error {
		out, err = tx.JoinCodes(ctx, course, p)
		return err
	})
	return out, err
}

// RevokeJoinCode ends a code; who joined by it stays.
func (s *Service) RevokeJoinCode(ctx context.Context, actor authz.Principal, id uuid.UUID) error {
	return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		j, err := tx.JoinCode(ctx, id)
		if err != nil {
			return err
		}
		c, role, err := tx.Course(ctx, j.CourseID, actor.UserID)
		if err != nil {
			return err
		}
		if err := s.may(ctx, actor, authz.JoinCodeManage, c, role); err != nil {
			if apperr.IsKind(err, apperr.KindNotFound) {
				return apperr.NotFound("join code")
			}
			return err
		}
		if j.RevokedAt != nil {
			return nil
		}
		if err := tx.RevokeJoinCode(ctx, id, s.Now()); err != nil {
			return err
		}
		return auditCode(ctx, tx, "join_code.revoke", j, c)
	})
}

// NormalizeCode reads a code as people type it.
func NormalizeCode(code string) string {
	code = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(code))
	return strings.NewReplacer("O", "0", "I", "1", "L", "1").Replace(code)
}

// Join brings the caller into the course of a code: the code stands for the
// invitation or approval that the course asks for, and for nothing else.
func (s *Service) Join(ctx context.Context, actor authz.Principal, code string) (r Result, err error) {
	var course uuid.UUID
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		j, err := tx.JoinCodeByText(ctx, NormalizeCode(code))
		course = j.CourseID
		return err
	})
	if err != nil {
		return r, err
	}
	err = s.withCourse(ctx, course, func(doubt func(error) error) error {
		return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
			return tx.Once(ctx, &r, func() error {
				r, err = s.join(ctx, tx, actor, NormalizeCode(code))
				return doubt(err)
			})
		})
	})
	return r, err
}

func (s *Service) join(ctx context.Context, tx Tx, actor authz.Principal, code string) (Result, error) {
	now := s.Now()
	j, err := tx.JoinCodeByText(ctx, code)
	if err != nil {
		return Result{}, err
	}
	st, err := tx.Standing(ctx, j.CourseID, actor.UserID, now)
	if err != nil {
		return Result{}, err
	}
	state, err := st.Enter(Entry{Source: SourceJoinCode}, now)
	if err != nil {
		return Result{}, err
	}
	// Counted last: who is in already uses nothing up.
	used, err := tx.UseJoinCode(ctx, j.ID, now)
	if err != nil {
		return Result{}, err
	}
	if !used {
		return Result{}, apperr.Conflict("join_code_used_up", "The code is over or used up.")
	}
	e := s.row(st, actor.UserID, now)
	previous := e.State
	e.Source = SourceJoinCode
	e.Entitle(st.Entitlement)
	if err := s.arrive(ctx, tx, &st, &e, state, arrival{now: now}); err != nil {
		return Result{}, err
	}
	return s.arrived(ctx, tx, &st, e, "enrollment.join", previous, now)
}
