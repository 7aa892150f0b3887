package localpg_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lms/shared/localpg"
)

// All databases of a backup are as of one moment, also while they are written to:
// of a number that is written to one and then to the other, the second never has
// more, and the first at most one more.
func TestABackupIsOfOneMoment(t *testing.T) {
	t.Parallel()
	options := localpg.Options{DataDir: tempDir(t), Durable: true}
	s := start(t, options)
	names := []string{"course", "enrollment"}
	conns := make([]*pgx.Conn, len(names))
	for i, name := range names {
		require.NoError(t, s.EnsureDatabase(t.Context(), name))
		conn, err := pgx.Connect(t.Context(), s.OwnerDSN(name))
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "create table number (n bigint primary key, filler text not null default repeat('x', 500))")
		require.NoError(t, err)
		conns[i] = conn
	}
	writing, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	begun := make(chan struct{})
	var written int64
	wg.Go(func() {
		for n := int64(1); writing.Err() == nil; n++ {
			for _, conn := range conns {
				if _, err := conn.Exec(t.Context(), "insert into number values ($1)", n); err != nil {
					t.Error(err)
					return
				}
			}
			if written = n; n == 50 {
				close(begun)
			}
		}
	})
	<-begun
	var archive bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &archive))
	stop()
	wg.Wait()
	passwords, err := s.Passwords()
	require.NoError(t, err)

	copied := localpg.Options{DataDir: tempDir(t), Durable: true}
	require.NoError(t, localpg.Restore(copied, bytes.NewReader(archive.Bytes()), passwords))
	require.ErrorContains(t, localpg.Restore(copied, bytes.NewReader(archive.Bytes()), passwords), "there is a database")
	r := start(t, copied)
	counts := make([]int64, len(names))
	for i, name := range names {
		conn, err := pgx.Connect(t.Context(), r.ServiceDSN(name))
		require.NoError(t, err)
		require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from number").Scan(&counts[i]))
		require.NoError(t, conn.Close(t.Context()))
	}
	require.GreaterOrEqual(t, counts[1], int64(50))
	require.LessOrEqual(t, counts[0], written)
	require.Contains(t, []int64{0, 1}, counts[0]-counts[1])
}

// A half of an archive makes no cluster.
func TestWhatIsNotWholeIsNotRestored(t *testing.T) {
	t.Parallel()
	options := localpg.Options{DataDir: tempDir(t), Durable: true}
	s := start(t, options)
	var archive bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &archive))
	copied := localpg.Options{DataDir: tempDir(t), Durable: true}
	require.Error(t, localpg.Restore(copied, bytes.NewReader(archive.Bytes()[:archive.Len()/2]), []byte(`{"roles":{}}`)))
	require.Zero(t, localpg.ClusterMajor(copied.DataDir))
}
