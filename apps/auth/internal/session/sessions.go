package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/record"
)

// Users is what sessions ask of the user service.
type Users interface {
	// Subject reads status, grants and epoch anew; 404 for who is no more.
	Subject(ctx context.Context, id uuid.UUID) (internalapi.LoginSubject, error)
	// Report writes a line of the security audit.
	Report(ctx context.Context, e internalapi.SecurityEvent) error
}

// Limits say how long sessions live.
type Limits struct {
	Idle          time.Duration // since the last refresh
	Absolute      time.Duration // since the login
	Impersonation time.Duration // absolute, of support acting as a person
	Client        time.Duration // of a service account since its last token
}

// Sessions opens, refreshes, lists and ends sessions.
type Sessions struct {
	Book   *record.Book[Document]
	Chain  *Chain
	Users  Users
	Policy authz.Source
	Limits Limits
	Now    func() time.Time
	NewID  func() uuid.UUID
	Log    *slog.Logger
}

// The answers of a session that is over, and of a token that never was one.
var (
	errEnded        = apperr.Unauthenticated("session_ended", "The session has ended. Sign in again.")
	errInvalidToken = apperr.Unauthenticated("invalid_refresh_token", "The refresh token is not valid. Sign in again.")
	errReused       = apperr.Unauthenticated("refresh_token_reused", "The refresh token was used before. The session has been ended to protect the account; sign in again.")
	errTooLate      = apperr.Unauthenticated("session_ended", "The account was changed while you signed in. Sign in again.")
)

// From is where a request comes from.
type From struct{ IP, UserAgent string }

// Opening is what a session begins with.
type Opening struct {
	// ID makes the session the same for a repeated request; a new id if nil.
	ID      uuid.UUID
	Subject internalapi.LoginSubject
	// ProofEpoch is the subject's epoch when the password was proved, where that
	// was earlier than Subject was read; 0 for the same.
	ProofEpoch int64
	// BegunAt is when the first factor was good, where a second one was asked for.
	BegunAt time.Time
	Kind    string
	Method  string
	Device  string
	From    From
	Cookie  bool

	Actor        uuid.UUID
	ActorSession uuid.UUID
	ActorUntil   time.Time
	Write        bool
}

// Grant is what tokens are made from.
type Grant struct {
	Session Record
	Subject internalapi.LoginSubject
	Epoch   int64
	Refresh Token
	Verdict Verdict // of a refresh
}

// Open begins a session. A login whose proof is older than an order to end all
// sessions comes too late: 401 `session_ended`.
func (s *Sessions) Open(ctx context.Context, o Opening) (Grant, error) {
	now := s.Now()
	id := o.ID
	if id == uuid.Nil {
		id = s.NewID()
	}
	proof := o.ProofEpoch
	if proof == 0 {
		proof = o.Subject.Epoch
	}
	first := s.Chain.First(o.Subject.UserID, id)
	var g Grant
	_, err := s.Book.Update(ctx, internalapi.SessionKey(o.Subject.UserID), func(current *Document) (*Document, error) {
		d := newDocument(o.Subject.UserID, o.Subject.TenantID)
		if current != nil {
			d = clone(current)
		}
		if d.Floor > proof || !o.BegunAt.IsZero() && d.Closed.After(o.BegunAt) {
			return nil, errTooLate
		}
		subject := o.Subject
		if d.Epoch > subject.Epoch {
			// Roles changed while the password was checked: read after the
			// document, the subject is never older than it.
			var err error
			if subject, err = s.active(ctx, subject.UserID); err != nil {
				return nil, err
			}
		}
		d.Epoch, d.Tenant = subject.Epoch, subject.TenantID
		rec := s.record(o, id, now)
		rec.ProofEpoch = proof
		rec.Current = first.Hash()
		remove(d, id, now)
		insert(d, rec, now)
		g = Grant{Session: rec, Subject: subject, Epoch: d.Epoch, Refresh: first}
		return d, nil
	})
	return g, err
}

func (s *Sessions) record(o Opening, id uuid.UUID, now time.Time) Record {
	r := Record{
		ID: id, Kind: o.Kind, CreatedAt: now, LastUsedAt: now, Method: o.Method,
		ExpiresAt: now.Add(s.Limits.Absolute), IdleExpiresAt: now.Add(s.Limits.Idle),
		Device: o.Device, IP: o.From.IP, UserAgent: o.From.UserAgent,
		PasswordAt: o.Subject.PasswordChangedAt, Cookie: o.Cookie,
		Actor: o.Actor, ActorSession: o.ActorSession, Write: o.Write,
	}
	if o.Kind == internalapi.SessionImpersonation {
		r.ExpiresAt = now.Add(s.Limits.Impersonation)
		if !o.ActorUntil.IsZero() && o.ActorUntil.Before(r.ExpiresAt) {
			r.ExpiresAt = o.ActorUntil
		}
	}
	return r
}

// active reads a subject that may have sessions; 401 `session_ended` for one
// that may not.
func (s *Sessions) active(ctx context.Context, id uuid.UUID) (internalapi.LoginSubject, error) {
	subject, err := s.Users.Subject(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return subject, errEnded.With(err)
	}
	if err != nil {
		return subject, err
	}
	if subject.Status != internalapi.PersonActive {
		return subject, errEnded
	}
	return subject, nil
}

// Refresh exchanges a refresh token for its successor and reads the subject's
// status, roles and epoch anew. Presenting the predecessor gives the same
// successor again until that is first used; any other genuine token is a stolen
// one, ends the session and is reported. All refusals are 401.
func (s *Sessions) Refresh(ctx context.Context, raw string, from From) (Grant, error) {
	t, err := s.Chain.Parse(raw)
	if err != nil {
		return Grant{}, errInvalidToken.With(err)
	}
	var g Grant
	var verdict error
	_, err = s.Book.Update(ctx, internalapi.SessionKey(t.Subject), func(current *Document) (*Document, error) {
		g, verdict = Grant{}, nil
		rec, err := current.LiveSession(t.Session, s.Now())
		if err != nil {
			return nil, errEnded.With(err)
		}
		d := clone(current)
		r := *rec
		var next Token
		var seen Verdict
		if seen, next = s.Chain.present(&r, t); seen == Theft {
			verdict = errReused
			remove(d, t.Session, s.Now())
			return d, nil
		}
		subject, err := s.stillGood(ctx, t.Subject, &r)
		if apperr.IsKind(err, apperr.KindUnauthenticated) {
			verdict = err
			remove(d, t.Session, s.Now())
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		g = Grant{Session: r, Subject: subject, Epoch: subject.Epoch, Refresh: next, Verdict: seen}
		if seen == Repeated && d.Epoch == subject.Epoch {
			return current, record.ErrKeep
		}
		g.Session = s.touch(d, r, subject, from)
		return d, nil
	})
	if err != nil {
		return Grant{}, err
	}
	if verdict != nil {
		s.reportEnd(ctx, t, verdict, from)
		return Grant{}, verdict
	}
	return g, nil
}

// touch writes a used session back into its document.
func (s *Sessions) touch(d *Document, r Record, subject internalapi.LoginSubject, from From) Record {
	now := s.Now()
	r.LastUsedAt, r.IdleExpiresAt = now, now.Add(s.Limits.Idle)
	if from.IP != "" {
		r.IP = from.IP
	}
	if from.UserAgent != "" {
		r.UserAgent = from.UserAgent
	}
	for i := range d.Sessions {
		if d.Sessions[i].ID == r.ID {
			d.Sessions[i] = r
		}
	}
	d.Epoch, d.Tenant = subject.Epoch, subject.TenantID
	settle(d, now)
	return r
}

// stillGood reads anew what a session rests on. A 401 says that it is over.
func (s *Sessions) stillGood(ctx context.Context, id uuid.UUID, r *Record) (internalapi.LoginSubject, error) {
	subject, err := s.active(ctx, id)
	if err != nil {
		return subject, err
	}
	changed := subject.PasswordChangedAt
	if changed != nil && (r.PasswordAt == nil || changed.After(*r.PasswordAt)) {
		return subject, errEnded
	}
	if r.Actor == uuid.Nil {
		return subject, nil
	}
	return subject, s.mayStillAct(ctx, r, subject)
}

// mayStillAct checks who acts as the subject: signed in, active, permitted.
func (s *Sessions) mayStillAct(ctx context.Context, r *Record, subject internalapi.LoginSubject) error {
	if err := s.Live(ctx, r.Actor, r.ActorSession); err != nil {
		return err
	}
	actor, err := s.active(ctx, r.Actor)
	if err != nil {
		return err
	}
	policy, err := s.Policy.Policy(ctx)
	if err != nil {
		return err
	}
	if !policy.Allows(authz.Principal{UserID: actor.UserID, Grants: actor.Grants}, authz.UserImpersonate, subject.OrgUnitID) {
		return errEnded
	}
	return nil
}

func (s *Sessions) reportEnd(ctx context.Context, t Token, verdict error, from From) {
	kind := internalapi.SecuritySessionEnded
	if apperr.Code(verdict) == "refresh_token_reused" {
		kind = internalapi.SecurityRefreshReused
	}
	e := internalapi.SecurityEvent{
		ID: s.NewID(), Kind: kind, UserID: t.Subject, At: s.Now(),
		From:    internalapi.From{IP: from.IP, UserAgent: from.UserAgent},
		Details: map[string]string{"session_id": t.Session.String()},
	}
	// The session has ended whether or not it can be written down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.Users.Report(ctx, e); err != nil {
		s.Log.WarnContext(ctx, "security event not recorded", "kind", kind, "user_id", t.Subject, "session_id", t.Session, "error", err)
	}
}
