// Package seed loads a made-up organisation into a running installation
// through its public API, as its users would: an administrator makes faculties
// and people, instructors write courses, learners enroll and learn.
package seed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"lms/apps/lms/internal/client"
	"lms/apps/lms/internal/demo"
)

// parallel is how many people act at once.
const parallel = 12

// Options of a load.
type Options struct {
	API           *client.Client
	AdminEmail    string
	AdminPassword string
	TenantID      string // root org unit
	Password      string // of every account that is made
	// Step is told what is being done and how many requests of how many are
	// done; it may be called from several goroutines.
	Step func(what string, done, total int64)
}

// Result is what was loaded.
type Result struct {
	Users       int   `json:"users"`
	Courses     int   `json:"courses"`
	Enrollments int64 `json:"enrollments"`
	Steps       int64 `json:"progress_steps"`
	// Accounts are examples to sign in with, by role.
	Accounts map[string]string `json:"accounts"`
}

type loader struct {
	Options
	org       demo.Organisation
	faculties []string
	users     []string
	courses   []course
	enrolled  atomic.Int64
	learned   atomic.Int64
}

type course struct {
	id    string
	items []step // those with a requirement, in order
}

type step struct{ id, verb string }

// Load loads the organisation. What is there already stays; loading the same
// organisation twice is refused by its e-mail addresses.
func Load(ctx context.Context, o Options, org demo.Organisation) (Result, error) {
	l := &loader{Options: o, org: org}
	for _, part := range []func(context.Context) error{l.makeFaculties, l.makePeople, l.makeCourses, l.enrollAndLearn} {
		if err := part(ctx); err != nil {
			return Result{}, err
		}
	}
	r := Result{Users: len(l.users), Courses: len(l.courses), Enrollments: l.enrolled.Load(), Steps: l.learned.Load(), Accounts: map[string]string{}}
	for _, p := range org.People {
		role := "student"
		if p.Instructor {
			role = "instructor"
		}
		if r.Accounts[role] == "" {
			r.Accounts[role] = p.Email
		}
	}
	return r, nil
}

// admin signs in anew for each part: access tokens live for five minutes.
func (l *loader) admin(ctx context.Context) (*client.Client, error) {
	token, err := l.API.Login(ctx, l.AdminEmail, l.AdminPassword)
	return l.API.As(token), err
}

type identified struct {
	ID string `json:"id"`
}

func (l *loader) makeFaculties(ctx context.Context) error {
	admin, err := l.admin(ctx)
	if err != nil {
		return err
	}
	for _, f := range l.org.Faculties {
		var unit identified
		if _, err := admin.Do(ctx, http.MethodPost, "/api/v1/org-units", map[string]string{"name": f.Name, "parent_id": l.TenantID}, &unit); err != nil {
			return err
		}
		l.faculties = append(l.faculties, unit.ID)
	}
	return nil
}

// each runs fn for 0..n-1, several at a time, and reports progress.
func (l *loader) each(ctx context.Context, what string, n int, fn func(ctx context.Context, i int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var done atomic.Int64
	l.Step(what, 0, int64(n))
	for i := range n {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			err := fn(gctx, i)
			l.Step(what, done.Add(1), int64(n))
			return err
		})
	}
	return g.Wait()
}

// batches runs fn for 0..n-1 with an administrator who signs in anew for each
// batch, so that a long load never meets an expired token.
func (l *loader) batches(ctx context.Context, what string, n, size int, fn func(ctx context.Context, admin *client.Client, i int) error) error {
	var done atomic.Int64
	l.Step(what, 0, int64(n))
	for from := 0; from < n; from += size {
		admin, err := l.admin(ctx)
		if err != nil {
			return err
		}
		count := min(size, n-from)
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for i := range count {
			g.Go(func() error {
				err := fn(gctx, admin, from+i)
				l.Step(what, done.Add(1), int64(n))
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) makePeople(ctx context.Context) error {
	l.users = make([]string, len(l.org.People))
	return l.batches(ctx, "people", len(l.org.People), 500, func(ctx context.Context, admin *client.Client, i int) error {
		p := l.org.People[i]
		var u identified
		_, err := admin.Do(ctx, http.MethodPost, "/api/v1/users", map[string]any{
			"email": p.Email, "name": p.Name(), "given_name": p.GivenName, "family_name": p.FamilyName, "locale": p.Locale, "time_zone": p.TimeZone,
			"org_unit_id": l.faculties[p.Faculty], "password": l.Password, "email_verified": true,
		}, &u)
		if err != nil {
			return err
		}
		l.users[i] = u.ID
		if !p.Instructor {
			return nil
		}
		_, err = admin.Do(ctx, http.MethodPost, "/api/v1/users/"+u.ID+"/roles", map[string]any{
			"role": "instructor", "scope": map[string]string{"kind": "org_unit", "id": l.TenantID},
		}, nil)
		return err
	})
}

func (l *loader) makeCourses(ctx context.Context) error {
	l.courses = make([]course, len(l.org.Courses))
	instructors := map[int]*client.Client{}
	for i, p := range l.org.People {
		if !p.Instructor {
			break // instructors come first
		}
		token, err := l.API.Login(ctx, p.Email, l.Password)
		if err != nil {
			return err
		}
		instructors[i] = l.API.As(token)
	}
	return l.each(ctx, "courses", len(l.org.Courses), func(ctx context.Context, i int) error {
		return l.makeCourse(ctx, instructors[l.org.Courses[i].Instructor], i)
	})
}

func (l *loader) makeCourse(ctx context.Context, as *client.Client, i int) error {
	c := l.org.Courses[i]
	body := map[string]any{
		"org_unit_id": l.faculties[c.Faculty], "code": c.Code, "title": c.Title, "description": c.Description, "language": c.Language,
		"level": c.Level, "tags": c.Tags, "visibility": "public", "enrollment_mode": "self", "waitlist_enabled": true,
	}
	if c.Capacity > 0 {
		body["capacity"] = c.Capacity
	}
	var made identified
	if _, err := as.Do(ctx, http.MethodPost, "/api/v1/courses", body, &made); err != nil {
		return err
	}
	path := "/api/v1/courses/" + made.ID
	etag, err := as.Do(ctx, http.MethodGet, path+"/curriculum", nil, nil)
	if err != nil {
		return err
	}
	if _, err := as.Do(ctx, http.MethodPut, path+"/curriculum", map[string]any{"modules": modules(c)}, nil, "If-Match", etag); err != nil {
		return err
	}
	if etag, err = as.Do(ctx, http.MethodGet, path, nil, nil); err != nil {
		return err
	}
	if _, err := as.Do(ctx, http.MethodPost, path+"/publish", struct{}{}, nil, "If-Match", etag); err != nil {
		return err
	}
	var doc struct {
		Modules []struct {
			Items []struct {
				ID          string `json:"id"`
				Requirement *struct {
					Kind string `json:"kind"`
				} `json:"requirement"`
			} `json:"items"`
		} `json:"modules"`
	}
	if _, err := as.Do(ctx, http.MethodGet, path+"/curriculum", nil, &doc); err != nil {
		return err
	}
	l.courses[i].id = made.ID
	for _, m := range doc.Modules {
		for _, it := range m.Items {
			if it.Requirement != nil {
				l.courses[i].items = append(l.courses[i].items, step{it.ID, it.Requirement.Kind})
			}
		}
	}
	return nil
}

func modules(c demo.Course) []map[string]any {
	out := make([]map[string]any, len(c.Modules))
	for m, mod := range c.Modules {
		items := make([]map[string]any, len(mod.Items))
		for i, it := range mod.Items {
			items[i] = map[string]any{"kind": it.Kind, "title": it.Title}
			if it.Body != "" {
				items[i]["body"] = it.Body
			}
			if it.URL != "" {
				items[i]["url"] = it.URL
			}
			if it.Requirement != "" {
				items[i]["requirement"] = map[string]string{"kind": strings.TrimPrefix(it.Requirement, "mark_")}
			}
		}
		out[m] = map[string]any{"key": fmt.Sprint("m", m), "title": mod.Title, "items": items}
		if mod.Sequential {
			out[m]["prerequisites"] = []string{fmt.Sprint("m", m-1)}
		}
	}
	return out
}

// enrollAndLearn lets each learner enroll and work through what they have
// done, in the order of the curriculum.
func (l *loader) enrollAndLearn(ctx context.Context) error {
	byPerson := map[int][]demo.Enrollment{}
	var learners []int
	for _, e := range l.org.Enrollments {
		if byPerson[e.Person] == nil {
			learners = append(learners, e.Person)
		}
		byPerson[e.Person] = append(byPerson[e.Person], e)
	}
	return l.each(ctx, "learners", len(learners), func(ctx context.Context, i int) error {
		p := l.org.People[learners[i]]
		token, err := l.API.Login(ctx, p.Email, l.Password)
		if err != nil {
			return err
		}
		for _, e := range byPerson[learners[i]] {
			if err := l.learn(ctx, l.API.As(token), e); err != nil {
				return fmt.Errorf("%s in %s: %w", p.Email, l.org.Courses[e.Course].Code, err)
			}
		}
		return nil
	})
}

func (l *loader) learn(ctx context.Context, as *client.Client, e demo.Enrollment) error {
	c := l.courses[e.Course]
	if _, err := as.Do(ctx, http.MethodPost, "/api/v1/courses/"+c.id+"/enrollments", struct{}{}, nil); err != nil {
		var p *client.Problem
		if errors.As(err, &p) && p.Code == "already_enrolled" {
			return nil
		}
		return err
	}
	l.enrolled.Add(1)
	for _, it := range c.items[:min(e.Done, len(c.items))] {
		if _, err := as.Do(ctx, http.MethodPost, "/api/v1/courses/"+c.id+"/items/"+it.id+"/"+it.verb, struct{}{}, nil); err != nil {
			return err
		}
		l.learned.Add(1)
	}
	return nil
}
