package identity

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/work"
)

// RequestKind says what is asked for about all of a person's data.
type RequestKind string

// The kinds of requests about a person's data.
const (
	RequestExport  RequestKind = "export"
	RequestErasure RequestKind = "erasure"
)

// Kinds of the jobs that follow them.
const (
	JobExport  = "data-export"
	JobErasure = "erasure"
)

// RequestStatus is where a request stands: running → completed | failed. It is
// completed when every service has answered; while one cannot, it runs on.
type RequestStatus string

// The states of a request.
const (
	RequestRunning   RequestStatus = "running"
	RequestCompleted RequestStatus = "completed"
	RequestFailed    RequestStatus = "failed"
)

// PersonRequest is an export or erasure of all of a person's data, in every
// service.
type PersonRequest struct {
	ID          uuid.UUID
	TenantID    uuid.UUID
	UserID      uuid.UUID // the pseudonym once an erasure is complete
	Kind        RequestKind
	Status      RequestStatus
	Pseudonym   *uuid.UUID
	RequestedBy *uuid.UUID
	Reason      string
	JobID       *uuid.UUID
	ObjectKey   string
	CreatedAt   time.Time
	CompletedAt *time.Time
	ExpiresAt   *time.Time    // of the file
	Parts       []RequestPart `db:"-"`
}

// RequestPart is what one service answered.
type RequestPart struct {
	RequestID  uuid.UUID
	TenantID   uuid.UUID
	Service    string
	CallID     uuid.UUID
	Status     string // pending, done, failed
	Reply      []byte // JSON
	Error      string
	AnsweredAt *time.Time
}

// States of a part.
const (
	PartPending = "pending"
	PartDone    = "done"
	PartFailed  = "failed" // parked: an operator must look at it
)

// WaitingFor are the services that have not done their part.
func (r PersonRequest) WaitingFor() []string {
	out := []string{}
	for _, p := range r.Parts {
		if p.Status != PartDone {
			out = append(out, p.Service)
		}
	}
	slices.Sort(out)
	return out
}

// RequestRef is the input of both jobs.
type RequestRef struct {
	RequestID uuid.UUID `json:"request_id"`
}

// open writes a request, asks every service, and starts the job that follows it.
func (s *Service) openRequest(ctx context.Context, tx Tx, r PersonRequest) (work.Job, error) {
	kind := JobExport
	if r.Kind == RequestErasure {
		kind = JobErasure
	}
	job, err := tx.Enqueue(ctx, kind, RequestRef{RequestID: r.ID}, work.JobOptions{TenantID: r.TenantID, Key: r.ID.String()})
	if err != nil {
		return job, err
	}
	r.JobID = &job.ID
	if err := tx.InsertPersonRequest(ctx, r); err != nil {
		return job, err
	}
	ask := s.Calls.Export
	if r.Kind == RequestErasure {
		ask = s.Calls.Erase
	}
	for _, service := range s.Config.PersonServices {
		call, err := ask(ctx, tx, service, r)
		if err != nil {
			return job, err
		}
		if err := tx.InsertPart(ctx, RequestPart{RequestID: r.ID, TenantID: r.TenantID, Service: service, CallID: call, Status: PartPending}); err != nil {
			return job, err
		}
	}
	return job, nil
}

// RequestDataExport collects everything that is kept of the actor.
func (s *Service) RequestDataExport(ctx context.Context, actor authz.Principal) (job work.Job, err error) {
	if actor.Impersonator != uuid.Nil {
		return job, apperr.Forbidden("Only the person asks for this.")
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			u, err := tx.LockUser(ctx, actor.UserID)
			if err != nil {
				return err
			}
			by := actor.UserID
			r := PersonRequest{ID: s.NewID(), TenantID: u.TenantID, UserID: u.ID, Kind: RequestExport, Status: RequestRunning, RequestedBy: &by, CreatedAt: s.Now()}
			if job, err = s.openRequest(ctx, tx, r); err != nil {
				return err
			}
			if err := s.security(ctx, tx, SecurityEvent{Kind: "data_export_requested", UserID: u.ID, TenantID: u.TenantID}); err != nil {
				return err
			}
			return tx.Audit(ctx, work.AuditEntry{Action: "user.request_data_export", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID})
		})
	})
	return job, err
}

// RequestErasure forgets a person: the account ends at once, every service is
// asked to erase, and when all have answered nothing but a pseudonym is left.
func (s *Service) RequestErasure(ctx context.Context, actor authz.Principal, id uuid.UUID, reason string) (job work.Job, err error) {
	if !validText(reason, MaxReason) {
		return job, apperr.Invalid(apperr.Field{Path: "reason", Code: "invalid", Message: "At most 500 characters."})
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return job, err
	}
	if id == actor.UserID {
		return job, apperr.Conflict("own_account", "Somebody else must do this with your account.")
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			u, err := s.changeable(ctx, tx, policy, actor, id, authz.UserErase, true)
			if err != nil {
				return err
			}
			by := actor.UserID
			job, err = s.startErasure(ctx, tx, u, &by, reason)
			return err
		})
	})
	return job, err
}

func (s *Service) startErasure(ctx context.Context, tx Tx, u User, by *uuid.UUID, reason string) (work.Job, error) {
	if !u.Status.Gone() {
		if err := s.deleteUser(ctx, tx, &u); err != nil {
			return work.Job{}, err
		}
	}
	pseudonym := uuid.UUID(s.randomBytes(16))
	pseudonym[6], pseudonym[8] = pseudonym[6]&0x0f|0x40, pseudonym[8]&0x3f|0x80 // version 4: it tells no time
	r := PersonRequest{
		ID: s.NewID(), TenantID: u.TenantID, UserID: u.ID, Kind: RequestErasure, Status: RequestRunning, Pseudonym: &pseudonym,
		RequestedBy: by, Reason: reason, CreatedAt: s.Now(),
	}
	job, err := s.openRequest(ctx, tx, r)
	if err != nil {
		return job, err
	}
	if err := tx.Emit(ctx, events.ErasureRequested{RequestID: r.ID, UserID: u.ID, TenantID: u.TenantID, Pseudonym: pseudonym, At: r.CreatedAt}, u.meta()); err != nil {
		return job, err
	}
	if err := tx.Audit(ctx, work.AuditEntry{Action: "user.request_erasure", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, OrgUnitID: u.OrgUnitID}); err != nil {
		return job, err
	}
	if len(s.Config.PersonServices) == 0 {
		return job, s.completeErasure(ctx, tx, r)
	}
	return job, nil
}

// EraseDeleted is the sweep: accounts deleted longer ago than
// Config.DeletedRetention are erased.
func (s *Service) EraseDeleted(ctx context.Context) error {
	const batch = 20
	var due []User
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		due, err = tx.DeletedBefore(ctx, s.Now().Add(-s.Config.DeletedRetention), batch)
		return err
	})
	for _, u := range due {
		if err != nil {
			return err
		}
		err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			locked, err := tx.LockUser(ctx, u.ID)
			if err != nil {
				return err
			}
			_, err = s.startErasure(ctx, tx, locked, nil, "retention")
			return err
		})
		if apperr.Code(err) == "request_running" || apperr.IsKind(err, apperr.KindNotFound) {
			err = nil // another replica was first
		}
	}
	return err
}

// Answer is what a service answered to a reliable call about a person.
type Answer struct {
	CallID uuid.UUID
	Parked bool // it fails for good
	Error  string
	Reply  []byte // JSON
	Kept   []string
}

// Answered notes the answer of a service, in the transaction that marks the
// call as done; the last one completes an erasure.
func (s *Service) Answered(ctx context.Context, tx Tx, a Answer) error {
	part, err := tx.LockPartByCall(ctx, a.CallID)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil // a request whose time is over
	}
	if err != nil {
		return err
	}
	if _, err := tx.LockPersonRequest(ctx, part.RequestID); err != nil {
		return err
	}
	now := s.Now()
	part.Status, part.Reply, part.Error, part.AnsweredAt = PartDone, a.Reply, "", &now
	if a.Parked {
		part.Status, part.Reply, part.Error = PartFailed, nil, a.Error
	}
	if err := tx.UpdatePart(ctx, part); err != nil {
		return err
	}
	r, err := tx.PersonRequest(ctx, part.RequestID)
	if err != nil || r.Status != RequestRunning || r.Kind != RequestErasure || len(r.WaitingFor()) > 0 {
		return err
	}
	return s.completeErasure(ctx, tx, r)
}

type erasureReply struct {
	Erased []string `json:"erased"`
	Kept   []struct {
		Category string `json:"category"`
		Reason   string `json:"reason"`
	} `json:"kept"`
}

func keptOf(parts []RequestPart) []string {
	kept := []string{"user: security audit: kept under the pseudonym"}
	for _, p := range parts {
		var reply erasureReply
		if json.Unmarshal(p.Reply, &reply) != nil {
			continue
		}
		for _, k := range reply.Kept {
			kept = append(kept, p.Service+": "+k.Category+": "+k.Reason)
		}
	}
	slices.Sort(kept)
	return kept
}

// completeErasure erases what this service keeps, the last thing of all.
func (s *Service) completeErasure(ctx context.Context, tx Tx, r PersonRequest) error {
	u, err := tx.LockUser(ctx, r.UserID)
	if err != nil {
		return err
	}
	now := s.Now()
	if err := tx.Emit(ctx, events.ErasureCompleted{
		RequestID: r.ID, UserID: r.UserID, TenantID: r.TenantID, Pseudonym: *r.Pseudonym, Kept: keptOf(r.Parts), At: now,
	}, u.meta()); err != nil {
		return err
	}
	user := r.UserID
	r.Status, r.CompletedAt, r.UserID = RequestCompleted, &now, *r.Pseudonym
	if r.RequestedBy != nil && *r.RequestedBy == user {
		r.RequestedBy = r.Pseudonym
	}
	if err := tx.UpdatePersonRequest(ctx, r); err != nil {
		return err
	}
	if err := tx.Pseudonymise(ctx, user, *r.Pseudonym); err != nil {
		return err
	}
	return tx.RemoveUser(ctx, user)
}
