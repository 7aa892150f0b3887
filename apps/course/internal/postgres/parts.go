package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/course/internal/catalog"
	"lms/shared/contracts/internalapi"
	"lms/shared/pg"
)

const (
	partColumns = `transfer_id, resource_id, tenant_id, course_id, kind, title, items, state, code, message, notes, package, main, file, created_at, settled_at`
	// A job that is run again finds its parts noted.
	insertPartSQL = `
insert into transfer_parts (transfer_id, resource_id, tenant_id, course_id, kind, title, items, state, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`
	lockPartSQL   = `select ` + partColumns + ` from transfer_parts where transfer_id = $1 and resource_id = $2 for update`
	updatePartSQL = `
update transfer_parts set state = $3, code = $4, message = $5, notes = $6, package = $7, main = $8, file = $9, settled_at = $10
where transfer_id = $1 and resource_id = $2`
	partsSQL       = `select ` + partColumns + ` from transfer_parts where transfer_id = $1 order by n`
	purgePartsSQL  = `delete from transfer_parts where created_at < $1`
	resourcesOfSQL = `select ` + resourceColumns + ` from resources where course_id = $1 and not deleted and kind in ('quiz', 'assignment') order by id`
)

// InsertPart implements catalog.Tx.
func (t tx) InsertPart(ctx context.Context, p catalog.Part) error {
	items := p.Items
	if items == nil {
		items = []uuid.UUID{}
	}
	_, err := pg.Exec(ctx, t, insertPartSQL, p.TransferID, p.ResourceID, p.TenantID, p.CourseID, p.Kind, p.Title, items, p.State, p.CreatedAt)
	return err
}

// LockPart implements catalog.Tx.
func (t tx) LockPart(ctx context.Context, transfer, resource uuid.UUID) (catalog.Part, error) {
	return pg.One[catalog.Part](ctx, t, "part", lockPartSQL, transfer, resource)
}

// UpdatePart implements catalog.Tx.
func (t tx) UpdatePart(ctx context.Context, p catalog.Part) error {
	notes := p.Notes
	if notes == nil {
		notes = []internalapi.PartNote{}
	}
	_, err := pg.Exec(ctx, t, updatePartSQL, p.TransferID, p.ResourceID, p.State, p.Code, p.Message, notes, p.Package, p.Main, p.File, p.SettledAt)
	return err
}

// Parts implements catalog.Tx.
func (t tx) Parts(ctx context.Context, transfer uuid.UUID) ([]catalog.Part, error) {
	return pg.Many[catalog.Part](ctx, t, partsSQL, transfer)
}

// PurgeParts implements catalog.Tx.
func (t tx) PurgeParts(ctx context.Context, before time.Time) error {
	_, err := pg.Exec(ctx, t, purgePartsSQL, before)
	return err
}

// ResourcesOf implements catalog.Tx.
func (t tx) ResourcesOf(ctx context.Context, course uuid.UUID) ([]catalog.Resource, error) {
	return pg.Many[catalog.Resource](ctx, t, resourcesOfSQL, course)
}
