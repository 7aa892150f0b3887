package postgres

import (
	"context"

	"lms/apps/content/internal/quiz"
	"lms/shared/pg"
	"lms/shared/work"
)

// QuizStore is the store of banks, quizzes and attempts.
type QuizStore struct{ db *pg.DB }

// NewQuizStore is a store on a database.
func NewQuizStore(db *pg.DB) *QuizStore { return &QuizStore{db: db} }

type quizTx struct{ *pg.Unit }

// NewQuizTx gives the domain's transaction for one that a receiver already has.
func NewQuizTx(u *pg.Unit) quiz.Tx { return quizTx{u} }

var (
	_ quiz.Store = (*QuizStore)(nil)
	_ quiz.Tx    = quizTx{}
)

// InTx implements quiz.Store.
func (s *QuizStore) InTx(ctx context.Context, sc work.Scope, fn func(context.Context, quiz.Tx) error) error {
	return s.db.InTx(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, quizTx{u}) })
}

// Read implements quiz.Store.
func (s *QuizStore) Read(ctx context.Context, sc work.Scope, fn func(context.Context, quiz.Tx) error) error {
	return s.db.Read(ctx, sc, func(ctx context.Context, u *pg.Unit) error { return fn(ctx, quizTx{u}) })
}

// maybe is a row that may not be there.
func maybe[T any](rows []T, err error) (*T, error) {
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}
