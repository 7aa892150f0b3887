package catalog

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// order notes a part and asks its owner for it, in the same transaction.
func (s *Service) order(ctx context.Context, tx Tx, p Part, name string, body any) error {
	p.State, p.CreatedAt = internalapi.PartPending, s.Now()
	if err := tx.InsertPart(ctx, p); err != nil {
		return err
	}
	_, err := tx.Call(ctx, work.Call{To: partOwner(p.Kind), Name: name, Key: p.key(), TenantID: p.TenantID, Body: body})
	return err
}

func placeOf(c Course, actor uuid.UUID) internalapi.PartPlace {
	return internalapi.PartPlace{TransferID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID, CourseID: c.ID, ActorID: actor}
}

// orderClones asks for a copy of every quiz and assignment of a course, placed in
// its curriculum or not, and of how its grades count. It gives back the open items
// that nothing will come for.
func (s *Service) orderClones(ctx context.Context, tx Tx, src, dst Course, open []OpenItem, shift time.Duration, by uuid.UUID) ([]OpenItem, error) {
	all, err := tx.ResourcesOf(ctx, src.ID)
	if err != nil {
		return nil, err
	}
	waiting := map[uuid.UUID][]uuid.UUID{}
	for _, o := range open {
		if o.Of.ResourceID != nil {
			waiting[*o.Of.ResourceID] = append(waiting[*o.Of.ResourceID], o.ID)
		}
	}
	all = append(all, Resource{ID: src.ID, Kind: internalapi.PartGradebook})
	for _, r := range all {
		p := Part{
			TransferID: dst.ID, ResourceID: internalapi.TransferredID(dst.ID, r.ID), TenantID: dst.TenantID, CourseID: dst.ID,
			Kind: r.Kind, Title: r.Title, Items: waiting[r.ID],
		}
		if r.Kind == internalapi.PartGradebook {
			p.ResourceID = dst.ID
		}
		delete(waiting, r.ID)
		err := s.order(ctx, tx, p, internalapi.CallClonePart, internalapi.ClonePart{
			PartPlace: placeOf(dst, by), Kind: r.Kind, SourceID: r.ID, ShiftSeconds: int64(shift / time.Second),
		})
		if err != nil {
			return nil, err
		}
	}
	var left []OpenItem
	for _, o := range open {
		if o.Of.ResourceID == nil || waiting[*o.Of.ResourceID] != nil {
			left = append(left, o)
		}
	}
	return left, nil
}

// orderImports asks for what a package carries, and gives back the open items that
// it carries nothing for.
func (s *Service) orderImports(ctx context.Context, tx Tx, transfer uuid.UUID, c Course, pkg Package, open []OpenItem, in ImportRequest, by uuid.UUID) ([]OpenItem, error) {
	var left []OpenItem
	parts, at := []*Part{}, map[uuid.UUID]*Part{}
	bodies := map[uuid.UUID]internalapi.ImportPart{}
	place := placeOf(c, by)
	place.TransferID = transfer
	for _, o := range open {
		if o.Of.Part == nil {
			left = append(left, o)
			continue
		}
		id := internalapi.TransferredID(transfer, o.Of.source())
		if p := at[id]; p != nil {
			p.Items = append(p.Items, o.ID)
			continue
		}
		p := &Part{TransferID: transfer, ResourceID: id, TenantID: c.TenantID, CourseID: c.ID, Kind: o.Of.Kind, Title: o.Of.Title, Items: []uuid.UUID{o.ID}}
		at[id], parts = p, append(parts, p)
		body := internalapi.ImportPart{
			PartPlace: place, Kind: o.Of.Kind, ResourceID: id, Title: o.Of.Title, Published: o.Of.Published, Format: in.Format,
			Package: o.Of.Part.Documents, Main: o.Of.Part.Main,
		}
		if o.Of.Part.File != nil {
			body.File = o.Of.Part.File.Object
		}
		bodies[id] = body
	}
	if pkg.Gradebook != nil && in.CourseID == nil {
		p := &Part{TransferID: transfer, ResourceID: c.ID, TenantID: c.TenantID, CourseID: c.ID, Kind: internalapi.PartGradebook}
		parts = append(parts, p)
		bodies[c.ID] = internalapi.ImportPart{
			PartPlace: place, Kind: p.Kind, ResourceID: c.ID, Format: in.Format, Package: pkg.Gradebook.Documents, Main: pkg.Gradebook.Main,
		}
	}
	for _, p := range parts {
		if err := s.order(ctx, tx, *p, internalapi.CallImportPart, bodies[p.ResourceID]); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// orderExports asks for everything that a course's curriculum shows of other
// services, and for how its grades count.
func (s *Service) orderExports(ctx context.Context, tx Tx, transfer uuid.UUID, c Course, pkg Package, format string) error {
	seen := map[uuid.UUID]bool{}
	put := func(kind, title string, id uuid.UUID) error {
		if seen[id] {
			return nil
		}
		seen[id] = true
		p := Part{TransferID: transfer, ResourceID: id, TenantID: c.TenantID, CourseID: c.ID, Kind: kind, Title: title}
		return s.order(ctx, tx, p, internalapi.CallExportPart, internalapi.ExportPart{
			TransferID: transfer, TenantID: c.TenantID, CourseID: c.ID, Kind: kind, ResourceID: id, Format: format,
		})
	}
	for _, m := range pkg.Modules {
		for _, i := range m.Items {
			if i.ResourceID == nil {
				continue
			}
			if err := put(i.Kind, i.Title, *i.ResourceID); err != nil {
				return err
			}
		}
	}
	return put(internalapi.PartGradebook, "", c.ID)
}

// PartReplied stores what became of a part. refusal is set where its service cannot
// do it at all.
func (s *Service) PartReplied(ctx context.Context, tx Tx, key string, r internalapi.PartReply, refusal string) error {
	transfer, resource, err := partOf(key)
	if err != nil {
		return err
	}
	if refusal != "" {
		r = internalapi.PartReply{State: internalapi.PartFailed, Code: "refused", Message: "The service that owns it refused it."}
	}
	return s.settlePart(ctx, tx, transfer, resource, r)
}

// PartSettled stores what became of a part that its service answered for later.
func (s *Service) PartSettled(ctx context.Context, tx Tx, in internalapi.PartSettled) error {
	return s.settlePart(ctx, tx, in.TransferID, in.ResourceID, internalapi.PartReply{State: in.State, Code: in.Code, Message: in.Message})
}

func (s *Service) settlePart(ctx context.Context, tx Tx, transfer, resource uuid.UUID, r internalapi.PartReply) error {
	p, err := tx.LockPart(ctx, transfer, resource)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil // forgotten meanwhile
	}
	if err != nil || p.State != internalapi.PartPending {
		return err
	}
	p.settle(r, s.Now())
	return tx.UpdatePart(ctx, p)
}

// Parts are those of a transfer, as they are now.
func (s *Service) Parts(ctx context.Context, tenant, transfer uuid.UUID) (parts []Part, err error) {
	err = s.Store.Read(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		parts, err = tx.Parts(ctx, transfer)
		return err
	})
	return parts, err
}

// ErrWaiting says that other services still owe parts of a transfer.
var ErrWaiting = errors.New("other services have not answered yet")

// Bind puts the resources that came into the items that wait for them, all in one
// edit. It can be repeated. ErrWaiting while anything is on its way; what did not
// come within PartPatience is given up.
func (s *Service) Bind(ctx context.Context, actor authz.Principal, tenant, transfer, course uuid.UUID, reason string) (parts []Part, err error) {
	err = s.Store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		c, _, err := tx.LockCourse(ctx, course, uuid.Nil)
		if err != nil {
			return err
		}
		if parts, err = s.settled(ctx, tx, transfer); err != nil {
			return err
		}
		places, ids := map[uuid.UUID]uuid.UUID{}, []uuid.UUID{}
		for _, p := range parts {
			if p.State == internalapi.PartMade && len(p.Items) > 0 {
				ids = append(ids, p.ResourceID)
				for _, item := range p.Items {
					places[item] = p.ResourceID
				}
			}
		}
		known, err := tx.ShareResources(ctx, ids)
		if err != nil {
			return err
		}
		for _, p := range parts {
			// Who made it also says, by a call of its own, what it is.
			if _, ok := known[p.ResourceID]; !ok && p.State == internalapi.PartMade && len(p.Items) > 0 && !s.givenUp(p) {
				return ErrWaiting
			}
		}
		return s.bindParts(ctx, tx, c, places, known, reason, actor.UserID)
	})
	return parts, err
}

func (s *Service) givenUp(p Part) bool { return s.Now().Sub(p.CreatedAt) > PartPatience }

// settled are the parts of a transfer once none is pending; those that are for too
// long fail.
func (s *Service) settled(ctx context.Context, tx Tx, transfer uuid.UUID) ([]Part, error) {
	parts, err := tx.Parts(ctx, transfer)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		p := &parts[i]
		switch {
		case p.State != internalapi.PartPending:
		case !s.givenUp(*p):
			return parts, ErrWaiting
		default:
			p.settle(internalapi.PartReply{State: internalapi.PartFailed, Code: "no_answer", Message: "Its service did not answer within a day."}, s.Now())
			if err := tx.UpdatePart(ctx, *p); err != nil {
				return nil, err
			}
		}
	}
	return parts, nil
}

func (s *Service) bindParts(ctx context.Context, tx Tx, c Course, places map[uuid.UUID]uuid.UUID, known map[uuid.UUID]Resource, reason string, by uuid.UUID) error {
	before, err := tx.Curriculum(ctx, c.ID)
	if err != nil {
		return err
	}
	after, bound := before.Clone(), 0
	for mi := range after.Modules {
		for ii := range after.Modules[mi].Items {
			i := &after.Modules[mi].Items[ii]
			r, ok := known[places[i.ID]]
			// An editor may have been faster, or have deleted the new resource.
			if !ok || i.ResourceID != nil || r.Deleted || r.Kind != i.Kind {
				continue
			}
			id := r.ID
			i.ResourceID, i.Resource = &id, &r
			bound++
		}
	}
	if bound == 0 {
		return nil
	}
	if c, _, err = s.saveCurriculum(ctx, tx, c, before, after, reason, by); err != nil {
		return err
	}
	return tx.Audit(ctx, c.audit("curriculum.bind", map[string]work.Change{"items": {To: bound}}))
}

// Settled are the parts of an export once none is on its way; ErrWaiting before.
func (s *Service) Settled(ctx context.Context, tenant, transfer uuid.UUID) (parts []Part, err error) {
	err = s.Store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) (err error) {
		parts, err = s.settled(ctx, tx, transfer)
		return err
	})
	return parts, err
}

// PurgeParts forgets what became of parts long ago.
func (s *Service) PurgeParts(ctx context.Context) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		return tx.PurgeParts(ctx, s.Now().Add(-keepParts))
	})
}
