package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	bankColumns = `b.id, b.tenant_id, b.org_unit_id, b.course_id, b.title, b.description,
  (select count(*)::int from questions q where q.bank_id = b.id and q.deleted_at is null) as questions,
  b.created_by, b.created_at, b.updated_at, b.version`
	insertBankSQL = `
insert into question_banks (id, tenant_id, org_unit_id, course_id, title, description, created_by, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	ensureBankSQL = insertBankSQL + ` on conflict (id) do nothing`
	updateBankSQL = `update question_banks set title = $2, description = $3, updated_at = $4, version = $5 where id = $1 and version = $5 - 1`
	deleteBankSQL = `update question_banks set deleted_at = $2, updated_at = $2, version = version + 1 where id = $1`
	bankSQL       = `select ` + bankColumns + ` from question_banks b where b.id = $1 and b.deleted_at is null`
	lockBankSQL   = bankSQL + ` for update of b`
	lockBanksSQL  = `select ` + bankColumns + ` from question_banks b where b.id = any($1) and b.deleted_at is null order by b.id for share of b`
	listBanksBase = `select ` + bankColumns + ` from question_banks b
where b.deleted_at is null and ($1 or b.org_unit_id = any($2) or b.course_id = $3) and ($4::uuid is null or b.org_unit_id = $4)
  and ($5 = '' or lower(b.title) like $5)`
	banksByTitleSQL       = listBanksBase + ` and ($6 or (lower(b.title), b.id) > (lower($7::text), $8::uuid)) order by lower(b.title), b.id limit $9`
	banksByTitleDescSQL   = listBanksBase + ` and ($6 or (lower(b.title), b.id) < (lower($7::text), $8::uuid)) order by lower(b.title) desc, b.id desc limit $9`
	banksByCreatedSQL     = listBanksBase + ` and ($6 or (b.created_at, b.id) > ($7::timestamptz, $8::uuid)) order by b.created_at, b.id limit $9`
	banksByCreatedDescSQL = listBanksBase + ` and ($6 or (b.created_at, b.id) < ($7::timestamptz, $8::uuid)) order by b.created_at desc, b.id desc limit $9`
	banksByUpdatedSQL     = listBanksBase + ` and ($6 or (b.updated_at, b.id) > ($7::timestamptz, $8::uuid)) order by b.updated_at, b.id limit $9`
	banksByUpdatedDescSQL = listBanksBase + ` and ($6 or (b.updated_at, b.id) < ($7::timestamptz, $8::uuid)) order by b.updated_at desc, b.id desc limit $9`
	bankNeedSQL           = `
select (select count(*)::int from questions q where q.bank_id = $1 and q.deleted_at is null) as questions,
  coalesce(max(n.draws + case when n.draws > 0 then n.pins else 0 end), 0)::int as draws, coalesce(sum(n.pins), 0)::int as pinned
from (
  select coalesce(sum(s.pick) filter (where s.bank_id = $1), 0)::int as draws, count(*) filter (where q.bank_id = $1)::int as pins
  from quiz_slots s join quizzes z on z.id = s.quiz_id and z.deleted_at is null left join questions q on q.id = s.question_id
  where s.bank_id = $1 or q.bank_id = $1
  group by s.quiz_id
) n`
)

// InsertBank implements quiz.Tx.
func (t quizTx) InsertBank(ctx context.Context, b quiz.Bank) error {
	_, err := pg.Exec(ctx, t, insertBankSQL, b.ID, b.TenantID, b.OrgUnitID, b.CourseID, b.Title, b.Description, b.CreatedBy, b.CreatedAt, b.UpdatedAt, b.Version)
	return err
}

// EnsureBank implements quiz.Tx.
func (t quizTx) EnsureBank(ctx context.Context, b quiz.Bank) error {
	_, err := pg.Exec(ctx, t, ensureBankSQL, b.ID, b.TenantID, b.OrgUnitID, b.CourseID, b.Title, b.Description, b.CreatedBy, b.CreatedAt, b.UpdatedAt, b.Version)
	return err
}

// UpdateBank implements quiz.Tx.
func (t quizTx) UpdateBank(ctx context.Context, b quiz.Bank) error {
	return pg.ExecVersioned(ctx, t, updateBankSQL, b.ID, b.Title, b.Description, b.UpdatedAt, b.Version)
}

// DeleteBank implements quiz.Tx.
func (t quizTx) DeleteBank(ctx context.Context, b quiz.Bank, at time.Time) error {
	_, err := pg.Exec(ctx, t, deleteBankSQL, b.ID, at)
	return err
}

// Bank implements quiz.Tx.
func (t quizTx) Bank(ctx context.Context, id uuid.UUID) (quiz.Bank, error) {
	return pg.One[quiz.Bank](ctx, t, "question bank", bankSQL, id)
}

// LockBank implements quiz.Tx.
func (t quizTx) LockBank(ctx context.Context, id uuid.UUID) (quiz.Bank, error) {
	return pg.One[quiz.Bank](ctx, t, "question bank", lockBankSQL, id)
}

// LockBanks implements quiz.Tx.
func (t quizTx) LockBanks(ctx context.Context, banks []uuid.UUID) ([]quiz.Bank, error) {
	return pg.Many[quiz.Bank](ctx, t, lockBanksSQL, banks)
}

func bankSorts() pg.Sorts[quiz.Bank] {
	return pg.Sorts[quiz.Bank]{
		"title":      pg.SortBy(banksByTitleSQL, banksByTitleDescSQL, func(b quiz.Bank) string { return b.Title }),
		"created_at": pg.SortBy(banksByCreatedSQL, banksByCreatedDescSQL, func(b quiz.Bank) time.Time { return b.CreatedAt }),
		"updated_at": pg.SortBy(banksByUpdatedSQL, banksByUpdatedDescSQL, func(b quiz.Bank) time.Time { return b.UpdatedAt }),
	}
}

// ListBanks implements quiz.Tx.
func (t quizTx) ListBanks(ctx context.Context, f quiz.BankFilter, p page.Request) (page.Page[quiz.Bank], error) {
	units := f.OrgUnits
	if units == nil {
		units = []uuid.UUID{}
	}
	return pg.ListSorted(ctx, t, bankSorts(), cmp.Or(f.Sort, "title"), func(b quiz.Bank) uuid.UUID { return b.ID }, p,
		f.All, units, f.CourseID, f.UnitID, like(f.Query))
}

// BankNeed implements quiz.Tx.
func (t quizTx) BankNeed(ctx context.Context, bank uuid.UUID) (quiz.Need, error) {
	return pg.One[quiz.Need](ctx, t, "question bank", bankNeedSQL, bank)
}

const (
	questionUploadColumns   = `id, tenant_id, owner_id, key, filename, size, sha256, created_at`
	insertQuestionUploadSQL = `insert into question_uploads (id, tenant_id, owner_id, key, filename, size, sha256, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	questionUploadSQL       = `select ` + questionUploadColumns + ` from question_uploads where id = $1`
	deleteQuestionUploadSQL = `delete from question_uploads where id = $1`
	oldQuestionUploadsSQL   = `select ` + questionUploadColumns + ` from question_uploads where created_at < $1 order by created_at limit $2`
)

// InsertUpload implements quiz.Tx.
func (t quizTx) InsertUpload(ctx context.Context, u quiz.Upload) error {
	_, err := pg.Exec(ctx, t, insertQuestionUploadSQL, u.ID, u.TenantID, u.OwnerID, u.Key, u.Filename, u.Size, u.SHA256, u.CreatedAt)
	return err
}

// Upload implements quiz.Tx.
func (t quizTx) Upload(ctx context.Context, id uuid.UUID) (quiz.Upload, error) {
	return pg.One[quiz.Upload](ctx, t, "upload", questionUploadSQL, id)
}

// DeleteUpload implements quiz.Tx.
func (t quizTx) DeleteUpload(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteQuestionUploadSQL, id)
	return err
}

// OldUploads implements quiz.Tx.
func (t quizTx) OldUploads(ctx context.Context, before time.Time, limit int) ([]quiz.Upload, error) {
	return pg.Many[quiz.Upload](ctx, t, oldQuestionUploadsSQL, before, limit)
}

func duplicateImport(err error) error {
	if pg.Violates(err, "questions_external_id") {
		return apperr.Conflict("external_id_taken", "The bank has a question with this external id.").With(err)
	}
	return err
}
