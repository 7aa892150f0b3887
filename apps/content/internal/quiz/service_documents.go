package quiz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"lms/apps/content/internal/quiz/marking"
	"lms/shared/apperr"
	"lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/page"
	"lms/shared/work"
)

// Place is where a quiz goes that a course copies or imports. course decided that
// the actor may.
type Place struct {
	TransferID, TenantID, OrgUnitID, CourseID, ActorID uuid.UUID
}

// Document is a quiz of a tenant as it goes out. The transaction is the receiver's.
func (s *Service) Document(ctx context.Context, tx Tx, tenant, id uuid.UUID) (Document, error) {
	q, err := tx.Quiz(ctx, id)
	if err != nil {
		return Document{}, err
	}
	if q.TenantID != tenant {
		return Document{}, apperr.NotFound("quiz")
	}
	return s.document(ctx, tx, q, func(Bank) bool { return false })
}

// document reads a quiz; what is in banks that are kept stays there.
func (s *Service) document(ctx context.Context, tx Tx, q Quiz, kept func(Bank) bool) (Document, error) {
	d := documentOf(q.Settings, q.Settings)
	d.Published = q.Published()
	slots, err := tx.Slots(ctx, q.ID)
	if err != nil {
		return Document{}, err
	}
	x := reading{Document: &d, at: map[uuid.UUID]int{}, drawn: map[uuid.UUID]bool{}}
	for _, slot := range slots {
		if slot.BankID != nil {
			x.drawn[*slot.BankID] = true
		}
	}
	for _, slot := range slots {
		if err := x.slot(ctx, tx, slot, kept); err != nil {
			return Document{}, err
		}
	}
	return d, nil
}

// reading collects the banks of a document.
type reading struct {
	*Document
	at    map[uuid.UUID]int // of banks
	drawn map[uuid.UUID]bool
}

func (x *reading) slot(ctx context.Context, tx Tx, slot Slot, kept func(Bank) bool) error {
	out := DocumentSlot{QuestionID: slot.QuestionID, BankID: slot.BankID, Pick: slot.Pick, Points: slot.Points, version: slot.QuestionVersion}
	if slot.BankID != nil {
		x.Slots = append(x.Slots, out)
		_, err := x.bank(ctx, tx, *slot.BankID, kept)
		return err
	}
	q, err := tx.Question(ctx, *slot.QuestionID)
	if err != nil {
		return err
	}
	x.Slots = append(x.Slots, out)
	b, err := x.bank(ctx, tx, q.BankID, kept)
	if err != nil || b.kept {
		return err
	}
	at := slices.IndexFunc(b.Questions, func(have DocumentQuestion) bool { return have.ID == q.ID })
	if at < 0 {
		at = len(b.Questions)
		b.Questions = append(b.Questions, questionOf(q))
	}
	if *slot.QuestionVersion == q.Current {
		return nil
	}
	key := VersionKey{q.ID, *slot.QuestionVersion}
	versions, err := tx.Versions(ctx, []VersionKey{key})
	if err != nil {
		return err
	}
	pinned := anonymous(versions[key])
	b.Questions[at].Pinned = &pinned
	return nil
}

func questionOf(q Question) DocumentQuestion {
	return DocumentQuestion{ID: q.ID, Title: q.Title, Tags: q.Tags, ExternalID: q.ExternalID, Definition: anonymous(q.Definition)}
}

// bank reads a bank once; with all of its questions, if some are drawn from it.
func (x *reading) bank(ctx context.Context, tx Tx, id uuid.UUID, kept func(Bank) bool) (*DocumentBank, error) {
	if at, ok := x.at[id]; ok {
		return &x.Banks[at], nil
	}
	b, err := tx.Bank(ctx, id)
	if err != nil {
		return nil, err
	}
	x.at[id] = len(x.Banks)
	x.Banks = append(x.Banks, DocumentBank{ID: id, Title: b.Title, Description: b.Description, Questions: []DocumentQuestion{}, kept: kept(b)})
	out := &x.Banks[x.at[id]]
	if out.kept || !x.drawn[id] {
		return out, nil
	}
	next := page.Request{Limit: page.MaxLimit}
	for {
		list, err := tx.ListQuestions(ctx, QuestionFilter{BankID: id}, next)
		if err != nil {
			return nil, err
		}
		for _, q := range list.Items {
			out.Questions = append(out.Questions, questionOf(q))
		}
		if next.Cursor = list.NextCursor; next.Cursor == "" {
			return out, nil
		}
	}
}

// Clone copies a quiz into another course of its tenant. Banks of org units that the
// course may use are used there, too; others are copied with it. Repeated, it makes
// nothing twice.
func (s *Service) Clone(ctx context.Context, tx Tx, to Place, source uuid.UUID, shift time.Duration) ([]Left, error) {
	q, err := tx.Quiz(ctx, source)
	if err != nil {
		return nil, err
	}
	if q.TenantID != to.TenantID {
		return nil, apperr.NotFound("quiz")
	}
	policy, err := s.Authz.Policy(ctx)
	if err != nil {
		return nil, err
	}
	above := policy.Ancestors(to.OrgUnitID)
	d, err := s.document(ctx, tx, q, func(b Bank) bool {
		return b.CourseID == nil && (b.OrgUnitID == to.OrgUnitID || slices.Contains(above, b.OrgUnitID))
	})
	if err != nil {
		return nil, err
	}
	return s.Make(ctx, tx, to, internalapi.TransferredID(to.TransferID, source), d, shift)
}

// Make makes the quiz of a document in a course, with banks of the course for its
// questions. What cannot be taken over is told; settings that are refused are an
// error, and then nothing was written. Repeated, it makes nothing twice.
func (s *Service) Make(ctx context.Context, tx Tx, to Place, id uuid.UUID, d Document, shift time.Duration) ([]Left, error) {
	if _, err := tx.AnyQuiz(ctx, id); err == nil || !apperr.IsKind(err, apperr.KindNotFound) {
		return nil, err
	}
	now := s.Now()
	q := Quiz{
		ID: id, TenantID: to.TenantID, OrgUnitID: to.OrgUnitID, CourseID: to.CourseID, Settings: d.settings(shift),
		CreatedBy: to.ActorID, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	q.Instructions = s.HTML(q.Instructions)
	q.settle()
	if err := errors.Join(q.Check(), d.checkSize()); err != nil {
		return nil, err
	}
	m := making{s: s, to: to, tx: tx, pins: map[uuid.UUID]pin{}, banks: map[uuid.UUID]uuid.UUID{}}
	ready, err := m.prepare(d)
	if err != nil {
		return nil, err
	}
	for _, b := range ready {
		if err := m.bank(ctx, b); err != nil {
			return nil, err
		}
	}
	slots := m.slots(d.Slots)
	q.Questions, q.Points = Total(slots)
	if err := m.publish(ctx, &q, d.Published, slots); err != nil {
		return nil, err
	}
	if err := tx.InsertQuiz(ctx, q); err != nil {
		return nil, err
	}
	if err := tx.SaveSlots(ctx, q, slots); err != nil {
		return nil, err
	}
	return m.left, s.tellMade(ctx, tx, q)
}

func (s *Service) tellMade(ctx context.Context, tx Tx, q Quiz) error {
	draft := q
	draft.PublishedAt = nil
	if _, err := s.tellQuiz(ctx, tx, draft, events.QuizCreated{QuizState: draft.State()}); err != nil {
		return err
	}
	if q.Published() {
		if _, err := s.tellQuiz(ctx, tx, q, events.QuizPublished{QuizState: q.State()}); err != nil {
			return err
		}
	}
	return tx.Audit(ctx, q.audit("quiz.transfer", map[string]work.Change{"title": {To: q.Title}}))
}

// making is the work on one document.
type making struct {
	s     *Service
	to    Place
	tx    Tx
	banks map[uuid.UUID]uuid.UUID // of the document → here
	pins  map[uuid.UUID]pin       // of questions
	left  []Left
}

type pin struct {
	id      uuid.UUID
	version int
}

func (m *making) leave(ref, code, message string) { m.left = append(m.left, Left{ref, code, message}) }

// prepare checks all questions before anything is written. Those that are refused
// are left out.
func (m *making) prepare(d Document) ([]DocumentBank, error) {
	var out []DocumentBank
	for _, b := range d.Banks {
		if m.banks[b.ID] = b.ID; b.kept {
			continue
		}
		m.banks[b.ID] = internalapi.TransferredID(m.to.TransferID, b.ID)
		bank := Bank{Title: b.Title, Description: m.s.HTML(b.Description)}
		if err := bank.settle(); err != nil {
			return nil, err
		}
		ready := DocumentBank{ID: m.banks[b.ID], Title: bank.Title, Description: bank.Description}
		for _, q := range b.Questions {
			if q, ok, err := m.question(q); err != nil {
				return nil, err
			} else if ok {
				ready.Questions = append(ready.Questions, q)
			}
		}
		out = append(out, ready)
	}
	return out, nil
}

func (m *making) question(q DocumentQuestion) (DocumentQuestion, bool, error) {
	shape := Question{Title: q.Title, Tags: q.Tags}
	err := shape.settle()
	if err == nil {
		q.Definition, err = m.s.author().Prepare(anonymous(q.Definition), nil)
	}
	if err == nil && q.Pinned != nil {
		var pinned marking.Definition
		if pinned, err = m.s.author().Prepare(anonymous(*q.Pinned), nil); pinned.Kind != q.Definition.Kind && err == nil {
			err = apperr.Invalid(apperr.Field{Path: "pinned.kind", Code: "fixed", Message: "A question keeps its kind."})
		}
		q.Pinned = &pinned
	}
	if len(q.ExternalID) > 255 {
		q.ExternalID = ""
	}
	q.Title, q.Tags = shape.Title, shape.Tags
	if e := apperr.From(err); err != nil && e.Kind == apperr.KindInvalid && len(e.Fields) > 0 {
		m.leave(q.Title, e.Fields[0].Code, fmt.Sprintf("The question was left out: %s: %s", e.Fields[0].Path, e.Fields[0].Message))
		return q, false, nil
	}
	return q, err == nil, err
}

// bank makes the bank, or finds what another quiz of the transfer made of it, and
// puts in what is missing.
func (m *making) bank(ctx context.Context, b DocumentBank) error {
	now := m.s.Now()
	bank := Bank{
		ID: b.ID, TenantID: m.to.TenantID, OrgUnitID: m.to.OrgUnitID, CourseID: &m.to.CourseID, Title: b.Title, Description: b.Description,
		CreatedBy: m.to.ActorID, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if err := m.tx.EnsureBank(ctx, bank); err != nil {
		return err
	}
	bank, err := m.tx.LockBank(ctx, bank.ID)
	if err != nil {
		return err
	}
	for _, q := range b.Questions {
		id := internalapi.TransferredID(m.to.TransferID, q.ID)
		wanted := q.Definition
		if q.Pinned != nil {
			wanted = *q.Pinned
		}
		version, err := m.versions(ctx, bank, id, q, wanted)
		if err != nil {
			return err
		}
		m.pins[q.ID] = pin{id, version}
	}
	return nil
}

// versions makes sure that the question has the wanted version and the bank's own,
// and gives the number of the wanted one.
func (m *making) versions(ctx context.Context, b Bank, id uuid.UUID, q DocumentQuestion, wanted marking.Definition) (int, error) {
	have, err := m.tx.QuestionVersions(ctx, id, page.Request{Limit: page.MaxLimit})
	if err != nil {
		return 0, err
	}
	find := func(d marking.Definition) int {
		for _, v := range have.Items {
			if sameJSON(anonymous(v.Definition), anonymous(d)) {
				return v.Number
			}
		}
		return 0
	}
	newest := 0
	if len(have.Items) > 0 {
		newest = have.Items[0].Number
	}
	put := func(d marking.Definition) (int, error) {
		if n := find(d); n > 0 {
			return n, nil
		}
		newest++
		v := QuestionVersion{QuestionID: id, TenantID: b.TenantID, Number: newest, Definition: d, CreatedBy: m.to.ActorID, CreatedAt: m.s.Now()}
		have.Items = append(have.Items, v)
		return newest, m.tx.InsertQuestionVersion(ctx, v)
	}
	if newest == 0 {
		return m.firstVersions(ctx, b, id, q, wanted)
	}
	n, err := put(wanted)
	if err != nil {
		return 0, err
	}
	_, err = put(q.Definition)
	return n, err
}

func (m *making) firstVersions(ctx context.Context, b Bank, id uuid.UUID, q DocumentQuestion, wanted marking.Definition) (int, error) {
	now := m.s.Now()
	list := []marking.Definition{q.Definition}
	if q.Pinned != nil {
		list = []marking.Definition{wanted, q.Definition}
	}
	made := Question{
		ID: id, TenantID: b.TenantID, BankID: b.ID, Kind: q.Definition.Kind, Title: q.Title, Tags: q.Tags, ExternalID: q.ExternalID,
		Current: len(list), CreatedAt: now, UpdatedAt: now, Version: 1, Definition: q.Definition,
	}
	if err := m.tx.InsertQuestion(ctx, made); err != nil {
		return 0, err
	}
	for i, d := range list {
		v := QuestionVersion{QuestionID: id, TenantID: b.TenantID, Number: i + 1, Definition: d, CreatedBy: m.to.ActorID, CreatedAt: now}
		if err := m.tx.InsertQuestionVersion(ctx, v); err != nil {
			return 0, err
		}
	}
	return 1, m.tx.Emit(ctx, made.changed(b, false, now), work.Meta{TenantID: b.TenantID, OrgUnitID: b.OrgUnitID})
}

// slots are those of the document with what is here; a question that was left out
// has none, and one that is named twice has one.
func (m *making) slots(in []DocumentSlot) []Slot {
	out := []Slot{}
	taken := map[uuid.UUID]bool{}
	for _, d := range in {
		slot := Slot{ID: m.s.NewID(), Position: len(out), Points: max(0, min(d.Points, MaxPoints))}
		switch {
		case d.QuestionID != nil && d.BankID == nil:
			p, ok := m.pins[*d.QuestionID]
			if !ok && d.version != nil {
				p, ok = pin{*d.QuestionID, *d.version}, true // in a bank that is kept
			}
			if !ok || taken[p.id] {
				continue
			}
			taken[p.id] = true
			slot.QuestionID, slot.QuestionVersion = &p.id, &p.version
		case d.BankID != nil && d.QuestionID == nil && d.Pick != nil && *d.Pick > 0 && m.banks[*d.BankID] != uuid.Nil:
			bank := m.banks[*d.BankID]
			slot.BankID, slot.Pick = &bank, d.Pick
		default:
			m.leave("", "slot", "A place of the quiz names nothing that is there and was left out.")
			continue
		}
		out = append(out, slot)
	}
	return out
}

// publish lets learners take the quiz if they could before and nothing is missing.
func (m *making) publish(ctx context.Context, q *Quiz, wanted bool, slots []Slot) error {
	err := m.s.enough(ctx, m.tx, slots)
	if apperr.IsKind(err, apperr.KindConflict) {
		m.leave("", "not_enough_questions", "A bank has fewer questions than are drawn from it: the quiz was not published.")
		return nil
	}
	if err != nil || !wanted {
		return err
	}
	if q.Questions == 0 {
		m.leave("", "quiz_empty", "The quiz has no questions and was not published.")
		return nil
	}
	now := m.s.Now()
	q.PublishedAt = &now
	return nil
}
