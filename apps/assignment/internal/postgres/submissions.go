package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/assignment/internal/coursework"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	submissionColumns = `
s.id, s.tenant_id, s.org_unit_id, s.course_id, s.assignment_id, s.user_id, s.group_id, s.member_ids, s.attempt, s.body, s.links,
s.submitted_at, s.due_at, s.seconds_late, s.withdrawn_at, s.withdrawn_by, s.version`

	lockGroupSQL = `select pg_advisory_xact_lock(hashtextextended($1::uuid::text || $2::uuid::text, 0))`
	attemptsSQL  = `
select coalesce(max(attempt), 0) as last, count(*) filter (where withdrawn_at is null) as used
from submissions where assignment_id = $1 and coalesce(group_id, user_id) = $2`
	insertSubmissionSQL = `
insert into submissions (id, tenant_id, org_unit_id, course_id, assignment_id, user_id, group_id, member_ids, attempt, body, links,
  submitted_at, due_at, seconds_late, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	withdrawSubmissionSQL = `update submissions set withdrawn_at = $2, withdrawn_by = $3, version = $4 where id = $1 and version = $4 - 1`
	submissionSQL         = `select` + submissionColumns + ` from submissions s where s.id = $1`
	newestSubmissionSQL   = `select` + submissionColumns + ` from submissions s
where s.assignment_id = $1 and coalesce(s.group_id, s.user_id) = $2 and s.withdrawn_at is null order by s.attempt desc limit 1`

	// listSubmissionsBase is what both sorts share; ids are in the order of arrival.
	listSubmissionsBase = `select` + submissionColumns + ` from submissions s
where s.assignment_id = $1 and ($2::uuid is null or s.member_ids @> array[$2]) and ($3::uuid is null or s.group_id = $3)
  and (not $4 or exists (select 1 from grades g where g.assignment_id = s.assignment_id and g.user_id = any (s.member_ids) and g.submission_id = s.id))
  and (not $5 or exists (select 1 from grades g where g.assignment_id = s.assignment_id and g.user_id = any (s.member_ids) and g.submission_id = s.id
    and g.excused_at is null and (g.graded_submission is null or g.graded_submission <> g.submission_id)))
  and ($6::boolean is null or (s.seconds_late > 0) = $6)`
	submissionsUpSQL   = listSubmissionsBase + ` and ($7 or s.id > $8::uuid) order by s.id limit $9`
	submissionsDownSQL = listSubmissionsBase + ` and ($7 or s.id < $8::uuid) order by s.id desc limit $9`
)

// LockGroup implements coursework.SubmissionTx.
func (t tx) LockGroup(ctx context.Context, assignment, group uuid.UUID) error {
	_, err := pg.Exec(ctx, t, lockGroupSQL, assignment, group)
	return err
}

// Attempts implements coursework.SubmissionTx.
func (t tx) Attempts(ctx context.Context, assignment, owner uuid.UUID) (last, used int, err error) {
	n, err := pg.One[struct{ Last, Used int }](ctx, t, "submission", attemptsSQL, assignment, owner)
	return n.Last, n.Used, err
}

// InsertSubmission implements coursework.SubmissionTx.
func (t tx) InsertSubmission(ctx context.Context, s coursework.Submission) error {
	_, err := pg.Exec(ctx, t, insertSubmissionSQL, s.ID, s.TenantID, s.OrgUnitID, s.CourseID, s.AssignmentID, s.UserID, s.GroupID, s.MemberIDs,
		s.Attempt, s.Body, list(s.Links), s.SubmittedAt, s.DueAt, s.SecondsLate, s.Version)
	return err
}

// WithdrawSubmission implements coursework.SubmissionTx.
func (t tx) WithdrawSubmission(ctx context.Context, s coursework.Submission) error {
	return pg.ExecVersioned(ctx, t, withdrawSubmissionSQL, s.ID, s.WithdrawnAt, s.WithdrawnBy, s.Version)
}

// Submission implements coursework.SubmissionTx.
func (t tx) Submission(ctx context.Context, id uuid.UUID) (coursework.Submission, error) {
	return pg.One[coursework.Submission](ctx, t, "submission", submissionSQL, id)
}

// NewestSubmission implements coursework.SubmissionTx.
func (t tx) NewestSubmission(ctx context.Context, assignment, owner uuid.UUID) (*coursework.Submission, error) {
	return none(pg.One[coursework.Submission](ctx, t, "submission", newestSubmissionSQL, assignment, owner))
}

// ListSubmissions implements coursework.SubmissionTx.
func (t tx) ListSubmissions(ctx context.Context, f coursework.SubmissionFilter, p page.Request) (page.Page[coursework.Submission], error) {
	var down bool
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &down, &last)
	if err != nil {
		return page.Page[coursework.Submission]{}, err
	}
	if more && down != f.Descending {
		return page.Page[coursework.Submission]{}, badCursor()
	}
	sql := submissionsUpSQL
	if f.Descending {
		sql = submissionsDownSQL
	}
	rows, err := pg.Many[coursework.Submission](ctx, t, sql, f.AssignmentID, f.UserID, f.GroupID, f.Current, f.Waiting, f.Late, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(s coursework.Submission) string { return page.Encode(f.Descending, s.ID) }), err
}

const (
	fileColumns = `
id, tenant_id, course_id, assignment_id, user_id, submission_id, position, filename, declared_type, media_type, size, sha256, object_key,
created_at, completed_at, expires_at`
	insertFileSQL = `
insert into submission_files (id, tenant_id, course_id, assignment_id, user_id, filename, declared_type, size, sha256, object_key, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	fileSQL         = `select` + fileColumns + ` from submission_files where id = $1`
	lockFileSQL     = fileSQL + ` for update`
	completeFileSQL = `update submission_files set media_type = $2, completed_at = $3, expires_at = $4 where id = $1 and completed_at is null`
	deleteFileSQL   = `delete from submission_files where id = $1 and submission_id is null`
	waitingFilesSQL = `select count(*) from submission_files where assignment_id = $1 and user_id = $2 and submission_id is null`
	attachFilesSQL  = `
update submission_files set submission_id = $1, position = array_position($4::uuid[], id)
where id = any ($4) and assignment_id = $2 and user_id = $3 and submission_id is null and completed_at is not null
returning` + fileColumns
	filesOfSQL      = `select` + fileColumns + ` from submission_files where submission_id = any ($1) order by submission_id, position`
	expiredFilesSQL = `select` + fileColumns + ` from submission_files where submission_id is null and expires_at < $1 order by expires_at limit $2`
)

// InsertFile implements coursework.SubmissionTx.
func (t tx) InsertFile(ctx context.Context, f coursework.File) error {
	_, err := pg.Exec(ctx, t, insertFileSQL, f.ID, f.TenantID, f.CourseID, f.AssignmentID, f.UserID, f.Filename, f.DeclaredType, f.Size, f.SHA256,
		f.ObjectKey, f.CreatedAt, f.ExpiresAt)
	return err
}

// File implements coursework.SubmissionTx.
func (t tx) File(ctx context.Context, id uuid.UUID) (coursework.File, error) {
	return pg.One[coursework.File](ctx, t, "upload", fileSQL, id)
}

// LockFile implements coursework.SubmissionTx.
func (t tx) LockFile(ctx context.Context, id uuid.UUID) (coursework.File, error) {
	return pg.One[coursework.File](ctx, t, "upload", lockFileSQL, id)
}

// CompleteFile implements coursework.SubmissionTx.
func (t tx) CompleteFile(ctx context.Context, f coursework.File) error {
	_, err := pg.Exec(ctx, t, completeFileSQL, f.ID, f.MediaType, f.CompletedAt, f.ExpiresAt)
	return err
}

// DeleteFile implements coursework.SubmissionTx.
func (t tx) DeleteFile(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteFileSQL, id)
	return err
}

// WaitingFiles implements coursework.SubmissionTx.
func (t tx) WaitingFiles(ctx context.Context, assignment, user uuid.UUID) (int, error) {
	return pg.Scalar[int](ctx, t, "upload", waitingFilesSQL, assignment, user)
}

// AttachFiles implements coursework.SubmissionTx.
func (t tx) AttachFiles(ctx context.Context, submission, assignment, user uuid.UUID, ids []uuid.UUID) ([]coursework.File, error) {
	files, err := pg.Many[coursework.File](ctx, t, attachFilesSQL, submission, assignment, user, ids)
	if err != nil {
		return nil, err
	}
	out := make([]coursework.File, 0, len(files))
	for _, id := range ids {
		for _, f := range files {
			if f.ID == id {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// FilesOf implements coursework.SubmissionTx.
func (t tx) FilesOf(ctx context.Context, submissions []uuid.UUID) (map[uuid.UUID][]coursework.File, error) {
	files, err := pg.Many[coursework.File](ctx, t, filesOfSQL, list(submissions))
	out := map[uuid.UUID][]coursework.File{}
	for _, f := range files {
		out[*f.SubmissionID] = append(out[*f.SubmissionID], f)
	}
	return out, err
}

// ExpiredFiles implements coursework.SubmissionTx.
func (t tx) ExpiredFiles(ctx context.Context, now time.Time, limit int) ([]coursework.File, error) {
	return pg.Many[coursework.File](ctx, t, expiredFilesSQL, now, limit)
}

const (
	commentColumns   = `id, tenant_id, course_id, assignment_id, submission_id, author_id, by_staff, body, created_at`
	insertCommentSQL = `
insert into submission_comments (id, tenant_id, course_id, assignment_id, submission_id, author_id, by_staff, body, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	commentsSQL = `
select ` + commentColumns + ` from submission_comments
where submission_id = $1 and ($2 or not by_staff) and ($3 or id > $4::uuid) order by id limit $5`
)

// InsertComment implements coursework.SubmissionTx.
func (t tx) InsertComment(ctx context.Context, c coursework.Comment) error {
	_, err := pg.Exec(ctx, t, insertCommentSQL, c.ID, c.TenantID, c.CourseID, c.AssignmentID, c.SubmissionID, c.AuthorID, c.ByStaff, c.Body, c.CreatedAt)
	return err
}

// Comments implements coursework.SubmissionTx.
func (t tx) Comments(ctx context.Context, submission uuid.UUID, staffToo bool, p page.Request) (page.Page[coursework.Comment], error) {
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[coursework.Comment]{}, err
	}
	rows, err := pg.Many[coursework.Comment](ctx, t, commentsSQL, submission, staffToo, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(c coursework.Comment) string { return page.Encode(c.ID) }), err
}
