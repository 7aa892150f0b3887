package pg_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/shared/testkit"
)

func TestIDsGoToTheDatabaseAndBack(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, "course")
	id, other := uuid.New(), uuid.New()
	var (
		text    string
		back    uuid.UUID
		pointer *uuid.UUID
		none    *uuid.UUID
		nothing = uuid.New()
		list    []uuid.UUID
		empty   []uuid.UUID
	)
	err := db.QueryRow(t.Context(), `select $1::uuid::text, $1::uuid, $2::uuid, $3::uuid, null::uuid, $4::uuid[], '{}'::uuid[]`,
		id, &other, (*uuid.UUID)(nil), []uuid.UUID{id, other}).Scan(&text, &back, &pointer, &none, &nothing, &list, &empty)
	require.NoError(t, err)
	require.Equal(t, id.String(), text)
	require.Equal(t, id, back)
	require.Equal(t, other, *pointer)
	require.Nil(t, none)
	require.Equal(t, uuid.Nil, nothing, "null")
	require.Equal(t, []uuid.UUID{id, other}, list)
	require.Empty(t, empty)

	var some []*uuid.UUID
	require.NoError(t, db.QueryRow(t.Context(), `select $1::uuid[]`, []*uuid.UUID{&id, nil, &other}).Scan(&some))
	require.Equal(t, []*uuid.UUID{&id, nil, &other}, some)

	// Without a known type of the parameter, as text.
	require.NoError(t, db.QueryRow(t.Context(), `select $1::text::uuid`, id.String()).Scan(&back))
	require.Equal(t, id, back)
}
