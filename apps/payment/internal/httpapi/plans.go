package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/apps/payment/internal/billing"
	"lms/apps/payment/internal/money"
	"lms/shared/apperr"
	"lms/shared/patch"
	"lms/shared/web"
)

// Price is what a plan costs in one currency.
type Price struct {
	ID       uuid.UUID `json:"id"`
	Currency string    `json:"currency"`
	Amount   int64     `json:"amount" doc:"Minor units"`
}

// PlanCourse is a course that a plan opens.
type PlanCourse struct {
	CourseID uuid.UUID `json:"course_id"`
	Title    string    `json:"title"`
}

// Period is a stretch of the calendar.
type Period struct {
	Unit  string `json:"unit" enum:"day,week,month,year"`
	Count int    `json:"count" minimum:"1" maximum:"366"`
}

// Plan is something to buy.
type Plan struct {
	ID            uuid.UUID    `json:"id"`
	OrgUnitID     uuid.UUID    `json:"org_unit_id"`
	LegalEntityID uuid.UUID    `json:"legal_entity_id"`
	Name          string       `json:"name"`
	Description   string       `json:"description"`
	Kind          string       `json:"kind" enum:"one_off,subscription,instalments"`
	State         string       `json:"state" enum:"active,archived"`
	OnSale        bool         `json:"on_sale" doc:"It can be bought. Not yet while enrollment does not know that its courses cost something"`
	Courses       []PlanCourse `json:"courses"`
	Prices        []Price      `json:"prices"`
	TaxInclusive  bool         `json:"tax_inclusive" doc:"Prices have the tax in them"`
	TaxCategory   string       `json:"tax_category"`
	AccessDays    *int         `json:"access_days" doc:"How long one has access; null is for ever, or as long as a subscription runs"`
	Period        *Period      `json:"period" doc:"Of a subscription, or between instalments"`
	TrialDays     int          `json:"trial_days"`
	Instalments   int          `json:"instalments"`
	RefundDays    int          `json:"refund_days" doc:"How long a buyer may take it back (rule 33)"`
	ForPeople     bool         `json:"for_people"`
	ForOrgUnits   bool         `json:"for_org_units"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
}

func showPlan(p billing.Plan) Plan {
	out := Plan{
		ID: p.ID, OrgUnitID: p.OrgUnitID, LegalEntityID: p.LegalEntityID, Name: p.Name, Description: p.Description, Kind: p.Kind, State: string(p.State.At()), OnSale: p.OnSale(),
		Courses: []PlanCourse{}, Prices: []Price{}, TaxInclusive: p.TaxInclusive, TaxCategory: p.TaxCategory, AccessDays: p.AccessDays, TrialDays: p.TrialDays,
		Instalments: p.Instalments, RefundDays: p.RefundDays, ForPeople: p.ForPeople, ForOrgUnits: p.ForOrgUnits, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	if p.PeriodUnit != "" {
		out.Period = &Period{p.PeriodUnit, p.PeriodCount}
	}
	for _, c := range p.Courses {
		out.Courses = append(out.Courses, PlanCourse{c.CourseID, c.Title})
	}
	for _, x := range p.Prices {
		out.Prices = append(out.Prices, Price(x))
	}
	return out
}

type priceBody struct {
	Currency string `json:"currency" pattern:"^[A-Z]{3}$"`
	Amount   int64  `json:"amount" minimum:"0" maximum:"999999999999"`
}

func prices(list []priceBody) []billing.Price {
	out := make([]billing.Price, len(list))
	for i, x := range list {
		out[i] = billing.Price{Currency: x.Currency, Amount: x.Amount}
	}
	return out
}

type createPlanInput struct {
	Body struct {
		OrgUnitID     uuid.UUID   `json:"org_unit_id"`
		LegalEntityID uuid.UUID   `json:"legal_entity_id,omitempty" doc:"Who sells; may be left out where there is only one"`
		Name          string      `json:"name" minLength:"1" maxLength:"200"`
		Description   string      `json:"description,omitempty" maxLength:"5000"`
		Kind          string      `json:"kind" enum:"one_off,subscription,instalments"`
		CourseIDs     []uuid.UUID `json:"course_ids" minItems:"1" maxItems:"50"`
		Prices        []priceBody `json:"prices" minItems:"1" maxItems:"30"`
		TaxInclusive  bool        `json:"tax_inclusive,omitempty"`
		TaxCategory   string      `json:"tax_category,omitempty" maxLength:"60"`
		AccessDays    *int        `json:"access_days,omitempty" minimum:"1" maximum:"36500"`
		Period        *Period     `json:"period,omitempty"`
		TrialDays     int         `json:"trial_days,omitempty" minimum:"0" maximum:"730"`
		Instalments   int         `json:"instalments,omitempty" minimum:"2" maximum:"60"`
		RefundDays    *int        `json:"refund_days,omitempty" minimum:"0" maximum:"3650" doc:"14 if left out"`
		ForPeople     *bool       `json:"for_people,omitempty"`
		ForOrgUnits   *bool       `json:"for_org_units,omitempty"`
	}
}

// defaultRefundDays is the right of withdrawal of most consumers.
const defaultRefundDays = 14

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

func (a *API) createPlan(ctx context.Context, in *createPlanInput) (*web.Resource[Plan], error) {
	b := in.Body
	p := billing.Plan{
		OrgUnitID: b.OrgUnitID, LegalEntityID: b.LegalEntityID, Name: b.Name, Description: b.Description, Kind: b.Kind, TaxInclusive: b.TaxInclusive,
		TaxCategory: b.TaxCategory, AccessDays: b.AccessDays, TrialDays: b.TrialDays, Instalments: b.Instalments, RefundDays: or(b.RefundDays, defaultRefundDays),
		ForPeople: or(b.ForPeople, true), ForOrgUnits: or(b.ForOrgUnits, b.Kind == "one_off"), Prices: prices(b.Prices),
	}
	if b.Period != nil {
		p.PeriodUnit, p.PeriodCount = b.Period.Unit, b.Period.Count
	}
	made, err := a.Service.CreatePlan(ctx, web.Actor(ctx), billing.NewPlan{Plan: p, CourseIDs: b.CourseIDs})
	if err != nil {
		return nil, err
	}
	return web.Created(showPlan(made), made.Version, "/api/v1/plans/"+made.ID.String()), nil
}

type updatePlanInput struct {
	web.ByID
	web.IfMatch
	Body struct {
		LegalEntityID patch.Field[uuid.UUID]   `json:"legal_entity_id"`
		Name          patch.Field[string]      `json:"name"`
		Description   patch.Field[string]      `json:"description"`
		State         patch.Field[string]      `json:"state" enum:"active,archived"`
		CourseIDs     patch.Field[[]uuid.UUID] `json:"course_ids"`
		Prices        patch.Field[[]priceBody] `json:"prices"`
		TaxInclusive  patch.Field[bool]        `json:"tax_inclusive"`
		TaxCategory   patch.Field[string]      `json:"tax_category"`
		AccessDays    patch.Field[int]         `json:"access_days"`
		TrialDays     patch.Field[int]         `json:"trial_days"`
		RefundDays    patch.Field[int]         `json:"refund_days"`
		ForPeople     patch.Field[bool]        `json:"for_people"`
		ForOrgUnits   patch.Field[bool]        `json:"for_org_units"`
	}
}

func (a *API) updatePlan(ctx context.Context, in *updatePlanInput) (*web.Resource[Plan], error) {
	b := in.Body
	var courses []uuid.UUID
	if b.CourseIDs.Set {
		courses = append([]uuid.UUID{}, b.CourseIDs.Value...)
	}
	p, err := a.Service.ChangePlan(ctx, web.Actor(ctx), in.ID, in.Version(), courses, billing.PlanState(b.State.Value), func(p *billing.Plan) {
		b.LegalEntityID.Apply(&p.LegalEntityID)
		b.Name.Apply(&p.Name)
		b.Description.Apply(&p.Description)
		b.TaxInclusive.Apply(&p.TaxInclusive)
		b.TaxCategory.Apply(&p.TaxCategory)
		b.AccessDays.ApplyPtr(&p.AccessDays)
		b.TrialDays.Apply(&p.TrialDays)
		b.RefundDays.Apply(&p.RefundDays)
		b.ForPeople.Apply(&p.ForPeople)
		b.ForOrgUnits.Apply(&p.ForOrgUnits)
		if b.Prices.Set {
			p.Prices = prices(b.Prices.Value)
		}
	})
	if err != nil {
		return nil, err
	}
	return web.Res(showPlan(p), p.Version), nil
}

type listPlansInput struct {
	web.ByTime
	CourseID uuid.UUID `query:"course_id" doc:"Only plans that open this course"`
	Kind     string    `query:"kind" enum:"one_off,subscription,instalments"`
	State    string    `query:"state" enum:"active,archived"`
}

func given(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func (a *API) listPlans(ctx context.Context, in *listPlansInput) (*web.List[Plan], error) {
	p, err := a.Service.Plans(ctx, web.Actor(ctx), billing.PlanFilter{CourseID: given(in.CourseID), Kind: in.Kind, State: in.State}, in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showPlan), nil
}

func (a *API) getPlan(ctx context.Context, in *web.ByID) (*web.Resource[Plan], error) {
	p, err := a.Service.Plan(ctx, web.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return web.Res(showPlan(p), p.Version), nil
}

type deleteInput struct {
	web.ByID
	web.IfMatch
}

func (a *API) deletePlan(ctx context.Context, in *deleteInput) (*web.Empty, error) {
	return nil, a.Service.DeletePlan(ctx, web.Actor(ctx), in.ID, in.Version())
}

// LegalEntity is who sells.
type LegalEntity struct {
	ID               uuid.UUID `json:"id"`
	OrgUnitID        uuid.UUID `json:"org_unit_id"`
	Name             string    `json:"name"`
	Address          string    `json:"address"`
	Country          string    `json:"country"`
	TaxID            string    `json:"tax_id"`
	InvoicePrefix    string    `json:"invoice_prefix"`
	CreditNotePrefix string    `json:"credit_note_prefix"`
	CreatedAt        time.Time `json:"created_at"`
}

func showEntity(e billing.LegalEntity) LegalEntity {
	return LegalEntity{
		ID: e.ID, OrgUnitID: e.OrgUnitID, Name: e.Name, Address: e.Address, Country: e.Country, TaxID: e.TaxID, InvoicePrefix: e.InvoicePrefix,
		CreditNotePrefix: e.CreditNotePrefix, CreatedAt: e.CreatedAt,
	}
}

type createEntityInput struct {
	Body struct {
		OrgUnitID        uuid.UUID `json:"org_unit_id"`
		Name             string    `json:"name" minLength:"1" maxLength:"200"`
		Address          string    `json:"address" minLength:"1" maxLength:"1000"`
		Country          string    `json:"country" pattern:"^[A-Z]{2}$"`
		TaxID            string    `json:"tax_id,omitempty" maxLength:"60"`
		InvoicePrefix    string    `json:"invoice_prefix,omitempty" pattern:"^[A-Z0-9-]{1,12}$" doc:"INV if left out"`
		CreditNotePrefix string    `json:"credit_note_prefix,omitempty" pattern:"^[A-Z0-9-]{1,12}$" doc:"CN if left out"`
	}
}

func (a *API) createEntity(ctx context.Context, in *createEntityInput) (*web.Resource[LegalEntity], error) {
	b := in.Body
	e := billing.LegalEntity{
		OrgUnitID: b.OrgUnitID, Name: b.Name, Address: b.Address, Country: b.Country, TaxID: b.TaxID, InvoicePrefix: b.InvoicePrefix, CreditNotePrefix: b.CreditNotePrefix,
	}
	if e.InvoicePrefix == "" {
		e.InvoicePrefix = "INV"
	}
	if e.CreditNotePrefix == "" {
		e.CreditNotePrefix = "CN"
	}
	made, err := a.Service.CreateLegalEntity(ctx, web.Actor(ctx), e)
	if err != nil {
		return nil, err
	}
	return web.Created(showEntity(made), made.Version, ""), nil
}

func (a *API) listEntities(ctx context.Context, in *web.ByTime) (*web.List[LegalEntity], error) {
	p, err := a.Service.LegalEntities(ctx, web.Actor(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showEntity), nil
}

// TaxComponent is one tax of a rule.
type TaxComponent struct {
	Name    string `json:"name" minLength:"1" maxLength:"60"`
	Percent string `json:"percent" maxLength:"8" doc:"From 0 to 100 with at most four places, such as 8.875"`
}

// TaxRule says which taxes a place asks for.
type TaxRule struct {
	ID         uuid.UUID      `json:"id"`
	Country    string         `json:"country"`
	Region     string         `json:"region"`
	Category   string         `json:"category"`
	Components []TaxComponent `json:"components"`
	ValidFrom  time.Time      `json:"valid_from"`
	CreatedAt  time.Time      `json:"created_at"`
}

func showTaxRule(r billing.TaxRule) TaxRule {
	out := TaxRule{ID: r.ID, Country: r.Country, Region: r.Region, Category: r.Category, Components: []TaxComponent{}, ValidFrom: r.ValidFrom, CreatedAt: r.CreatedAt}
	for _, c := range r.Components {
		out.Components = append(out.Components, TaxComponent{c.Name, c.Rate.Percent()})
	}
	return out
}

type createTaxRuleInput struct {
	Body struct {
		Country    string         `json:"country" pattern:"^[A-Z]{2}$"`
		Region     string         `json:"region,omitempty" pattern:"^[A-Z0-9]{0,6}$"`
		Category   string         `json:"category,omitempty" maxLength:"60"`
		Components []TaxComponent `json:"components" maxItems:"5" doc:"None is free of tax"`
		ValidFrom  *time.Time     `json:"valid_from,omitempty" doc:"Now if left out"`
	}
}

func (a *API) createTaxRule(ctx context.Context, in *createTaxRuleInput) (*web.Resource[TaxRule], error) {
	b := in.Body
	r := billing.TaxRule{Country: b.Country, Region: b.Region, Category: b.Category, Components: []billing.TaxComponent{}}
	if b.ValidFrom != nil {
		r.ValidFrom = b.ValidFrom.UTC().Truncate(time.Microsecond)
	}
	for _, c := range b.Components {
		rate, ok := money.ParsePercent(c.Percent)
		if !ok {
			return nil, badPercent("components.percent")
		}
		r.Components = append(r.Components, billing.TaxComponent{Name: c.Name, Rate: rate})
	}
	made, err := a.Service.CreateTaxRule(ctx, web.Actor(ctx), r)
	if err != nil {
		return nil, err
	}
	return web.Created(showTaxRule(made), 0, ""), nil
}

func badPercent(path string) error {
	return apperr.Invalid(apperr.Field{Path: path, Code: "pattern", Message: "A percentage from 0 to 100 with at most four places, such as 8.875."})
}

func (a *API) listTaxRules(ctx context.Context, in *web.ByTime) (*web.List[TaxRule], error) {
	p, err := a.Service.TaxRules(ctx, web.Actor(ctx), in.Request())
	if err != nil {
		return nil, err
	}
	return web.ListOf(p, showTaxRule), nil
}
