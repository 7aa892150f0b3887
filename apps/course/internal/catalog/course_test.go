package catalog

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/contracts/events"
)

func TestLifeOfACourse(t *testing.T) {
	t.Parallel()
	allowed := map[string]map[Transition]string{
		events.CourseDraft:     {Publish: events.CoursePublished, Archive: events.CourseArchived},
		events.CoursePublished: {Unpublish: events.CourseDraft, Archive: events.CourseArchived},
		events.CourseArchived:  {Restore: events.CourseDraft},
	}
	for from, steps := range allowed {
		for _, step := range []Transition{Publish, Unpublish, Archive, Restore} {
			t.Run(from+" "+string(step), func(t *testing.T) {
				t.Parallel()
				c := Course{Status: from}
				err := step.Apply(&c, time.Now())
				want, ok := steps[step]
				if !ok {
					require.Equal(t, "invalid_transition", apperr.Code(err))
					require.Equal(t, from, c.Status)
					return
				}
				require.NoError(t, err)
				require.Equal(t, want, c.Status)
			})
		}
	}
}

func TestTimesOfALife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := Course{Status: events.CourseDraft}
		var first *time.Time
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, step := range rapid.SliceOf(rapid.SampledFrom([]Transition{Publish, Unpublish, Archive, Restore})).Draw(t, "steps") {
			now = now.Add(time.Hour)
			err := step.Apply(&c, now)
			if err == nil && step == Publish && first == nil {
				at := now
				first = &at
			}
			require.Equal(t, first, c.PublishedAt, "the first publication's time stays")
			require.Equal(t, c.Status == events.CourseArchived, c.ArchivedAt != nil)
		}
	})
}

func valid() Settings {
	s := DefaultSettings()
	s.Code, s.Title = "BIO-101", "Biology"
	return s
}

func TestSettingsTellAllThatIsWrong(t *testing.T) {
	t.Parallel()
	self := uuid.Must(uuid.NewV7())
	require.NoError(t, valid().Check(self))
	early, late := time.Unix(0, 0), time.Unix(100, 0)
	minus := -1
	bad := Settings{
		Code: "-x", Title: "", Description: strings.Repeat("x", MaxDescription+1), Language: "english!", Level: "guru",
		Tags: []string{strings.Repeat("t", MaxTag+1)}, CoverURL: "http://example.org/a.png", ExternalID: "1", Visibility: "secret",
		EnrollmentMode: "lottery", Capacity: &minus, EnrollmentOpensAt: &late, EnrollmentClosesAt: &early, StartsAt: &late, EndsAt: &early,
		Pacing: "fast", PrerequisiteCourses: []uuid.UUID{self},
	}
	got := codes(bad.Check(self))
	for path, code := range map[string]string{
		"code": "pattern", "title": "required", "description": "too_long", "language": "pattern", "level": "enum", "tags[0]": "too_long",
		"cover_url": "url", "external_id": "pair", "visibility": "enum", "enrollment_mode": "enum", "capacity": "range",
		"enrollment_closes_at": "order", "ends_at": "order", "pacing": "enum", "prerequisite_courses": "self",
	} {
		require.Equal(t, code, got[path], path)
	}
}

func TestNormaliseIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := valid()
		s.Tags = rapid.SliceOf(rapid.SampledFrom([]string{"Go", "go ", "rust", "", " ", "RUST"})).Draw(t, "tags")
		s.Normalise()
		once := s
		s.Normalise()
		require.Equal(t, once, s)
		seen := map[string]bool{}
		for _, tag := range s.Tags {
			require.False(t, seen[tag])
			seen[tag] = true
			require.Equal(t, strings.ToLower(strings.TrimSpace(tag)), tag)
		}
	})
}

func TestCompletionSettings(t *testing.T) {
	t.Parallel()
	c := sample(t)
	other, grade, days := uuid.Must(uuid.NewV7()), events.Hundredths(100_01), 0
	tests := map[string]struct {
		in   events.CompletionSettings
		path string
	}{
		"all":              {events.CompletionSettings{Mode: events.CompleteModules}, ""},
		"selected":         {events.CompletionSettings{Mode: events.CompleteSelectedModules, RequiredModules: []uuid.UUID{c.Modules[0].ID}}, ""},
		"selected none":    {events.CompletionSettings{Mode: events.CompleteSelectedModules}, "required_modules"},
		"selected unknown": {events.CompletionSettings{Mode: events.CompleteSelectedModules, RequiredModules: []uuid.UUID{other}}, "required_modules"},
		"all with modules": {events.CompletionSettings{Mode: events.CompleteModules, RequiredModules: []uuid.UUID{c.Modules[0].ID}}, "required_modules"},
		"mode":             {events.CompletionSettings{Mode: "sometimes"}, "mode"},
		"grade":            {events.CompletionSettings{Mode: events.CompleteNever, MinGrade: &grade}, "min_grade"},
		"days":             {events.CompletionSettings{Mode: events.CompleteNever, Certificate: events.CertificateSettings{ValidDays: &days}}, "certificate.valid_days"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := codes(checkCompletion(tc.in, c))
			if tc.path == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, tc.path)
		})
	}
}

func TestPackageBecomesTheSameCurriculum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := sample(t)
		for range rapid.IntRange(0, 10).Draw(t, "edits") {
			if next, _, err := randomEdit(t, c, ids(c)); err == nil {
				c = next
			}
		}
		bodies := map[uuid.UUID]string{}
		for _, id := range ids(c) {
			bodies[id] = "<p>" + id.String() + "</p>"
		}
		pkg := PackageOf(Course{Settings: valid()}, c, bodies)
		unpacked := pkg.Unpack(uuid.Must(uuid.NewV7()), maker(), nil, uuid.Nil)
		out, keys := unpacked.Curriculum, unpacked.Keys
		require.Empty(t, unpacked.Notes)
		require.NoError(t, out.Check())
		require.Len(t, keys, len(c.Modules))
		a, b := c.View(0, true), out.View(0, true)
		require.Len(t, b.Modules, len(a.Modules))
		for mi := range a.Modules {
			am, bm := a.Modules[mi], b.Modules[mi]
			for i, p := range am.Prerequisites {
				require.Equal(t, keys[p.String()], bm.Prerequisites[i])
			}
			for ii := range am.Items {
				require.Equal(t, bodies[am.Items[ii].ID], *out.Modules[mi].Items[ii].Body)
				am.Items[ii].ID, am.Items[ii].ModuleID = bm.Items[ii].ID, bm.ID
			}
			am.ID, am.Prerequisites = bm.ID, bm.Prerequisites
			require.Equal(t, am, bm)
		}
	})
}

func TestPackageIsAdjustedNotRefused(t *testing.T) {
	t.Parallel()
	five := 5
	pkg := Package{Modules: []PackageModule{{
		Key: "m", Title: "", Prerequisites: []string{"nowhere"}, RequiredCount: &five,
		Items: []PackageItem{
			{Kind: events.ItemQuiz, Title: "quiz", Requirement: &Requirement{Kind: events.RequireSubmit}},
			{Kind: events.ItemLink, Title: "bad link", URL: "ftp://example.org"},
			{Kind: events.ItemPage, Title: "page", Requirement: &Requirement{Kind: events.RequireSubmit}},
			{Kind: "discussion", Title: "talk"},
			{Kind: events.ItemPage, Title: "long", Body: strings.Repeat("x", MaxBody+1)},
		},
	}}}
	unpacked := pkg.Unpack(uuid.Must(uuid.NewV7()), maker(), nil, uuid.Nil)
	c, notes := unpacked.Curriculum, unpacked.Notes
	require.NoError(t, c.Check())
	require.Len(t, c.Modules[0].Items, 2)
	require.Equal(t, 1, *c.Modules[0].RequiredCount)
	got := map[string]string{}
	for _, n := range notes {
		got[n.Code] = n.Status
	}
	require.Equal(t, map[string]string{
		"not_earlier": NoteAdjusted, "bad_url": NoteRefused, "requirement": NoteAdjusted,
		"unknown_kind": NoteRefused, "too_long": NoteRefused, "required_count": NoteAdjusted,
	}, got)
	require.Len(t, unpacked.Open, 1)
	require.Equal(t, c.Modules[0].Items[0].ID, unpacked.Open[0].ID)
}

func TestShiftMovesEveryDate(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := valid()
	s.StartsAt, s.EnrollmentClosesAt = &at, &at
	pkg := Package{Settings: &s, Modules: []PackageModule{{UnlockAt: &at, Items: []PackageItem{{UnlockAt: &at}, {}}}}}
	original := pkg.Modules
	pkg.Shift(48 * time.Hour)
	want := at.Add(48 * time.Hour)
	require.Equal(t, want, *pkg.Settings.StartsAt)
	require.Equal(t, want, *pkg.Settings.EnrollmentClosesAt)
	require.Equal(t, want, *pkg.Modules[0].UnlockAt)
	require.Equal(t, want, *pkg.Modules[0].Items[0].UnlockAt)
	require.Nil(t, pkg.Modules[0].Items[1].UnlockAt)
	require.Equal(t, at, *original[0].UnlockAt, "the source keeps its dates")
	require.Equal(t, at, *s.StartsAt)
}

func TestViewsAreNotedOncePerDay(t *testing.T) {
	t.Parallel()
	v := NewViews(100)
	at := time.Date(2026, 1, 1, 23, 59, 0, 0, time.UTC)
	course, user := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	v.Note(View{CourseID: course, ViewedAt: at})
	v.Note(View{CourseID: course, UserID: user, ViewedAt: at})
	v.Note(View{CourseID: course, UserID: user, ViewedAt: at.Add(30 * time.Second)})
	v.Note(View{CourseID: course, UserID: user, ViewedAt: at.Add(2 * time.Minute)})
	got := v.take(10)
	require.Len(t, got, 2, "one per day, none for nobody")
	require.NotEqual(t, got[0].Day, got[1].Day)
	require.Empty(t, v.take(10))
}
