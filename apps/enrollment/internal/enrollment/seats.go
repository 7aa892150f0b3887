package enrollment

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"lms/shared/contracts/events"
	"lms/shared/sweep"
	"lms/shared/work"
)

// promoteAtOnce bounds how many of a waiting list are looked at in one
// transaction, so that the course's row is not locked for long; the sweep goes on.
const promoteAtOnce = 100

// fill gives free seats to who waits, in order (rule 32), and tells course how
// the seats stand. Who may not come in now (window, prerequisites) is passed over
// and keeps the place. The course's row is locked by the caller.
func (s *Service) fill(ctx context.Context, tx Tx, c Course, seats *Seats, now time.Time) (map[uuid.UUID]Enrollment, error) {
	promoted := map[uuid.UUID]Enrollment{}
	_, err := s.fillBehind(ctx, tx, c, seats, 0, promoted, now)
	return promoted, err
}

// fillBehind is fill for those behind a number; it gives the last number that was
// looked at, or 0 when nobody is left or no seat is.
func (s *Service) fillBehind(ctx context.Context, tx Tx, c Course, seats *Seats, after int64, promoted map[uuid.UUID]Enrollment, now time.Time) (int64, error) {
	var last int64
	if seats.Waiting > 0 && seats.Free() > 0 {
		list, err := tx.Waiting(ctx, c.ID, after, promoteAtOnce)
		if err != nil {
			return 0, err
		}
		for _, w := range list {
			if seats.Free() == 0 {
				break
			}
			e, err := s.promote(ctx, tx, w.ID, seats, now)
			if err != nil {
				return 0, err
			}
			if e != nil {
				promoted[w.ID] = *e
			}
		}
		if len(list) == promoteAtOnce && seats.Free() > 0 {
			last = list[len(list)-1].Number
		}
	}
	return last, s.tellSeats(ctx, tx, c, *seats)
}

// lapsed says that the person completed the course, and that the seat was given
// free when the access ended (rule 32): who moves the end takes a seat anew.
func (e Enrollment) lapsed(now time.Time) bool {
	return e.State.TakesSeat() && !e.takesSeat(now)
}

func (st Standing) full() bool { return st.Seats.Limited && st.Seats.Free() == 0 }

// reseat keeps the seats true after the end of access was moved, and gives one that
// became free to who waits.
func (s *Service) reseat(ctx context.Context, tx Tx, st *Standing, was, is Enrollment, now time.Time) error {
	if was.takesSeat(now) == is.takesSeat(now) {
		return nil
	}
	st.count(was, is, now)
	_, err := s.fill(ctx, tx, st.Course, &st.Seats, now)
	return err
}

// promote gives one person of the waiting list a seat or an offer; nil when the
// checks of enrolling refuse.
func (s *Service) promote(ctx context.Context, tx Tx, id uuid.UUID, seats *Seats, now time.Time) (*Enrollment, error) {
	st, err := tx.StandingOf(ctx, id, now)
	if err != nil {
		return nil, err
	}
	if st.Existing.State != Waitlisted {
		return nil, nil //nolint:nilnil // somebody else was faster
	}
	state, refused := st.Promote(now)
	if refused != nil {
		return nil, nil //nolint:nilnil,nilerr // the person waits on; the sweep asks again
	}
	st.Seats = *seats
	e := *st.Existing
	if state == Active {
		e.Entitle(st.Entitlement)
	}
	if err := s.arrive(ctx, tx, &st, &e, state, arrival{now: now, promoted: true}); err != nil {
		return nil, err
	}
	*seats = st.Seats
	return &e, nil
}

// Promote fills a course's free seats from its waiting list, the whole of it, in
// steps that hold the course's row shortly: after its capacity was raised, and by
// the sweep.
func (s *Service) Promote(ctx context.Context, course uuid.UUID) (total int, err error) {
	var after int64
	for {
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			now := s.Now()
			seats, err := tx.LockSeats(ctx, course, now)
			if err != nil {
				return err
			}
			c, _, err := tx.Course(ctx, course, uuid.Nil)
			if err != nil {
				return err
			}
			promoted := map[uuid.UUID]Enrollment{}
			after, err = s.fillBehind(ctx, tx, c, &seats, after, promoted, now)
			total += len(promoted)
			return err
		})
		if err != nil || after == 0 {
			return total, err
		}
	}
}

const sweepBatch = 200

// Sweep turns dates into stored facts and promotes (correctness.md, Seats): it
// runs every minute on one replica. Each enrollment is its own short transaction,
// and one that fails keeps nobody else waiting: it is told of at the end.
func (s *Service) Sweep(ctx context.Context) error {
	var failed []error
	for _, part := range []func(context.Context) error{s.sweepDue, s.sweepHolds, s.sweepPromotions, s.sweepNotices, s.sweepLearners, s.sweepCurricula} {
		failed = append(failed, part(ctx))
	}
	return errors.Join(failed...)
}

// eachDue does one for all that find gives.
func (s *Service) eachDue(ctx context.Context, find func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error), one func(context.Context, uuid.UUID) error) error {
	return sweep.Each(ctx, func(ctx context.Context, skip []uuid.UUID, limit int) (ids []uuid.UUID, err error) {
		err = s.Store.Read(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			ids, err = find(ctx, tx, skip, limit)
			return err
		})
		return ids, err
	}, one)
}

func (s *Service) sweepDue(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.DueEnrollments(ctx, s.Now(), skip, limit)
	}, s.expire)
}

// expire stores that a date has come (rule 30): access ended, an invitation or
// an offer was not answered. A freed seat goes to who waits.
func (s *Service) expire(ctx context.Context, id uuid.UUID) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		now := s.Now()
		st, err := tx.StandingOf(ctx, id, now)
		if err != nil {
			return err
		}
		e, was := *st.Existing, *st.Existing
		previous := was.State
		overdue := (previous == Invited || previous == Offered) && after(now, e.AnswerBy)
		ended := (previous == Active || previous == Suspended) && after(now, e.AccessEndsAt)
		if !overdue && !ended {
			return nil // answered or prolonged in the meantime
		}
		if err := e.move(Expired, now); err != nil {
			return err
		}
		if err := tx.UpdateEnrollment(ctx, &e); err != nil {
			return err
		}
		state := snapshot(e, st.Course, previous, now)
		var told events.Event = events.EnrollmentExpired{EnrollmentState: state}
		if previous == Offered {
			told = events.EnrollmentOfferExpired{EnrollmentState: state}
		}
		if err := tx.Emit(ctx, told, meta(st.Course)); err != nil {
			return err
		}
		st.count(was, e, now)
		_, err = s.fill(ctx, tx, st.Course, &st.Seats, now)
		return err
	})
}

func (s *Service) sweepHolds(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.LapsedHolds(ctx, s.Now(), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			return s.release(ctx, tx, id, true)
		})
	})
}

func (s *Service) sweepPromotions(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.CoursesToPromote(ctx, s.Now(), skip, limit)
	}, func(ctx context.Context, course uuid.UUID) error {
		_, err := s.Promote(ctx, course)
		return err
	})
}

func (s *Service) sweepNotices(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		now := s.Now()
		return tx.ExpiringSoon(ctx, now, now.Add(s.Settings.NoticeBefore), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			now := s.Now()
			st, err := tx.StandingOf(ctx, id, now)
			if err != nil {
				return err
			}
			e := *st.Existing
			if e.ExpiryToldAt != nil || e.State != Active {
				return nil
			}
			e.ExpiryToldAt = &now
			if err := tx.UpdateEnrollment(ctx, &e); err != nil {
				return err
			}
			return tx.Emit(ctx, events.EnrollmentExpiringSoon{EnrollmentState: snapshot(e, st.Course, e.State, now)}, meta(st.Course))
		})
	})
}

// sweepLearners judges anew where a date opened something: a module that asks
// for nothing completes at once when it opens (rule 2).
func (s *Service) sweepLearners(ctx context.Context) error {
	for {
		var ids []uuid.UUID
		err := s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) (err error) {
			if ids, err = tx.DueLearners(ctx, s.Now(), nil, sweepBatch); err != nil {
				return err
			}
			return s.judge(ctx, tx, ids, occasion{})
		})
		if err != nil {
			return s.judgeOneByOne(ctx) // one of them fails, and keeps all others
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}

func (s *Service) judgeOneByOne(ctx context.Context) error {
	return s.eachDue(ctx, func(ctx context.Context, tx Tx, skip []uuid.UUID, limit int) ([]uuid.UUID, error) {
		return tx.DueLearners(ctx, s.Now(), skip, limit)
	}, func(ctx context.Context, id uuid.UUID) error {
		return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
			return s.judge(ctx, tx, []uuid.UUID{id}, occasion{})
		})
	})
}

func (s *Service) sweepCurricula(ctx context.Context) error {
	return s.Store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx Tx) error {
		_, err := tx.PruneCurricula(ctx, sweepBatch)
		return err
	})
}
