package identity

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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

// RequestState reads a request for the job that follows it.
func (s *Service) RequestState(ctx context.Context, id uuid.UUID) (r PersonRequest, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		r, err = tx.PersonRequest(ctx, id)
		return err
	})
	return r, err
}

// ExportFile is the file of a completed export.
func ExportFile(key func(tenant uuid.UUID, kind string, id uuid.UUID, name string) string, r PersonRequest) string {
	return key(r.TenantID, "data-exports", r.ID, "data.zip")
}

// FinishExport makes the file once every service has answered: a zip with one
// JSON document per service and section.
func (s *Service) FinishExport(ctx context.Context, r PersonRequest, key string) error {
	var own map[string][]byte
	var u User
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		if u, err = tx.User(ctx, r.UserID); err != nil {
			return err
		}
		own, err = tx.ExportOwn(ctx, r.UserID)
		return err
	})
	if err != nil {
		return err
	}
	content, err := s.exportZip(ctx, r, own)
	if err != nil {
		return err
	}
	if err := s.Files.Put(ctx, key, "application/zip", content); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		locked, err := tx.LockPersonRequest(ctx, r.ID)
		if err != nil || locked.Status != RequestRunning {
			return err
		}
		now := s.Now()
		until := now.Add(s.Config.ExportRetention)
		locked.Status, locked.CompletedAt, locked.ObjectKey, locked.ExpiresAt = RequestCompleted, &now, key, &until
		if err := tx.UpdatePersonRequest(ctx, locked); err != nil {
			return err
		}
		for _, p := range r.Parts { // what they answered is in the file now
			p.Reply = []byte("{}")
			if err := tx.UpdatePart(ctx, p); err != nil {
				return err
			}
		}
		return s.mailTo(ctx, tx, u, u.Email, MailExportReady, MailData{Link: s.link("/account/data", ""), Expires: until})
	})
}

type exportReply struct {
	Sections  map[string]json.RawMessage `json:"sections"`
	ObjectKey string                     `json:"object_key"`
}

// maxExportObject bounds what a service may hand over as an object, in bytes.
const maxExportObject = 256 << 20

func (s *Service) exportZip(ctx context.Context, r PersonRequest, own map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, content []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.Now()})
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		_, err = w.Write(content)
		return err
	}
	for _, section := range slices.Sorted(maps.Keys(own)) {
		if err := add("user/"+section+".json", own[section]); err != nil {
			return nil, err
		}
	}
	for _, p := range r.Parts {
		var reply exportReply
		if err := json.Unmarshal(p.Reply, &reply); err != nil {
			return nil, apperr.Internal(fmt.Errorf("export of %s: %w", p.Service, err))
		}
		for _, section := range slices.Sorted(maps.Keys(reply.Sections)) {
			if err := add(p.Service+"/"+plainName(section)+".json", reply.Sections[section]); err != nil {
				return nil, err
			}
		}
		if reply.ObjectKey == "" {
			continue
		}
		content, err := s.Files.Get(ctx, reply.ObjectKey, maxExportObject)
		if err != nil {
			return nil, err
		}
		if err := add(p.Service+"/data", content); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return b.Bytes(), nil
}

// plainName keeps what another service calls a section from being a path.
func plainName(s string) string {
	out := []rune{}
	for _, r := range s {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return "data"
	}
	return string(out)
}

// FailExport ends an export that no service answers to any more.
func (s *Service) FailExport(ctx context.Context, id uuid.UUID) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		r, err := tx.LockPersonRequest(ctx, id)
		if err != nil || r.Status != RequestRunning {
			return err
		}
		now := s.Now()
		r.Status, r.CompletedAt = RequestFailed, &now
		return tx.UpdatePersonRequest(ctx, r)
	})
}

// DataRequests lists the requests about a person: the actor's own, or those of
// somebody whose data the actor may erase.
func (s *Service) DataRequests(ctx context.Context, actor authz.Principal, id uuid.UUID) (out []PersonRequest, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return nil, err
	}
	err = s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		if id != actor.UserID {
			if _, err := s.visible(ctx, tx, policy, actor, id, authz.UserErase); err != nil {
				return err
			}
		}
		out, err = tx.PersonRequests(ctx, id)
		return err
	})
	return out, err
}

// ExportLink is where the file of the actor's own export can be fetched, for a
// short while.
func (s *Service) ExportLink(ctx context.Context, actor authz.Principal, id uuid.UUID) (string, error) {
	r, err := s.RequestState(ctx, id)
	if err != nil {
		return "", err
	}
	if r.UserID != actor.UserID || r.Kind != RequestExport || actor.Impersonator != uuid.Nil {
		return "", apperr.NotFound("data export")
	}
	if r.Status != RequestCompleted || r.ObjectKey == "" {
		return "", apperr.Conflict("export_not_ready", "The export is not ready, or its time is over.")
	}
	return s.Files.Link(ctx, r.ObjectKey, "data.zip", "application/zip")
}

// DropExports deletes the files of exports whose time is over.
func (s *Service) DropExports(ctx context.Context) error {
	var due []PersonRequest
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		due, err = tx.ExpiredExports(ctx, s.Now(), 100)
		return err
	})
	for _, r := range due {
		if err != nil {
			return err
		}
		if err := s.Files.Delete(ctx, r.ObjectKey); err != nil {
			return err
		}
		err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			locked, err := tx.LockPersonRequest(ctx, r.ID)
			if err != nil {
				return err
			}
			locked.ObjectKey = ""
			return tx.UpdatePersonRequest(ctx, locked)
		})
	}
	return err
}
