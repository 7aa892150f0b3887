package localpg

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// DatabaseName is the database of a service.
func DatabaseName(service string) string { return "lms_" + service }

// OwnerRole owns a service's database and migrates it.
func OwnerRole(service string) string { return "lms_" + service + "_owner" }

// ServiceRole is whom a service connects as: it reads and changes rows,
// nothing else, and row-level security holds for it.
func ServiceRole(service string) string { return "lms_" + service }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// rolesLock serialises changes of roles and databases within the cluster.
const rolesLock = 0x6c6d7301

// EnsureDatabase makes the database of a service with its two roles, or brings
// the rights of an existing one up to date. No other service's role can
// connect to it. It is safe to call from several processes at once.
func (s *Server) EnsureDatabase(ctx context.Context, service string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.EnsureRoles(ctx, service); err != nil {
		return err
	}
	return s.EnsureDatabaseNamed(ctx, DatabaseName(service), service)
}

// EnsureDatabaseNamed is EnsureDatabase under another name, with the service's
// roles, which must exist.
func (s *Server) EnsureDatabaseNamed(ctx context.Context, name, service string) error {
	if err := s.admin(ctx, Superuser, func(conn *pgx.Conn) error {
		var exists bool
		if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			if _, err := conn.Exec(ctx, fmt.Sprintf(`create database %s owner %s template template0`, quote(name), quote(OwnerRole(service)))); err != nil {
				return err
			}
		}
		return grantConnect(ctx, conn, name, service)
	}); err != nil {
		return fmt.Errorf("database %s: %w", name, err)
	}
	if err := s.admin(ctx, name, func(conn *pgx.Conn) error {
		return execAll(ctx, conn, privilegesSQL(service))
	}); err != nil {
		return fmt.Errorf("rights in database %s: %w", name, err)
	}
	return nil
}

// CloneDatabase makes a database from a template that nobody is connected to.
func (s *Server) CloneDatabase(ctx context.Context, name, template, service, strategy string) error {
	conn, err := pgx.Connect(ctx, s.DSN(Superuser, Superuser))
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is pending on it
	if _, err := conn.Exec(ctx, fmt.Sprintf(`create database %s owner %s template %s strategy %s`,
		quote(name), quote(OwnerRole(service)), quote(template), strategy)); err != nil {
		return fmt.Errorf("clone %s: %w", template, err)
	}
	if err := grantConnect(ctx, conn, name, service); err != nil {
		return fmt.Errorf("clone %s: %w", template, err)
	}
	return nil
}

// EnsureRoles makes the two roles of a service, with the passwords that this
// server keeps.
func (s *Server) EnsureRoles(ctx context.Context, service string) error {
	if !namePattern.MatchString(service) {
		return fmt.Errorf("%q is no name for a service's database", service)
	}
	roles := []string{OwnerRole(service), ServiceRole(service)}
	s.mu.Lock()
	err := s.passwords.ensure(roles...)
	given := map[string]string{roles[0]: s.passwords.Roles[roles[0]], roles[1]: s.passwords.Roles[roles[1]]}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.admin(ctx, Superuser, func(conn *pgx.Conn) error {
		// A service reaches its own database and no other.
		statements := []string{"revoke connect, temporary on database postgres, template1 from public"}
		for _, role := range roles {
			exists, err := roleExists(ctx, conn, role)
			if err != nil {
				return err
			}
			if !exists {
				// A password is hexadecimal, so it needs no quoting of its own.
				statements = append(statements, fmt.Sprintf(
					`create role %s login nosuperuser nocreatedb nocreaterole noinherit noreplication nobypassrls password '%s'`,
					quote(role), given[role]))
			}
		}
		if len(statements) == 1 {
			return nil
		}
		return execAll(ctx, conn, statements)
	}); err != nil {
		return fmt.Errorf("roles of %s: %w", service, err)
	}
	return nil
}

func roleExists(ctx context.Context, conn *pgx.Conn, role string) (exists bool, err error) {
	err = conn.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists)
	return exists, err
}

func grantConnect(ctx context.Context, conn *pgx.Conn, name, service string) error {
	return execAll(ctx, conn, []string{
		fmt.Sprintf(`revoke all on database %s from public`, quote(name)),
		fmt.Sprintf(`grant connect on database %s to %s`, quote(name), quote(ServiceRole(service))),
	})
}

func privilegesSQL(service string) []string {
	owner, role := quote(OwnerRole(service)), quote(ServiceRole(service))
	defaults := "alter default privileges for role " + owner
	return []string{
		"alter schema public owner to " + owner,
		"revoke all on schema public from public",
		"grant usage on schema public to " + role,
		defaults + " grant select, insert, update, delete on tables to " + role,
		defaults + " grant usage, select on sequences to " + role,
		defaults + " revoke execute on functions from public",
		defaults + " grant execute on functions to " + role,
	}
}

// admin runs fn as the superuser, one at a time in the whole cluster:
// PostgreSQL answers concurrent changes of one role with an error.
func (s *Server) admin(ctx context.Context, db string, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.DSN(db, Superuser))
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // ends the lock too
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, rolesLock); err != nil {
		return fmt.Errorf("lock the cluster: %w", err)
	}
	return fn(conn)
}

func execAll(ctx context.Context, conn *pgx.Conn, statements []string) error {
	_, err := conn.Exec(ctx, strings.Join(statements, ";\n"))
	return err
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
