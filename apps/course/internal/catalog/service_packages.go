package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/work"
)

// Upload is a place for a package that is too large for the API itself.
type Upload struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	OwnerID   uuid.UUID
	Key       string
	Filename  string
	Size      int64
	SHA256    string
	CreatedAt time.Time
}

// MaxPackageBytes bounds an uploaded package.
const MaxPackageBytes = 512 << 20

// CreateUpload notes an upload; the caller then gets a signed address for it. It is
// for who may import courses somewhere: by a grant, or as staff of a course.
func (s *Service) CreateUpload(ctx context.Context, actor authz.Principal, in Upload) (Upload, error) {
	var f apperr.Fields
	checkText(&f, "filename", in.Filename, 1, MaxTitle)
	f.Require(in.Size > 0 && in.Size <= MaxPackageBytes, "size", "range", "Between 1 byte and 512 MiB.")
	f.Require(isSHA256(in.SHA256), "sha256", "pattern", "64 hexadecimal digits in lower case.")
	if err := f.Err(); err != nil {
		return Upload{}, err
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return Upload{}, err
	}
	return inTx(ctx, s, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (Upload, error) {
		rows, err := tx.StaffOf(ctx, actor.UserID)
		if err != nil {
			return Upload{}, err
		}
		teaches := slices.ContainsFunc(rows, func(m StaffMember) bool { return m.Active && policy.RoleHas(m.Role, authz.CourseImport) })
		if !teaches && !policy.AllowsSomewhere(actor, authz.CourseImport) {
			return Upload{}, apperr.Forbidden("This needs the permission " + string(authz.CourseImport) + ".")
		}
		in.ID, in.TenantID, in.OwnerID, in.CreatedAt = s.NewID(), actor.TenantID, actor.UserID, s.Now()
		in.Key = in.TenantID.String() + "/imports/" + in.ID.String() + "/package"
		if err := tx.InsertUpload(ctx, in); err != nil {
			return Upload{}, err
		}
		return in, tx.Audit(ctx, work.AuditEntry{Action: "import.upload", ResourceType: "upload", ResourceID: in.ID, TenantID: in.TenantID})
	})
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// ImportRequest asks for a package to become a course: a new one in an org unit, or
// (CourseID set) the new curriculum of a draft.
type ImportRequest struct {
	UploadID  uuid.UUID
	Format    string // common_cartridge, olx, or "" to find out
	OrgUnitID uuid.UUID
	CourseID  *uuid.UUID
	NewID     uuid.UUID
	Code      string
	Title     string
	DryRun    bool
}

// StartImport checks an import and makes its job.
func (s *Service) StartImport(ctx context.Context, actor authz.Principal, in ImportRequest) (work.Job, error) {
	var tenant uuid.UUID
	if in.CourseID != nil {
		_, head, err := s.allowed(ctx, actor, *in.CourseID, authz.CurriculumEdit)
		if err != nil {
			return work.Job{}, err
		}
		tenant = head.TenantID
	} else {
		if _, _, err := s.allowedIn(ctx, actor, in.OrgUnitID, authz.CourseImport); err != nil {
			return work.Job{}, err
		}
		var err error
		if _, tenant, err = s.allowedIn(ctx, actor, in.OrgUnitID, authz.CourseCreate); err != nil {
			return work.Job{}, err
		}
		var f apperr.Fields
		checkText(&f, "code", strings.TrimSpace(in.Code), 1, MaxCode)
		if err := f.Err(); err != nil {
			return work.Job{}, err
		}
	}
	var f apperr.Fields
	checkOneOf(&f, "format", in.Format, "", FormatCartridge, FormatOLX)
	if err := f.Err(); err != nil {
		return work.Job{}, err
	}
	if _, err := s.Upload(ctx, actor, in.UploadID); err != nil {
		return work.Job{}, orUnknown(err, "upload_id", "unknown_upload", "No such upload of yours.")
	}
	in.NewID = s.NewID()
	return s.enqueue(ctx, actor, JobImport, in, tenant)
}

// Upload is an upload of the caller.
func (s *Service) Upload(ctx context.Context, actor authz.Principal, id uuid.UUID) (Upload, error) {
	var u Upload
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		u, err = tx.Upload(ctx, id)
		return err
	})
	if err == nil && u.OwnerID != actor.UserID {
		return Upload{}, apperr.NotFound("upload")
	}
	return u, err
}

// errDryRun undoes the transaction of a dry run.
var errDryRun = errors.New("dry run")

// RunImport makes the package a course, or only tells what it would do.
func (s *Service) RunImport(ctx context.Context, actor authz.Principal, in ImportRequest, pkg Package) (TransferResult, []Note, error) {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return TransferResult{}, nil, err
	}
	var out TransferResult
	var notes []Note
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		var c Course
		var err error
		if in.CourseID != nil {
			if c, err = s.lock(ctx, tx, policy, actor, *in.CourseID, authz.CurriculumEdit); err != nil {
				return err
			}
			if c.Status != events.CourseDraft {
				return apperr.Conflict("course_not_draft", "A package replaces the curriculum of a draft only.")
			}
			if parts, err := tx.Parts(ctx, in.NewID); err != nil || len(parts) > 0 {
				out = resultOf(c.ID, pkg)
				return err // an earlier run of the same job
			}
			pkg.Completion, pkg.RequiredModules = nil, nil
		} else {
			done, err := s.alreadyMade(ctx, tx, in.NewID)
			if err != nil || done != nil {
				if done != nil {
					out = *done
				}
				return err
			}
			tenant, ok := policy.Tenant(in.OrgUnitID)
			if !ok {
				return apperr.NotFound("org unit")
			}
			if c, err = s.insertCourse(ctx, tx, policy, actor, in.OrgUnitID, tenant, in.NewID, importedSettings(in, pkg)); err != nil {
				return err
			}
		}
		var open []OpenItem
		if c, open, notes, err = s.fill(ctx, tx, c, pkg, "imported", actor.UserID); err != nil {
			return err
		}
		if open, err = s.orderImports(ctx, tx, in.NewID, c, pkg, open, in, actor.UserID); err != nil {
			return err
		}
		notes = append(notes, in.foretold(pkg)...)
		for _, o := range open {
			notes = append(notes, o.placeholder())
		}
		if err := tx.Audit(ctx, c.audit("course.import", nil)); err != nil {
			return err
		}
		out = resultOf(c.ID, pkg)
		if out.DryRun = in.DryRun; in.DryRun {
			out.CourseID = uuid.Nil
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return out, notes, err
}

// foretold is what a dry run says of the parts that would be made.
func (in ImportRequest) foretold(pkg Package) (notes []Note) {
	if !in.DryRun {
		return nil
	}
	for _, m := range pkg.Modules {
		for _, i := range m.Items {
			if i.Part != nil {
				notes = append(notes, Note{Ref: i.Title, Status: NotePending, Code: "carried", Message: "The package carries the " + i.Kind + " itself."})
			}
		}
	}
	return notes
}

func importedSettings(in ImportRequest, pkg Package) Settings {
	settings := DefaultSettings()
	settings.Code, settings.Title = in.Code, pkg.Title
	if strings.TrimSpace(in.Title) != "" {
		settings.Title = in.Title
	}
	if strings.TrimSpace(settings.Title) == "" {
		settings.Title = in.Code
	}
	if r := []rune(settings.Title); len(r) > MaxTitle {
		settings.Title = string(r[:MaxTitle])
	}
	if r := []rune(pkg.Description); len(r) <= MaxDescription {
		settings.Description = pkg.Description
	}
	if languagePattern.MatchString(pkg.Language) {
		settings.Language = pkg.Language
	}
	return settings
}

// ExportRequest asks for a course as a file.
type ExportRequest struct {
	CourseID uuid.UUID
	Format   string
}

// StartExport checks an export and makes its job.
func (s *Service) StartExport(ctx context.Context, actor authz.Principal, in ExportRequest) (work.Job, error) {
	_, head, err := s.allowed(ctx, actor, in.CourseID, authz.CourseExport)
	if err != nil {
		return work.Job{}, err
	}
	var f apperr.Fields
	checkOneOf(&f, "format", in.Format, FormatCartridge, FormatOLX)
	if err := f.Err(); err != nil {
		return work.Job{}, err
	}
	return s.enqueue(ctx, actor, JobExport, in, head.TenantID)
}

// OrderExport asks the other services for their parts of an export, once: transfer
// is its job.
func (s *Service) OrderExport(ctx context.Context, actor authz.Principal, transfer uuid.UUID, in ExportRequest) error {
	pkg, err := s.Pack(ctx, actor, in.CourseID)
	if err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		parts, err := tx.Parts(ctx, transfer)
		if err != nil || len(parts) > 0 {
			return err
		}
		c, _, err := tx.LockCourse(ctx, in.CourseID, uuid.Nil)
		if err != nil {
			return err
		}
		return s.orderExports(ctx, tx, transfer, c, pkg, in.Format)
	})
}

// Carry puts what the other services gave out into a package. What they did not
// give keeps its place, as a note says.
func (p *Package) Carry(parts []Part) {
	at := map[uuid.UUID]*PackagePart{}
	for _, part := range parts {
		if part.State != internalapi.PartMade || len(part.Package) == 0 && part.File == nil {
			continue
		}
		x := &PackagePart{Ref: part.ResourceID.String(), Documents: part.Package, Main: part.Main}
		if part.File != nil {
			x.File = &PackageFile{Filename: part.File.Filename, MediaType: part.File.MediaType, Object: part.File}
		}
		if at[part.ResourceID] = x; part.Kind == internalapi.PartGradebook {
			p.Gradebook = x
		}
	}
	for mi := range p.Modules {
		for ii := range p.Modules[mi].Items {
			if i := &p.Modules[mi].Items[ii]; i.ResourceID != nil {
				i.Part = at[*i.ResourceID]
			}
		}
	}
}

// Pack gives a course as a package to who may export it.
func (s *Service) Pack(ctx context.Context, actor authz.Principal, id uuid.UUID) (Package, error) {
	if _, _, err := s.allowed(ctx, actor, id, authz.CourseExport); err != nil {
		return Package{}, err
	}
	var pkg Package
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		c, err := tx.AnyCourse(ctx, id)
		if err != nil {
			return err
		}
		pkg, err = s.pack(ctx, tx, c)
		return err
	})
	return pkg, err
}

// OldUploads are uploads whose day has passed; the caller deletes their objects.
func (s *Service) OldUploads(ctx context.Context) (out []Upload, err error) {
	err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		out, err = tx.OldUploads(ctx, s.Now().Add(-24*time.Hour), 100)
		return err
	})
	return out, err
}

// ForgetUpload removes the note of an upload whose object is gone.
func (s *Service) ForgetUpload(ctx context.Context, u Upload) error {
	return s.Store.InTx(ctx, work.Tenant(u.TenantID), func(ctx context.Context, tx Tx) error { return tx.DeleteUpload(ctx, u.ID) })
}
