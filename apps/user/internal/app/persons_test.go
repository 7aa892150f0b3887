package app

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/apperr"
	"lms/shared/authz"
	contract "lms/shared/contracts/events"
	"lms/shared/contracts/internalapi"
	"lms/shared/service"
	"lms/shared/work"
)

func decode[T any](t *testing.T, raw []byte) (out T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

const (
	tracesSQL = `
select 'users' from users where id = $1 union all select 'credentials' from credentials where user_id = $1
union all select 'grants' from grants where user_id = $1 union all select 'members' from org_members where user_id = $1
union all select 'groups' from group_members where user_id = $1 union all select 'external' from user_external_ids where user_id = $1
union all select 'tokens' from one_time_tokens where user_id = $1 union all select 'devices' from known_devices where user_id = $1
union all select 'security' from security_events where user_id = $1 or actor_id = $1
union all select 'audit' from audit where resource_id = $1 or actor_id = $1 or changes::text like '%' || $1::text || '%' or changes::text like '%gone@example.org%'
union all select 'requests' from person_requests where user_id = $1
union all select 'jobs' from job where owner_id = $1`
	underSQL = `select count(*)::int from security_events where user_id = $1`
)

func TestErasureReachesEverybodyAndLeavesAPseudonym(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := w.as(w.root), w.root
	u, err := w.svc.CreateUser(ctx, root, identity.NewUser{
		OrgUnitID: w.tenant, Email: "gone@example.org", Name: "Gone Girl", Password: goodPassword, EmailVerified: true, ExternalIDs: []identity.ExternalID{{Source: "sis", ID: "9"}},
	})
	require.NoError(t, err)
	_, err = w.svc.GrantRole(ctx, root, u.ID, authz.Grant{Role: authz.RoleStudent, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: w.tenant}})
	require.NoError(t, err)
	group, err := w.svc.CreateGroup(ctx, root, identity.NewGroup{OrgUnitID: w.tenant, Name: "G"})
	require.NoError(t, err)
	_, err = w.svc.AddToGroup(ctx, root, group.ID, u.ID)
	require.NoError(t, err)
	_, err = w.svc.VerifyPassword(t.Context(), "gone@example.org", goodPassword, identity.From{IP: "192.0.2.1"})
	require.NoError(t, err)

	// enrollment is away: the account ends at once, the erasure waits.
	w.wire.answer("enrollment", func(internalapi.ErasePerson) (any, error) { return nil, apperr.Unavailable("away", "Away.") })
	job, err := w.svc.RequestErasure(ctx, root, u.ID, "asked for")
	require.NoError(t, err)
	v, err := w.svc.VerifyPassword(t.Context(), "gone@example.org", goodPassword, identity.From{})
	require.NoError(t, err)
	require.Equal(t, identity.RefusedInvalid, v.Refusal, "the account is gone from the first moment")
	_, err = w.svc.RequestErasure(ctx, root, u.ID, "again")
	require.Equal(t, "request_running", apperr.Code(err))
	require.Eventually(t, func() bool {
		rs, err := w.svc.DataRequests(ctx, root, u.ID)
		return err == nil && len(rs) == 1 && len(rs[0].WaitingFor()) == 1 && rs[0].WaitingFor()[0] == "enrollment"
	}, 10*time.Second, 10*time.Millisecond)
	requested := newest[contract.ErasureRequested](w)

	w.wire.answer("enrollment", nil)
	require.Eventually(t, func() bool { // the outbox tries again when its clock says so
		w.clock.Advance(2 * time.Second)
		r, err := w.svc.RequestState(t.Context(), requested.RequestID)
		return err == nil && r.Status == identity.RequestCompleted
	}, 20*time.Second, 50*time.Millisecond)
	j, result := w.finished(job)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	require.Contains(t, string(result), "enrollment: records: the law of enrollment")

	done := newest[contract.ErasureCompleted](w)
	require.Equal(t, requested.Pseudonym, done.Pseudonym)
	require.Contains(t, done.Kept, "course: records: the law of course")
	require.Empty(t, column[string](w, tracesSQL, u.ID), "nothing here speaks of the person any more")
	require.Positive(t, column[int](w, underSQL, requested.Pseudonym)[0], "what happened is kept, under the pseudonym")
	for _, app := range []string{"course", "enrollment"} {
		asked := decode[internalapi.ErasePerson](t, w.wire.made(internalapi.CallErasePerson)[app][0])
		require.Equal(t, internalapi.ErasePerson{RequestID: requested.RequestID, UserID: u.ID, TenantID: w.tenant, Pseudonym: requested.Pseudonym}, asked)
	}
	_, err = w.svc.SubjectOf(t.Context(), u.ID)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
	cards, err := w.svc.Cards(t.Context(), []uuid.UUID{u.ID})
	require.NoError(t, err)
	require.Empty(t, cards)
	w.user("gone@example.org", w.tenant) // the address is free again
}

func TestAnErasureThatWaitsIsSaidByItsJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.user("gone@example.org", w.tenant)
	w.wire.answer("course", func(internalapi.ErasePerson) (any, error) { return nil, apperr.Forbidden("no") })
	job, err := w.svc.RequestErasure(w.as(w.root), w.root, u.ID, "")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r, err := w.svc.DataRequests(w.as(w.root), w.root, u.ID)
		return err == nil && len(r[0].WaitingFor()) == 1
	}, 10*time.Second, 10*time.Millisecond)
	w.clock.Advance(2 * time.Minute)
	j, result := w.finished(job)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	require.JSONEq(t, `{"status":"running","waiting_for":["course"]}`, string(result))
}

func TestDeletedAccountsAreErasedInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.user("gone@example.org", w.tenant)
	require.NoError(t, w.svc.DeleteUser(w.as(w.root), w.root, u.ID, u.Version))
	require.NoError(t, w.svc.EraseDeleted(t.Context()))
	_, err := w.svc.SubjectOf(t.Context(), u.ID)
	require.NoError(t, err, "not yet")
	w.clock.Advance(w.svc.Config.DeletedRetention + time.Hour)
	require.NoError(t, w.svc.EraseDeleted(t.Context()))
	require.NoError(t, w.svc.EraseDeleted(t.Context()), "asked for once")
	require.Eventually(t, func() bool {
		_, err := w.svc.SubjectOf(t.Context(), u.ID)
		return apperr.IsKind(err, apperr.KindNotFound)
	}, 10*time.Second, 10*time.Millisecond)
}

func TestExportCollectsEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := w.user("ada@example.org", w.tenant)
	ada := w.principal(u.ID)
	job, err := w.svc.RequestDataExport(w.as(ada), ada)
	require.NoError(t, err)
	j, result := w.finished(job)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	file := decode[service.JobFile](t, result)
	raw, err := w.svc.Files.Get(t.Context(), file.ObjectKey, 1<<20)
	require.NoError(t, err)
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	require.NoError(t, err)
	content := map[string]string{}
	for _, f := range z.File {
		rc, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.True(t, json.Valid(b), f.Name)
		content[f.Name] = string(b)
	}
	require.JSONEq(t, `["of course"]`, content["course/things.json"])
	require.JSONEq(t, `["of enrollment"]`, content["enrollment/things.json"])
	require.Contains(t, content["user/profile.json"], "ada@example.org")
	for name, c := range content {
		require.NotContains(t, c, "argon2id", name)
	}
	require.Equal(t, 1, w.mailed(identity.MailExportReady))

	rs, err := w.svc.DataRequests(w.as(ada), ada, u.ID)
	require.NoError(t, err)
	link, err := w.svc.ExportLink(w.as(ada), ada, rs[0].ID)
	require.NoError(t, err)
	require.Contains(t, link, "http://lms.test/objects/")
	_, err = w.svc.ExportLink(w.as(w.root), w.root, rs[0].ID)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound), "nobody else fetches it, not even an administrator")

	w.clock.Advance(w.svc.Config.ExportRetention + time.Hour)
	require.NoError(t, w.svc.DropExports(t.Context()))
	_, err = w.svc.Files.Get(t.Context(), file.ObjectKey, 1<<20)
	require.True(t, apperr.IsKind(err, apperr.KindNotFound))
	_, err = w.svc.ExportLink(w.as(ada), ada, rs[0].ID)
	require.Equal(t, "export_not_ready", apperr.Code(err))
}

func TestAnIncompleteExportFailsAndCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.principal(w.user("ada@example.org", w.tenant).ID)
	w.wire.answer("course", func(internalapi.ErasePerson) (any, error) { return nil, apperr.Forbidden("no") })
	job, err := w.svc.RequestDataExport(w.as(ada), ada)
	require.NoError(t, err)
	_, err = w.svc.RequestDataExport(w.as(ada), ada)
	require.Equal(t, "request_running", apperr.Code(err))
	w.clock.Advance(2 * time.Minute)
	j, _ := w.finished(job)
	require.Equal(t, work.JobFailed, j.State)
	require.Contains(t, j.Error, "course")
	w.wire.answer("course", nil)
	job, err = w.svc.RequestDataExport(w.as(ada), ada)
	require.NoError(t, err)
	j, _ = w.finished(job)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
}

func TestMergeMovesWhatTheOtherLacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := w.as(w.root), w.root
	unit := w.unit("MATH", w.tenant)
	make := func(email string, ids ...identity.ExternalID) identity.User {
		u, err := w.svc.CreateUser(ctx, root, identity.NewUser{OrgUnitID: w.tenant, Email: email, Name: email, Password: goodPassword, EmailVerified: true, ExternalIDs: ids})
		require.NoError(t, err)
		return u
	}
	from := make("old@example.org", identity.ExternalID{Source: "crm", ID: "1"}, identity.ExternalID{Source: "sis", ID: "old"})
	into := make("new@example.org", identity.ExternalID{Source: "sis", ID: "new"})
	grant := func(id uuid.UUID, role string) {
		_, err := w.svc.GrantRole(ctx, root, id, authz.Grant{Role: role, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit.ID}})
		require.NoError(t, err)
	}
	grant(from.ID, authz.RoleInstructor)
	grant(from.ID, authz.RoleStudent)
	grant(into.ID, authz.RoleStudent)
	_, err := w.svc.PutMember(ctx, root, unit.ID, from.ID, "lecturer", false)
	require.NoError(t, err)
	group, err := w.svc.CreateGroup(ctx, root, identity.NewGroup{OrgUnitID: unit.ID, Name: "G"})
	require.NoError(t, err)
	_, err = w.svc.AddToGroup(ctx, root, group.ID, from.ID)
	require.NoError(t, err)

	job, err := w.svc.RequestMerge(ctx, root, from.ID, into.ID)
	require.NoError(t, err)
	j, result := w.finished(job)
	require.Equal(t, work.JobSucceeded, j.State, j.Error)
	out := decode[identity.MergeResult](t, result)
	require.Equal(t, map[string]int{"grants": 1, "groups": 1, "external_ids": 1, "memberships": 1}, out.Moved)

	u, err := w.svc.GetUser(ctx, root, into.ID)
	require.NoError(t, err)
	require.Equal(t, []identity.ExternalID{{Source: "crm", ID: "1"}, {Source: "sis", ID: "new"}}, u.ExternalIDs)
	grants, err := w.svc.ListGrants(ctx, root, into.ID)
	require.NoError(t, err)
	require.Len(t, grants, 2)
	merged := newest[contract.UserMergedEvent](w)
	require.Equal(t, into.ID, *merged.MergedInto)
	require.Eventually(t, func() bool { return len(w.wire.made(internalapi.CallPersonStatus)["course"]) == 1 }, 10*time.Second, 10*time.Millisecond)
	told := decode[internalapi.PersonStatus](t, w.wire.made(internalapi.CallPersonStatus)["course"][0])
	require.Equal(t, "merged", told.Status)
	require.Equal(t, into.ID, *told.MergedInto)

	again, err := w.svc.Merge(ctx, root, identity.MergeInput{From: from.ID, Into: into.ID})
	require.NoError(t, err, "a job that is taken up again finds the work done")
	require.Empty(t, again.Moved)
}
