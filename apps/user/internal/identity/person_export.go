package identity

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

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
	handed, err := handedOver(r)
	if err != nil {
		return err
	}
	err = s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
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
	if err != nil {
		return err
	}
	for _, object := range handed { // what is in the file now
		err = errors.Join(err, s.Files.Delete(ctx, object))
	}
	return err
}

// handedOver are the objects in which services handed over what no answer carries.
func handedOver(r PersonRequest) (keys []string, err error) {
	for _, p := range r.Parts {
		var reply exportReply
		if err := json.Unmarshal(p.Reply, &reply); err != nil {
			return nil, apperr.Internal(fmt.Errorf("export of %s: %w", p.Service, err))
		}
		if reply.ObjectKey != "" {
			keys = append(keys, reply.ObjectKey)
		}
	}
	return keys, nil
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
