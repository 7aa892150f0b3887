package postgres

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/page"
	"lms/shared/pg"
)

// listCoursesBase is what all sorts share: $1–$18 are filters. After it, $19 says
// "first page", $20 and $21 are the last row seen, $22 is the limit. What the caller may see
// is part of the statement, so that pages are never thinned out afterwards.
const listCoursesBase = `select ` + courseColumns + courseTables + `
where c.deleted_at is null
  and ($1 = '' or lower(c.title) like $1 or lower(c.code) like $1)
  and ($2 = '' or c.status = $2)
  and ($3 = '' or c.visibility = $3)
  and ($4::uuid is null or c.category_id = $4)
  and ($5::uuid is null or c.term_id = $5)
  and ($6 = '' or c.tags @> array[$6])
  and ($7 = '' or c.language = $7)
  and ($8 = '' or c.level = $8)
  and ($9::uuid[] is null or c.org_unit_id = any($9))
  and ($10 = '' or c.external_source = $10)
  and ($11 = '' or c.external_id = $11)
  and ($12::uuid is null or exists (select 1 from course_staff s where s.course_id = c.id and s.user_id = $12 and s.active))
  and ($13::timestamptz is null or c.updated_at >= $13)
  and ($14::uuid is null or c.tenant_id = $14)
  and ($15::boolean
    or c.org_unit_id = any($16::uuid[])
    or exists (select 1 from course_staff s where s.course_id = c.id and s.user_id = $17 and s.active)
    or c.status = 'published' and (c.visibility = 'public' or c.visibility = 'organisation' and c.tenant_id = $14)
    or c.status in ('published', 'archived') and c.id = any($18::uuid[]))`

const (
	byCreatedSQL     = listCoursesBase + ` and ($19 or (c.created_at, c.id) > ($20::timestamptz, $21::uuid)) order by c.created_at, c.id limit $22`
	byCreatedDescSQL = listCoursesBase + ` and ($19 or (c.created_at, c.id) < ($20::timestamptz, $21::uuid)) order by c.created_at desc, c.id desc limit $22`
	byUpdatedSQL     = listCoursesBase + ` and ($19 or (c.updated_at, c.id) > ($20::timestamptz, $21::uuid)) order by c.updated_at, c.id limit $22`
	byUpdatedDescSQL = listCoursesBase + ` and ($19 or (c.updated_at, c.id) < ($20::timestamptz, $21::uuid)) order by c.updated_at desc, c.id desc limit $22`
	byStartsSQL      = listCoursesBase + ` and ($19 or (coalesce(c.starts_at, 'infinity'), c.id) > (coalesce($20::timestamptz, 'infinity'), $21::uuid)) order by coalesce(c.starts_at, 'infinity'), c.id limit $22`
	byStartsDescSQL  = listCoursesBase + ` and ($19 or (coalesce(c.starts_at, 'infinity'), c.id) < (coalesce($20::timestamptz, 'infinity'), $21::uuid)) order by coalesce(c.starts_at, 'infinity') desc, c.id desc limit $22`
	byTitleSQL       = listCoursesBase + ` and ($19 or (lower(c.title), c.id) > (lower($20::text), $21::uuid)) order by lower(c.title), c.id limit $22`
	byTitleDescSQL   = listCoursesBase + ` and ($19 or (lower(c.title), c.id) < (lower($20::text), $21::uuid)) order by lower(c.title) desc, c.id desc limit $22`
	byCodeSQL        = listCoursesBase + ` and ($19 or (lower(c.code), c.id) > (lower($20::text), $21::uuid)) order by lower(c.code), c.id limit $22`
	byCodeDescSQL    = listCoursesBase + ` and ($19 or (lower(c.code), c.id) < (lower($20::text), $21::uuid)) order by lower(c.code) desc, c.id desc limit $22`
)

func courseSorts() pg.Sorts[catalog.Course] {
	return pg.Sorts[catalog.Course]{
		"created_at": pg.SortBy(byCreatedSQL, byCreatedDescSQL, func(c catalog.Course) time.Time { return c.CreatedAt }),
		"updated_at": pg.SortBy(byUpdatedSQL, byUpdatedDescSQL, func(c catalog.Course) time.Time { return c.UpdatedAt }),
		"starts_at":  pg.SortBy(byStartsSQL, byStartsDescSQL, func(c catalog.Course) *time.Time { return c.StartsAt }),
		"title":      pg.SortBy(byTitleSQL, byTitleDescSQL, func(c catalog.Course) string { return c.Title }),
		"code":       pg.SortBy(byCodeSQL, byCodeDescSQL, func(c catalog.Course) string { return c.Code }),
	}
}

// ListCourses implements catalog.Tx.
func (t tx) ListCourses(ctx context.Context, f catalog.CourseFilter, p page.Request) (page.Page[catalog.Course], error) {
	return pg.ListSorted(ctx, t, courseSorts(), cmp.Or(f.Sort, "-created_at"), func(c catalog.Course) uuid.UUID { return c.ID }, p,
		like(f.Query), f.Status, f.Visibility, f.CategoryID, f.TermID, strings.ToLower(f.Tag),
		f.Language, f.Level, f.OrgUnits, f.ExternalSource, f.ExternalID, f.StaffUser, f.UpdatedSince, f.Tenant,
		f.Reach.All, list(f.Reach.OrgUnits), f.Viewer, list(f.Enrolled))
}

// like is a pattern that finds the text anywhere; "" finds everything.
func like(q string) string {
	if q == "" {
		return ""
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(q)) + "%"
}

func list(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}
