package postgres

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz"
	"lms/apps/content/internal/quiz/marking"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	questionColumns = `q.id, q.tenant_id, q.bank_id, q.kind, q.title, q.tags, q.external_id, q.current, q.created_at, q.updated_at, q.version, v.definition`
	questionJoin    = ` from questions q join question_versions v on v.question_id = q.id and v.number = q.current where q.deleted_at is null`

	insertQuestionSQL = `
insert into questions (id, tenant_id, bank_id, kind, title, tags, external_id, current, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	updateQuestionSQL        = `update questions set title = $2, tags = $3, current = $4, updated_at = $5, version = $6 where id = $1 and version = $6 - 1`
	deleteQuestionSQL        = `update questions set deleted_at = $2, updated_at = $2, version = version + 1 where id = $1`
	insertQuestionVersionSQL = `insert into question_versions (question_id, number, tenant_id, definition, created_by, created_at) values ($1, $2, $3, $4, $5, $6)`
	questionSQL              = `select ` + questionColumns + questionJoin + ` and q.id = $1`
	lockQuestionSQL          = questionSQL + ` for update of q`
	importedSQL              = `select ` + questionColumns + questionJoin + ` and q.bank_id = $1 and q.external_id = $2 for update of q`
	listQuestionsBase        = `
select ` + questionColumns + questionJoin + ` and q.bank_id = $1 and ($2 = '' or lower(q.title) like $2) and ($3 = '' or q.kind = $3)
  and ($4 = '' or $4 = any(q.tags))`
	questionsByTitleSQL       = listQuestionsBase + ` and ($5 or (lower(q.title), q.id) > (lower($6::text), $7::uuid)) order by lower(q.title), q.id limit $8`
	questionsByTitleDescSQL   = listQuestionsBase + ` and ($5 or (lower(q.title), q.id) < (lower($6::text), $7::uuid)) order by lower(q.title) desc, q.id desc limit $8`
	questionsByCreatedSQL     = listQuestionsBase + ` and ($5 or (q.created_at, q.id) > ($6::timestamptz, $7::uuid)) order by q.created_at, q.id limit $8`
	questionsByCreatedDescSQL = listQuestionsBase + ` and ($5 or (q.created_at, q.id) < ($6::timestamptz, $7::uuid)) order by q.created_at desc, q.id desc limit $8`
	questionsByUpdatedSQL     = listQuestionsBase + ` and ($5 or (q.updated_at, q.id) > ($6::timestamptz, $7::uuid)) order by q.updated_at, q.id limit $8`
	questionsByUpdatedDescSQL = listQuestionsBase + ` and ($5 or (q.updated_at, q.id) < ($6::timestamptz, $7::uuid)) order by q.updated_at desc, q.id desc limit $8`
	questionVersionColumns    = `question_id, tenant_id, number, definition, created_by, created_at`
	listQuestionVersionsSQL   = `
select ` + questionVersionColumns + ` from question_versions where question_id = $1 and ($2 or number < $3) order by number desc limit $4`
	pinnedBySQL = `
select s.quiz_id from quiz_slots s join quizzes z on z.id = s.quiz_id where s.question_id = $1 and z.deleted_at is null order by s.quiz_id`
	drawableSQL = `
select bank_id, id as question_id, current as number from questions where bank_id = any($1) and deleted_at is null order by id`
	definitionsSQL = `
select v.question_id, v.number, v.definition from question_versions v
join unnest($1::uuid[], $2::int[]) as k (question_id, number) on k.question_id = v.question_id and k.number = v.number`
	titlesSQL = `select id, title from questions where id = any($1)`
)

// InsertQuestion implements quiz.Tx.
func (t quizTx) InsertQuestion(ctx context.Context, q quiz.Question) error {
	_, err := pg.Exec(ctx, t, insertQuestionSQL, q.ID, q.TenantID, q.BankID, q.Kind, q.Title, q.Tags, q.ExternalID, q.Current, q.CreatedAt, q.UpdatedAt, q.Version)
	return duplicateImport(err)
}

// UpdateQuestion implements quiz.Tx.
func (t quizTx) UpdateQuestion(ctx context.Context, q quiz.Question) error {
	return pg.ExecVersioned(ctx, t, updateQuestionSQL, q.ID, q.Title, q.Tags, q.Current, q.UpdatedAt, q.Version)
}

// DeleteQuestion implements quiz.Tx.
func (t quizTx) DeleteQuestion(ctx context.Context, q quiz.Question, at time.Time) error {
	_, err := pg.Exec(ctx, t, deleteQuestionSQL, q.ID, at)
	return err
}

// InsertQuestionVersion implements quiz.Tx.
func (t quizTx) InsertQuestionVersion(ctx context.Context, v quiz.QuestionVersion) error {
	_, err := pg.Exec(ctx, t, insertQuestionVersionSQL, v.QuestionID, v.Number, v.TenantID, v.Definition, v.CreatedBy, v.CreatedAt)
	return err
}

// Question implements quiz.Tx.
func (t quizTx) Question(ctx context.Context, id uuid.UUID) (quiz.Question, error) {
	return pg.One[quiz.Question](ctx, t, "question", questionSQL, id)
}

// LockQuestion implements quiz.Tx.
func (t quizTx) LockQuestion(ctx context.Context, id uuid.UUID) (quiz.Question, error) {
	return pg.One[quiz.Question](ctx, t, "question", lockQuestionSQL, id)
}

// Imported implements quiz.Tx.
func (t quizTx) Imported(ctx context.Context, bank uuid.UUID, externalID string) (quiz.Question, error) {
	return pg.One[quiz.Question](ctx, t, "question", importedSQL, bank, externalID)
}

// QuestionVersions implements quiz.Tx.
func (t quizTx) QuestionVersions(ctx context.Context, id uuid.UUID, p page.Request) (page.Page[quiz.QuestionVersion], error) {
	var last int
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[quiz.QuestionVersion]{}, err
	}
	rows, err := pg.Many[quiz.QuestionVersion](ctx, t, listQuestionVersionsSQL, id, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(v quiz.QuestionVersion) string { return page.Encode(v.Number) }), err
}

func questionSorts() pg.Sorts[quiz.Question] {
	return pg.Sorts[quiz.Question]{
		"title":      pg.SortBy(questionsByTitleSQL, questionsByTitleDescSQL, func(q quiz.Question) string { return q.Title }),
		"created_at": pg.SortBy(questionsByCreatedSQL, questionsByCreatedDescSQL, func(q quiz.Question) time.Time { return q.CreatedAt }),
		"updated_at": pg.SortBy(questionsByUpdatedSQL, questionsByUpdatedDescSQL, func(q quiz.Question) time.Time { return q.UpdatedAt }),
	}
}

// ListQuestions implements quiz.Tx.
func (t quizTx) ListQuestions(ctx context.Context, f quiz.QuestionFilter, p page.Request) (page.Page[quiz.Question], error) {
	return pg.ListSorted(ctx, t, questionSorts(), cmp.Or(f.Sort, "title"), func(q quiz.Question) uuid.UUID { return q.ID }, p,
		f.BankID, like(f.Query), f.Kind, strings.ToLower(f.Tag))
}

// PinnedBy implements quiz.Tx.
func (t quizTx) PinnedBy(ctx context.Context, question uuid.UUID) ([]uuid.UUID, error) {
	return pg.Column[uuid.UUID](ctx, t, pinnedBySQL, question)
}

// Drawable implements quiz.Tx.
func (t quizTx) Drawable(ctx context.Context, banks []uuid.UUID) ([]quiz.Drawable, error) {
	return pg.Many[quiz.Drawable](ctx, t, drawableSQL, banks)
}

// Versions implements quiz.Tx.
func (t quizTx) Versions(ctx context.Context, keys []quiz.VersionKey) (map[quiz.VersionKey]marking.Definition, error) {
	type row struct {
		QuestionID uuid.UUID
		Number     int
		Definition marking.Definition
	}
	ids, numbers := make([]uuid.UUID, len(keys)), make([]int, len(keys))
	for i, k := range keys {
		ids[i], numbers[i] = k.QuestionID, k.Number
	}
	rows, err := pg.Many[row](ctx, t, definitionsSQL, ids, numbers)
	if err != nil {
		return nil, err
	}
	out := make(map[quiz.VersionKey]marking.Definition, len(rows))
	for _, r := range rows {
		out[quiz.VersionKey{QuestionID: r.QuestionID, Number: r.Number}] = r.Definition
	}
	return out, nil
}

// Titles implements quiz.Tx.
func (t quizTx) Titles(ctx context.Context, keys []quiz.VersionKey) (map[uuid.UUID]string, error) {
	type row struct {
		ID    uuid.UUID
		Title string
	}
	ids := make([]uuid.UUID, len(keys))
	for i, k := range keys {
		ids[i] = k.QuestionID
	}
	rows, err := pg.Many[row](ctx, t, titlesSQL, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Title
	}
	return out, nil
}
