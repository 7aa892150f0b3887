package identity

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/user/internal/roster"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// JobImport is the kind of the job that imports people from a file.
const JobImport = "import-users"

// Upload is a file that is to be imported.
type Upload struct {
	ID        uuid.UUID
	TenantID  uuid.UUID
	UserID    uuid.UUID
	Filename  string
	Size      int64
	SHA256    string
	Key       string
	CreatedAt time.Time
}

// Limits of files to import, in bytes.
const (
	MaxUpload = 256 << 20
	// MaxDirectImport is what may be sent in the request itself.
	MaxDirectImport = 1 << 20
)

// ImportOptions say how a file is imported.
type ImportOptions struct {
	OrgUnitID uuid.UUID `json:"org_unit_id"` // where people and org units go, unless the file says
	Source    string    `json:"source"`      // of external ids: "sis"
	DryRun    bool      `json:"dry_run"`     // only report
	// Update changes accounts that are there; else they are left as they are.
	Update bool `json:"update"`
	// GrantRoles gives the roles that the file names, as far as the actor may.
	GrantRoles bool `json:"grant_roles"`
	// SendInvitations writes to new people.
	SendInvitations bool `json:"send_invitations"`
}

// ImportInput is the input of the job.
type ImportInput struct {
	ImportOptions
	UploadID uuid.UUID `json:"upload_id"`
	Key      string    `json:"key"`
	SHA256   string    `json:"sha256"`
	Size     int64     `json:"size"`
}

// CreateUpload announces a file.
func (s *Service) CreateUpload(ctx context.Context, actor authz.Principal, in Upload, key func(Upload) string) (u Upload, err error) {
	var f apperr.Fields
	f.Require(in.Size >= 1 && in.Size <= MaxUpload, "size", "invalid", "1 byte to 256 MiB.")
	sum, err := hex.DecodeString(in.SHA256)
	f.Require(err == nil && len(sum) == 32 && in.SHA256 == strings.ToLower(in.SHA256), "sha256", "invalid", "Must be 64 lower-case hexadecimal digits.")
	f.Require(validLine(in.Filename, 255), "filename", "invalid", "At most 255 characters on one line.")
	if err := f.Err(); err != nil {
		return u, err
	}
	u = in
	u.ID, u.TenantID, u.UserID, u.CreatedAt = s.NewID(), actor.TenantID, actor.UserID, s.Now()
	u.Key = key(u)
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &u, func() error { return tx.InsertUpload(ctx, u) })
	})
	return u, err
}

// StartImport checks what was asked for and starts the job. The upload must be
// the actor's own.
func (s *Service) StartImport(ctx context.Context, actor authz.Principal, uploadID uuid.UUID, o ImportOptions) (job work.Job, err error) {
	policy, err := s.policy(ctx)
	if err != nil {
		return job, err
	}
	var f apperr.Fields
	f.Require(policy.Allows(actor, authz.UserImport, o.OrgUnitID), "org_unit_id", "not_found", "No such org unit where you may import users.")
	f.Require(sourceShape.MatchString(o.Source), "source", "invalid", "Lower-case letters, digits, dots, dashes and underscores, at most 64.")
	if err := f.Err(); err != nil {
		return job, err
	}
	err = s.Store.InTx(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			unit, err := openUnit(ctx, tx, o.OrgUnitID)
			if err != nil {
				return err
			}
			u, err := tx.Upload(ctx, uploadID)
			if apperr.IsKind(err, apperr.KindNotFound) || err == nil && u.UserID != actor.UserID {
				return apperr.Invalid(apperr.Field{Path: "upload_id", Code: "not_found", Message: "No such upload of yours."})
			}
			if err != nil {
				return err
			}
			in := ImportInput{ImportOptions: o, UploadID: u.ID, Key: u.Key, SHA256: u.SHA256, Size: u.Size}
			if job, err = tx.Enqueue(ctx, JobImport, in, work.JobOptions{TenantID: unit.TenantID}); err != nil {
				return err
			}
			return tx.Audit(ctx, work.AuditEntry{
				Action: "user.import", ResourceType: "job", ResourceID: job.ID, TenantID: unit.TenantID, OrgUnitID: unit.ID,
				Changes: map[string]work.Change{"dry_run": {To: o.DryRun}, "source": {To: o.Source}, "filename": {To: u.Filename}},
			})
		})
	})
	return job, err
}

// uploadLife is how long a file waits for its import.
const uploadLife = 48 * time.Hour

// DropUpload deletes the file of an import that is done.
func (s *Service) DropUpload(ctx context.Context, id uuid.UUID, key string) error {
	if err := s.Files.Delete(ctx, key); err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
		return err
	}
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error { return tx.DeleteUpload(ctx, id) })
}

// DropUploads deletes files that nobody has imported within two days, and those
// of imports that failed.
func (s *Service) DropUploads(ctx context.Context) error {
	var due []Upload
	err := s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
		due, err = tx.StaleUploads(ctx, s.Now().Add(-uploadLife), 100)
		return err
	})
	for _, u := range due {
		if err == nil {
			err = s.DropUpload(ctx, u.ID, u.Key)
		}
	}
	return err
}

// Outcome is what became of one row.
type Outcome struct {
	Status  string // created, updated, unchanged, deactivated, skipped, failed
	Code    string
	Message string
	UserID  uuid.UUID
	UnitID  uuid.UUID
	Dry     bool // what was made was rolled back: its id means nothing
}

// errDryRun rolls a row back after everything was tried with it.
var errDryRun = errors.New("dry run")

// Importer imports the rows of one file.
type Importer struct {
	s       *Service
	actor   authz.Principal
	o       ImportOptions
	base    OrgUnit
	planned map[string]bool // sourced ids of units that a dry run would make
}

// NewImporter checks the actor's permission anew: a job may run long after it
// was asked for.
func (s *Service) NewImporter(ctx context.Context, actor authz.Principal, o ImportOptions) (*Importer, error) {
	im := &Importer{s: s, actor: actor, o: o, planned: map[string]bool{}}
	err := s.Store.Read(ctx, work.ScopeOf(actor), func(ctx context.Context, tx Tx) (err error) {
		sub, err := tx.GrantsOf(ctx, actor.UserID)
		if err != nil {
			return err
		}
		im.actor.Grants = authzGrants(sub)
		im.base, err = tx.OrgUnit(ctx, o.OrgUnitID)
		return err
	})
	if err != nil {
		return nil, err
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return nil, err
	}
	if !policy.Allows(im.actor, authz.UserImport, o.OrgUnitID) {
		return nil, apperr.Forbidden("You may not import users there any more.")
	}
	return im, nil
}

func failed(err error) (Outcome, error) {
	e := apperr.From(err)
	if e.Kind == apperr.KindInternal || e.Kind == apperr.KindUnavailable {
		return Outcome{}, err // not the row's fault: the job is tried again
	}
	out := Outcome{Status: "failed", Code: e.Code, Message: e.Message}
	if len(e.Fields) > 0 {
		out.Code = e.Fields[0].Path + ":" + e.Fields[0].Code
		out.Message = e.Fields[0].Message
	}
	return out, nil
}

func problem(p roster.Problem) Outcome {
	code := p.Code
	if p.Field != "" {
		code = p.Field + ":" + p.Code
	}
	return Outcome{Status: "failed", Code: code, Message: p.Message}
}

// row runs fn in a transaction of its own and turns a refusal into an outcome.
func (im *Importer) row(ctx context.Context, fn func(context.Context, Tx) (Outcome, error)) (out Outcome, err error) {
	err = im.s.Store.InTx(ctx, work.Tenant(im.base.TenantID), func(ctx context.Context, tx Tx) error {
		if out, err = fn(ctx, tx); err != nil {
			return err
		}
		if im.o.DryRun {
			return errDryRun
		}
		return nil
	})
	if err == nil || errors.Is(err, errDryRun) {
		out.Dry = im.o.DryRun && out.Status == "created"
		return out, nil
	}
	return failed(err)
}

// Person makes, changes or deactivates the account of a row. Found again by
// external id, else by address, so that the same file twice changes nothing.
func (im *Importer) Person(ctx context.Context, p roster.Person) (Outcome, error) {
	if len(p.Problems) > 0 {
		return problem(p.Problems[0]), nil
	}
	policy, err := im.s.policy(ctx)
	if err != nil {
		return Outcome{}, err
	}
	return im.row(ctx, func(ctx context.Context, tx Tx) (Outcome, error) {
		known, found, err := im.find(ctx, tx, p)
		if err != nil {
			return Outcome{}, err
		}
		if found {
			return im.change(ctx, tx, policy, known, p)
		}
		if p.Deleted || p.Inactive {
			return Outcome{Status: "skipped", Code: "not_here"}, nil
		}
		return im.create(ctx, tx, policy, p)
	})
}

func (im *Importer) find(ctx context.Context, tx Tx, p roster.Person) (User, bool, error) {
	var known User
	err := error(apperr.NotFound("user"))
	if p.ID != "" {
		known, err = tx.UserByExternalID(ctx, im.base.TenantID, ExternalID{Source: im.o.Source, ID: p.ID})
	}
	if apperr.IsKind(err, apperr.KindNotFound) && p.Email != "" {
		known, err = tx.UserByEmail(ctx, EmailKey(p.Email))
	}
	if apperr.IsKind(err, apperr.KindNotFound) {
		return User{}, false, nil
	}
	if err != nil {
		return User{}, false, err
	}
	known, err = tx.LockUser(ctx, known.ID)
	return known, err == nil, err
}

// unit finds the org unit that a reference names: by external id, id or code.
func (im *Importer) unit(ctx context.Context, tx Tx, policy *authz.Policy, ref string) (OrgUnit, error) {
	if ref == "" || im.planned[ref] {
		return im.base, nil
	}
	u, err := tx.OrgUnitByExternalID(ctx, im.base.TenantID, ExternalID{Source: im.o.Source, ID: ref})
	if apperr.IsKind(err, apperr.KindNotFound) {
		if id, perr := uuid.Parse(ref); perr == nil {
			u, err = tx.OrgUnit(ctx, id)
		} else {
			u, err = tx.OrgUnitByCode(ctx, im.base.TenantID, ref)
		}
	}
	unknown := apperr.Invalid(apperr.Field{Path: "org_unit", Code: "not_found", Message: "No such org unit that you may import into."})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return OrgUnit{}, unknown
	}
	if err != nil {
		return OrgUnit{}, err
	}
	if !policy.Allows(im.actor, authz.UserImport, u.ID) && !slices.Contains(u.Path, im.base.ID) || u.DeletedAt != nil || u.ArchivedAt != nil {
		return OrgUnit{}, unknown
	}
	return u, nil
}

func (im *Importer) create(ctx context.Context, tx Tx, policy *authz.Policy, p roster.Person) (Outcome, error) {
	unit, err := im.unit(ctx, tx, policy, p.OrgRef)
	if err != nil {
		return Outcome{}, err
	}
	now := im.s.Now()
	u := User{
		ID: im.s.NewID(), TenantID: unit.TenantID, OrgUnitID: unit.ID, Status: StatusInvited, Origin: OriginImport,
		Email: p.Email, Name: p.Name, GivenName: p.GivenName, FamilyName: p.FamilyName, Locale: p.Locale, TimeZone: p.TimeZone,
		Attributes: p.Attributes, Epoch: 1, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if p.ID != "" {
		u.ExternalIDs = []ExternalID{{Source: im.o.Source, ID: p.ID}}
	}
	im.s.defaults(&u)
	u.complete()
	if u.Name == "" {
		u.Name = firstOf(u.Email, p.ID)
		u.complete()
	}
	var f apperr.Fields
	u.check(&f)
	if err := f.Err(); err != nil {
		return Outcome{}, err
	}
	if err := im.s.insertUser(ctx, tx, u, "", unit.Path); err != nil {
		return Outcome{}, err
	}
	if err := im.belong(ctx, tx, policy, u, p); err != nil {
		return Outcome{}, err
	}
	if im.o.SendInvitations && u.Email != "" {
		if err := im.s.sendInvitation(ctx, tx, u); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{Status: "created", UserID: u.ID}, nil
}

// belong adds memberships and, if asked for, roles.
func (im *Importer) belong(ctx context.Context, tx Tx, policy *authz.Policy, u User, p roster.Person) error {
	for _, ref := range p.MoreOrgs {
		unit, err := im.unit(ctx, tx, policy, ref)
		if err != nil {
			return err
		}
		if unit.ID == u.OrgUnitID {
			continue
		}
		m := Member{OrgUnitID: unit.ID, UserID: u.ID, TenantID: u.TenantID, CreatedAt: im.s.Now()}
		if err := im.s.addMember(ctx, tx, m, unit); err != nil {
			return err
		}
	}
	if !im.o.GrantRoles {
		return nil
	}
	for _, r := range p.Roles {
		unit, err := im.unit(ctx, tx, policy, firstOf(r.OrgRef, p.OrgRef))
		if err != nil {
			return err
		}
		g := authz.Grant{Role: r.Role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit.ID}}
		role, err := im.s.checkGrant(ctx, tx, policy, im.actor, u.TenantID, g)
		if err != nil {
			return err
		}
		by := im.actor.UserID
		grant := Grant{ID: im.s.NewID(), TenantID: u.TenantID, UserID: u.ID, Role: g.Role, RoleName: role.Name, Scope: g.Scope, GrantedBy: &by, CreatedAt: im.s.Now()}
		if err := im.s.insertGrant(ctx, tx, &grant); err != nil {
			return err
		}
	}
	return nil
}

func (im *Importer) change(ctx context.Context, tx Tx, policy *authz.Policy, before User, p roster.Person) (Outcome, error) {
	if before.TenantID != im.base.TenantID || !policy.Allows(im.actor, authz.UserImport, before.OrgUnitID) {
		return Outcome{Status: "failed", Code: "outside_scope", Message: "The account belongs to another org unit."}, nil
	}
	if before.Status.Gone() {
		return Outcome{Status: "skipped", Code: "account_gone", Message: "The account was deleted.", UserID: before.ID}, nil
	}
	if !im.o.Update {
		return Outcome{Status: "unchanged", UserID: before.ID}, nil
	}
	grants, err := tx.GrantsOf(ctx, before.ID)
	if err != nil {
		return Outcome{}, err
	}
	if before.ID != im.actor.UserID && !coversAll(policy, im.actor, authzGrants(grants)) {
		return Outcome{Status: "skipped", Code: "outranked", Message: "The person may do more than you.", UserID: before.ID}, nil
	}
	if p.Deleted || p.Inactive {
		return im.deactivate(ctx, tx, before)
	}
	u, err := im.merged(before, p)
	if err != nil {
		return Outcome{}, err
	}
	if err := im.s.saveUser(ctx, tx, before, &u, "user.import"); err != nil {
		return Outcome{}, err
	}
	if err := im.belong(ctx, tx, policy, u, p); err != nil {
		return Outcome{}, err
	}
	if u.Version == before.Version {
		return Outcome{Status: "unchanged", UserID: u.ID}, nil
	}
	return Outcome{Status: "updated", UserID: u.ID}, nil
}

// merged is an account after a row: what the row leaves empty stays. The
// address stays once it was proved, and the home unit once given: both are
// operations of their own.
func (im *Importer) merged(before User, p roster.Person) (User, error) {
	u := before
	u.Name, u.GivenName, u.FamilyName = firstOf(p.Name, u.Name), firstOf(p.GivenName, u.GivenName), firstOf(p.FamilyName, u.FamilyName)
	u.Locale, u.TimeZone = firstOf(p.Locale, u.Locale), firstOf(p.TimeZone, u.TimeZone)
	if u.EmailVerifiedAt == nil && u.Status == StatusInvited && p.Email != "" {
		u.Email = p.Email
	}
	u.Attributes = maps.Clone(before.Attributes)
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	maps.Copy(u.Attributes, p.Attributes)
	if p.ID != "" && !slices.ContainsFunc(u.ExternalIDs, func(e ExternalID) bool { return e.Source == im.o.Source }) {
		u.ExternalIDs = append(slices.Clone(u.ExternalIDs), ExternalID{Source: im.o.Source, ID: p.ID})
		slices.SortFunc(u.ExternalIDs, func(a, b ExternalID) int { return strings.Compare(a.Source, b.Source) })
	}
	u.complete()
	var f apperr.Fields
	u.check(&f)
	return u, f.Err()
}

func (im *Importer) deactivate(ctx context.Context, tx Tx, u User) (Outcome, error) {
	if u.Status == StatusDeactivated {
		return Outcome{Status: "unchanged", UserID: u.ID}, nil
	}
	if u.ID == im.actor.UserID {
		return Outcome{Status: "skipped", Code: "own_account", UserID: u.ID}, nil
	}
	if err := im.s.deactivate(ctx, tx, &u, "import"); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: "deactivated", UserID: u.ID}, nil
}
