package roster

import (
	"archive/zip"
	"errors"
	"io"
	"path"
	"strings"
)

// ReadOneRoster reads a OneRoster package: manifest.csv, users.csv, and where
// there are, orgs.csv and (1.2) roles.csv. Other files of the package are about
// courses and results, and left alone.
func ReadOneRoster(r io.ReaderAt, size int64) (File, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return File{}, unreadable("package_unreadable", "The file is not a zip package.").With(err)
	}
	p := pack{files: map[string]*zip.File{}, left: maxUnpacked}
	for _, f := range z.File {
		// Some exporters put everything into a folder.
		p.files[strings.ToLower(path.Base(strings.ReplaceAll(f.Name, `\`, "/")))] = f
	}
	version, err := p.version()
	if err != nil {
		return File{}, err
	}
	out := File{Format: "oneroster_" + version}
	if out.Orgs, err = p.orgs(); err != nil {
		return File{}, err
	}
	roles, err := p.roles()
	if err != nil {
		return File{}, err
	}
	if out.People, err = p.people(roles); err != nil {
		return File{}, err
	}
	markDuplicates(out.People)
	return out, nil
}

// pack is an opened package; left bounds what may still be unpacked of it.
type pack struct {
	files map[string]*zip.File
	left  int64
}

type limited struct {
	r    io.Reader
	left *int64
}

func (l limited) Read(b []byte) (int, error) {
	if *l.left <= 0 {
		return 0, errors.New("unpacked too large")
	}
	n, err := l.r.Read(b)
	*l.left -= int64(n)
	return n, err
}

// each runs fn for every row of a file; a file that is not there has none.
func (p *pack) each(name string, required []string, fn func(row) error) error {
	f, ok := p.files[name]
	if !ok {
		return nil
	}
	rc, err := f.Open()
	if err != nil {
		return unreadable("package_unreadable", name+" cannot be read.").With(err)
	}
	defer func() { _ = rc.Close() }() // only read
	t, err := openTable(name, limited{r: rc, left: &p.left})
	if err != nil {
		return err
	}
	for _, c := range required {
		if !t.has(c) {
			return unreadable("column_missing", "The column "+c+" of "+name+" is missing.")
		}
	}
	for n := 0; ; n++ {
		r, ok, err := t.next()
		if err != nil || !ok {
			return err
		}
		if r.empty() {
			continue
		}
		if n >= MaxRows {
			return unreadable("too_many_rows", name+" has more than 200000 rows.")
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}

// version reads the manifest: 1.1 or 1.2.
func (p *pack) version() (string, error) {
	if _, ok := p.files["manifest.csv"]; !ok {
		return "", unreadable("manifest_missing", "The package has no manifest.csv.")
	}
	if _, ok := p.files["users.csv"]; !ok {
		return "", unreadable("users_missing", "The package has no users.csv.")
	}
	version := ""
	err := p.each("manifest.csv", []string{"propertyName", "value"}, func(r row) error {
		if strings.EqualFold(r.get("propertyName"), "oneroster.version") {
			version = strings.TrimPrefix(strings.ToLower(r.get("value")), "v")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	switch {
	case version == "1.1" || strings.HasPrefix(version, "1.1."):
		return "1.1", nil
	case version == "1.2" || strings.HasPrefix(version, "1.2."):
		return "1.2", nil
	}
	return "", unreadable("version_unknown", "Only OneRoster 1.1 and 1.2 are read.")
}

// orgKind maps OneRoster's types of organisations to ours.
func orgKind(t string) string {
	switch strings.ToLower(t) {
	case "department":
		return "department"
	case "school":
		return "school"
	case "district", "local", "state", "national":
		return "organisation"
	}
	return "other"
}

func (p *pack) orgs() ([]Org, error) {
	var out []Org
	err := p.each("orgs.csv", []string{"sourcedId", "name", "type"}, func(r row) error {
		o := Org{
			Line: r.line, ID: r.get("sourcedId"), ParentID: r.get("parentSourcedId"), Name: r.get("name"), Kind: orgKind(r.get("type")),
			Code: r.get("identifier"), Deleted: deleted(r), Problems: r.problems(),
		}
		if o.ID == "" && !r.broken {
			o.Problems = append(o.Problems, Problem{Field: "sourcedId", Code: "required", Message: "Must not be empty."})
		}
		if len(out) >= maxOrgs {
			return unreadable("too_many_orgs", "orgs.csv has more than 10000 rows.")
		}
		out = append(out, o)
		return nil
	})
	return parentsFirst(out), err
}

// parentsFirst orders orgs so that a parent stands before its children. Orgs
// of a cycle are kept at the end, with the problem noted.
func parentsFirst(orgs []Org) []Org {
	waiting := map[string]bool{}
	for _, o := range orgs {
		waiting[o.ID] = true
	}
	out := make([]Org, 0, len(orgs))
	for len(orgs) > 0 {
		var rest []Org
		for _, o := range orgs {
			if o.ParentID != "" && waiting[o.ParentID] {
				rest = append(rest, o)
				continue
			}
			out = append(out, o)
			delete(waiting, o.ID)
		}
		if len(rest) == len(orgs) {
			for _, o := range rest {
				o.Problems = append(o.Problems, Problem{Field: "parentSourcedId", Code: "cycle", Message: "The org is above itself."})
				out = append(out, o)
			}
			return out
		}
		orgs = rest
	}
	return out
}

func deleted(r row) bool { return strings.EqualFold(r.get("status"), "tobedeleted") }

// role maps OneRoster's roles to ours; what has none here (guardian, parent,
// relative, proctor) gives no role.
func role(name string) string {
	switch strings.ToLower(name) {
	case "student":
		return RoleStudent
	case "teacher":
		return RoleInstructor
	case "aide":
		return RoleAssistant
	case "administrator", "districtadministrator", "siteadministrator", "principal", "systemadministrator":
		return RoleOrgAdmin
	}
	return ""
}

// roles reads 1.2's roles.csv: by the person's sourcedId, the primary one
// first.
func (p *pack) roles() (map[string][]oneRole, error) {
	out := map[string][]oneRole{}
	err := p.each("roles.csv", []string{"userSourcedId", "role", "orgSourcedId"}, func(r row) error {
		if deleted(r) {
			return nil
		}
		user := r.get("userSourcedId")
		entry := oneRole{name: r.get("role"), org: r.get("orgSourcedId")}
		if strings.EqualFold(r.get("roleType"), "primary") {
			out[user] = append([]oneRole{entry}, out[user]...)
		} else {
			out[user] = append(out[user], entry)
		}
		return nil
	})
	return out, err
}

type oneRole struct{ name, org string }

func (p *pack) people(roles map[string][]oneRole) ([]Person, error) {
	var out []Person
	err := p.each("users.csv", []string{"sourcedId", "givenName", "familyName"}, func(r row) error {
		out = append(out, onePerson(r, roles[r.get("sourcedId")]))
		return nil
	})
	return out, err
}

func onePerson(r row, roles []oneRole) Person {
	given := r.get("preferredGivenName")
	if given == "" {
		given = r.get("givenName")
	}
	family := r.get("preferredFamilyName")
	if family == "" {
		family = r.get("familyName")
	}
	p := Person{
		Line: r.line, ID: r.get("sourcedId"), Email: r.get("email"), GivenName: given, FamilyName: family, Name: strings.TrimSpace(given + " " + family),
		OrgRef: r.get("primaryOrgSourcedId"), Deleted: deleted(r), Inactive: strings.EqualFold(r.get("enabledUser"), "false"),
		Attributes: map[string]string{}, Problems: r.problems(),
	}
	for attribute, column := range map[string]string{"org.username": "username", "org.identifier": "identifier", "org.grades": "grades"} {
		if v := r.get(column); v != "" {
			p.Attributes[attribute] = v
		}
	}
	if name := r.get("role"); name != "" && len(roles) == 0 { // 1.1
		for org := range strings.SplitSeq(r.get("orgSourcedIds"), ",") {
			roles = append(roles, oneRole{name: name, org: strings.TrimSpace(org)})
		}
	}
	seen := map[string]bool{p.OrgRef: true}
	for i, entry := range roles {
		if i == 0 {
			p.Attributes["org.role"] = entry.name
		}
		if p.OrgRef == "" && entry.org != "" {
			p.OrgRef = entry.org
			seen[entry.org] = true
		}
		if entry.org != "" && !seen[entry.org] {
			p.MoreOrgs = append(p.MoreOrgs, entry.org)
			seen[entry.org] = true
		}
		if r := role(entry.name); r != "" {
			p.Roles = append(p.Roles, Role{Role: r, OrgRef: entry.org})
		}
	}
	if len(p.Roles) > maxRoles {
		p.Roles = p.Roles[:maxRoles]
	}
	if p.ID == "" && !r.broken {
		p.Problems = append(p.Problems, Problem{Field: "sourcedId", Code: "required", Message: "Must not be empty."})
	}
	return p
}

// IsZip says whether content begins like a zip file.
func IsZip(head []byte) bool {
	return len(head) >= 4 && string(head[:4]) == "PK\x03\x04"
}
