package inbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"lms/shared/pg"
	"lms/shared/work"
)

const (
	positionsSQL = `select stream, seen from stream_position where stream like $1 || '/%'`

	markSeenSQL = `
insert into stream_position (stream, seen, updated_at)
values ($1, int8multirange(int8range($2, $3, '[]')), $4)
on conflict (stream) do update set seen = stream_position.seen + excluded.seen, updated_at = excluded.updated_at`
)

// positions are those of a service with a database.
type positions struct{ in *Inbox }

// Seen implements Positions.
func (p positions) Seen(ctx context.Context, topic string) (map[string][]Span, error) {
	type row struct {
		Stream string
		Seen   pgtype.Multirange[pgtype.Range[int64]]
	}
	out := map[string][]Span{}
	err := p.in.o.DB.Read(ctx, work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		rows, err := pg.Many[row](ctx, u, positionsSQL, topic)
		for _, r := range rows {
			out[r.Stream] = []Span{}
			for _, s := range r.Seen {
				out[r.Stream] = append(out[r.Stream], Span{s.Lower, s.Upper - 1})
			}
		}
		return err
	})
	return out, err
}

// GiveUp implements Positions, in the transaction that says so: lost events are
// told once.
func (p positions) GiveUp(ctx context.Context, stream string, gap Span, lost bool) error {
	return p.in.inTx(ctx, func(ctx context.Context, u *pg.Unit) error {
		if _, err := pg.Exec(ctx, u, markSeenSQL, stream, gap.From, gap.To, u.Now()); err != nil || !lost {
			return err
		}
		_, err := pg.Exec(ctx, u, burySQL, u.NewID(), "lost", nil, nil, fmt.Sprintf("%s %d..%d", stream, gap.From, gap.To), CodeLost,
			"The broker did not bring them, and the producer no longer keeps them.", u.Now())
		return err
	})
}
