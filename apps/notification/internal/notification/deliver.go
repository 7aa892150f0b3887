package notification

import (
	"context"
	"errors"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/notification/internal/due"
	"lms/apps/notification/internal/person"
	"lms/apps/notification/internal/texts"
	"lms/shared/journal"
	"lms/shared/record"
)

const (
	mailsAtOnce = 16 // people of a shard that are served at once
	mailLease   = 3 * time.Minute
	// mailsPerTurn bounds what one person gets before others have their turn.
	mailsPerTurn = 20
	maxLogged    = 10_000
)

// Delivery is one line of the delivery log: ids, never an address or a text.
type Delivery struct {
	UserID    uuid.UUID        `json:"user_id"`
	Channel   person.Channel   `json:"channel"`
	Kind      string           `json:"kind"`
	EventID   uuid.UUID        `json:"event_id,omitzero"`
	Status    person.MailState `json:"status"`
	Attempts  int              `json:"attempts"`
	Uncertain int              `json:"uncertain,omitempty"`
	Error     string           `json:"error,omitempty"`
	CreatedAt time.Time        `json:"created_at"`
	LastAt    time.Time        `json:"last_attempt_at,omitzero"`
	NextAt    time.Time        `json:"next_attempt_at,omitzero"`
}

// RunMail sends the mail of a shard until ctx ends.
func (s *Service) RunMail(ctx context.Context, shard int) error {
	return s.work(ctx, s.mail, shard, mailsAtOnce, mailLease, s.sendTo)
}

// sendTo serves some people at once, and writes the log of all of them together.
func (s *Service) sendTo(ctx context.Context, claims []due.Claim) []due.Result {
	var mu sync.Mutex
	results := make([]due.Result, 0, len(claims))
	lines := map[uuid.UUID][]person.Mail{} // by person
	tenants := map[uuid.UUID]uuid.UUID{}
	ids := make([]uuid.UUID, len(claims))
	for i, c := range claims {
		ids[i] = c.Key
	}
	cards, cardsErr := s.People.Cards(ctx, ids)
	each(claims, mailsAtOnce, func(c due.Claim) {
		next := s.Now().Add(30 * time.Second)
		var log []person.Mail
		var tenant uuid.UUID
		err := cardsErr
		if err == nil {
			next, tenant, log, err = s.visit(ctx, c, cards)
		}
		if err != nil {
			s.Log.WarnContext(ctx, "mail will be tried again", "user", c.Key, "error", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if !errors.Is(err, errUnsettled) { // then the claim runs out, as if we had died
			results = append(results, due.Result{Claim: c, Next: next})
		}
		lines[c.Key], tenants[c.Key] = log, tenant
	})
	s.writeLog(ctx, lines, tenants, results)
	return results
}

// writeLog writes what was attempted into the log of each tenant. When that fails,
// the people stay due, and their next visit writes it.
func (s *Service) writeLog(ctx context.Context, lines map[uuid.UUID][]person.Mail, tenants map[uuid.UUID]uuid.UUID, results []due.Result) {
	byTenant := map[uuid.UUID][]journal.Entry[Delivery]{}
	for id, mails := range lines {
		for _, m := range mails {
			byTenant[tenants[id]] = append(byTenant[tenants[id]], journal.Entry[Delivery]{ID: m.ID, At: m.LoggedAt, Body: deliveryOf(id, m)})
		}
	}
	for tenant, entries := range byTenant {
		err := s.deliveries.Put(ctx, tenant.String(), entries...)
		if err == nil {
			s.noteLogged(entries)
			continue
		}
		s.Log.WarnContext(ctx, "delivery log not written", "tenant", tenant, "error", err)
		for i := range results {
			if tenants[results[i].Key] == tenant && len(lines[results[i].Key]) > 0 {
				results[i].Next = s.Now().Add(30 * time.Second)
			}
		}
	}
}

func deliveryOf(id uuid.UUID, m person.Mail) Delivery {
	d := Delivery{
		UserID: id, Channel: person.Email, Kind: m.Kind, EventID: m.EventID, Status: m.State, Attempts: m.Attempts, Uncertain: m.Uncertain,
		Error: m.Error, CreatedAt: m.At, LastAt: m.LoggedAt,
	}
	if m.State == person.Pending {
		d.NextAt = m.Due
	}
	return d
}

func (s *Service) noteLogged(entries []journal.Entry[Delivery]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.logged) > maxLogged {
		clear(s.logged)
	}
	for _, e := range entries {
		if e.Body.Status != person.Pending {
			s.logged[e.ID] = true
		}
	}
}

func (s *Service) isLogged(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged[id]
}

// errUnsettled: a mail was sent, or may have been, and that could not be written.
var errUnsettled = errors.New("nobody knows how it ended")

// visit sends what is due for one person, one mail after the other; each is settled by
// a write, which also finds the next. The claim keeps everybody else away, so that no
// write is needed to begin: it is given back in time for whoever has it next. log is
// what was attempted.
func (s *Service) visit(ctx context.Context, c due.Claim, cards map[uuid.UUID]Card) (next time.Time, tenant uuid.UUID, log []person.Mail, err error) {
	card, known := cards[c.Key]
	at, err := s.begin(ctx, c)
	if err != nil {
		return s.Now().Add(5 * time.Second), tenant, nil, err
	}
	tenant, log = at.tenant, at.log
	for n := 0; at.mail != nil && n < mailsPerTurn; n++ {
		if s.Now().Add(person.SendWithin).After(c.Until) {
			return s.Now(), tenant, log, nil
		}
		last := &settled{*at.mail, s.attempt(ctx, card, known, *at.mail)}
		if at, err = s.step(ctx, c, last); err != nil {
			return next, tenant, log, errors.Join(errUnsettled, err)
		}
		log = append(log, at.log...)
	}
	return at.next, tenant, log, nil
}

type settled struct {
	mail    person.Mail
	outcome person.Outcome
}

type step struct {
	mail   *person.Mail // to be sent next
	log    []person.Mail
	tenant uuid.UUID
	next   time.Time
}

// begin finds the first mail. Only a digest is written before it is sent, and that
// there is nothing to do.
func (s *Service) begin(ctx context.Context, c due.Claim) (step, error) {
	d, err := s.people.Get(ctx, personKey(c.Key))
	if err != nil || d.Gone() {
		return step{}, err
	}
	if !d.DigestDue(s.Now()) {
		if m := d.Next(s.Now(), c.Lost); m != nil {
			return step{mail: m, tenant: d.TenantID}, nil
		}
	}
	return s.step(ctx, c, nil)
}

// step settles the last attempt and finds the next mail, in one write.
func (s *Service) step(ctx context.Context, c due.Claim, last *settled) (out step, err error) {
	done, err := s.yielding.turn(ctx)
	if err != nil {
		return out, err
	}
	defer done()
	doubts := false
	_, err = s.people.Update(ctx, personKey(c.Key), func(d *person.Document) (*person.Document, error) {
		out, doubts = step{}, false
		if d.Gone() {
			return d, record.ErrKeep
		}
		now := s.Now()
		out.tenant = d.TenantID
		changed := d.DigestDue(now)
		ended := d.Ended()
		if last != nil {
			before := uncertainOf(d)
			if m := d.Settle(last.mail, last.outcome, now); m != nil {
				out.log, changed = append(out.log, *m), true
			}
			doubts = uncertainOf(d) > before
		}
		d.Assemble(now)
		out.mail = d.Next(now, c.Lost)
		if done := s.unlogged(&out, ended); len(done) > 0 {
			d.Logged(done)
			changed = true
		}
		out.next = d.NextWork()
		if !changed && d.Wake.Equal(out.next) {
			return d, record.ErrKeep
		}
		d.Wake = out.next
		return d, nil
	})
	if err == nil && doubts && s.Metrics.Uncertain != nil {
		s.Metrics.Uncertain()
	}
	return out, err
}

// unlogged puts ended mails whose line may be missing into the log again, and
// returns those that may go.
func (s *Service) unlogged(out *step, ended []person.Mail) (done []uuid.UUID) {
	for _, m := range ended {
		if s.isLogged(m.ID) {
			done = append(done, m.ID)
			continue
		}
		out.log = append(out.log, m)
	}
	return done
}

func uncertainOf(d *person.Document) int {
	n := 0
	for i := range d.Mails {
		n += d.Mails[i].Uncertain
	}
	return n
}

// attempt sends one mail.
func (s *Service) attempt(ctx context.Context, card Card, known bool, m person.Mail) (o person.Outcome) {
	defer func() {
		if f := s.Metrics.Delivered; f != nil {
			f(o.State)
		}
	}()
	switch {
	case !known || !card.reachable():
		return person.Outcome{State: person.Dropped, Error: "the person cannot be reached any more"}
	case card.Email == "" || !card.EmailVerified:
		return person.Outcome{State: person.Dropped, Error: "there is no confirmed address"}
	case !validAddress(card.Email):
		return person.Outcome{State: person.Failed, Error: "the address is not one that mail can be sent to"}
	}
	l, err := s.letter(card, m)
	if err != nil {
		return person.Outcome{State: person.Failed, Error: "the text could not be written: " + err.Error()}
	}
	if err := s.Post.Send(ctx, l); err != nil {
		return person.Outcome{State: person.Pending, Error: reason(err)}
	}
	return person.Outcome{State: person.Sent}
}

// reason says why a mail did not go, without the address: it goes into a log.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, "@") {
			text = strings.ReplaceAll(text, word, "…")
		}
	}
	return text
}

// validAddress refuses what could become more than one address or header.
func validAddress(address string) bool {
	if strings.ContainsAny(address, "\r\n\x00\t ,;<>") {
		return false
	}
	a, err := mail.ParseAddress(address)
	return err == nil && a.Address == address
}

func (s *Service) letter(card Card, m person.Mail) (Letter, error) {
	l := Letter{ID: m.ID, To: card.Email, Name: card.Name, At: m.At}
	k, ok := s.Catalog.Kind(m.Kind)
	if m.Kind != person.DigestKind && !ok {
		return l, errors.New("no kind " + m.Kind)
	}
	if !k.Default.Transactional {
		kind := m.Kind
		if kind == person.DigestKind {
			kind = "" // all that a digest is made of
		}
		var err error
		if l.Unsubscribe, err = s.Unsubscribe(card.ID, kind); err != nil {
			return l, err
		}
	}
	var err error
	l.Written, err = s.Texts.Mail(texts.Letter{Kind: m.Kind, Vars: m.Vars, Link: m.Link, Unsubscribe: l.Unsubscribe, Items: m.Items, More: m.More}, card.reader())
	return l, err
}
