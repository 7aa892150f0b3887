package enrollment

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/work"
)

// Kinds of jobs that staff start.
const (
	JobBulkEnroll = "bulk-enroll"
	JobImport     = "import-enrollments"
)

// Bulk enrolls many people into a course, by their ids and by groups.
type Bulk struct {
	CourseID uuid.UUID   `json:"course_id"`
	UserIDs  []uuid.UUID `json:"user_ids,omitempty"`
	GroupIDs []uuid.UUID `json:"group_ids,omitempty"`
	Invite   bool        `json:"invite,omitempty"`
	Waive    []string    `json:"waive,omitempty"`
	StartsAt *time.Time  `json:"starts_at,omitempty"`
	EndsAt   *time.Time  `json:"ends_at,omitempty"`
}

// Limits of one job.
const (
	MaxBulkUsers  = 5000
	MaxBulkGroups = 100
	MaxImportRows = 20_000
)

// StartBulk checks the caller and starts the job.
func (s *Service) StartBulk(ctx context.Context, actor authz.Principal, in Bulk) (job work.Job, err error) {
	var f apperr.Fields
	f.Require(len(in.UserIDs)+len(in.GroupIDs) > 0, "user_ids", "required", "name people or groups")
	f.Require(len(in.UserIDs) <= MaxBulkUsers, "user_ids", "too_many", "at most "+strconv.Itoa(MaxBulkUsers))
	f.Require(len(in.GroupIDs) <= MaxBulkGroups, "group_ids", "too_many", "at most "+strconv.Itoa(MaxBulkGroups))
	for i, w := range in.Waive {
		f.Require(w == WaivePrerequisites || w == WaiveEntitlement, indexed("waive", i), "unknown", "is prerequisites or entitlement")
	}
	if err := f.Err(); err != nil {
		return job, err
	}
	if len(in.GroupIDs) > 0 {
		if err := s.People.SeesGroups(ctx, actor.UserID, in.GroupIDs); err != nil {
			return job, err
		}
	}
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			c, role, err := tx.Course(ctx, in.CourseID, actor.UserID)
			if err != nil {
				return err
			}
			if err := s.may(ctx, actor, authz.EnrollmentCreate, c, role); err != nil {
				return err
			}
			if job, err = tx.Enqueue(ctx, JobBulkEnroll, in, work.JobOptions{TenantID: c.TenantID}); err != nil {
				return err
			}
			return tx.Audit(ctx, work.AuditEntry{
				Action: "enrollment.bulk", ResourceType: "course", ResourceID: c.ID, TenantID: c.TenantID, OrgUnitID: c.OrgUnitID,
				Changes: map[string]work.Change{"users": {To: len(in.UserIDs)}, "groups": {To: in.GroupIDs}},
			})
		})
	})
	return job, err
}

// Row is one line of a job's report.
type Row struct {
	N       int64
	Status  string // created, reused, updated, unchanged, failed; would_… in a dry run
	Code    string
	Message string
	Ref     any
}

// RowRef says whom a line is about.
type RowRef struct {
	UserID       uuid.UUID  `json:"user_id"`
	CourseID     uuid.UUID  `json:"course_id"`
	EnrollmentID *uuid.UUID `json:"enrollment_id,omitempty"`
	State        string     `json:"state,omitempty"`
}

// Tally counts the lines of a job by status.
type Tally map[string]int

// RunBulk enrolls one person after the other; it goes on after line from, and can
// be repeated: who is in already is unchanged.
func (s *Service) RunBulk(ctx context.Context, actor authz.Principal, in Bulk, from int64, report func(context.Context, Row, int) error) error {
	ids := slices.Clone(in.UserIDs)
	if len(in.GroupIDs) > 0 {
		members, err := s.People.GroupMembers(ctx, actor.UserID, in.GroupIDs)
		if err != nil {
			return err
		}
		slices.SortFunc(members, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
		ids = append(ids, members...)
	}
	seen := map[uuid.UUID]bool{}
	for i, id := range ids {
		n := int64(i + 1)
		if n <= from || seen[id] {
			seen[id] = true
			continue
		}
		seen[id] = true
		row := s.enrollRow(ctx, actor, NewEnrollment{
			CourseID: in.CourseID, UserID: id, Invite: in.Invite, Waive: in.Waive, StartsAt: in.StartsAt, EndsAt: in.EndsAt,
		}, n)
		if err := retryable(row.err); err != nil {
			return err
		}
		if err := report(ctx, row.Row, len(ids)); err != nil {
			return err
		}
	}
	return nil
}

type triedRow struct {
	Row
	err error
}

// retryable: an outage ends the attempt, which is taken up again; a refusal is a
// line of the report.
func retryable(err error) error {
	if err == nil || apperr.Deterministic(err) || apperr.IsKind(err, apperr.KindConflict) {
		return nil
	}
	return err
}

func (s *Service) enrollRow(ctx context.Context, actor authz.Principal, in NewEnrollment, n int64) triedRow {
	if in.UserID == actor.UserID { // staff in their own list act as staff
		in.Waive, in.Invite, in.StartsAt, in.EndsAt, in.ExternalID, in.ExternalSource = nil, false, nil, nil, "", ""
	}
	r, err := s.Enroll(ctx, actor, in)
	ref := RowRef{UserID: in.UserID, CourseID: in.CourseID}
	switch {
	case apperr.Code(err) == errAlreadyEnrolled.Code:
		return triedRow{Row: Row{N: n, Status: "unchanged", Code: errAlreadyEnrolled.Code, Ref: ref}}
	case err != nil:
		return triedRow{Row: Row{N: n, Status: "failed", Code: apperr.Code(err), Message: apperr.From(err).Message, Ref: ref}, err: err}
	}
	ref.EnrollmentID, ref.State = &r.Enrollment.ID, string(r.Enrollment.State)
	status := "reused"
	if r.Created {
		status = "created"
	}
	return triedRow{Row: Row{N: n, Status: status, Ref: ref}}
}

// Import is a CSV of enrollments. Columns: user_id; course_id, course_code or
// course_external_id (with course_external_source); state (active or withdrawn);
// starts_at, ends_at (RFC 3339); external_source, external_id. Unknown columns
// are refused.
type Import struct {
	CSV    string `json:"csv"`
	DryRun bool   `json:"dry_run,omitempty"`
}

var importColumns = [...]string{
	"user_id", "course_id", "course_code", "course_external_source", "course_external_id", "state",
	"starts_at", "ends_at", "external_source", "external_id",
}

// StartImport reads the head of the file, checks the caller and starts the job;
// each line is checked when it is its turn.
func (s *Service) StartImport(ctx context.Context, actor authz.Principal, in Import) (job work.Job, err error) {
	if _, err := readImport(in.CSV); err != nil {
		return job, err
	}
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &job, func() error {
			if err := s.mayImport(ctx, tx, actor); err != nil {
				return err
			}
			if job, err = tx.Enqueue(ctx, JobImport, in, work.JobOptions{TenantID: actor.TenantID}); err != nil {
				return err
			}
			return tx.Audit(ctx, work.AuditEntry{
				Action: "enrollment.import", ResourceType: "job", ResourceID: job.ID, TenantID: actor.TenantID,
				Changes: map[string]work.Change{"dry_run": {To: in.DryRun}},
			})
		})
	})
	return job, err
}

// mayImport: who may import nowhere need not try; where is looked at line by line.
func (s *Service) mayImport(ctx context.Context, tx Tx, actor authz.Principal) error {
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return err
	}
	if policy.AllowsSomewhere(actor, authz.EnrollmentImport) {
		return nil
	}
	teaches, err := tx.CoursesOf(ctx, actor.UserID)
	if err != nil {
		return err
	}
	for _, b := range teaches {
		if b.Role != "" && policy.RoleHas(b.Role, authz.EnrollmentImport) {
			return nil
		}
	}
	return apperr.Forbidden("You may not import enrollments.").Detail("permission", authz.EnrollmentImport)
}

type importLine map[string]string

func readImport(text string) ([]importLine, error) {
	refuse := func(code, message string) error {
		return apperr.Invalid(apperr.Field{Path: "body", Code: code, Message: message})
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	r.TrimLeadingSpace = true
	head, err := r.Read()
	if err != nil {
		return nil, refuse("csv_head", "the first line must name the columns")
	}
	for i, name := range head {
		head[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(importColumns[:], head[i]) {
			return nil, refuse("csv_column", "unknown column "+strconv.Quote(name))
		}
	}
	if !slices.Contains(head, "user_id") {
		return nil, refuse("csv_column", "the column user_id is missing")
	}
	var lines []importLine
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, refuse("csv_line", "line "+strconv.Itoa(len(lines)+2)+" cannot be read")
		}
		if len(lines) == MaxImportRows {
			return nil, refuse("too_many", "at most "+strconv.Itoa(MaxImportRows)+" lines")
		}
		line := importLine{}
		for i, v := range record {
			line[head[i]] = strings.TrimSpace(v)
		}
		lines = append(lines, line)
	}
}

// RunImport takes one line after the other, and can be repeated without
// duplicates; a dry run only says what each line would do.
func (s *Service) RunImport(ctx context.Context, actor authz.Principal, in Import, from int64, report func(context.Context, Row, int) error) error {
	lines, err := readImport(in.CSV)
	if err != nil {
		return err
	}
	for i, line := range lines {
		n := int64(i + 1)
		if n <= from {
			continue
		}
		row := s.importRow(ctx, actor, line, in.DryRun, n)
		if err := retryable(row.err); err != nil {
			return err
		}
		if err := report(ctx, row.Row, len(lines)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) importRow(ctx context.Context, actor authz.Principal, line importLine, dry bool, n int64) triedRow {
	fail := func(err error) triedRow {
		e := apperr.From(err)
		message := e.Message
		for _, f := range e.Fields {
			message = f.Path + ": " + f.Message
		}
		return triedRow{Row: Row{N: n, Status: "failed", Code: e.Code, Message: message}, err: err}
	}
	in, withdraw, err := line.parse()
	if err != nil {
		return fail(err)
	}
	if in.CourseID, err = s.importCourse(ctx, actor, line); err != nil {
		return fail(err)
	}
	known, err := s.importKnown(ctx, actor, in)
	if err != nil {
		return fail(err)
	}
	ref := RowRef{UserID: in.UserID, CourseID: in.CourseID}
	status := plannedStatus(known, withdraw)
	if known != nil {
		ref.EnrollmentID, ref.State = &known.ID, string(known.State)
	}
	if dry || status == "unchanged" {
		if dry {
			status = "would_be_" + status
		}
		return triedRow{Row: Row{N: n, Status: status, Ref: ref}}
	}
	if withdraw {
		r, err := s.Withdraw(ctx, actor, known.ID)
		if err != nil {
			return fail(err)
		}
		ref.State = string(r.Enrollment.State)
		return triedRow{Row: Row{N: n, Status: "withdrawn", Ref: ref}}
	}
	in.source = SourceImport
	return s.enrollRow(ctx, actor, in, n)
}

func plannedStatus(known *Enrollment, withdraw bool) string {
	live := known != nil && !known.State.Ended()
	switch {
	case withdraw && live:
		return "withdrawn"
	case withdraw, live && known.State != Invited && known.State != Requested:
		return "unchanged"
	case known == nil:
		return "created"
	}
	return "reused"
}

func (l importLine) parse() (in NewEnrollment, withdraw bool, err error) {
	var f apperr.Fields
	if in.UserID, err = uuid.Parse(l["user_id"]); err != nil {
		f.Add("user_id", "uuid", "is not an id")
	}
	parse := func(name string) *time.Time {
		if l[name] == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339, l[name])
		if err != nil {
			f.Add(name, "time", "is not an RFC 3339 time")
			return nil
		}
		t = t.UTC()
		return &t
	}
	in.StartsAt, in.EndsAt = parse("starts_at"), parse("ends_at")
	in.ExternalSource, in.ExternalID = l["external_source"], l["external_id"]
	switch l["state"] {
	case "", string(Active):
	case string(Withdrawn):
		withdraw = true
	default:
		f.Add("state", "unknown", "is active or withdrawn")
	}
	return in, withdraw, f.Err()
}

// importCourse finds the course of a line and checks that the caller may import
// into it.
func (s *Service) importCourse(ctx context.Context, actor authz.Principal, line importLine) (id uuid.UUID, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		if id, err = line.course(ctx, tx, actor.TenantID); err != nil {
			return err
		}
		c, role, err := tx.Course(ctx, id, actor.UserID)
		if err != nil {
			return err
		}
		return s.may(ctx, actor, authz.EnrollmentImport, c, role)
	})
	return id, err
}

func (l importLine) course(ctx context.Context, tx Tx, tenant uuid.UUID) (uuid.UUID, error) {
	unknown := apperr.Invalid(apperr.Field{Path: "course", Code: "unknown", Message: "no such course, or more than one"})
	if raw := l["course_id"]; raw != "" {
		id, err := uuid.Parse(raw)
		if err != nil {
			return id, unknown
		}
		return id, nil
	}
	found, err := tx.FindCourses(ctx, tenant, l["course_code"], l["course_external_source"], l["course_external_id"])
	if err != nil {
		return uuid.Nil, err
	}
	if len(found) != 1 {
		return uuid.Nil, unknown
	}
	return found[0].ID, nil
}

func (s *Service) importKnown(ctx context.Context, actor authz.Principal, in NewEnrollment) (known *Enrollment, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		l, err := tx.Learner(ctx, in.CourseID, in.UserID)
		if apperr.IsKind(err, apperr.KindNotFound) {
			return nil
		}
		known = &l.Enrollment
		return err
	})
	return known, err
}
