// Package events is how search and the other services talk: the topics that it
// consumes, what it asks course, content and enrollment, and what it tells analytics.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/contracts/internalapi"
	"lms/shared/dapr"
)

// Invoker calls other services; *dapr.Client is one.
type Invoker interface {
	Invoke(ctx context.Context, call dapr.Call) (int, error)
}

const (
	askTimeout  = 2 * time.Second
	pageTimeout = 20 * time.Second
	pageSize    = "100"
)

// Limits of the memberships that are remembered.
const (
	membershipLife = 2 * time.Second
	membershipsMax = 20_000
)

// Members asks enrollment where people learn and teach, and remembers it for two
// seconds: so long may somebody who was withdrawn go on finding a course.
type Members struct {
	invoker Invoker
	now     func() time.Time

	mu    sync.Mutex
	known map[uuid.UUID]memberships
}

type memberships struct {
	list  []search.Membership
	until time.Time
}

var _ search.Members = (*Members)(nil)

// NewMembers makes the client; now is the service's clock.
func NewMembers(invoker Invoker, now func() time.Time) *Members {
	return &Members{invoker: invoker, now: now, known: map[uuid.UUID]memberships{}}
}

// CoursesOf implements search.Members.
func (m *Members) CoursesOf(ctx context.Context, user uuid.UUID) ([]search.Membership, error) {
	m.mu.Lock()
	k, ok := m.known[user]
	m.mu.Unlock()
	if ok && m.now().Before(k.until) {
		return k.list, nil
	}
	asked := m.now()
	var reply internalapi.UserCourses
	_, err := m.invoker.Invoke(ctx, dapr.Call{
		App: "enrollment", Path: strings.Replace(internalapi.PathUserCourses, "{id}", user.String(), 1), Timeout: askTimeout, Out: &reply,
	})
	if err != nil {
		return nil, away("enrollment", err)
	}
	list := make([]search.Membership, len(reply.Items))
	for i, c := range reply.Items {
		list[i] = search.Membership{CourseID: c.CourseID, OrgUnitID: c.OrgUnitID, Staff: c.As == internalapi.AsStaff, Role: c.Role}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= membershipsMax {
		clear(m.known)
	}
	m.known[user] = memberships{list, asked.Add(membershipLife)}
	return list, nil
}

// away makes a refusal of another service something to try again.
func away(app string, err error) error {
	if apperr.IsKind(err, apperr.KindUnavailable) {
		return err
	}
	return apperr.Unavailable("service_unavailable", "The "+app+" service could not be asked.").With(err)
}

// Sources asks course and content for everything.
type Sources struct{ Invoker Invoker }

var (
	_ search.Sources = Sources{}
	_ search.Texts   = Sources{}
)

func (s Sources) page(ctx context.Context, app, path, cursor string, out any) error {
	query := url.Values{"limit": {pageSize}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	_, err := s.Invoker.Invoke(ctx, dapr.Call{App: app, Path: path, Query: query, Timeout: pageTimeout, Out: out})
	if err != nil {
		return away(app, err)
	}
	return nil
}

// Courses implements search.Sources.
func (s Sources) Courses(ctx context.Context, cursor string) ([]internalapi.CourseDocument, string, error) {
	var p internalapi.CoursePage
	err := s.page(ctx, "course", internalapi.PathCourses, cursor, &p)
	return p.Items, p.NextCursor, err
}

// Contents implements search.Sources.
func (s Sources) Contents(ctx context.Context, cursor string) ([]internalapi.ContentDocument, string, error) {
	var p internalapi.ContentPage
	err := s.page(ctx, "content", internalapi.PathContents, cursor, &p)
	return p.Items, p.NextCursor, err
}

// Text implements search.Texts. A content that is not there any more has none.
func (s Sources) Text(ctx context.Context, content uuid.UUID) (string, error) {
	var doc internalapi.ContentDocument
	_, err := s.Invoker.Invoke(ctx, dapr.Call{
		App: "content", Path: strings.Replace(internalapi.PathContent, "{id}", content.String(), 1), Timeout: pageTimeout, Out: &doc,
	})
	if apperr.IsKind(err, apperr.KindNotFound) {
		return "", nil
	}
	if err != nil {
		return "", away("content", err)
	}
	return doc.Text, nil
}

// Limits of what waits to be told to analytics.
const (
	searchesMax = 20_000
	maxTerm     = 200 // characters
	// batchMax searches, each with a term of which every character is escaped, are
	// less than a body may have.
	batchMax    = internalapi.MaxSearches / 2
	tellTimeout = 5 * time.Second
)

// Performed gathers searches in memory and tells them to analytics in batches. What
// is gathered is lost in a crash, and the oldest goes where more than 20,000 wait:
// they are figures.
type Performed struct {
	invoker Invoker
	newID   func() uuid.UUID
	log     *slog.Logger

	mu      sync.Mutex
	waiting []internalapi.SearchPerformed
	batch   *internalapi.SearchBatch // being told; the same again after a failure
	dropped int                      // since analytics could last be told
}

// NewPerformed makes it.
func NewPerformed(invoker Invoker, newID func() uuid.UUID, log *slog.Logger) *Performed {
	return &Performed{invoker: invoker, newID: newID, log: log}
}

// Note remembers a search.
func (p *Performed) Note(s search.Performed) {
	if term := []rune(s.Terms); len(term) > maxTerm {
		s.Terms = string(term[:maxTerm])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) >= searchesMax {
		p.waiting = p.waiting[1:]
		p.dropped++
	}
	p.waiting = append(p.waiting, internalapi.SearchPerformed{At: s.At, TenantID: s.TenantID, Term: s.Terms, Results: int64(s.Results)})
}

// Tell sends what waits. A batch that fails is sent again the next time, under the
// same id; that analytics is away is no failure. One that analytics refuses, and
// always would, is dropped: it would keep back all others.
func (p *Performed) Tell(ctx context.Context) error {
	for {
		batch := p.take()
		if batch == nil {
			return nil
		}
		_, err := p.invoker.Invoke(ctx, dapr.Call{
			App: "analytics", Method: http.MethodPost, Path: internalapi.PathSearches, Timeout: tellTimeout, Body: batch, Idempotent: true,
		})
		if apperr.IsKind(err, apperr.KindUnavailable) {
			return nil
		}
		if err == nil || apperr.Deterministic(err) {
			p.done(ctx)
		}
		if err != nil {
			return fmt.Errorf("tell analytics of %d searches: %w", len(batch.Searches), err)
		}
	}
}

func (p *Performed) take() *internalapi.SearchBatch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batch == nil && len(p.waiting) > 0 {
		n := min(len(p.waiting), batchMax)
		p.batch = &internalapi.SearchBatch{BatchID: p.newID(), Searches: p.waiting[:n:n]}
		p.waiting = p.waiting[n:]
	}
	return p.batch
}

func (p *Performed) done(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batch = nil; p.dropped > 0 {
		p.log.WarnContext(ctx, "searches were not told while analytics was away", "searches", p.dropped)
		p.dropped = 0
	}
}
