package billing

import (
	"context"
	"time"

	"github.com/google/uuid"

	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
)

// openPool makes the seats of a paid order.
func (s *Service) openPool(ctx context.Context, tx Tx, o Order, plan Plan, now time.Time) error {
	p := Pool{
		ID: s.NewID(), TenantID: o.TenantID, OrgUnitID: *o.ForOrgUnitID, PlanID: plan.ID, OrderID: o.ID, Seats: o.Quantity,
		State: Begin(PoolActive), ValidUntil: accessUntil(plan, now), CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if err := tx.InsertPool(ctx, p); err != nil {
		return err
	}
	m := seatsEvent(p, plan, o.UserID, o.Currency, now)
	m.Amount, m.Tax, m.Discount = o.Total, o.Tax, o.Discount
	return emit(ctx, tx, events.SeatsBought{SeatsState: m}, m.Commerce)
}

func seatsEvent(p Pool, plan Plan, user uuid.UUID, currency string, at time.Time) events.SeatsState {
	return events.SeatsState{
		Commerce: commerce(plan, p.TenantID, user, p.Seats, currency, at), PoolID: p.ID, OrderID: p.OrderID, ForOrgUnitID: p.OrgUnitID,
		Seats: p.Seats, Used: p.Used,
	}
}

// Pools lists the seats of an org unit.
func (s *Service) Pools(ctx context.Context, actor authz.Principal, unit uuid.UUID, p page.Request) (out page.Page[Pool], err error) {
	if err := s.may(ctx, actor, authz.SeatManage, unit, false, "org unit"); err != nil {
		return out, err
	}
	err = s.Store.Read(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		out, err = tx.Pools(ctx, unit, p)
		return err
	})
	return out, err
}

// AssignSeat gives a person a seat of a pool: the right to its courses, and a place in
// them. A person who has one keeps it.
func (s *Service) AssignSeat(ctx context.Context, actor authz.Principal, pool, user uuid.UUID) (seat Seat, err error) {
	cards, err := s.People.Cards(ctx, []uuid.UUID{user})
	if err != nil {
		return seat, err
	}
	err = s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, plan, err := s.managedPool(ctx, tx, actor, pool)
		if err != nil {
			return err
		}
		if card, ok := cards[user]; !ok || card.TenantID != p.TenantID || !card.Active {
			return apperr.NotFound("person")
		}
		known, err := tx.SeatOf(ctx, pool, user)
		if err != nil {
			return err
		}
		if known != nil {
			seat = *known
			return nil
		}
		if !p.State.Is(PoolActive) {
			return apperr.Conflict("pool_closed", "The seats were given back.")
		}
		now := s.Now()
		seat = Seat{ID: s.NewID(), PoolID: pool, TenantID: p.TenantID, UserID: user, State: Begin(SeatAssigned), AssignedBy: &actor.UserID, CreatedAt: now, UpdatedAt: now}
		if err := tx.InsertSeat(ctx, seat); err != nil {
			return err
		}
		p.Used++
		for _, c := range plan.Courses {
			if err := s.grant(ctx, tx, Entitlement{UserID: user, CourseID: c.CourseID, SeatID: &seat.ID, ValidUntil: p.ValidUntil}, plan, nil, now); err != nil {
				return err
			}
		}
		m := seatsEvent(p, plan, user, "", now)
		if err := emit(ctx, tx, events.SeatAssigned{SeatsState: m}, m.Commerce); err != nil {
			return err
		}
		return audit(ctx, tx, "seat.assign", "seat_pool", pool, p.TenantID, p.OrgUnitID, nil)
	})
	return seat, err
}

func (s *Service) managedPool(ctx context.Context, tx Tx, actor authz.Principal, id uuid.UUID) (Pool, Plan, error) {
	p, err := tx.LockPool(ctx, id)
	if err != nil {
		return p, Plan{}, err
	}
	if err := s.may(ctx, actor, authz.SeatManage, p.OrgUnitID, false, "seat pool"); err != nil {
		return p, Plan{}, err
	}
	plan, err := tx.Plan(ctx, p.PlanID)
	return p, plan, err
}

// ReleaseSeat takes a person's seat back; another may have it then.
func (s *Service) ReleaseSeat(ctx context.Context, actor authz.Principal, pool, user uuid.UUID) error {
	return s.Store.InTx(ctx, scopeOf(actor), func(ctx context.Context, tx Tx) error {
		p, _, err := s.managedPool(ctx, tx, actor, pool)
		if err != nil {
			return err
		}
		seat, err := tx.SeatOf(ctx, pool, user)
		if err != nil {
			return err
		}
		if seat == nil {
			return apperr.NotFound("seat")
		}
		if err := s.release(ctx, tx, *seat, "taken_back", s.Now()); err != nil {
			return err
		}
		return audit(ctx, tx, "seat.release", "seat_pool", pool, p.TenantID, p.OrgUnitID, nil)
	})
}

// release ends a seat and the rights it gave.
func (s *Service) release(ctx context.Context, tx Tx, seat Seat, reason string, now time.Time) error {
	if seat.State.Is(SeatReleased) {
		return nil
	}
	p, err := tx.LockPool(ctx, seat.PoolID)
	if err != nil {
		return err
	}
	plan, err := tx.Plan(ctx, p.PlanID)
	if err != nil {
		return err
	}
	if err := seat.State.To(SeatReleased); err != nil {
		return err
	}
	seat.Reason, seat.UpdatedAt = reason, now
	if err := tx.UpdateSeat(ctx, seat); err != nil {
		return err
	}
	p.Used--
	list, err := tx.EntitlementsOfSeat(ctx, seat.ID)
	if err != nil {
		return err
	}
	why := ReasonTakenBack
	if reason == ReasonRefund {
		why = ReasonRefund
	}
	for _, e := range list {
		if err := s.revoke(ctx, tx, e, plan, why, false, now); err != nil {
			return err
		}
	}
	m := seatsEvent(p, plan, seat.UserID, "", now)
	return emit(ctx, tx, events.SeatReleased{SeatsState: m, Reason: reason}, m.Commerce)
}

// closePool ends a pool that was refunded, and every seat of it.
func (s *Service) closePool(ctx context.Context, tx Tx, p Pool, reason string, now time.Time) error {
	if p.State.Is(PoolClosed) {
		return nil
	}
	if err := p.State.To(PoolClosed); err != nil {
		return err
	}
	p.UpdatedAt = now
	if err := tx.UpdatePool(ctx, &p); err != nil {
		return err
	}
	seats, err := tx.Seats(ctx, p.ID)
	if err != nil {
		return err
	}
	for _, seat := range seats {
		if err := s.release(ctx, tx, seat, reason, now); err != nil {
			return err
		}
	}
	return nil
}
