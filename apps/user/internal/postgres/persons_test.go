package postgres_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	"lms/shared/clock"
	"lms/shared/page"
	"lms/shared/pg"
	"lms/shared/work"
)

func (w world) provider() identity.Provider {
	w.t.Helper()
	now := clock.Now()
	p := identity.Provider{
		ID: clock.NewID(), TenantID: w.root.ID, OrgUnitID: w.root.ID, Name: "IdP", Issuer: "https://idp.example", ClientID: clock.NewID().String(), Sealed: []byte{},
		Scopes: []string{"openid"}, Enabled: true, AllowedDomains: []string{}, CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	w.do(func(ctx context.Context, tx identity.Tx) error { return tx.InsertProvider(ctx, p) })
	return p
}

func TestAnAccountOfAProviderIsLinkedToOnePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, ada, eve := w.provider(), w.user("Ada", ""), w.user("Eve", "")
	link := func(u identity.User, subject string) error {
		return w.try(func(ctx context.Context, tx identity.Tx) error {
			return tx.Link(ctx, identity.Link{ProviderID: p.ID, Subject: subject, UserID: u.ID, TenantID: u.TenantID, At: clock.Now()})
		})
	}
	require.NoError(t, link(ada, "s1"))
	require.Equal(t, "already_linked", apperr.Code(link(eve, "s1")))
	require.Equal(t, "already_linked", apperr.Code(link(ada, "s2")))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		id, err := tx.LinkedUser(ctx, p.ID, "s1", clock.Now())
		require.Equal(t, ada.ID, id)
		require.NoError(t, err)
		_, err = tx.LinkedUser(ctx, p.ID, "s2", clock.Now())
		notFound(t, err)
		got, err := tx.Provider(ctx, p.ID)
		require.Equal(t, p, got)
		return err
	})
	again := p
	again.ID = clock.NewID()
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertProvider(ctx, again) })
	require.Equal(t, "provider_exists", apperr.Code(err))
}

func TestOfTwoWhoReplaceTheSigningKeysOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for version := range int64(3) {
		won := 0
		for _, err := range together(4, func(int) error {
			return w.try(func(ctx context.Context, tx identity.Tx) error {
				next, err := tx.PutSigningKeys(ctx, version, []byte("sealed"), clock.Now())
				if err == nil {
					require.Equal(t, version+1, next)
				}
				return err
			})
		}) {
			if err == nil {
				won++
				continue
			}
			require.Equal(t, "version_conflict", apperr.Code(err))
		}
		require.Equal(t, 1, won)
	}
}

func TestARequestIsRunningOnceAndKnowsItsParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.user("Ada", "")
	r := identity.PersonRequest{
		ID: clock.NewID(), TenantID: ada.TenantID, UserID: ada.ID, Kind: identity.RequestExport, Status: identity.RequestRunning, CreatedAt: clock.Now(),
	}
	part := identity.RequestPart{RequestID: r.ID, TenantID: r.TenantID, Service: "course", CallID: uuid.New(), Status: identity.PartPending}
	w.do(func(ctx context.Context, tx identity.Tx) error {
		require.NoError(t, tx.InsertPersonRequest(ctx, r))
		return tx.InsertPart(ctx, part)
	})
	second := r
	second.ID = clock.NewID()
	err := w.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertPersonRequest(ctx, second) })
	require.Equal(t, "request_running", apperr.Code(err))
	w.do(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.RunningPersonRequest(ctx, ada.ID, identity.RequestExport)
		require.NoError(t, err)
		require.Equal(t, []string{"course"}, got.WaitingFor())
		p, err := tx.LockPartByCall(ctx, part.CallID)
		require.NoError(t, err)
		now := clock.Now()
		p.Status, p.Reply, p.AnsweredAt = identity.PartDone, []byte(`{"sections":{}}`), &now
		require.NoError(t, tx.UpdatePart(ctx, p))
		got, err = tx.LockPersonRequest(ctx, r.ID)
		require.NoError(t, err)
		require.Empty(t, got.WaitingFor())
		require.JSONEq(t, `{"sections":{}}`, string(got.Parts[0].Reply))
		until := now.Add(time.Hour)
		got.Status, got.CompletedAt, got.ObjectKey, got.ExpiresAt = identity.RequestCompleted, &now, "key", &until
		require.NoError(t, tx.UpdatePersonRequest(ctx, got))
		require.NoError(t, tx.InsertPersonRequest(ctx, second))
		due, err := tx.ExpiredExports(ctx, now, 10)
		require.Empty(t, due)
		require.NoError(t, err)
		due, err = tx.ExpiredExports(ctx, until.Add(time.Second), 10)
		require.Len(t, due, 1)
		return err
	})
}

// An erased person's id, address and name are in no table any more, but for
// the messages that other services are told by.
func TestAfterAnErasureNothingLeadsToThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.user("Grace", "grace@example.org")
	u := person(w.root, "Zenobia Quux", "zenobia@example.org")
	u.ExternalIDs = []identity.ExternalID{{Source: "sis", ID: "zenobia-77"}}
	w.insert(u)
	unit, provider := w.unit(w.root, "A"), w.provider()
	g := w.groupOf(w.groupSet(), "A", 5)
	now, pseudonym := clock.Now(), uuid.New()
	w.link(u, identity.TokenReset, "zenobia", time.Hour)
	ctx := work.WithActor(t.Context(), work.Actor{Principal: authz.Principal{UserID: u.ID, TenantID: u.TenantID}, IP: "192.0.2.77", UserAgent: "zenobias browser"})
	require.NoError(t, w.store.InTx(ctx, work.AllTenants(), func(ctx context.Context, tx identity.Tx) error {
		require.NoError(t, tx.SetPassword(ctx, u.TenantID, u.ID, "x", now))
		_, err := tx.PutMember(ctx, identity.Member{OrgUnitID: unit.ID, UserID: u.ID, TenantID: u.TenantID, CreatedAt: now})
		require.NoError(t, err)
		_, err = tx.AddGroupMember(ctx, g, u.ID, now)
		require.NoError(t, err)
		_, err = tx.InsertGrant(ctx, platformAdmin(u))
		require.NoError(t, err)
		given := platformAdmin(admin)
		given.GrantedBy = &u.ID
		_, err = tx.InsertGrant(ctx, given)
		require.NoError(t, err)
		require.NoError(t, tx.Link(ctx, identity.Link{ProviderID: provider.ID, Subject: "zenobia", UserID: u.ID, TenantID: u.TenantID, At: now}))
		require.NoError(t, tx.PutAvatar(ctx, identity.Avatar{UserID: u.ID, TenantID: u.TenantID, MediaType: "image/png", Hash: "h", Content: []byte("x"), UpdatedAt: now}))
		for _, e := range []identity.SecurityEvent{
			{UserID: u.ID, ActorID: u.ID, Kind: "login"}, {UserID: admin.ID, ActorID: u.ID, Kind: "role_grant"},
		} {
			e.ID, e.TenantID, e.At, e.From, e.Details = clock.NewID(), u.TenantID, now, identity.From{IP: "192.0.2.77", UserAgent: "zenobias browser"}, map[string]string{"name": "zenobia"}
			require.NoError(t, tx.InsertSecurityEvent(ctx, e))
		}
		require.NoError(t, tx.Audit(ctx, work.AuditEntry{
			Action: "user.update", ResourceType: "user", ResourceID: u.ID, TenantID: u.TenantID, Changes: map[string]work.Change{"email": {To: u.Email}},
		}))
		require.NoError(t, tx.Audit(ctx, work.AuditEntry{
			Action: "group.add_member", ResourceType: "group", ResourceID: g.ID, TenantID: u.TenantID, Changes: map[string]work.Change{"user_id": {To: u.ID}},
		}))
		_, err = tx.Enqueue(ctx, "import-users", map[string]string{"for": u.ID.String()}, work.JobOptions{TenantID: u.TenantID})
		require.NoError(t, err)
		return tx.InsertPersonRequest(ctx, identity.PersonRequest{
			ID: clock.NewID(), TenantID: u.TenantID, UserID: u.ID, Kind: identity.RequestErasure, Status: identity.RequestRunning, Pseudonym: &pseudonym,
			RequestedBy: &u.ID, CreatedAt: now,
		})
	}))
	w.finishJobs()
	w.do(func(ctx context.Context, tx identity.Tx) error {
		own, err := tx.ExportOwn(ctx, u.ID)
		require.NoError(t, err)
		for section, doc := range own {
			var rows []map[string]any
			require.NoError(t, json.Unmarshal(doc, &rows), section)
			require.NotContains(t, string(doc), "password_hash")
		}
		require.Contains(t, string(own["profile"]), "zenobia@example.org")
		lines, err := tx.AuditOf(ctx, u.ID, page.Request{Limit: 2})
		require.NoError(t, err)
		require.Len(t, lines.Items, 2)
		rest, err := tx.AuditOf(ctx, u.ID, page.Request{Limit: 9, Cursor: lines.NextCursor})
		require.NoError(t, err)
		require.NotEmpty(t, rest.Items)
		require.NoError(t, tx.Pseudonymise(ctx, u.ID, pseudonym))
		_, err = tx.DeleteGroupMember(ctx, g.ID, u.ID)
		require.NoError(t, err)
		return tx.RemoveUser(ctx, u.ID)
	})
	tables, err := pg.Column[string](t.Context(), w.pool, `select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`)
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		for _, trace := range []string{u.ID.String(), "zenobia", "192.0.2.77"} {
			n := w.count(`select count(*) from `+table+` r where position($1 in lower(r::text)) > 0`, trace)
			require.Zero(t, n, "%s in %s", trace, table)
		}
	}
	require.Positive(t, w.count(`select count(*) from audit where actor_id = $1`, pseudonym), "what was done stays, under the pseudonym")
	require.Equal(t, 1, w.count(`select count(*) from security_events where user_id = $1`, pseudonym))
}

// finishJobs ends every job, as if it had run.
func (w world) finishJobs() {
	w.t.Helper()
	require.NoError(w.t, pg.From(w.pool, pg.Options{Service: "user"}).InTx(w.t.Context(), work.AllTenants(), func(ctx context.Context, u *pg.Unit) error {
		_, err := pg.Exec(ctx, u, `update job set state = 'succeeded', finished_at = $1`, clock.Now())
		return err
	}))
}

func TestAMergeGivesWhatTheOtherHasNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.unit(w.root, "A"), w.unit(w.root, "B")
	from, to := person(a, "From", "from@example.org"), person(b, "To", "to@example.org")
	from.ExternalIDs = []identity.ExternalID{{Source: "hr", ID: "1"}, {Source: "sis", ID: "1"}}
	to.ExternalIDs = []identity.ExternalID{{Source: "sis", ID: "2"}}
	w.insert(from)
	w.insert(to)
	p := w.provider()
	w.do(func(ctx context.Context, tx identity.Tx) error {
		for _, unit := range []identity.OrgUnit{w.root, b} {
			if _, err := tx.PutMember(ctx, identity.Member{OrgUnitID: unit.ID, UserID: from.ID, TenantID: from.TenantID, CreatedAt: clock.Now()}); err != nil {
				return err
			}
		}
		require.NoError(t, tx.Link(ctx, identity.Link{ProviderID: p.ID, Subject: "s", UserID: from.ID, TenantID: from.TenantID, At: clock.Now()}))
		moved, err := tx.MoveBelongings(ctx, from, to)
		require.Equal(t, map[string]int{"external_ids": 1, "memberships": 1, "linked_accounts": 1}, moved)
		require.NoError(t, err)
		got, err := tx.User(ctx, to.ID)
		require.Equal(t, []identity.ExternalID{{Source: "hr", ID: "1"}, {Source: "sis", ID: "2"}}, got.ExternalIDs)
		require.NoError(t, err)
		units, err := tx.MembershipsOf(ctx, to.ID)
		require.Equal(t, []uuid.UUID{w.root.ID}, units, "the home is no membership besides")
		require.NoError(t, err)
		id, err := tx.LinkedUser(ctx, p.ID, "s", clock.Now())
		require.Equal(t, to.ID, id)
		return err
	})
}
