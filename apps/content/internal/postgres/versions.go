package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/content/internal/library"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	versionFacts     = `v.content_id, v.tenant_id, v.number, coalesce(v.key, '') as key, v.filename, v.media_type, v.size, v.sha256, v.pages, v.width, v.height, v.duration_ms`
	versionColumns   = versionFacts + `, coalesce(v.body, '') as body, v.text, v.created_by, v.created_at`
	versionHead      = versionFacts + `, '' as body, '' as text, v.created_by, v.created_at`
	insertVersionSQL = `
insert into content_versions (content_id, tenant_id, number, key, filename, media_type, size, sha256, pages, width, height, duration_ms, body, text, created_by, created_at)
values ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11, $12, case when $4 = '' then $13 end, $14, $15, $16)`
	versionSQL         = `select ` + versionColumns + ` from content_versions v where v.content_id = $1 and v.number = $2`
	currentVersionsSQL = `
select ` + versionHead + ` from content_versions v join contents c on c.id = v.content_id and c.current = v.number where c.id = any($1)`
	versionsSQL    = `select ` + versionHead + ` from content_versions v where v.content_id = $1 and ($2 or v.number < $3) order by v.number desc limit $4`
	lastVersionSQL = `select coalesce(max(number), 0) from content_versions where content_id = $1`
)

// InsertVersion implements library.Tx.
func (t libraryTx) InsertVersion(ctx context.Context, v library.Version) error {
	_, err := pg.Exec(ctx, t, insertVersionSQL, v.ContentID, v.TenantID, v.Number, v.Key, v.Filename, v.MediaType, v.Size, v.SHA256,
		v.Pages, v.Width, v.Height, v.DurationMS, v.Body, v.Text, v.CreatedBy, v.CreatedAt)
	return err
}

// Version implements library.Tx.
func (t libraryTx) Version(ctx context.Context, content uuid.UUID, number int) (library.Version, error) {
	return pg.One[library.Version](ctx, t, "version", versionSQL, content, number)
}

// CurrentVersions implements library.Tx.
func (t libraryTx) CurrentVersions(ctx context.Context, contents []uuid.UUID) (map[uuid.UUID]library.Version, error) {
	rows, err := pg.Many[library.Version](ctx, t, currentVersionsSQL, contents)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]library.Version, len(rows))
	for _, v := range rows {
		out[v.ContentID] = v
	}
	return out, nil
}

// Versions implements library.Tx.
func (t libraryTx) Versions(ctx context.Context, content uuid.UUID, p page.Request) (page.Page[library.Version], error) {
	var last int
	more, err := page.Decode(p.Cursor, &last)
	if err != nil {
		return page.Page[library.Version]{}, err
	}
	rows, err := pg.Many[library.Version](ctx, t, versionsSQL, content, !more, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(v library.Version) string { return page.Encode(v.Number) }), err
}

// LastVersion implements library.Tx.
func (t libraryTx) LastVersion(ctx context.Context, content uuid.UUID) (int, error) {
	return pg.Scalar[int](ctx, t, "version", lastVersionSQL, content)
}
