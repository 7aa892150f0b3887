package notification

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/catalog"
	"lms/apps/notification/internal/due"
	"lms/apps/notification/internal/person"
	contract "lms/shared/contracts/events"
	"lms/shared/record"
)

// writers is how many documents are written at once by a batch.
const writers = 16

// plan is one event of a batch and what is to be done for it.
type plan struct {
	event   catalog.Event
	notices []catalog.Notice
	err     error
}

func (p *plan) fail(err error) { p.err = errors.Join(p.err, err) }

// telling is one notice to one person.
type telling struct {
	plan     int // of the batch
	event    uuid.UUID
	at       time.Time
	notice   catalog.Notice
	listOnly bool // no mail
}

// Apply does what a batch of events asks for. Each event has an error of its own;
// one that failed may be given again, as often as one likes: what was told is not
// told twice. Events to one person are one write.
func (s *Service) Apply(ctx context.Context, batch []catalog.Event) []error {
	defer s.yielding.apply()()
	plans := make([]plan, len(batch))
	for i, e := range batch {
		plans[i] = s.plan(e)
	}
	s.applyCourses(ctx, plans)
	courses := s.coursesFor(ctx, plans)
	to := map[uuid.UUID][]telling{}
	for i := range plans {
		if plans[i].err == nil {
			s.address(ctx, plans, i, courses, to)
		}
	}
	for id, err := range s.tell(ctx, to) {
		for _, t := range to[id] {
			plans[t.plan].fail(err)
		}
	}
	if s.Hooks != nil {
		s.offer(ctx, plans)
	}
	errs := make([]error, len(batch))
	for i := range plans {
		errs[i] = plans[i].err
	}
	return errs
}

// plan asks the catalogue, and turns a panic there into the event's own error.
func (s *Service) plan(e catalog.Event) (p plan) {
	p.event = e
	defer func() {
		if v := recover(); v != nil {
			p.err = fmt.Errorf("%w: panic: %v\n%s", errPlanned, v, debug.Stack())
		}
	}()
	p.notices, p.err = s.Catalog.Notices(e)
	return p
}

// address finds out who gets the notices of an event.
func (s *Service) address(ctx context.Context, plans []plan, i int, courses map[uuid.UUID]course, to map[uuid.UUID][]telling) {
	p := &plans[i]
	add := func(id uuid.UUID, t telling) {
		if id != uuid.Nil && id != t.notice.Except {
			t.plan = i
			to[id] = append(to[id], t)
		}
	}
	for _, n := range p.notices {
		n = named(n, courses[n.CourseID])
		recipients := n.To
		switch n.Audience {
		case catalog.Staff:
			recipients = courses[n.CourseID].Snapshot.Staff
		case catalog.Learners:
			if err := s.startFanout(ctx, p.event, n); err != nil {
				p.fail(err)
			}
		case catalog.Named:
		}
		for _, id := range recipients {
			add(id, telling{event: p.event.ID, at: p.event.Time, notice: n, listOnly: p.event.Past})
		}
	}
	if p.event.Type != contract.TypeEnrollmentActivated {
		return
	}
	for _, n := range p.notices {
		for _, a := range courses[n.CourseID].Announcements {
			for _, id := range n.To {
				add(id, telling{event: a.EventID, at: a.At, listOnly: true, notice: catalog.Notice{
					Kind: catalog.KindAnnouncement, CourseID: n.CourseID, Vars: a.Vars, Path: a.Path, Except: a.Except,
				}})
			}
		}
	}
}

// tell writes to each person what is for them, and returns whom it failed for.
func (s *Service) tell(ctx context.Context, to map[uuid.UUID][]telling) map[uuid.UUID]error {
	failed := map[uuid.UUID]error{}
	if len(to) == 0 {
		return failed
	}
	ids := make([]uuid.UUID, 0, len(to))
	for id := range to {
		ids = append(ids, id)
	}
	cards, err := s.People.Cards(ctx, ids)
	if err != nil {
		for _, id := range ids {
			failed[id] = fmt.Errorf("person cards: %w", err)
		}
		return failed
	}
	type result struct {
		id  uuid.UUID
		due *due.Item
		err error
	}
	results := make(chan result, len(ids))
	each(ids, writers, func(id uuid.UUID) {
		card, known := cards[id]
		if !known || !card.reachable() {
			results <- result{id: id} // erased, unknown or deactivated: nobody to tell
			return
		}
		item, err := s.tellOne(ctx, card, to[id])
		results <- result{id, item, err}
	})
	close(results)
	var items []due.Item
	for r := range results {
		if r.err != nil {
			failed[r.id] = r.err
		}
		if r.due != nil {
			items = append(items, *r.due)
		}
	}
	// The work is in the documents; from now on it is found. When this fails, the
	// event comes again and gets here again.
	if err := s.mail.Add(ctx, items...); err != nil {
		for _, it := range items {
			failed[it.Key] = err
		}
	}
	return failed
}

// tellOne writes to one person, and says when the document has work that the queue
// must know of.
func (s *Service) tellOne(ctx context.Context, card Card, ts []telling) (*due.Item, error) {
	drafts, err := s.drafts(card, ts)
	if err != nil {
		return nil, err
	}
	loc := person.Location(card.TimeZone)
	var told person.Told
	var wake time.Time
	after, err := s.people.Update(ctx, personKey(card.ID), func(d *person.Document) (*person.Document, error) {
		now := s.Now()
		told, wake = person.Told{}, time.Time{}
		if d == nil {
			d = &person.Document{ID: card.ID, TenantID: card.TenantID}
		}
		if d.Erased {
			return d, record.ErrKeep
		}
		if d.TenantID == uuid.Nil {
			d.TenantID = card.TenantID // it was made by a link that knew the person only
		}
		for _, m := range drafts {
			one := d.Tell(m, loc, person.Limits{Messages: s.ListSize}, now)
			told.Changed, told.Forgotten = told.Changed || one.Changed, told.Forgotten+one.Forgotten
		}
		next := d.NextWork()
		if !told.Changed {
			wake = next // it came again: what is in the document must be in the queue
			return d, record.ErrKeep
		}
		if !next.IsZero() && (d.Wake.IsZero() || next.Before(d.Wake)) {
			d.Wake, wake = next, next
		}
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	if told.Changed {
		s.changed(ctx, after)
		s.count(drafts, told)
	}
	if wake.IsZero() {
		return nil, nil //nolint:nilnil // nothing to do
	}
	return &due.Item{Key: card.ID, Due: wake}, nil
}

func (s *Service) count(drafts []person.Draft, told person.Told) {
	if f := s.Metrics.Forgotten; f != nil && told.Forgotten > 0 {
		f(told.Forgotten)
	}
	if f := s.Metrics.Told; f != nil {
		for _, d := range drafts {
			f(d.Kind, person.InApp)
		}
	}
}

// drafts writes the lines of the list in the person's language.
func (s *Service) drafts(card Card, ts []telling) ([]person.Draft, error) {
	out := make([]person.Draft, 0, len(ts))
	for _, t := range ts {
		k, ok := s.Catalog.Kind(t.notice.Kind)
		if !ok {
			return nil, fmt.Errorf("%w: no kind %s", errPlanned, t.notice.Kind)
		}
		link := s.link(t.notice.Path)
		title, text, err := s.Texts.List(k.Key, card.reader(), t.notice.Vars, link)
		if err != nil {
			return nil, fmt.Errorf("text of %s: %w", k.Key, err)
		}
		out = append(out, person.Draft{
			EventID: t.event, Kind: k.Key, Default: k.Default, CourseID: t.notice.CourseID, Title: title, Text: text, Link: link,
			At: t.at, Vars: t.notice.Vars, ListOnly: t.listOnly,
		})
	}
	return out, nil
}

// link makes an address of a path; what is an address already stays one.
func (s *Service) link(path string) string {
	if path == "" || strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://") {
		return path
	}
	return s.LinkBase + path
}

// offer gives the events that could be applied to the integrators.
func (s *Service) offer(ctx context.Context, plans []plan) {
	var batch []catalog.Event
	var at []int
	for i := range plans {
		if plans[i].err == nil {
			batch, at = append(batch, plans[i].event), append(at, i)
		}
	}
	for j, err := range s.Hooks.Offer(ctx, batch) {
		if err != nil {
			plans[at[j]].fail(fmt.Errorf("webhooks: %w", err))
		}
	}
}

// Tell tells one notice that no event of a topic makes. id stands for what
// happened: told again, it is one message.
func (s *Service) Tell(ctx context.Context, id uuid.UUID, n catalog.Notice) error {
	to := map[uuid.UUID][]telling{}
	for _, who := range n.To {
		to[who] = []telling{{event: id, at: s.Now(), notice: n}}
	}
	var errs []error
	for _, err := range s.tell(ctx, to) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
