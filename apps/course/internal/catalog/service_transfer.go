package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/work"
)

// Kinds of background jobs.
const (
	JobCopy   = "copy-course"
	JobImport = "import-course"
	JobExport = "export-course"
)

// Formats of course packages.
const (
	FormatCartridge = "common_cartridge"
	FormatOLX       = "olx"
)

// Parts of a course that a copy may take.
const (
	PartSettings      = "settings"
	PartCurriculum    = "curriculum"
	PartStaff         = "staff"
	PartAnnouncements = "announcements"
)

// CopyRequest asks for a copy of a course. NewID is chosen when the job is made, so
// that a job that runs twice makes one course.
type CopyRequest struct {
	SourceID  uuid.UUID
	NewID     uuid.UUID
	OrgUnitID uuid.UUID
	Code      string
	Title     string
	// Parts are settings, curriculum, staff, announcements; none is settings and
	// curriculum.
	Parts []string
	// ShiftDays moves every date; StartsAt instead moves the course's start there
	// and all other dates by as much.
	ShiftDays *int
	StartsAt  *time.Time
}

// TransferResult is what a copy or an import made.
type TransferResult struct {
	CourseID uuid.UUID `json:"course_id"`
	Modules  int       `json:"modules"`
	Items    int       `json:"items"`
	DryRun   bool      `json:"dry_run,omitempty"`
}

// StartCopy checks a copy and makes its job: the caller must see the source whole
// and may create courses in the org unit (the source's, where none is named).
func (s *Service) StartCopy(ctx context.Context, actor authz.Principal, in CopyRequest) (work.Job, error) {
	policy, head, err := s.allowed(ctx, actor, in.SourceID, authz.CourseExport)
	if err != nil {
		return work.Job{}, err
	}
	if in.OrgUnitID == uuid.Nil {
		in.OrgUnitID = head.OrgUnitID
	}
	// Whoever teaches a course may copy it beside itself; elsewhere takes a grant.
	if in.OrgUnitID != head.OrgUnitID || !policy.AllowsInCourse(actor, authz.CourseCreate, head.OrgUnitID, head.StaffRole) {
		if _, tenant, err := s.allowedIn(ctx, actor, in.OrgUnitID, authz.CourseCreate); err != nil || tenant != head.TenantID {
			if err == nil {
				err = apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "other_tenant", Message: "A copy stays in its organisation."})
			}
			return work.Job{}, err
		}
	}
	if len(in.Parts) == 0 {
		in.Parts = []string{PartSettings, PartCurriculum}
	}
	var f apperr.Fields
	for i, part := range in.Parts {
		checkOneOf(&f, fmt.Sprintf("parts[%d]", i), part, PartSettings, PartCurriculum, PartStaff, PartAnnouncements)
	}
	checkText(&f, "code", strings.TrimSpace(in.Code), 1, MaxCode)
	checkText(&f, "title", strings.TrimSpace(in.Title), 0, MaxTitle)
	f.Require(in.ShiftDays == nil || in.StartsAt == nil, "starts_at", "pair", "Either starts_at or date_shift_days.")
	if in.ShiftDays != nil {
		f.Require(*in.ShiftDays >= -36_500 && *in.ShiftDays <= 36_500, "date_shift_days", "range", "Between -36,500 and 36,500.")
	}
	if err := f.Err(); err != nil {
		return work.Job{}, err
	}
	in.NewID = s.NewID()
	return s.enqueue(ctx, actor, JobCopy, in, head.TenantID)
}

func (s *Service) enqueue(ctx context.Context, actor authz.Principal, kind string, in any, tenant uuid.UUID) (work.Job, error) {
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (work.Job, error) {
		j, err := tx.Enqueue(ctx, kind, in, work.JobOptions{TenantID: tenant})
		if err != nil {
			return work.Job{}, err
		}
		return j, tx.Audit(ctx, work.AuditEntry{Action: "job." + kind, ResourceType: "job", ResourceID: j.ID, TenantID: tenant})
	})
}

// RunCopy makes the copy; notes say what could not be taken as it was.
func (s *Service) RunCopy(ctx context.Context, actor authz.Principal, in CopyRequest) (TransferResult, []Note, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return TransferResult{}, nil, err
	}
	var out TransferResult
	var notes []Note
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		done, err := s.alreadyMade(ctx, tx, in.NewID)
		if err != nil || done != nil {
			if done != nil {
				out = *done
			}
			return err
		}
		src, err := s.lock(ctx, tx, policy, actor, in.SourceID, authz.CourseExport)
		if err != nil {
			return err
		}
		pkg, err := s.pack(ctx, tx, src)
		if err != nil {
			return err
		}
		pkg.Shift(shiftOf(in, src))
		settings := DefaultSettings()
		if slices.Contains(in.Parts, PartSettings) {
			pkg.apply(&settings)
		} else {
			pkg.Completion = nil
		}
		if !slices.Contains(in.Parts, PartCurriculum) {
			pkg.Modules, pkg.RequiredModules, pkg.Completion = nil, nil, nil
		}
		settings.Code, settings.Title = in.Code, src.Title
		if strings.TrimSpace(in.Title) != "" {
			settings.Title = in.Title
		}
		c, err := s.insertCourse(ctx, tx, policy, actor, in.OrgUnitID, src.TenantID, in.NewID, settings)
		if err != nil {
			return err
		}
		var open []OpenItem
		if c, open, notes, err = s.fill(ctx, tx, c, pkg, "copied", actor.UserID); err != nil {
			return err
		}
		if slices.Contains(in.Parts, PartCurriculum) {
			if open, err = s.orderClones(ctx, tx, src, c, open, shiftOf(in, src), actor.UserID); err != nil {
				return err
			}
		}
		for _, o := range open {
			notes = append(notes, o.placeholder())
		}
		left, err := s.copyPeople(ctx, tx, policy, src, c, in.Parts, actor)
		if err != nil {
			return err
		}
		notes = append(notes, left...)
		out = resultOf(c.ID, pkg)
		return nil
	})
	return out, notes, err
}

func shiftOf(in CopyRequest, src Course) time.Duration {
	switch {
	case in.ShiftDays != nil:
		return time.Duration(*in.ShiftDays) * 24 * time.Hour
	case in.StartsAt != nil && src.StartsAt != nil:
		return in.StartsAt.Sub(*src.StartsAt)
	default:
		return 0
	}
}

func resultOf(id uuid.UUID, pkg Package) TransferResult {
	out := TransferResult{CourseID: id, Modules: len(pkg.Modules)}
	for _, m := range pkg.Modules {
		out.Items += len(m.Items)
	}
	return out
}

// alreadyMade gives the result of an earlier run of the same job.
func (s *Service) alreadyMade(ctx context.Context, tx Tx, id uuid.UUID) (*TransferResult, error) {
	c, err := tx.AnyCourse(ctx, id)
	if apperr.IsKind(err, apperr.KindNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cur, err := tx.Curriculum(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	out := TransferResult{CourseID: id, Modules: len(cur.Modules)}
	for _, m := range cur.Modules {
		out.Items += len(m.Items)
	}
	return &out, nil
}

// copyPeople takes staff and announcements over; announcements become drafts.
func (s *Service) copyPeople(ctx context.Context, tx Tx, policy *authz.Policy, src, dst Course, parts []string, actor authz.Principal) ([]Note, error) {
	var notes []Note
	if slices.Contains(parts, PartStaff) {
		var err error
		if notes, err = s.copyStaff(ctx, tx, policy, src, dst, actor); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(parts, PartAnnouncements) {
		return notes, nil
	}
	list, err := tx.ListAnnouncements(ctx, src.ID, true, page.Request{Limit: page.MaxLimit})
	if err != nil {
		return nil, err
	}
	for _, a := range list.Items {
		a.ID, a.CourseID, a.OrgUnitID, a.PublishAt, a.PublishedAt = s.NewID(), dst.ID, dst.OrgUnitID, nil, nil
		a.AuthorID, a.CreatedAt, a.UpdatedAt, a.Version = actor.UserID, s.Now(), s.Now(), 1
		if err := tx.InsertAnnouncement(ctx, a); err != nil {
			return nil, err
		}
	}
	return notes, nil
}

// copyStaff gives the staff of a course their roles in its copy, as far as the
// caller could give them one by one: nobody gets power by copying that they could
// not give. Who is left out is noted.
func (s *Service) copyStaff(ctx context.Context, tx Tx, policy *authz.Policy, src, dst Course, actor authz.Principal) ([]Note, error) {
	before, err := tx.Staff(ctx, dst.ID)
	if err != nil {
		return nil, err
	}
	staff, err := tx.Staff(ctx, src.ID)
	if err != nil {
		return nil, err
	}
	head := Head{ID: dst.ID, TenantID: dst.TenantID, OrgUnitID: dst.OrgUnitID}
	if i := slices.IndexFunc(before, func(m StaffMember) bool { return m.UserID == actor.UserID && m.Active }); i >= 0 {
		head.StaffRole = before[i].Role
	}
	var notes []Note
	var added []StaffMember
	for _, m := range staff {
		if slices.ContainsFunc(before, func(x StaffMember) bool { return x.UserID == m.UserID }) {
			continue
		}
		if err := grantable(policy, actor, head, m.Role); err != nil {
			notes = append(notes, Note{Ref: "staff:" + m.UserID.String(), Status: NoteRefused, Code: "role_not_grantable", Message: "You could not give this person's role in the copy."})
			continue
		}
		m.CourseID, m.AddedBy, m.AddedAt = dst.ID, actor.UserID, s.Now()
		if err := tx.PutStaff(ctx, m); err != nil {
			return nil, err
		}
		added = append(added, m)
	}
	if len(added) == 0 {
		return notes, nil
	}
	return notes, s.staffChanged(ctx, tx, dst, append(before, added...), added, nil, "course.staff_copy", nil)
}

// pack reads a course as a package.
func (s *Service) pack(ctx context.Context, tx Tx, c Course) (Package, error) {
	cur, err := tx.Curriculum(ctx, c.ID)
	if err != nil {
		return Package{}, err
	}
	bodies, err := tx.Bodies(ctx, c.ID)
	if err != nil {
		return Package{}, err
	}
	return PackageOf(c, cur, bodies), nil
}

// fill puts the curriculum of a package into a course in place of what is there.
// Items whose resource is not known here are open.
func (s *Service) fill(ctx context.Context, tx Tx, c Course, pkg Package, reason string, by uuid.UUID) (Course, []OpenItem, []Note, error) {
	if len(pkg.Modules) == 0 && pkg.Completion == nil {
		return c, nil, nil, nil
	}
	var ids []uuid.UUID
	for _, m := range pkg.Modules {
		for _, i := range m.Items {
			if i.ResourceID != nil {
				ids = append(ids, *i.ResourceID)
			}
		}
	}
	known, err := tx.ShareResources(ctx, ids)
	if err != nil {
		return Course{}, nil, nil, err
	}
	before, err := tx.Curriculum(ctx, c.ID)
	if err != nil {
		return Course{}, nil, nil, err
	}
	unpacked := pkg.Unpack(c.ID, s.maker(), known, c.TenantID)
	after, notes := unpacked.Curriculum, unpacked.Notes
	s.clean(&after)
	if err := after.Check(); err != nil {
		return Course{}, nil, nil, err
	}
	if pkg.Completion != nil {
		c.Completion = *pkg.Completion
		c.Completion.RequiredModules = nil
		for _, key := range pkg.RequiredModules {
			if id, ok := unpacked.Keys[key]; ok {
				c.Completion.RequiredModules = append(c.Completion.RequiredModules, id)
			}
		}
		if err := checkCompletion(c.Completion, after); err != nil {
			c.Completion = DefaultCompletion()
			notes = append(notes, Note{Ref: "completion", Status: NoteAdjusted, Code: "completion", Message: "The completion settings did not fit and were set to the default."})
		}
		c.Version++
		c.UpdatedAt = s.Now()
	}
	c, _, err = s.saveCurriculum(ctx, tx, c, before, after, reason, by)
	if err != nil || pkg.Completion == nil {
		return c, unpacked.Open, notes, err
	}
	return c, unpacked.Open, notes, s.emit(ctx, tx, c, func(st events.CourseState) events.Event {
		return events.CourseUpdated{CourseState: st, Changed: []string{"completion"}}
	})
}
