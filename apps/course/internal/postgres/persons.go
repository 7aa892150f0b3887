package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/pg"
)

const (
	viewColumns    = `course_id, tenant_id, org_unit_id, user_id, day, viewed_at`
	insertViewsSQL = `
insert into course_views (course_id, tenant_id, org_unit_id, user_id, day, viewed_at)
select v.course_id, v.tenant_id, v.org_unit_id, v.user_id, v.day, v.viewed_at
from jsonb_to_recordset($1::jsonb) as v (course_id uuid, tenant_id uuid, org_unit_id uuid, user_id uuid, day date, viewed_at timestamptz)
join courses c on c.id = v.course_id
on conflict (day, course_id, user_id) do nothing
returning ` + viewColumns
	viewsBySQL    = `select ` + viewColumns + ` from course_views where user_id = $1 order by day, course_id`
	purgeViewsSQL = `delete from course_views where viewed_at < $1`
)

type savedView struct {
	CourseID  uuid.UUID `json:"course_id"`
	TenantID  uuid.UUID `json:"tenant_id"`
	OrgUnitID uuid.UUID `json:"org_unit_id"`
	UserID    uuid.UUID `json:"user_id"`
	Day       string    `json:"day"`
	ViewedAt  time.Time `json:"viewed_at"`
}

// InsertViews implements catalog.Tx.
func (t tx) InsertViews(ctx context.Context, views []catalog.View) ([]catalog.View, error) {
	rows := make([]savedView, len(views))
	for i, v := range views {
		rows[i] = savedView{
			CourseID: v.CourseID, TenantID: v.TenantID, OrgUnitID: v.OrgUnitID, UserID: v.UserID, Day: v.Day.Format(time.DateOnly), ViewedAt: v.ViewedAt,
		}
	}
	return pg.Many[catalog.View](ctx, t, insertViewsSQL, rows)
}

// ViewsBy implements catalog.Tx.
func (t tx) ViewsBy(ctx context.Context, user uuid.UUID) ([]catalog.View, error) {
	return pg.Many[catalog.View](ctx, t, viewsBySQL, user)
}

// PurgeViews implements catalog.Tx.
func (t tx) PurgeViews(ctx context.Context, before time.Time) error {
	_, err := pg.Exec(ctx, t, purgeViewsSQL, before)
	return err
}

const (
	forgetStaffSQL         = `delete from course_staff where user_id = $1`
	forgetViewsSQL         = `delete from course_views where user_id = $1`
	forgetUploadsSQL       = `delete from import_uploads where owner_id = $1`
	forgetAnnouncementsSQL = `update announcements set author_id = $2 where author_id = $1`
	forgetCoursesSQL       = `update courses set created_by = $2 where created_by = $1`
	forgetAddedSQL         = `update course_staff set added_by = $2 where added_by = $1`
	forgetVersionsSQL      = `update curriculum_versions set created_by = $2 where created_by = $1`
	forgetTemplatesSQL     = `update course_templates set created_by = $2 where created_by = $1`
)

// Forget implements catalog.Tx.
func (t tx) Forget(ctx context.Context, user, pseudonym uuid.UUID) (kept int64, err error) {
	for _, sql := range []string{forgetStaffSQL, forgetViewsSQL, forgetUploadsSQL} {
		if _, err := pg.Exec(ctx, t, sql, user); err != nil {
			return 0, err
		}
	}
	for _, sql := range []string{forgetAnnouncementsSQL, forgetCoursesSQL, forgetAddedSQL, forgetVersionsSQL, forgetTemplatesSQL} {
		n, err := pg.Exec(ctx, t, sql, user, pseudonym)
		if err != nil {
			return 0, err
		}
		kept += n
	}
	return kept, nil
}
