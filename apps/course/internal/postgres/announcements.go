package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	announcementColumns   = `id, tenant_id, course_id, org_unit_id, title, body, pinned, publish_at, published_at, author_id, created_at, updated_at, version`
	insertAnnouncementSQL = `
insert into announcements (id, tenant_id, course_id, org_unit_id, title, body, pinned, publish_at, published_at, author_id, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	updateAnnouncementSQL = `
update announcements set title = $2, body = $3, pinned = $4, publish_at = $5, published_at = $6, updated_at = $7, version = $8
where id = $1 and version = $8 - 1`
	deleteAnnouncementSQL = `delete from announcements where id = $1`
	announcementSQL       = `select ` + announcementColumns + ` from announcements where id = $1`
	lockAnnouncementSQL   = announcementSQL + ` for update`
	listAnnouncementsSQL  = `
select ` + announcementColumns + ` from announcements
where course_id = $1 and ($2 or published_at is not null) and ($3 or (pinned, created_at, id) < ($4::boolean, $5::timestamptz, $6::uuid))
order by pinned desc, created_at desc, id desc limit $7`
	dueAnnouncementsSQL = `
select ` + announcementColumns + ` from announcements
where published_at is null and publish_at <= $1 and exists (select 1 from courses c where c.id = course_id and c.status = 'published' and c.deleted_at is null)
order by publish_at limit $2`
	announcementsBySQL = `select ` + announcementColumns + ` from announcements where author_id = $1 order by created_at, id`
)

// InsertAnnouncement implements catalog.Tx.
func (t tx) InsertAnnouncement(ctx context.Context, a catalog.Announcement) error {
	_, err := pg.Exec(ctx, t, insertAnnouncementSQL, a.ID, a.TenantID, a.CourseID, a.OrgUnitID, a.Title, a.Body, a.Pinned, a.PublishAt,
		a.PublishedAt, a.AuthorID, a.CreatedAt, a.UpdatedAt, a.Version)
	return err
}

// UpdateAnnouncement implements catalog.Tx.
func (t tx) UpdateAnnouncement(ctx context.Context, a catalog.Announcement) error {
	return pg.ExecVersioned(ctx, t, updateAnnouncementSQL, a.ID, a.Title, a.Body, a.Pinned, a.PublishAt, a.PublishedAt, a.UpdatedAt, a.Version)
}

// DeleteAnnouncement implements catalog.Tx.
func (t tx) DeleteAnnouncement(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteAnnouncementSQL, id)
	return err
}

// Announcement implements catalog.Tx.
func (t tx) Announcement(ctx context.Context, id uuid.UUID) (catalog.Announcement, error) {
	return pg.One[catalog.Announcement](ctx, t, "announcement", announcementSQL, id)
}

// LockAnnouncement implements catalog.Tx.
func (t tx) LockAnnouncement(ctx context.Context, id uuid.UUID) (catalog.Announcement, error) {
	return pg.One[catalog.Announcement](ctx, t, "announcement", lockAnnouncementSQL, id)
}

// ListAnnouncements implements catalog.Tx.
func (t tx) ListAnnouncements(ctx context.Context, course uuid.UUID, all bool, p page.Request) (page.Page[catalog.Announcement], error) {
	var pinned bool
	var created time.Time
	var last uuid.UUID
	more, err := page.Decode(p.Cursor, &pinned, &created, &last)
	if err != nil {
		return page.Page[catalog.Announcement]{}, err
	}
	rows, err := pg.Many[catalog.Announcement](ctx, t, listAnnouncementsSQL, course, all, !more, pinned, created, last, p.Size()+1)
	return page.Cut(rows, p.Size(), func(a catalog.Announcement) string { return page.Encode(a.Pinned, a.CreatedAt, a.ID) }), err
}

// DueAnnouncements implements catalog.Tx.
func (t tx) DueAnnouncements(ctx context.Context, now time.Time, limit int) ([]catalog.Announcement, error) {
	return pg.Many[catalog.Announcement](ctx, t, dueAnnouncementsSQL, now, limit)
}

// AnnouncementsBy implements catalog.Tx.
func (t tx) AnnouncementsBy(ctx context.Context, user uuid.UUID) ([]catalog.Announcement, error) {
	return pg.Many[catalog.Announcement](ctx, t, announcementsBySQL, user)
}

const (
	uploadColumns   = `id, tenant_id, owner_id, key, filename, size, sha256, created_at`
	insertUploadSQL = `insert into import_uploads (id, tenant_id, owner_id, key, filename, size, sha256, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	uploadSQL       = `select ` + uploadColumns + ` from import_uploads where id = $1`
	deleteUploadSQL = `delete from import_uploads where id = $1`
	oldUploadsSQL   = `select ` + uploadColumns + ` from import_uploads where created_at < $1 order by created_at limit $2`
)

// InsertUpload implements catalog.Tx.
func (t tx) InsertUpload(ctx context.Context, u catalog.Upload) error {
	_, err := pg.Exec(ctx, t, insertUploadSQL, u.ID, u.TenantID, u.OwnerID, u.Key, u.Filename, u.Size, u.SHA256, u.CreatedAt)
	return err
}

// Upload implements catalog.Tx.
func (t tx) Upload(ctx context.Context, id uuid.UUID) (catalog.Upload, error) {
	return pg.One[catalog.Upload](ctx, t, "upload", uploadSQL, id)
}

// DeleteUpload implements catalog.Tx.
func (t tx) DeleteUpload(ctx context.Context, id uuid.UUID) error {
	_, err := pg.Exec(ctx, t, deleteUploadSQL, id)
	return err
}

// OldUploads implements catalog.Tx.
func (t tx) OldUploads(ctx context.Context, before time.Time, limit int) ([]catalog.Upload, error) {
	return pg.Many[catalog.Upload](ctx, t, oldUploadsSQL, before, limit)
}
