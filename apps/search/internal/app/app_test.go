package app

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/search/internal/bleveindex"
	"lms/apps/search/internal/events"
	"lms/apps/search/internal/httpapi"
	"lms/apps/search/internal/search"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/contracts"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/inbox"
	"lms/shared/record"
	"lms/shared/record/recordtest"
	"lms/shared/service"
	"lms/shared/telemetry"
	"lms/shared/testkit"
	"lms/shared/web"
)

var update = flag.Bool("update", false, "write what the README repeats from the code") //nolint:gochecknoglobals // a flag

const api = "/api/v1/search"

// library are the owning services.
type library struct {
	courses  []internalapi.CourseDocument
	contents []internalapi.ContentDocument
	away     bool
}

func (l *library) Courses(context.Context, string) ([]internalapi.CourseDocument, string, error) {
	if l.away {
		return nil, "", apperr.Unavailable("service_unavailable", "course is away")
	}
	return l.courses, "", nil
}

func (l *library) Contents(context.Context, string) ([]internalapi.ContentDocument, string, error) {
	return l.contents, "", nil
}

func (l *library) Text(_ context.Context, id uuid.UUID) (string, error) {
	for _, c := range l.contents {
		if c.Content.ID == id {
			return c.Text, nil
		}
	}
	return "", nil
}

func (l *library) CoursesOf(context.Context, uuid.UUID) ([]search.Membership, error) { return nil, nil }

// world is search with its routes, on Bleve.
type world struct {
	t       *testing.T
	tenant  uuid.UUID
	clock   *clock.Manual
	library *library
	store   *recordtest.Memory
	kit     *service.Kit
	tokens  *testkit.Tokens
	built   *built
	router  *web.Router
	told    []search.Performed
	*testkit.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	engine, err := bleveindex.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	w := &world{t: t, tenant: uuid.New(), clock: clock.NewManual(time.Now().UTC()), library: &library{}}
	policy, tokens := testkit.Policy(w.tenant), testkit.NewTokens(t)
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "search"})
	require.NoError(t, err)
	w.kit = &service.Kit{Name: "search", Authz: policy, Now: w.clock.Now, NewID: uuid.New, Log: slog.New(slog.DiscardHandler), Metrics: tel.Metrics}
	w.store, w.tokens = recordtest.NewMemory(w.clock.Now), tokens
	w.built, w.router = w.replica(engine, w.store)
	w.Client = testkit.Server(t, w.router, tokens)
	return w
}

// replica is search once more, on a store.
func (w *world) replica(engine search.Engine, store record.Store) (*built, *web.Router) {
	b := build(w.kit, engine, 0, store, w.library, w.library)
	b.options.Service.Performed = func(p search.Performed) { w.told = append(w.told, p) }
	r := web.NewRouter(web.Options{Service: "search", Verifier: w.tokens.Verifier(), Authz: w.kit.Authz})
	httpapi.Mount(r, b.options)
	events.MountCalls(r)
	return b, r
}

func (w *world) course(title string) contract.CourseState {
	return contract.CourseState{
		ID: uuid.New(), TenantID: w.tenant, OrgUnitID: w.tenant, Title: title, Language: "en", Tags: []string{}, Status: contract.CoursePublished,
		Visibility: contract.VisibilityPublic, EnrollmentMode: contract.EnrollmentSelf, Seats: contract.SeatsOpen, Version: 1,
	}
}

func (w *world) tell(typ string, seq int64, v any) {
	w.t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(w.t, err)
	for _, err := range w.built.options.Consumer.Apply(w.t.Context(), []inbox.Event{{ID: uuid.New(), Type: typ, Seq: seq, Time: w.clock.Now(), Data: raw}}) {
		require.NoError(w.t, err)
	}
}

func (w *world) admin() *testkit.Client {
	return w.As(testkit.PlatformAdmin())
}

type answer struct {
	Items []struct {
		Title string `json:"title"`
	} `json:"items"`
	Total      int    `json:"total"`
	Match      string `json:"match"`
	NextCursor string `json:"next_cursor"`
}

func TestAVisitorFindsWhatIsPublic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell(contract.TypeCoursePublished, 1, w.course("Cells"))
	w.tell(contract.TypeCoursePublished, 1, w.course("Cell walls"))
	var a answer
	res := w.GET(api + "?q=cell&limit=1&facets=level&facets=price&sort=title").Expect(http.StatusOK)
	res.JSON(&a)
	require.Equal(t, 2, a.Total)
	require.Equal(t, "Cell walls", a.Items[0].Title)
	require.Contains(t, res.Header.Get("Cache-Control"), "public")
	require.Contains(t, res.Header.Get("Link"), `rel="next"`)
	next := a.NextCursor
	a = answer{}
	w.GET(api + "?q=cell&limit=1&facets=level&facets=price&sort=title&cursor=" + next).Expect(http.StatusOK).JSON(&a)
	require.Equal(t, "Cells", a.Items[0].Title)
	require.Empty(t, a.NextCursor)
	require.Len(t, w.told, 1, "one search, of two pages")
	require.Equal(t, "cell", w.told[0].Terms)
	res = w.As(testkit.User(w.tenant)).GET(api + "?q=cell").Expect(http.StatusOK)
	require.NotContains(t, res.Header.Get("Cache-Control"), "public")

	w.GET(api + "?q=cell&cursor=nonsense").Expect(http.StatusBadRequest).Code("bad_cursor")
	w.GET(api + "?sort=random").Expect(http.StatusUnprocessableEntity)
	w.GET(api + "?max_price=3").Expect(http.StatusUnprocessableEntity)
	w.GET(api + "?owner=me").Expect(http.StatusUnprocessableEntity)
	w.GET(api + "/suggest?q=cel").Expect(http.StatusOK).JSON(&a)
	require.Len(t, a.Items, 2)
	w.GET(api + "/suggest").Expect(http.StatusUnprocessableEntity)
}

func TestSynonymsAreForPlatformAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tell(contract.TypeCoursePublished, 1, w.course("Machine learning"))
	body := map[string]any{"groups": [][]string{{"ML", "machine  learning"}}}
	w.PUT(api+"/synonyms", body).Expect(http.StatusUnauthorized)
	org := w.As(testkit.User(w.tenant, authz.RoleOrgAdmin))
	org.GET(api + "/synonyms").Expect(http.StatusForbidden)
	admin := w.admin()
	tag := admin.GET(api + "/synonyms").Expect(http.StatusOK).Header.Get("ETag")
	admin.PUT(api+"/synonyms", body).Expect(http.StatusPreconditionRequired)
	admin.With("If-Match", tag).PUT(api+"/synonyms", map[string]any{"groups": [][]string{{"a"}, {"b", "!!"}}}).Expect(http.StatusUnprocessableEntity)
	admin.With("If-Match", tag).PUT(api+"/synonyms", body).Expect(http.StatusOK)
	admin.With("If-Match", tag).PUT(api+"/synonyms", body).Expect(http.StatusPreconditionFailed)
	var a answer
	w.GET(api + "?q=ml").Expect(http.StatusOK).JSON(&a)
	require.Equal(t, 1, a.Total)
	var audit struct{ Items []struct{ Action string } }
	admin.GET("/api/v1/audit/search").Expect(http.StatusOK).JSON(&audit)
	require.Equal(t, "search_synonyms.set", audit.Items[0].Action)
}

// TestAChangeAndItsLineAreOne lets the process die before each of the writes of an act:
// afterwards there is one line in the audit trail if something was changed, and none if
// not.
func TestAChangeAndItsLineAreOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		action, shown string
		act           func(c, healthy *testkit.Client)
	}{
		"synonyms are set": {"search_synonyms.set", api + "/synonyms", func(c, healthy *testkit.Client) {
			c.With("If-Match", healthy.GET(api+"/synonyms").ETag()).PUT(api+"/synonyms", map[string]any{"groups": [][]string{{"ML", "machine learning"}}})
		}},
		"a rebuild is begun": {"search_index.rebuild", "/api/v1/jobs/search", func(c, _ *testkit.Client) { c.POST(api+"/rebuild", nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deaths := 0
			for survived := false; !survived; deaths++ {
				w := newWorld(t)
				who := testkit.PlatformAdmin()
				admin := w.As(who)
				before := string(admin.GET(tc.shown).Expect(http.StatusOK).Body)
				store := recordtest.NewDying(w.store, deaths)
				_, router := w.replica(w.built.engine, store)
				tc.act(testkit.Server(t, router, w.tokens).As(who), admin)
				survived = !store.Dead()

				require.NoError(t, w.built.options.Synonyms.Follow(t.Context()))
				require.NoError(t, w.built.options.Jobs.Follow(t.Context()))
				var audit struct{ Items []struct{ Action string } }
				admin.GET("/api/v1/audit/search?action=" + tc.action).Expect(http.StatusOK).JSON(&audit)
				if string(admin.GET(tc.shown).Expect(http.StatusOK).Body) == before {
					require.False(t, survived)
					require.Empty(t, audit.Items, "before write %d", deaths)
				} else {
					require.Len(t, audit.Items, 1, "before write %d", deaths)
				}
			}
			require.Greater(t, deaths, 2, "the change, the line, and that it is there")
		})
	}
}

func TestTheIndexIsMadeAnewAsAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o, ctx := w.built.options, t.Context()
	w.library.courses = []internalapi.CourseDocument{{Course: w.course("Cells"), Seq: 3}, {Course: w.course("Genes"), Seq: 1}}
	admin := w.admin()
	w.As(testkit.User(w.tenant)).POST(api+"/rebuild", nil).Expect(http.StatusForbidden)

	// At first the service begins by itself, and waits for the owners.
	w.library.away = true
	require.NoError(t, o.Jobs.Fill(ctx, w.built.engine))
	require.NoError(t, o.Jobs.Work(ctx, o.Builder))
	var a answer
	w.GET(api).Expect(http.StatusOK).JSON(&a)
	require.Zero(t, a.Total)
	w.library.away = false

	res := admin.POST(api+"/rebuild", nil).Expect(http.StatusAccepted)
	at := res.Header.Get("Location")
	require.Equal(t, at, admin.POST(api+"/rebuild", nil).Expect(http.StatusAccepted).Header.Get("Location"), "one at a time")
	var job struct {
		State string `json:"state"`
		Done  int64  `json:"done"`
	}
	admin.GET(at).Expect(http.StatusOK).JSON(&job)
	require.Equal(t, "queued", job.State)
	w.admin().GET(at).Expect(http.StatusNotFound)
	require.NoError(t, o.Jobs.Work(ctx, o.Builder))
	admin.GET(at).Expect(http.StatusOK).JSON(&job)
	require.Equal(t, "succeeded", job.State)
	require.Equal(t, int64(4), job.Done)
	admin.GET(at + "/result").Expect(http.StatusOK)
	admin.GET(at + "/rows").Expect(http.StatusOK)
	w.GET(api + "?q=genes").Expect(http.StatusOK).JSON(&a)
	require.Equal(t, 1, a.Total)
	require.NoError(t, o.Jobs.Fill(ctx, w.built.engine), "the index is whole: nothing to do")
	require.NoError(t, o.Jobs.Work(ctx, o.Builder))

	w.clock.Advance(time.Minute) // jobs of one moment have no order that means something
	at = admin.POST(api+"/rebuild", nil).Expect(http.StatusAccepted).Header.Get("Location")
	admin.POST(at+"/cancel", nil).Expect(http.StatusOK).JSON(&job)
	require.Equal(t, "canceled", job.State)
	list := func(sort string) (states []any) {
		cursor := ""
		for {
			var page struct {
				Items      []map[string]any
				NextCursor string `json:"next_cursor"`
			}
			admin.GET("/api/v1/jobs/search?limit=1&sort=" + sort + "&cursor=" + cursor).Expect(http.StatusOK).JSON(&page)
			require.Len(t, page.Items, 1)
			states = append(states, page.Items[0]["state"])
			if cursor = page.NextCursor; cursor == "" {
				return states
			}
		}
	}
	require.Equal(t, []any{"canceled", "succeeded"}, list("-created_at"))
	require.Equal(t, []any{"succeeded", "canceled"}, list("created_at"))
}

func TestTheIndexIsComparedWithItsSources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	changed, missing, gone := w.course("Cells"), w.course("Genes"), w.course("Leaves")
	w.tell(contract.TypeCourseUpdated, 1, changed)
	w.tell(contract.TypeCourseUpdated, 1, gone)
	changed.Title, gone.Deleted = "Cells and more", true
	for _, c := range []contract.CourseState{changed, missing, gone} {
		w.library.courses = append(w.library.courses, internalapi.CourseDocument{Course: c, Seq: 2, Curriculum: contract.CurriculumState{CourseID: c.ID}})
	}
	operator := w.As(testkit.Service(internalapi.OperatorApp))
	check := func(repair bool) (out []string) {
		in := internalapi.RecomputeRequest{Repair: repair}
		for {
			var r internalapi.RecomputeReply
			operator.POST(internalapi.PathRecompute, in).Expect(http.StatusOK).JSON(&r)
			for _, d := range r.Differences {
				out = append(out, d.Kind+" "+d.Stored)
			}
			if in.Cursor = r.NextCursor; in.Cursor == "" {
				return out
			}
		}
	}
	want := []string{"search_course another state", "search_outline missing", "search_course missing", "search_outline missing", "search_course there"}
	require.Equal(t, want, check(false))
	require.Equal(t, want, check(true))
	require.Empty(t, check(false))
}

func TestWhatIsTooLongForAnEventIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := contract.ContentState{ID: uuid.New(), TenantID: w.tenant, OrgUnitID: w.tenant, Title: "Long", Status: "published", Text: "the beginning", TextTruncated: true}
	w.library.contents = []internalapi.ContentDocument{{Content: c, Text: "the beginning and the denouement", Seq: 1}}
	w.tell(contract.TypeContentPublished, 1, c)
	var a answer
	w.admin().GET(api + "?q=denouement").Expect(http.StatusOK).JSON(&a)
	require.Equal(t, 1, a.Total)
}

func TestPeopleLeaveNothingHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.As(testkit.Service("user"))
	for _, call := range []string{internalapi.CallPersonStatus, internalapi.CallErasePerson, internalapi.CallExportPerson} {
		user.POST("/internal/calls/"+call, map[string]any{"data": map[string]any{"user_id": uuid.New()}}).Expect(http.StatusOK)
		w.As(testkit.Service("course")).POST("/internal/calls/"+call, map[string]any{}).Expect(http.StatusForbidden)
	}
}

func TestWhatIsConsumedMayBeConsumed(t *testing.T) {
	t.Parallel()
	for topic, types := range search.Indexed() {
		require.True(t, contracts.MayConsume("search", topic), topic)
		for _, typ := range types {
			of, ok := contract.TopicOf(typ)
			require.True(t, ok && of == topic, typ)
		}
	}
	// A new snapshot of a course or a content has to be looked at.
	about := map[string]bool{"lms.course": true, "lms.content": true}
	for _, d := range contract.All() {
		types, ok := search.Indexed()[d.Topic]
		if parts := strings.Split(d.Type(), "."); ok && d.State && about[parts[0]+"."+parts[1]] && !strings.HasPrefix(parts[2], "qu") { // quizzes and questions are not found
			require.Contains(t, types, d.Type())
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for _, bad := range []Config{{Engine: "solr"}, {Engine: "bleve"}, {Engine: "opensearch"}, {Engine: "opensearch", OpenSearchURLs: []string{"x"}}} {
		require.Error(t, bad.check())
	}
	require.NoError(t, Config{Engine: "bleve", Folder: "x"}.check())
	require.NoError(t, Config{Engine: "opensearch", OpenSearchURLs: []string{"http://127.0.0.1:9200"}}.check())
}

func TestTheREADMEIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	testkit.README(t, "../../README.md", *update, map[string]string{
		"settings": testkit.SettingTable(t, "LMS_SEARCH", &Config{}), "routes": testkit.RouteTable(w.router),
	})
}

func TestRoutesAreDeclared(t *testing.T) {
	t.Parallel()
	testkit.CheckRoutes(t, newWorld(t).router)
}

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	t.Parallel()
	r := web.NewRouter(web.Options{Service: "search"})
	httpapi.Mount(r, httpapi.Options{})
	testkit.CheckOpenAPI(t, r, "../../../../shared/contracts/openapi", "search", *update)
}
