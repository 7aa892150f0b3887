package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/course/internal/catalog"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/contracts/events"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/testkit"
	"lms/shared/work"
)

func TestEveryStatementFitsTheSchema(t *testing.T) {
	t.Parallel()
	testkit.PrepareAll(t, testkit.DB(t, "course"), ".")
}

const unguardedSQL = `
select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'tenant_id' and not a.attisdropped
  and not c.relrowsecurity and c.relname = any($1)`

func TestEveryTableHasRowLevelSecurity(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, "course")
	tables := []string{
		"categories", "terms", "courses", "course_staff", "course_views", "resources", "modules", "items", "page_bodies",
		"curriculum_documents", "curriculum_versions", "announcements", "course_templates", "import_uploads",
		"transfer_parts",
	}
	names, err := pg.Column[string](t.Context(), pool, unguardedSQL, tables)
	require.NoError(t, err)
	require.Empty(t, names)
	var n int
	require.NoError(t, pool.QueryRow(t.Context(), `select count(*) from pg_class where relname = any($1) and relrowsecurity`, tables).Scan(&n))
	require.Equal(t, len(tables), n)
}

func sample(tenant uuid.UUID) catalog.Course {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	later := now.AddDate(0, 1, 0)
	plan, capacity, grade := uuid.New(), 7, events.Hundredths(6550)
	s := catalog.DefaultSettings()
	s.Code, s.Title, s.Description, s.Level, s.Tags = "C-"+uuid.NewString()[:8], "Title", "d", "beginner", []string{"a", "b"}
	s.Capacity, s.StartsAt, s.EndsAt, s.EnrollmentOpensAt, s.EnrollmentClosesAt = &capacity, &now, &later, &now, &later
	s.PrerequisiteCourses, s.PricePlanID = []uuid.UUID{uuid.New()}, &plan
	s.ExternalID, s.ExternalSource, s.CoverURL = uuid.NewString(), "sis", "https://example.org/c.png"
	return catalog.Course{
		ID: uuid.New(), TenantID: tenant, OrgUnitID: tenant, OrgUnitPath: []uuid.UUID{tenant}, Settings: s, Status: events.CoursePublished,
		Seats: events.SeatsFew, Price: &events.CoursePrice{PlanID: plan, Amount: 5, Currency: "EUR", Kind: "one_off", Plans: 1},
		Completion: events.CompletionSettings{Mode: events.CompleteModules, MinGrade: &grade, Certificate: events.CertificateSettings{Enabled: true}},
		CreatedBy:  uuid.New(), CreatedAt: now, UpdatedAt: later, PublishedAt: &now, Version: 3, CurriculumVersion: 4, CurriculumChangedAt: later,
	}
}

func TestACourseComesBackAsItWent(t *testing.T) {
	t.Parallel()
	db := pg.From(testkit.DB(t, "course"), pg.Options{Service: "course"})
	store := NewStore(db)
	tenant, other := uuid.New(), uuid.New()
	want := sample(tenant)
	ctx := t.Context()
	member := catalog.StaffMember{CourseID: want.ID, TenantID: tenant, UserID: uuid.New(), Role: "instructor", Active: true, AddedBy: uuid.New(), AddedAt: want.CreatedAt}
	docs := catalog.Documents{Full: []byte(`{"full":1}`), Published: []byte(`{"published":1}`)}
	require.NoError(t, store.InTx(ctx, work.Tenant(tenant), func(ctx context.Context, tx catalog.Tx) error {
		require.NoError(t, tx.InsertCourse(ctx, want))
		require.NoError(t, tx.PutStaff(ctx, member))
		return tx.SaveCurriculum(ctx, want, catalog.Curriculum{}, catalog.Curriculum{}, docs)
	}))
	got, role, err := store.CourseFor(ctx, want.ID, member.UserID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, "instructor", role)
	_, role, err = store.CourseFor(ctx, want.ID, uuid.New())
	require.NoError(t, err)
	require.Empty(t, role)
	_, _, err = store.CourseFor(ctx, uuid.New(), uuid.Nil)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))

	head, mine, err := store.DocumentFor(ctx, want.ID, member.UserID, false, 0)
	require.NoError(t, err)
	require.Equal(t, int64(4), head.CurriculumVersion)
	require.Equal(t, docs, mine, "staff get both")
	_, theirs, err := store.DocumentFor(ctx, want.ID, uuid.New(), false, 0)
	require.NoError(t, err)
	require.Nil(t, theirs.Full, "the whole document does not travel for who may not see it")

	_, none, err := store.DocumentFor(ctx, want.ID, member.UserID, true, 4)
	require.NoError(t, err)
	require.Equal(t, catalog.Documents{}, none, "who has the version gets nothing again")

	// Another tenant's transaction sees nothing and writes nothing.
	require.NoError(t, store.Read(ctx, work.Tenant(other), func(ctx context.Context, tx catalog.Tx) error {
		_, err := tx.AnyCourse(ctx, want.ID)
		require.True(t, apperr.IsKind(err, apperr.KindNotFound))
		p, err := tx.ListCourses(ctx, catalog.CourseFilter{Sort: "title", Reach: authz.Reach{All: true}}, page.Request{})
		require.Empty(t, p.Items)
		return err
	}))
	foreign := sample(tenant)
	require.Error(t, store.InTx(ctx, work.Tenant(other), func(ctx context.Context, tx catalog.Tx) error { return tx.InsertCourse(ctx, foreign) }))
}

func TestACurriculumComesBackAsItWent(t *testing.T) {
	t.Parallel()
	db := pg.From(testkit.DB(t, "course"), pg.Options{Service: "course"})
	store := NewStore(db)
	tenant := uuid.New()
	c := sample(tenant)
	at := c.CreatedAt
	one, score, text := 1, events.Hundredths(7050), "<p>body</p>"
	points := events.Hundredths(1000)
	quiz := catalog.Resource{ID: uuid.New(), TenantID: tenant, CourseID: &c.ID, Kind: events.ItemQuiz, Title: "Q", Published: true, Points: &points}
	first := catalog.Module{ID: uuid.New(), Title: "one", Published: true, Prerequisites: []uuid.UUID{}, UnlockAt: &at, Sequential: true, RequiredCount: &one, Relock: 2, Items: []catalog.Item{
		{
			ID: uuid.New(), Kind: events.ItemQuiz, Title: "quiz", Published: true, ResourceID: &quiz.ID, Resource: &quiz, PlacedAt: at,
			Requirement: &catalog.Requirement{Kind: events.RequireMinScore, MinScore: &score, Unit: events.ScorePercent},
		},
		{ID: uuid.New(), Kind: events.ItemLink, Title: "link", URL: "https://example.org", UnlockAt: &at, PlacedAt: at},
	}}
	second := catalog.Module{ID: uuid.New(), Title: "two", Prerequisites: []uuid.UUID{first.ID}, Items: []catalog.Item{
		{ID: uuid.New(), Kind: events.ItemPage, Title: "page", PlacedAt: at, Body: &text, Requirement: &catalog.Requirement{Kind: events.RequireView}},
	}}
	want := catalog.Curriculum{CourseID: c.ID, Modules: []catalog.Module{first, second}}
	save := func(before, after catalog.Curriculum) {
		require.NoError(t, store.InTx(t.Context(), work.Tenant(tenant), func(ctx context.Context, tx catalog.Tx) error {
			return tx.SaveCurriculum(ctx, c, before, after, catalog.Documents{Full: []byte("{}"), Published: []byte("{}")})
		}))
	}
	read := func() (got catalog.Curriculum, bodies map[uuid.UUID]string) {
		require.NoError(t, store.Read(t.Context(), work.Tenant(tenant), func(ctx context.Context, tx catalog.Tx) (err error) {
			got, err = tx.Curriculum(ctx, c.ID)
			require.NoError(t, err)
			bodies, err = tx.Bodies(ctx, c.ID)
			return err
		}))
		return got, bodies
	}
	require.NoError(t, store.InTx(t.Context(), work.Tenant(tenant), func(ctx context.Context, tx catalog.Tx) error {
		require.NoError(t, tx.InsertCourse(ctx, c))
		return tx.PutResource(ctx, quiz, at)
	}))
	save(catalog.Curriculum{}, want)
	got, bodies := read()
	want.Modules[1].Items[0].Body = nil
	require.Equal(t, want, got)
	require.Equal(t, map[uuid.UUID]string{second.Items[0].ID: text}, bodies)

	// An item moves out of a module that goes, with its text.
	next := catalog.Curriculum{CourseID: c.ID, Modules: []catalog.Module{first}}
	next.Modules[0].Items = []catalog.Item{want.Modules[1].Items[0], first.Items[0]}
	save(want, next)
	got, bodies = read()
	require.Equal(t, next, got)
	require.Len(t, bodies, 1)
	save(next, catalog.Curriculum{CourseID: c.ID})
	got, bodies = read()
	require.Empty(t, got.Modules)
	require.Empty(t, bodies, "texts go with their items")
}

func TestVersionsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	store := NewStore(pg.From(testkit.DB(t, "course"), pg.Options{Service: "course"}))
	c := sample(uuid.New())
	require.NoError(t, store.InTx(t.Context(), work.Tenant(c.TenantID), func(ctx context.Context, tx catalog.Tx) error {
		require.NoError(t, tx.InsertCourse(ctx, c))
		for range 5 {
			v := catalog.CurriculumVersion{CourseID: c.ID, TenantID: c.TenantID, Version: 1, CreatedAt: c.CreatedAt, Reason: "edited", Document: []byte(`{}`)}
			require.NoError(t, tx.InsertVersion(ctx, v))
		}
		p, err := tx.Versions(ctx, c.ID, page.Request{Limit: 3})
		require.NoError(t, err)
		require.Equal(t, []int64{5, 4, 3}, []int64{p.Items[0].Number, p.Items[1].Number, p.Items[2].Number})
		p, err = tx.Versions(ctx, c.ID, page.Request{Limit: 3, Cursor: p.NextCursor})
		require.NoError(t, err)
		require.Equal(t, []int64{2, 1}, []int64{p.Items[0].Number, p.Items[1].Number})
		require.Empty(t, p.NextCursor)
		return nil
	}))
}
