package app

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"lms/apps/user/internal/identity"
	"lms/shared/authz"
	"lms/shared/jobs"
	"lms/shared/objects"
	"lms/shared/page"
	"lms/shared/work"
)

type report struct {
	Format string         `json:"format"`
	DryRun bool           `json:"dry_run"`
	Rows   map[string]int `json:"rows"`
}

// imports runs an import as somebody and returns its report and its rows as
// "line status code".
func (w *world) imports(actor authz.Principal, content []byte, o identity.ImportOptions) (report, []jobs.Row) {
	w.t.Helper()
	ctx := w.as(actor)
	sum := sha256.Sum256(content)
	up, err := w.svc.CreateUpload(ctx, actor, identity.Upload{Filename: "people", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])},
		func(u identity.Upload) string { return objects.Key(u.TenantID, "imports", u.ID, "people") })
	require.NoError(w.t, err)
	require.NoError(w.t, w.svc.Files.Put(ctx, up.Key, "application/octet-stream", content))
	job, err := w.svc.StartImport(ctx, actor, up.ID, o)
	require.NoError(w.t, err)
	j, result := w.finished(job)
	require.Equal(w.t, work.JobSucceeded, j.State, j.Error)
	rows, err := jobs.New(jobs.Options{DB: w.db}).Rows(w.t.Context(), job.ID, uuid.Nil, "", page.Request{Limit: 200})
	require.NoError(w.t, err)
	return decode[report](w.t, result), rows.Items
}

const countUsersSQL = `select count(*)::int from users`

func TestImportIsRepeatable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	math := w.unit("MATH", w.tenant)
	w.user("known@example.org", math.ID)
	file := []byte("email,given_name,family_name,external_id,org_unit,role,status\n" +
		"ada@example.org,Ada,Lovelace,S-1,MATH,instructor,\n" +
		"known@example.org,Known,Before,S-2,MATH,,\n" +
		"bad address,Bad,Row,S-3,,,\n" +
		"nowhere@example.org,No,Where,S-4,GEO,,\n" +
		"left@example.org,Left,Already,S-5,,,deleted\n")
	o := identity.ImportOptions{OrgUnitID: w.tenant, Source: "sis", Update: true, GrantRoles: true, SendInvitations: true}

	dry := o
	dry.DryRun = true
	got, rows := w.imports(w.root, file, dry)
	require.Equal(t, report{Format: "csv", DryRun: true, Rows: map[string]int{"created": 1, "updated": 1, "failed": 2, "skipped": 1}}, got)
	require.Len(t, rows, 5)
	require.JSONEq(t, `{"what":"user","line":2}`, string(rows[0].Ref), "an id that was rolled back is not told")
	require.Equal(t, 2, column[int](w, countUsersSQL)[0], "a dry run leaves nothing behind")
	require.Zero(t, w.mailed(identity.MailInvitation))

	got, rows = w.imports(w.root, file, o)
	require.Equal(t, map[string]int{"created": 1, "updated": 1, "failed": 2, "skipped": 1}, got.Rows, "what the dry run said")
	codes := map[int64]string{}
	for _, r := range rows {
		codes[r.N] = r.Code
	}
	require.Equal(t, map[int64]string{1: "", 2: "", 3: "email:invalid", 4: "org_unit:not_found", 5: "not_here"}, codes)
	require.Equal(t, 1, w.mailed(identity.MailInvitation))
	ada, err := w.svc.ListUsers(w.as(w.root), w.root, identity.UserFilter{ExternalSource: "sis", ExternalID: "S-1"})
	require.NoError(t, err)
	require.Len(t, ada.Items, 1)
	require.Equal(t, identity.StatusInvited, ada.Items[0].Status)
	require.Equal(t, math.ID, ada.Items[0].OrgUnitID)
	grants, err := w.svc.ListGrants(w.as(w.root), w.root, ada.Items[0].ID)
	require.NoError(t, err)
	require.Equal(t, authz.RoleInstructor, grants[0].Role)

	events := len(w.types(ada.Items[0].ID))
	got, _ = w.imports(w.root, file, o)
	require.Equal(t, map[string]int{"unchanged": 2, "failed": 2, "skipped": 1}, got.Rows)
	require.Len(t, w.types(ada.Items[0].ID), events, "the same file again tells nothing")
	require.Equal(t, 1, w.mailed(identity.MailInvitation))
}

func TestImportStaysWithinItsScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	math, phys := w.unit("MATH", w.tenant), w.unit("PHYS", w.tenant)
	boss := w.user("boss@example.org", math.ID)
	_, err := w.svc.GrantRole(w.as(w.root), w.root, boss.ID, authz.Grant{Role: authz.RoleOrgAdmin, Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: math.ID}})
	require.NoError(t, err)
	admin := w.principal(boss.ID)
	w.user("other@example.org", phys.ID)
	_, err = w.svc.StartImport(w.as(admin), admin, uuid.New(), identity.ImportOptions{OrgUnitID: phys.ID, Source: "sis"})
	require.Error(t, err)
	_, rows := w.imports(admin, []byte("email,name,org_unit,role\n"+
		"other@example.org,Taken Over,,\nnew@example.org,New,PHYS,\nhigh@example.org,High,MATH,platform_admin\nok@example.org,Fine,,student\nroot@example.org,Root,,\n"),
		identity.ImportOptions{OrgUnitID: math.ID, Source: "sis", Update: true, GrantRoles: true})
	codes := []string{}
	for _, r := range rows {
		codes = append(codes, r.Status+" "+r.Code)
	}
	require.Equal(t, []string{"failed outside_scope", "failed org_unit:not_found", "failed exceeds_own_permissions", "created ", "failed outside_scope"}, codes)
	require.Equal(t, 4, column[int](w, countUsersSQL)[0], "a row that fails leaves nothing of itself")
}

func TestOneRosterMakesTheTreeAndItsPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pack := func(users string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, content := range map[string]string{
			"manifest.csv": "propertyName,value\noneroster.version,1.1\n",
			"orgs.csv":     "sourcedId,status,name,type,identifier,parentSourcedId\nC,,Class,department,,S\nS,,School,school,SCH,\n",
			"users.csv":    "sourcedId,status,enabledUser,orgSourcedIds,role,username,givenName,familyName,email\n" + users,
		} {
			f, err := z.Create(name)
			require.NoError(t, err)
			_, err = f.Write([]byte(content))
			require.NoError(t, err)
		}
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	both := pack("U1,,true,\"S,C\",teacher,ada,Ada,Lovelace,ada@example.org\nU2,,true,C,student,bob,Bob,B,bob@example.org\n")
	o := identity.ImportOptions{OrgUnitID: w.tenant, Source: "sis", Update: true, GrantRoles: true}
	dry := o
	dry.DryRun = true
	got, _ := w.imports(w.root, both, dry)
	require.Equal(t, map[string]int{"created": 4}, got.Rows, "a dry run knows the units that it would make")
	got, _ = w.imports(w.root, both, o)
	require.Equal(t, report{Format: "oneroster_1.1", Rows: map[string]int{"created": 4}}, got)

	units, err := w.svc.ListOrgUnits(w.as(w.root), w.root, identity.OrgUnitFilter{ExternalSource: "sis", ExternalID: "C"})
	require.NoError(t, err)
	require.Len(t, units.Items[0].Path, 3, "the class is in the school in the organisation")
	members, err := w.svc.ListMembers(w.as(w.root), w.root, identity.MemberFilter{OrgUnitID: units.Items[0].ID})
	require.NoError(t, err)
	require.Len(t, members.Items, 2, "Bob's home, and Ada as a member")

	got, _ = w.imports(w.root, pack("U1,,true,\"S,C\",teacher,ada,Ada,Lovelace,ada@example.org\nU2,tobedeleted,true,C,student,bob,Bob,B,bob@example.org\n"), o)
	require.Equal(t, map[string]int{"unchanged": 3, "deactivated": 1}, got.Rows)
}

func TestFilesThatNobodyImportsAreDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := []byte("email\na@b.de\n")
	_, _ = w.imports(w.root, content, identity.ImportOptions{OrgUnitID: w.tenant, Source: "sis", DryRun: true})
	require.Equal(t, 1, w.files(), "a dry run keeps the file for the import")
	require.NoError(t, w.svc.DropUploads(t.Context()))
	require.Equal(t, 1, w.files())
	w.clock.Advance(49 * time.Hour)
	require.NoError(t, w.svc.DropUploads(t.Context()))
	require.Zero(t, w.files())
	_, _ = w.imports(w.root, content, identity.ImportOptions{OrgUnitID: w.tenant, Source: "sis"})
	require.Zero(t, w.files(), "an import deletes its file")
}

func (w *world) files() (n int) {
	w.t.Helper()
	require.NoError(w.t, w.objects.List(w.t.Context(), w.tenant.String()+"/imports/", func(objects.Info) error { n++; return nil }))
	return n
}
