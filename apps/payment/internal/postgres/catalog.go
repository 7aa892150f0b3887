package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"lms/apps/payment/internal/billing"
	"lms/shared/apperr"
	"lms/shared/page"
	"lms/shared/pg"
)

const (
	entityColumns = ` id, tenant_id, org_unit_id, name, address, country, tax_id, invoice_prefix, credit_note_prefix, created_at, version `

	insertEntitySQL = `
insert into legal_entities (id, tenant_id, org_unit_id, name, address, country, tax_id, invoice_prefix, credit_note_prefix, created_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	insertCountersSQL = `
insert into document_counters (legal_entity_id, kind, tenant_id) values ($1, 'invoice', $2), ($1, 'credit_note', $2)`
	entitySQL   = `select` + entityColumns + `from legal_entities where id = $1`
	entitiesSQL = `select` + entityColumns + `from legal_entities where ($1::uuid is null or id < $1) order by id desc limit $2`
)

// InsertLegalEntity implements billing.CatalogTx.
func (t tx) InsertLegalEntity(ctx context.Context, e billing.LegalEntity) error {
	err := exec(ctx, t, insertEntitySQL, e.ID, e.TenantID, e.OrgUnitID, e.Name, e.Address, e.Country, e.TaxID, e.InvoicePrefix, e.CreditNotePrefix, e.CreatedAt, e.Version)
	for _, constraint := range []string{"legal_entities_invoice_prefix", "legal_entities_credit_note_prefix"} {
		err = taken(err, constraint, "prefix_taken", "Another legal entity has this prefix.")
	}
	if err != nil {
		return err
	}
	return exec(ctx, t, insertCountersSQL, e.ID, e.TenantID)
}

// LegalEntity implements billing.CatalogTx.
func (t tx) LegalEntity(ctx context.Context, id uuid.UUID) (billing.LegalEntity, error) {
	return pg.One[billing.LegalEntity](ctx, t, "legal entity", entitySQL, id)
}

// LegalEntities implements billing.CatalogTx.
func (t tx) LegalEntities(ctx context.Context, p page.Request) (page.Page[billing.LegalEntity], error) {
	return listed(ctx, t, p, func(e billing.LegalEntity) uuid.UUID { return e.ID }, entitiesSQL)
}

const (
	planColumns = `
id, tenant_id, org_unit_id, legal_entity_id, name, description, kind, state, tax_inclusive, tax_category, access_days, period_unit,
period_count, trial_days, instalments, refund_days, for_people, for_org_units, created_at, updated_at, version `

	insertPlanSQL = `
insert into plans (id, tenant_id, org_unit_id, legal_entity_id, name, description, kind, state, tax_inclusive, tax_category, access_days,
  period_unit, period_count, trial_days, instalments, refund_days, for_people, for_org_units, created_at, updated_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`
	updatePlanSQL = `
update plans set legal_entity_id = $3, name = $4, description = $5, state = $6, tax_inclusive = $7, tax_category = $8, access_days = $9,
  period_unit = $10, period_count = $11, trial_days = $12, instalments = $13, refund_days = $14, for_people = $15, for_org_units = $16,
  updated_at = $17, version = version + 1
where id = $1 and version = $2`
	planSQL        = `select` + planColumns + `from plans where id = $1`
	planCoursesSQL = `
select c.plan_id, c.course_id, c.org_unit_id, c.title, coalesce(k.known, false) as known
from plan_courses c left join priced_courses k on k.course_id = c.course_id
where c.plan_id = any ($1) order by c.plan_id, c.position`
	pricesSQL        = `select plan_id, id, currency, amount from prices where plan_id = any ($1) and replaced_at is null order by plan_id, position`
	priceSQL         = `select id, currency, amount from prices where id = $1`
	plansOfCourseSQL = `
select` + planColumns + `from plans
where state = 'active' and for_people and id in (select plan_id from plan_courses where course_id = $1) order by id`
	plansSQL = `
select` + planColumns + `from plans p
where ($1::uuid is null or exists (select 1 from plan_courses c where c.plan_id = p.id and c.course_id = $1))
  and ($2::text is null or kind = $2) and ($3::text is null or state = $3) and ($4 or state = 'active')
  and ($5::uuid is null or id < $5)
order by id desc limit $6`
	deletePlanSQL    = `delete from plans where id = $1 and version = $2`
	clearCoursesSQL  = `delete from plan_courses where plan_id = $1`
	insertCourseSQL  = `insert into plan_courses (plan_id, course_id, tenant_id, org_unit_id, title, position) values ($1, $2, $3, $4, $5, $6)`
	replacePricesSQL = `update prices set replaced_at = $3 where plan_id = $1 and replaced_at is null and id <> all ($2)`
	insertPriceSQL   = `
insert into prices (id, plan_id, tenant_id, currency, amount, position, created_at) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (id) do update set position = excluded.position`
	lockCoursePriceSQL = `
insert into priced_courses (course_id, tenant_id) values ($1, $2)
on conflict (course_id) do update set changes = priced_courses.changes + 1
returning known`
	priceToldSQL  = `update priced_courses set told = $2, known = false where course_id = $1`
	priceKnownSQL = `
update priced_courses k set known = exists (
  select from plan_courses c join plans p on p.id = c.plan_id where c.course_id = k.course_id and p.state = 'active' and p.for_people)
where k.course_id = $1 and k.told = $2`
)

// InsertPlan implements billing.CatalogTx.
func (t tx) InsertPlan(ctx context.Context, p billing.Plan) error {
	return exec(ctx, t, insertPlanSQL, p.ID, p.TenantID, p.OrgUnitID, p.LegalEntityID, p.Name, p.Description, p.Kind, p.State, p.TaxInclusive,
		p.TaxCategory, p.AccessDays, p.PeriodUnit, p.PeriodCount, p.TrialDays, p.Instalments, p.RefundDays, p.ForPeople, p.ForOrgUnits,
		p.CreatedAt, p.UpdatedAt, p.Version)
}

// UpdatePlan implements billing.CatalogTx.
func (t tx) UpdatePlan(ctx context.Context, p *billing.Plan) error {
	err := pg.ExecVersioned(ctx, t, updatePlanSQL, p.ID, p.Version, p.LegalEntityID, p.Name, p.Description, p.State, p.TaxInclusive, p.TaxCategory,
		p.AccessDays, p.PeriodUnit, p.PeriodCount, p.TrialDays, p.Instalments, p.RefundDays, p.ForPeople, p.ForOrgUnits, p.UpdatedAt)
	p.Version++
	return err
}

// SetPlanCourses implements billing.CatalogTx.
func (t tx) SetPlanCourses(ctx context.Context, p billing.Plan) error {
	if err := exec(ctx, t, clearCoursesSQL, p.ID); err != nil {
		return err
	}
	for i, c := range p.Courses {
		if err := exec(ctx, t, insertCourseSQL, p.ID, c.CourseID, p.TenantID, c.OrgUnitID, c.Title, i); err != nil {
			return err
		}
	}
	return nil
}

// SetPrices implements billing.CatalogTx.
func (t tx) SetPrices(ctx context.Context, p *billing.Plan, now time.Time) error {
	ids := make([]uuid.UUID, len(p.Prices))
	for i, x := range p.Prices {
		ids[i] = x.ID
	}
	if err := exec(ctx, t, replacePricesSQL, p.ID, ids, now); err != nil {
		return err
	}
	for i, x := range p.Prices {
		if err := exec(ctx, t, insertPriceSQL, x.ID, p.ID, p.TenantID, x.Currency, x.Amount, i, now); err != nil {
			return err
		}
	}
	return nil
}

// Plan implements billing.CatalogTx.
func (t tx) Plan(ctx context.Context, id uuid.UUID) (billing.Plan, error) {
	p, err := pg.One[billing.Plan](ctx, t, "plan", planSQL, id)
	if err != nil {
		return p, err
	}
	plans := []billing.Plan{p}
	err = t.fill(ctx, plans)
	return plans[0], err
}

type courseRow struct {
	PlanID uuid.UUID
	billing.PlanCourse
}

type priceRow struct {
	PlanID uuid.UUID
	billing.Price
}

// fill reads courses and prices of plans.
func (t tx) fill(ctx context.Context, plans []billing.Plan) error {
	ids := make([]uuid.UUID, len(plans))
	at := make(map[uuid.UUID]*billing.Plan, len(plans))
	for i := range plans {
		ids[i] = plans[i].ID
		at[ids[i]] = &plans[i]
	}
	courses, err := pg.Many[courseRow](ctx, t, planCoursesSQL, ids)
	if err != nil {
		return err
	}
	for _, c := range courses {
		at[c.PlanID].Courses = append(at[c.PlanID].Courses, c.PlanCourse)
	}
	prices, err := pg.Many[priceRow](ctx, t, pricesSQL, ids)
	if err != nil {
		return err
	}
	for _, x := range prices {
		at[x.PlanID].Prices = append(at[x.PlanID].Prices, x.Price)
	}
	return nil
}

// Plans implements billing.CatalogTx.
func (t tx) Plans(ctx context.Context, f billing.PlanFilter, p page.Request) (page.Page[billing.Plan], error) {
	out, err := listed(ctx, t, p, func(p billing.Plan) uuid.UUID { return p.ID }, plansSQL, f.CourseID, optional(f.Kind), optional(f.State), f.Archived)
	if err != nil {
		return out, err
	}
	return out, t.fill(ctx, out.Items)
}

// PlansOfCourse implements billing.CatalogTx.
func (t tx) PlansOfCourse(ctx context.Context, course uuid.UUID) ([]billing.Plan, error) {
	plans, err := pg.Many[billing.Plan](ctx, t, plansOfCourseSQL, course)
	if err != nil {
		return nil, err
	}
	return plans, t.fill(ctx, plans)
}

// DeletePlan implements billing.CatalogTx.
func (t tx) DeletePlan(ctx context.Context, id uuid.UUID, version int64) error {
	return inUse(pg.ExecVersioned(ctx, t, deletePlanSQL, id, version))
}

// inUse is a 409 for a row that others refer to.
func inUse(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "23503" {
		return apperr.Conflict("in_use", "It was used already. Archive it instead.").With(err)
	}
	return err
}

// Price implements billing.CatalogTx.
func (t tx) Price(ctx context.Context, id uuid.UUID) (billing.Price, error) {
	return pg.One[billing.Price](ctx, t, "price", priceSQL, id)
}

// LockCoursePrice implements billing.CatalogTx.
func (t tx) LockCoursePrice(ctx context.Context, course, tenant uuid.UUID) (known bool, err error) {
	err = t.QueryRow(ctx, lockCoursePriceSQL, course, tenant).Scan(&known)
	return known, err
}

// CoursePriceTold implements billing.CatalogTx.
func (t tx) CoursePriceTold(ctx context.Context, course, call uuid.UUID) error {
	return exec(ctx, t, priceToldSQL, course, call)
}

// CoursePriceKnown implements billing.CatalogTx.
func (t tx) CoursePriceKnown(ctx context.Context, course, call uuid.UUID) error {
	return exec(ctx, t, priceKnownSQL, course, call)
}

const (
	taxColumns   = ` id, tenant_id, country, region, category, components, valid_from, created_at `
	insertTaxSQL = `
insert into tax_rules (id, tenant_id, country, region, category, components, valid_from, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`
	taxRulesSQL   = `select` + taxColumns + `from tax_rules where ($1::uuid is null or id < $1) order by id desc limit $2`
	taxRulesOfSQL = `select` + taxColumns + `from tax_rules where tenant_id = $1 and country = $2 and valid_from <= $3`
)

// InsertTaxRule implements billing.CatalogTx.
func (t tx) InsertTaxRule(ctx context.Context, r billing.TaxRule) error {
	err := exec(ctx, t, insertTaxSQL, r.ID, r.TenantID, r.Country, r.Region, r.Category, list(r.Components), r.ValidFrom, r.CreatedAt)
	return taken(err, "tax_rules_tenant_id_country_region_category_valid_from_key", "tax_rule_exists", "A rule of this place begins at this time already.")
}

// TaxRules implements billing.CatalogTx.
func (t tx) TaxRules(ctx context.Context, p page.Request) (page.Page[billing.TaxRule], error) {
	return listed(ctx, t, p, func(r billing.TaxRule) uuid.UUID { return r.ID }, taxRulesSQL)
}

// TaxRulesOf implements billing.CatalogTx.
func (t tx) TaxRulesOf(ctx context.Context, tenant uuid.UUID, country string, now time.Time) ([]billing.TaxRule, error) {
	return pg.Many[billing.TaxRule](ctx, t, taxRulesOfSQL, tenant, country, now)
}
