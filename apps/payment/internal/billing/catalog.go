package billing

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

var (
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
	regionPattern  = regexp.MustCompile(`^[A-Z0-9]{0,6}$`)
	prefixPattern  = regexp.MustCompile(`^[A-Z0-9-]{1,12}$`)
	couponPattern  = regexp.MustCompile(`^[A-Z0-9_-]{3,40}$`)
)

// CreateLegalEntity makes a seller with number ranges of its own.
func (s *Service) CreateLegalEntity(ctx context.Context, actor authz.Principal, e LegalEntity) (LegalEntity, error) {
	var f apperr.Fields
	text(&f, "name", e.Name, 1, maxName)
	text(&f, "address", e.Address, 1, maxAddress)
	text(&f, "tax_id", e.TaxID, 0, 60)
	f.Require(countryPattern.MatchString(e.Country), "country", "pattern", "An ISO 3166-1 code of two letters, such as DE.")
	f.Require(prefixPattern.MatchString(e.InvoicePrefix), "invoice_prefix", "pattern", "Up to 12 capital letters, digits and hyphens.")
	f.Require(prefixPattern.MatchString(e.CreditNotePrefix), "credit_note_prefix", "pattern", "Up to 12 capital letters, digits and hyphens.")
	f.Require(e.InvoicePrefix != e.CreditNotePrefix, "credit_note_prefix", "same", "Must differ from invoice_prefix.")
	if err := f.Err(); err != nil {
		return e, err
	}
	tenant, err := s.manageIn(ctx, actor, e.OrgUnitID)
	if err != nil {
		return e, err
	}
	err = s.Store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &e, func() error {
			e.ID, e.TenantID, e.CreatedAt, e.Version = s.NewID(), tenant, s.Now(), 1
			if err := tx.InsertLegalEntity(ctx, e); err != nil {
				return err
			}
			return audit(ctx, tx, "legal_entity.create", "legal_entity", e.ID, tenant, e.OrgUnitID, nil)
		})
	})
	return e, err
}

// manageIn is the tenant of an org unit in which the caller may manage what is sold.
func (s *Service) manageIn(ctx context.Context, actor authz.Principal, unit uuid.UUID) (uuid.UUID, error) {
	policy, err := s.policy(ctx, actor, unit)
	if err != nil {
		return uuid.Nil, err
	}
	tenant, known := policy.Tenant(unit)
	if !known || !policy.Allows(actor, authz.PlanManage, unit) {
		return uuid.Nil, apperr.Invalid(apperr.Field{Path: "org_unit_id", Code: "unknown", Message: "There is no such org unit in which you may sell."})
	}
	return tenant, nil
}

// LegalEntities lists sellers.
func (s *Service) LegalEntities(ctx context.Context, actor authz.Principal, p page.Request) (out page.Page[LegalEntity], err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.LegalEntities(ctx, p)
		return err
	})
	return out, err
}

// NewPlan asks for a plan, or changes one: courses and prices by what is known of
// them.
type NewPlan struct {
	Plan
	CourseIDs []uuid.UUID
}

// CreatePlan makes something to buy, and tells course what it costs.
func (s *Service) CreatePlan(ctx context.Context, actor authz.Principal, in NewPlan) (Plan, error) {
	p := in.Plan
	tenant, err := s.manageIn(ctx, actor, p.OrgUnitID)
	if err != nil {
		return p, err
	}
	if p.Courses, err = s.coursesOf(ctx, actor, tenant, in.CourseIDs); err != nil {
		return p, err
	}
	if err := p.Check(); err != nil {
		return p, err
	}
	var calls []uuid.UUID
	err = s.Store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx Tx) error {
		return tx.Once(ctx, &p, func() error {
			now := s.Now()
			if p.LegalEntityID, err = chooseEntity(ctx, tx, p.LegalEntityID); err != nil {
				return err
			}
			p.ID, p.TenantID, p.State, p.CreatedAt, p.UpdatedAt, p.Version = s.NewID(), tenant, Begin(PlanActive), now, now, 1
			for i := range p.Prices {
				p.Prices[i].ID = s.NewID()
			}
			if err := tx.InsertPlan(ctx, p); err != nil {
				return err
			}
			if err := tx.SetPlanCourses(ctx, p); err != nil {
				return err
			}
			if err := tx.SetPrices(ctx, &p, now); err != nil {
				return err
			}
			calls, err = s.planChanged(ctx, tx, p, nil, events.PlanCreated{PlanState: planState(p, now)}, "plan.create", nil)
			return err
		})
	})
	if err != nil {
		return p, err
	}
	return s.announced(ctx, p, calls)
}

// announced waits until enrollment knows of a plan, and gives the plan as it is then.
// While enrollment is away the plan is not on sale; the calls go on by themselves.
func (s *Service) announced(ctx context.Context, p Plan, calls []uuid.UUID) (Plan, error) {
	for _, call := range calls {
		s.Calls.Settled(ctx, call, s.Settings.WaitFor)
	}
	now := p
	err := s.Store.Read(ctx, work.Tenant(p.TenantID), func(ctx context.Context, tx Tx) (err error) {
		now, err = tx.Plan(ctx, p.ID)
		return err
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return p, nil // deleted since, by the time its making is asked for once more
	}
	return now, err
}

// chooseEntity is the named seller, or the only one there is.
func chooseEntity(ctx context.Context, tx Tx, id uuid.UUID) (uuid.UUID, error) {
	if id != uuid.Nil {
		_, err := tx.LegalEntity(ctx, id)
		if apperr.IsKind(err, apperr.KindNotFound) {
			err = apperr.Invalid(apperr.Field{Path: "legal_entity_id", Code: "unknown", Message: "There is no such legal entity."})
		}
		return id, err
	}
	all, err := tx.LegalEntities(ctx, page.Request{Limit: 2})
	if err != nil {
		return id, err
	}
	if len(all.Items) != 1 {
		return id, apperr.Invalid(apperr.Field{Path: "legal_entity_id", Code: "required", Message: "Say who sells."})
	}
	return all.Items[0].ID, nil
}

// coursesOf asks course for the courses of a plan, all of which the caller may sell.
func (s *Service) coursesOf(ctx context.Context, actor authz.Principal, tenant uuid.UUID, ids []uuid.UUID) ([]PlanCourse, error) {
	if len(ids) > MaxPlanCourses {
		return nil, apperr.Invalid(apperr.Field{Path: "course_ids", Code: "too_many", Message: fmt.Sprintf("At most %d courses.", MaxPlanCourses)})
	}
	var f apperr.Fields
	out := make([]PlanCourse, 0, len(ids))
	for i, id := range ids {
		path := fmt.Sprintf("course_ids[%d]", i)
		if slices.Contains(ids[:i], id) {
			f.Add(path, "repeated", "Each course once.")
			continue
		}
		c, err := s.Courses.Course(ctx, id)
		if err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
			return nil, err
		}
		policy, perr := s.policy(ctx, actor, c.OrgUnitID)
		if perr != nil {
			return nil, perr
		}
		if err != nil || c.Deleted || c.TenantID != tenant || !policy.Allows(actor, authz.PlanManage, c.OrgUnitID) {
			f.Add(path, "unknown", "There is no such course that you may sell.")
			continue
		}
		out = append(out, PlanCourse{CourseID: c.ID, OrgUnitID: c.OrgUnitID, Title: c.Title})
	}
	return out, f.Err()
}

// ChangePlan changes a plan that is still of a version. change writes the wish into
// the plan as it is; courses is nil to keep them.
func (s *Service) ChangePlan(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64, courses []uuid.UUID, state PlanState, change func(*Plan)) (p Plan, err error) {
	known, err := s.Plan(ctx, actor, id)
	if err != nil {
		return p, err
	}
	if err := s.may(ctx, actor, authz.PlanManage, known.OrgUnitID, true, "plan"); err != nil {
		return p, err
	}
	var found []PlanCourse
	if courses != nil {
		if found, err = s.coursesOf(ctx, actor, known.TenantID, courses); err != nil {
			return p, err
		}
	}
	var calls []uuid.UUID
	err = s.Store.InTx(ctx, work.Tenant(known.TenantID), func(ctx context.Context, tx Tx) error {
		if p, err = tx.Plan(ctx, id); err != nil {
			return err
		}
		if p.Version != version {
			return apperr.VersionMismatch()
		}
		before := p
		before.Prices, before.Courses = slices.Clone(p.Prices), slices.Clone(p.Courses)
		change(&p)
		if courses != nil {
			p.Courses = found
		}
		if state != "" && !p.State.Is(state) {
			if err := p.State.To(state); err != nil {
				return err
			}
		}
		if err := p.Check(); err != nil {
			return err
		}
		if p.LegalEntityID, err = chooseEntity(ctx, tx, p.LegalEntityID); err != nil {
			return err
		}
		p.UpdatedAt = s.Now()
		if err := tx.UpdatePlan(ctx, &p); err != nil {
			return err
		}
		if err := tx.SetPlanCourses(ctx, p); err != nil {
			return err
		}
		for i, x := range p.Prices {
			if old, ok := before.Price(x.Currency); ok && old.Amount == x.Amount {
				p.Prices[i].ID = old.ID
			} else {
				p.Prices[i].ID = s.NewID()
			}
		}
		if err := tx.SetPrices(ctx, &p, p.UpdatedAt); err != nil {
			return err
		}
		calls, err = s.planChanged(ctx, tx, p, before.CourseIDs(), events.PlanUpdated{PlanState: planState(p, p.UpdatedAt)}, "plan.update", changes(before, p))
		return err
	})
	if err != nil {
		return p, err
	}
	return s.announced(ctx, p, calls)
}

func changes(a, b Plan) map[string]work.Change {
	out := map[string]work.Change{}
	note := func(name string, from, to any, same bool) {
		if !same {
			out[name] = work.Change{From: from, To: to}
		}
	}
	note("name", a.Name, b.Name, a.Name == b.Name)
	note("state", a.State.At(), b.State.At(), a.State == b.State)
	note("prices", a.Prices, b.Prices, slices.Equal(a.Prices, b.Prices))
	note("course_ids", a.CourseIDs(), b.CourseIDs(), slices.Equal(a.CourseIDs(), b.CourseIDs()))
	note("refund_days", a.RefundDays, b.RefundDays, a.RefundDays == b.RefundDays)
	note("trial_days", a.TrialDays, b.TrialDays, a.TrialDays == b.TrialDays)
	note("tax_inclusive", a.TaxInclusive, b.TaxInclusive, a.TaxInclusive == b.TaxInclusive)
	return out
}

// planChanged tells everybody: the event, the audit, and for each course of before and
// after course and enrollment. It gives the calls that the plan waits for to be on sale.
func (s *Service) planChanged(ctx context.Context, tx Tx, p Plan, old []uuid.UUID, e events.Event, action string, diff map[string]work.Change) (calls []uuid.UUID, err error) {
	touched := slices.Concat(p.CourseIDs(), old)
	slices.SortFunc(touched, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) // one order of locks
	for _, id := range slices.Compact(touched) {
		call, err := s.tellPrice(ctx, tx, id, p.TenantID)
		if err != nil {
			return nil, err
		}
		if call != uuid.Nil {
			calls = append(calls, call)
		}
	}
	meta := work.Meta{TenantID: p.TenantID, OrgUnitID: p.OrgUnitID}
	if len(p.Courses) > 0 {
		meta.CourseID = p.Courses[0].CourseID
	}
	if err := tx.Emit(ctx, e, meta); err != nil {
		return nil, err
	}
	return calls, audit(ctx, tx, action, "plan", p.ID, p.TenantID, p.OrgUnitID, diff)
}

// tellPrice says to course what a course costs now, the lowest price in the currency of
// its oldest plan, and to enrollment whether it costs anything. It gives the call to
// enrollment, where there is one.
func (s *Service) tellPrice(ctx context.Context, tx Tx, course, tenant uuid.UUID) (call uuid.UUID, err error) {
	known, err := tx.LockCoursePrice(ctx, course, tenant)
	if err != nil {
		return uuid.Nil, err
	}
	plans, err := tx.PlansOfCourse(ctx, course)
	if err != nil {
		return uuid.Nil, err
	}
	if priced := len(plans) > 0; !priced || !known {
		call, err = tx.Call(ctx, work.Call{
			To: "enrollment", Name: internalapi.CallCoursePriced, Key: course.String(), TenantID: tenant, Body: internalapi.CoursePriced{CourseID: course, Priced: priced},
		})
		if err != nil {
			return uuid.Nil, err
		}
		if err := tx.CoursePriceTold(ctx, course, call); err != nil {
			return uuid.Nil, err
		}
	}
	body := internalapi.PriceSummary{CourseID: course}
	for _, p := range plans {
		x, ok := p.Price("")
		if !ok {
			continue
		}
		if body.Price == nil {
			body.Price = &events.CoursePrice{PlanID: p.ID, Amount: x.Amount, Currency: x.Currency, Kind: p.Kind}
		} else if in, ok := p.Price(body.Price.Currency); ok && in.Amount < body.Price.Amount {
			body.Price.PlanID, body.Price.Amount, body.Price.Kind = p.ID, in.Amount, p.Kind
		}
		body.Price.Plans++
	}
	_, err = tx.Call(ctx, work.Call{To: "course", Name: internalapi.CallPriceSummary, Key: course.String(), TenantID: tenant, Body: body})
	return call, err
}

// PriceAnswered takes in that enrollment knows what the newest call about a course said.
func (s *Service) PriceAnswered(ctx context.Context, tx Tx, course, call uuid.UUID) error {
	return tx.CoursePriceKnown(ctx, course, call)
}

func planState(p Plan, at time.Time) events.PlanState {
	prices := make([]events.PlanPrice, len(p.Prices))
	for i, x := range p.Prices {
		prices[i] = events.PlanPrice{PriceID: x.ID, Currency: x.Currency, Amount: x.Amount}
	}
	return events.PlanState{
		PlanID: p.ID, TenantID: p.TenantID, OrgUnitID: p.OrgUnitID, LegalEntityID: p.LegalEntityID, Name: p.Name, Kind: p.Kind,
		State: string(p.State.At()), CourseIDs: p.CourseIDs(), Prices: prices, PeriodUnit: p.PeriodUnit, PeriodCount: p.PeriodCount,
		TrialDays: p.TrialDays, Instalments: p.Instalments, At: at, Version: p.Version,
	}
}

// Plan reads a plan; an archived one is shown to who may manage it, and to nobody
// else.
func (s *Service) Plan(ctx context.Context, actor authz.Principal, id uuid.UUID) (p Plan, err error) {
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, err = tx.Plan(ctx, id)
		return err
	})
	if err == nil && !p.State.Is(PlanActive) {
		err = s.may(ctx, actor, authz.PlanManage, p.OrgUnitID, false, "plan")
	}
	return p, err
}

// Plans lists what can be bought.
func (s *Service) Plans(ctx context.Context, actor authz.Principal, f PlanFilter, p page.Request) (out page.Page[Plan], err error) {
	policy, err := s.policy(ctx, actor, uuid.Nil)
	if err != nil {
		return out, err
	}
	f.Archived = policy.AllowsSomewhere(actor, authz.PlanManage)
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Plans(ctx, f, p)
		return err
	})
	return out, err
}

// DeletePlan deletes a plan that nobody ever bought; others are archived.
func (s *Service) DeletePlan(ctx context.Context, actor authz.Principal, id uuid.UUID, version int64) error {
	p, err := s.Plan(ctx, actor, id)
	if err != nil {
		return err
	}
	if err := s.may(ctx, actor, authz.PlanManage, p.OrgUnitID, true, "plan"); err != nil {
		return err
	}
	return s.Store.InTx(ctx, work.Tenant(p.TenantID), func(ctx context.Context, tx Tx) error {
		if err := tx.DeletePlan(ctx, id, version); err != nil {
			return err
		}
		now := s.Now()
		gone := planState(p, now)
		gone.State, gone.Version = string(PlanArchived), p.Version+1
		old := p.CourseIDs()
		p.Courses = nil
		_, err := s.planChanged(ctx, tx, p, old, events.PlanUpdated{PlanState: gone}, "plan.delete", nil)
		return err
	})
}
