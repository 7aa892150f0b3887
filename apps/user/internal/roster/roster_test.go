package roster_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/apps/user/internal/roster"
	"lms/shared/apperr"
)

func TestPlainCSV(t *testing.T) {
	t.Parallel()
	f, err := roster.ReadCSV(strings.NewReader("\xef\xbb\xbf" + `Email,given_name,family_name,external_id,org_unit,role,status,attributes.shoe
ada@example.org, Ada,"Love,
lace",S-1,MATH,instructor;student,,38

bob@example.org,Bob,,S-2,,,inactive,
,,,,,,,x
ada@example.org,,,S-3,,,sleeping,
`))
	require.NoError(t, err)
	require.Equal(t, "csv", f.Format)
	require.Len(t, f.People, 4)
	ada := f.People[0]
	require.Equal(t, 2, ada.Line)
	require.Equal(t, "Love,\nlace", ada.FamilyName)
	require.Equal(t, "MATH", ada.OrgRef)
	require.Equal(t, []roster.Role{{Role: "instructor"}, {Role: "student"}}, ada.Roles)
	require.Equal(t, map[string]string{"shoe": "38"}, ada.Attributes)
	require.Empty(t, ada.Problems)
	require.True(t, f.People[1].Inactive)
	require.Equal(t, 5, f.People[1].Line, "lines are those of the file, also behind a cell of two lines and an empty one")
	require.Equal(t, "required", f.People[2].Problems[0].Code)
	codes := []string{}
	for _, p := range f.People[3].Problems {
		codes = append(codes, p.Field+":"+p.Code)
	}
	require.ElementsMatch(t, []string{"status:invalid", "email:duplicate"}, codes)
}

func TestBadFilesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"":                         "file_empty",
		"name\nAda\n":              "column_missing",
		"email,colour\nx,y\n":      "column_unknown",
		"email,Email\nx,y\n":       "column_twice",
		"email,attributes.\nx,y\n": "column_unknown",
		strings.Repeat("a,", 101):  "too_many_columns",
		"email\n" + strings.Repeat("x@y.z\n", roster.MaxRows+1): "too_many_rows",
	} {
		_, err := roster.ReadCSV(strings.NewReader(file))
		require.Equal(t, want, apperr.Code(err), "%.40q", file)
	}
}

func TestOneBadLineDoesNotSpoilTheOthers(t *testing.T) {
	t.Parallel()
	f, err := roster.ReadCSV(strings.NewReader("email,name\na@b.de,\"x\"y\nc@d.de,fine\ne@f.de,one,two\n\xff@x.de,z\n"))
	require.NoError(t, err)
	require.Len(t, f.People, 4)
	require.Equal(t, "row_unreadable", f.People[0].Problems[0].Code)
	require.Empty(t, f.People[1].Problems)
	require.Equal(t, "too_many_cells", f.People[2].Problems[0].Code)
	require.Equal(t, "not_utf8", f.People[3].Problems[0].Code)
}

func TestReadingNeverPanics(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		_, err := roster.ReadCSV(bytes.NewReader(append([]byte("email,external_id\n"), raw...)))
		_ = err // either way is fine
		_, err = roster.ReadOneRoster(bytes.NewReader(raw), int64(len(raw)))
		require.Error(t, err)
	})
}

func pack(t *testing.T, files map[string]string) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.True(t, roster.IsZip(b.Bytes()))
	return bytes.NewReader(b.Bytes())
}

func read(t *testing.T, files map[string]string) (roster.File, error) {
	t.Helper()
	r := pack(t, files)
	return roster.ReadOneRoster(r, r.Size())
}

func TestOneRoster11(t *testing.T) {
	t.Parallel()
	f, err := read(t, map[string]string{
		"export/manifest.csv": "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\n",
		"export/orgs.csv":     "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\nC,,,Class,department,,S\nS,,,School,school,SCH,\n",
		"export/users.csv": "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email\n" +
			"U1,,,true,\"S,C\",teacher,ada,,Ada,Lovelace,,P-1,ada@example.org\nU2,tobedeleted,,true,S,student,bob,,Bob,B,,,bob@example.org\nU3,,,false,S,guardian,cy,,Cy,C,,,\n",
	})
	require.NoError(t, err)
	require.Equal(t, "oneroster_1.1", f.Format)
	require.Equal(t, []string{"S", "C"}, []string{f.Orgs[0].ID, f.Orgs[1].ID}, "parents first")
	require.Equal(t, "department", f.Orgs[1].Kind)
	ada := f.People[0]
	require.Equal(t, "S", ada.OrgRef)
	require.Equal(t, []string{"C"}, ada.MoreOrgs)
	require.Equal(t, []roster.Role{{Role: "instructor", OrgRef: "S"}, {Role: "instructor", OrgRef: "C"}}, ada.Roles)
	require.Equal(t, map[string]string{"org.username": "ada", "org.identifier": "P-1", "org.role": "teacher"}, ada.Attributes)
	require.True(t, f.People[1].Deleted)
	require.True(t, f.People[2].Inactive)
	require.Empty(t, f.People[2].Roles, "a guardian has no role here")
}

func TestOneRoster12(t *testing.T) {
	t.Parallel()
	f, err := read(t, map[string]string{
		"manifest.csv": "propertyName,value\noneroster.version,1.2\n",
		"users.csv": "sourcedId,status,dateLastModified,enabledUser,username,givenName,familyName,email,preferredGivenName,primaryOrgSourcedId\n" +
			"U1,active,,true,ada,Augusta,Lovelace,ada@example.org,Ada,S\n",
		"roles.csv": "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId\n" +
			"R1,active,,U1,secondary,aide,,,D,\nR2,active,,U1,primary,teacher,,,S,\nR3,tobedeleted,,U1,secondary,administrator,,,S,\n",
	})
	require.NoError(t, err)
	require.Equal(t, "oneroster_1.2", f.Format)
	ada := f.People[0]
	require.Equal(t, "Ada", ada.GivenName, "the preferred name is the name")
	require.Equal(t, "S", ada.OrgRef)
	require.Equal(t, []string{"D"}, ada.MoreOrgs)
	require.Equal(t, []roster.Role{{Role: "instructor", OrgRef: "S"}, {Role: "teaching_assistant", OrgRef: "D"}}, ada.Roles)
}

func TestBadPackages(t *testing.T) {
	t.Parallel()
	manifest := "propertyName,value\noneroster.version,1.1\n"
	for want, files := range map[string]map[string]string{
		"manifest_missing": {"users.csv": "sourcedId\n"},
		"users_missing":    {"manifest.csv": manifest},
		"version_unknown":  {"manifest.csv": "propertyName,value\noneroster.version,2.0\n", "users.csv": "sourcedId\n"},
		"column_missing":   {"manifest.csv": manifest, "users.csv": "sourcedId,email\nx,y\n"},
	} {
		_, err := read(t, files)
		require.Equal(t, want, apperr.Code(err))
	}
}

func TestOrgsAboveThemselvesAreReported(t *testing.T) {
	t.Parallel()
	f, err := read(t, map[string]string{
		"manifest.csv": "propertyName,value\noneroster.version,1.1\n", "users.csv": "sourcedId,givenName,familyName\n",
		"orgs.csv": "sourcedId,name,type,parentSourcedId\nA,A,school,B\nB,B,school,A\nR,R,school,\nX,X,school,elsewhere\n",
	})
	require.NoError(t, err)
	problems := map[string]int{}
	for _, o := range f.Orgs {
		problems[o.ID] = len(o.Problems)
	}
	require.Equal(t, map[string]int{"A": 1, "B": 1, "R": 0, "X": 0}, problems, "a parent that the file does not have may be known already")
}
