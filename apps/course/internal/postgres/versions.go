package postgres

import (
	"context"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	insertVersionSQL = `
insert into curriculum_versions (course_id, number, tenant_id, version, created_at, created_by, reason, changes, document)
select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8 from curriculum_versions where course_id = $1`
	versionColumns = `course_id, tenant_id, number, version, created_at, created_by, reason, changes`
	versionsSQL    = `
select ` + versionColumns + `, null::json as document from curriculum_versions
where course_id = $1 and number < $2 order by number desc limit $3`
	versionSQL = `select ` + versionColumns + `, document from curriculum_versions where course_id = $1 and number = $2`
)

// InsertVersion implements catalog.Tx; the course's lock makes the numbers gap-free.
func (t tx) InsertVersion(ctx context.Context, v catalog.CurriculumVersion) error {
	if v.Changes == nil {
		v.Changes = []catalog.CurriculumChange{}
	}
	_, err := pg.Exec(ctx, t, insertVersionSQL, v.CourseID, v.TenantID, v.Version, v.CreatedAt, v.CreatedBy, v.Reason, v.Changes, v.Document)
	return err
}

// Versions implements catalog.Tx.
func (t tx) Versions(ctx context.Context, course uuid.UUID, p page.Request) (page.Page[catalog.CurriculumVersion], error) {
	before := int64(1) << 62
	if _, err := page.Decode(p.Cursor, &before); err != nil {
		return page.Page[catalog.CurriculumVersion]{}, err
	}
	rows, err := pg.Many[catalog.CurriculumVersion](ctx, t, versionsSQL, course, before, p.Size()+1)
	return page.Cut(rows, p.Size(), func(v catalog.CurriculumVersion) string { return page.Encode(v.Number) }), err
}

// Version implements catalog.Tx.
func (t tx) Version(ctx context.Context, course uuid.UUID, number int64) (catalog.CurriculumVersion, error) {
	return pg.One[catalog.CurriculumVersion](ctx, t, "version", versionSQL, course, number)
}
