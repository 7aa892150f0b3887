package identity

import (
	"context"
	"encoding/base32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"lms/shared/apperr"
	"lms/shared/authz"
)

func TestStatusMachine(t *testing.T) {
	t.Parallel()
	all := []Status{StatusInvited, StatusActive, StatusDeactivated, StatusDeleted, StatusMerged}
	allowed := map[Status][]Status{
		StatusInvited:     {StatusActive, StatusDeactivated, StatusDeleted, StatusMerged},
		StatusActive:      {StatusDeactivated, StatusDeleted, StatusMerged},
		StatusDeactivated: {StatusActive, StatusInvited, StatusDeleted, StatusMerged},
	}
	for _, from := range all {
		for _, to := range all {
			require.Equal(t, slices.Contains(allowed[from], to), from.CanBecome(to), "%s → %s", from, to)
		}
		require.Equal(t, from == StatusDeleted || from == StatusMerged, from.Gone())
		require.False(t, from.Gone() && len(transitions[from]) > 0, "what is gone stays gone")
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a@b.de", "Ada.Lovelace+lms@Example.org", "o'neil@mail.example.co.uk", "x@localhost", "ü@exämple.org"} {
		require.True(t, validEmail(good), good)
	}
	for _, bad := range []string{
		"", "a", "@b.de", "a@", "a@b..de", "a@.de", "a@-b.de", "a b@c.de", "a@b.de ", "Ada <a@b.de>", "a@b.de\r\nBcc: x@y.z", "a@b.de,c@d.de",
		strings.Repeat("a", 65) + "@b.de", "a@" + strings.Repeat("b", 64) + ".de", strings.Repeat("a", 60) + "@" + strings.Repeat("b.", 120) + "de", "a@[127.0.0.1]",
	} {
		require.False(t, validEmail(bad), bad)
	}
}

func TestOneSpellingPerAddress(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[A-Za-z0-9.]{1,20}@[A-Za-z]{1,10}\.[A-Za-z]{2,5}`).Draw(t, "address")
		key := EmailKey(s)
		require.Equal(t, key, EmailKey(key), "the key of a key is itself")
		require.Equal(t, key, EmailKey(strings.ToUpper(s)))
		require.Equal(t, key, EmailKey(" "+s+" "))
	})
}

type plainPasswords struct{ Passwords }

func (plainPasswords) Common(p string) bool { return p == "password1" }

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	s := &Service{Passwords: plainPasswords{}}
	code := func(password string) string {
		var f apperr.Fields
		s.checkPassword(&f, "password", password, "ada.lovelace@example.org", "Ada Lovelace")
		if len(f) == 0 {
			return ""
		}
		return f[0].Code
	}
	for password, want := range map[string]string{
		"1234567": "password_too_short", "12345678": "", strings.Repeat("x", 128): "", strings.Repeat("x", 129): "password_too_long",
		strings.Repeat("ä", 128): "", "ääääääää": "", "äääääää": "password_too_short",
		"password1": "password_common", "ada.lovelace": "password_common", "Ada.Lovelace99": "password_common", "AdaLovelace!": "password_common",
		"ada lovelace": "password_common", "ada.lovelace@example.org": "password_common", "lovelace loves engines": "",
		"only lower case letters": "", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8": "invalid",
	} {
		require.Equal(t, want, code(password), password)
	}
}

// The vectors of RFC 6238, appendix B, SHA-1, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		require.Equal(t, want, totpCode(secret, at/30))
		step, ok := totpMatch(secret, want, time.Unix(at, 0))
		require.True(t, ok)
		require.Equal(t, at/30, step)
	}
}

func TestTOTPTolerance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), totpSecret, totpSecret).Draw(t, "secret")
		now := time.Unix(rapid.Int64Range(1e9, 2e9).Draw(t, "now"), 0)
		off := rapid.Int64Range(-4, 4).Draw(t, "steps off")
		step := now.Unix()/30 + off
		got, ok := totpMatch(secret, totpCode(secret, step), now)
		if off >= -1 && off <= 1 {
			require.True(t, ok)
			require.GreaterOrEqual(t, got, step, "the newest step that fits is noted, so that the code works once")
		}
		if ok {
			require.Equal(t, totpCode(secret, step), totpCode(secret, got))
		}
	})
}

// tree makes a random tree: unit i hangs under an earlier one.
func tree(t *rapid.T) []OrgUnit {
	n := rapid.IntRange(2, 30).Draw(t, "units")
	units := make([]OrgUnit, n)
	for i := range units {
		units[i].ID = uuid.UUID{byte(i + 1)}
		if i == 0 {
			units[0].Path = []uuid.UUID{units[0].ID}
		} else {
			parent := units[rapid.IntRange(0, i-1).Draw(t, "parent")]
			units[i].ParentID, units[i].Path = &parent.ID, append(slices.Clone(parent.Path), units[i].ID)
		}
		units[i].TenantID = units[0].ID
	}
	return units
}

func TestMovesKeepTheTreeATree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		units := slices.DeleteFunc(tree(t), func(u OrgUnit) bool { return len(u.Path) > MaxDepth })
		top := units[rapid.IntRange(1, len(units)-1).Draw(t, "moved")]
		parent := units[rapid.IntRange(0, len(units)-1).Draw(t, "under")]
		var subtree []OrgUnit
		for _, u := range units {
			if slices.Contains(u.Path, top.ID) {
				subtree = append(subtree, u)
			}
		}
		slices.SortFunc(subtree, func(a, b OrgUnit) int { return len(a.Path) - len(b.Path) })
		deepest := len(subtree[len(subtree)-1].Path) - len(top.Path) + 1
		moved, err := moveUnder(subtree, parent)
		switch {
		case slices.Contains(parent.Path, top.ID):
			require.Equal(t, "cycle", apperr.Code(err))
			return
		case len(parent.Path)+deepest > MaxDepth:
			require.Equal(t, "too_deep", apperr.Code(err))
			return
		}
		require.NoError(t, err)
		now := map[uuid.UUID]OrgUnit{}
		for _, u := range units {
			now[u.ID] = u
		}
		for _, u := range moved {
			now[u.ID] = u
		}
		require.Equal(t, parent.ID, *now[top.ID].ParentID)
		for _, u := range now { // the model: a path is the parent's path and the unit
			if u.ParentID == nil {
				require.Equal(t, []uuid.UUID{u.ID}, u.Path)
				continue
			}
			require.Equal(t, append(slices.Clone(now[*u.ParentID].Path), u.ID), u.Path)
		}
	})
}

func TestNobodyGivesMoreThanTheyHold(t *testing.T) {
	t.Parallel()
	root, unit, below, other := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}, uuid.UUID{4}
	perms := authz.AllPermissions()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []authz.Permission {
			return rapid.SliceOfDistinct(rapid.SampledFrom(perms), rapid.ID).Draw(t, name)
		}
		mine, theirs := draw("mine"), draw("theirs")
		p := authz.NewPolicy(authz.Snapshot{
			OrgUnits: []authz.OrgUnit{{ID: root, TenantID: root}, {ID: unit, ParentID: root, TenantID: root}, {ID: below, ParentID: unit, TenantID: root}, {ID: other, ParentID: root, TenantID: root}},
			Roles:    []authz.Role{{Key: "mine", Permissions: mine}, {Key: "theirs", Permissions: theirs}},
		})
		actor := authz.Principal{Grants: []authz.Grant{{Role: "mine", Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: unit}}}}
		subset := !slices.ContainsFunc(theirs, func(x authz.Permission) bool { return !slices.Contains(mine, x) })
		at := func(id uuid.UUID) authz.Grant {
			return authz.Grant{Role: "theirs", Scope: authz.Scope{Kind: authz.ScopeOrgUnit, ID: id}}
		}
		require.Equal(t, subset, covers(p, actor, at(unit)))
		require.Equal(t, subset, covers(p, actor, at(below)))
		for _, outside := range []authz.Grant{at(root), at(other), {Role: "theirs", Scope: authz.Scope{Kind: authz.ScopePlatform}}} {
			require.Equal(t, len(theirs) == 0, covers(p, actor, outside), "beyond the own unit nothing is held")
		}
		limited := actor
		limited.Limited = []authz.Permission{}
		require.Equal(t, len(theirs) == 0, covers(p, limited, at(unit)), "a limited token gives nothing")
	})
}

func TestAssignmentAgainstItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		groups := make([]GroupWithMembers, rapid.IntRange(1, 6).Draw(t, "groups"))
		learners := make([]uuid.UUID, rapid.IntRange(0, 40).Draw(t, "learners"))
		limit := rapid.IntRange(0, 8).Draw(t, "limit, 0 for none")
		for i := range groups {
			if limit > 0 {
				groups[i].MaxMembers = &limit
			}
		}
		where := map[uuid.UUID]int{}
		for i := range learners {
			learners[i] = uuid.UUID{byte(i + 1)}
			g := rapid.IntRange(-1, len(groups)-1).Draw(t, "in")
			if g >= 0 && (limit == 0 || len(groups[g].Members) < limit) {
				groups[g].Members = append(groups[g].Members, learners[i])
				where[learners[i]] = g
			}
		}
		before := len(where)
		even := rapid.Bool().Draw(t, "even")
		plan, left := planAssignment(groups, learners, even)
		sizes := make([]int, len(groups))
		for i, g := range groups {
			sizes[i] = len(g.Members)
		}
		for _, m := range plan {
			at, has := where[m.User]
			if m.From < 0 {
				require.False(t, has, "only who has no group is placed")
			} else {
				require.True(t, even && has && at == m.From, "only `even` moves people")
				sizes[m.From]--
			}
			where[m.User] = m.To
			sizes[m.To]++
			require.False(t, limit > 0 && sizes[m.To] > limit, "a group is never above its limit")
		}
		require.Equal(t, len(learners), len(where)+left, "everybody has a group or is counted as left")
		if left > 0 {
			require.Len(t, where, limit*len(groups), "somebody is left only when every group is full")
		}
		if even {
			require.LessOrEqual(t, slices.Max(sizes)-slices.Min(sizes), 1)
		}
		require.GreaterOrEqual(t, len(where), before)
	})
}

func TestShuffleKeepsEverybody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := make([]uuid.UUID, rapid.IntRange(0, 50).Draw(t, "n"))
		for i := range ids {
			ids[i] = uuid.UUID{byte(i)}
		}
		shuffled := slices.Clone(ids)
		shuffle(shuffled, rapid.SliceOfN(rapid.Byte(), 8*len(ids), 8*len(ids)).Draw(t, "random"))
		require.ElementsMatch(t, ids, shuffled)
	})
}

func TestDevicesAreRecognisedWithinANetwork(t *testing.T) {
	t.Parallel()
	a := From{IP: "192.0.2.1", UserAgent: "Firefox"}
	require.Equal(t, fingerprint(a), fingerprint(From{IP: "192.0.77.9", UserAgent: "Firefox"}))
	require.Equal(t, fingerprint(a), fingerprint(From{IP: "::ffff:192.0.2.1", UserAgent: "Firefox"}))
	require.NotEqual(t, fingerprint(a), fingerprint(From{IP: "198.51.100.1", UserAgent: "Firefox"}))
	require.NotEqual(t, fingerprint(a), fingerprint(From{IP: "192.0.2.1", UserAgent: "Chrome"}))
	require.Equal(t, fingerprint(From{IP: "2001:db8:1::1"}), fingerprint(From{IP: "2001:db8:1:ff::2"}))
	require.NotEqual(t, fingerprint(From{IP: "2001:db8:1::1"}), fingerprint(From{IP: "2001:db8:2::1"}))
}

func TestLinksCarryTheTokenWhereNoServerSeesIt(t *testing.T) {
	t.Parallel()
	s := &Service{Config: Config{PublicURL: "https://lms.test/"}, Random: func(b []byte) { copy(b, "0123456789abcdefghijklmnopqrstuv") }}
	text, hash := s.newSecret()
	require.Len(t, text, 43)
	require.Equal(t, secretHash(text), hash)
	require.Equal(t, "https://lms.test/reset-password#token="+text, s.link(paths[TokenReset], text))
	for _, kind := range []TokenKind{TokenInvitation, TokenRegistration, TokenVerification, TokenEmailChange, TokenReset} {
		require.NotEmpty(t, paths[kind], kind)
	}
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://id.example.org": true, "https://id.example.org/realm": true, "http://127.0.0.1:9000": true,
		"http://id.example.org": false, "http://127.0.0.1.evil.example": false, "http://localhost:9000": false, "https://id.example.org?x=1": false, "https://id.example.org#x": false,
		"https://u:p@id.example.org": false, "ftp://id.example.org": false, "id.example.org": false, "": false,
	} {
		require.Equal(t, ok, validIssuer(issuer), issuer)
	}
}

func TestUserChecksNameEveryField(t *testing.T) {
	t.Parallel()
	u := User{
		Name: " ", GivenName: "a\nb", Email: "x", Locale: "english", TimeZone: "Mars/Olympus", Bio: strings.Repeat("x", MaxBio+1),
		Attributes: map[string]string{"Bad Name": "x"}, ExternalIDs: []ExternalID{{Source: "sis", ID: "1"}, {Source: "sis", ID: "2"}, {Source: "", ID: ""}},
	}
	var f apperr.Fields
	u.check(&f)
	paths := make([]string, len(f))
	for i, field := range f {
		paths[i] = field.Path
	}
	require.Subset(t, paths, []string{
		"name", "given_name", "email", "locale", "time_zone", "bio", "attributes.Bad Name", "external_ids[1].source", "external_ids[2].source", "external_ids[2].id",
	})
	for _, zone := range []string{"Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"} {
		var f apperr.Fields
		checkTimeZone(&f, zone)
		require.NoError(t, f.Err(), zone)
	}
	for _, zone := range []string{"", "Local", "../etc/passwd", "CEST"} {
		var f apperr.Fields
		checkTimeZone(&f, zone)
		require.Error(t, f.Err(), zone)
	}
}

func TestRecoveryCodesAreReadLeniently(t *testing.T) {
	t.Parallel()
	id := uuid.UUID{7}
	require.Equal(t, recoveryHash(id, "abcd-efgh-2345-6777"), recoveryHash(id, " ABCDEFGH 2345 6777"))
	require.NotEqual(t, recoveryHash(id, "abcd-efgh-2345-6777"), recoveryHash(uuid.UUID{8}, "abcd-efgh-2345-6777"))
	_, err := base32.StdEncoding.DecodeString(strings.ToUpper("abcdefgh23456777"))
	require.NoError(t, err)
}

func TestSectionsOfOthersAreNoPaths(t *testing.T) {
	t.Parallel()
	require.Equal(t, "etcpasswd", plainName("../../etc/passwd"))
	require.Equal(t, "data", plainName("../"))
	require.Equal(t, "course_staff", plainName("course_staff"))
}

func TestSecurityTakesTheRequestFromItsContext(t *testing.T) {
	t.Parallel()
	require.Equal(t, From{}, fromContext(context.Background()))
}
