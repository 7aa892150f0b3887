-- +goose Up
-- Roles, grants, and the accounts of machines.

-- A role of an organisation's own. Built-in roles are in the code.
create table roles (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  name        text        not null check (name <> ''),
  description text        not null default '',
  permissions text[]      not null,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  version     bigint      not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id)
);
create unique index roles_name on roles (tenant_id, lower(name));
select tenant_rls('roles');

-- A role held by a person for the platform or an org unit with its subtree.
-- Roles in courses are not here: course and enrollment know them.
create table grants (
  id             uuid        primary key,
  tenant_id      uuid        not null,
  user_id        uuid        not null,
  role           text        not null,
  custom_role_id uuid,
  scope_kind     text        not null check (scope_kind in ('platform', 'org_unit')),
  scope_id       uuid,
  granted_by     uuid,
  created_at     timestamptz not null,
  constraint grants_once unique nulls not distinct (user_id, role, scope_kind, scope_id),
  constraint grants_scope check ((scope_kind = 'platform') = (scope_id is null)),
  constraint grants_role check (
    (custom_role_id is null and role in ('platform_admin', 'org_admin', 'instructor', 'teaching_assistant', 'student'))
    or (custom_role_id is not null and role = custom_role_id::text)),
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade,
  foreign key (tenant_id, scope_id) references org_units (tenant_id, id),
  constraint grants_custom_role foreign key (custom_role_id) references roles (id)
);
create index grants_by_scope on grants (scope_id);
create index grants_by_custom_role on grants (custom_role_id) where custom_role_id is not null;
create index grants_by_role on grants (role);
select tenant_rls('grants');

-- The version of tree and roles: each change of either adds one.
create table authz_version (
  one     boolean primary key default true check (one),
  version bigint  not null
);
insert into authz_version (version) values (1);

-- Accounts of machines: who may get tokens with a secret.
create table clients (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  org_unit_id  uuid        not null,
  name         text        not null check (name <> ''),
  description  text        not null default '',
  epoch        bigint      not null default 1,
  created_by   uuid        not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  last_used_at timestamptz,
  version      bigint      not null default 1,
  unique (tenant_id, id),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id)
);
create index clients_by_unit on clients (org_unit_id);
select tenant_rls('clients');

-- Secrets are 256 random bits: a plain hash of them cannot be guessed back.
create table client_secrets (
  id         uuid        primary key,
  tenant_id  uuid        not null,
  client_id  uuid        not null,
  hash       bytea       not null unique check (octet_length(hash) = 32),
  hint       text        not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade
);
create index client_secrets_client on client_secrets (client_id);
select tenant_rls('client_secrets');

create table client_grants (
  client_id      uuid not null,
  tenant_id      uuid not null,
  role           text not null,
  custom_role_id uuid,
  scope_kind     text not null check (scope_kind in ('platform', 'org_unit')),
  scope_id       uuid,
  constraint client_grants_once unique nulls not distinct (client_id, role, scope_kind, scope_id),
  constraint client_grants_scope check ((scope_kind = 'platform') = (scope_id is null)),
  constraint client_grants_role check (
    (custom_role_id is null and role in ('platform_admin', 'org_admin', 'instructor', 'teaching_assistant', 'student'))
    or (custom_role_id is not null and role = custom_role_id::text)),
  foreign key (tenant_id, client_id) references clients (tenant_id, id) on delete cascade,
  foreign key (tenant_id, scope_id) references org_units (tenant_id, id),
  constraint client_grants_custom_role foreign key (custom_role_id) references roles (id)
);
select tenant_rls('client_grants');

create table personal_tokens (
  id           uuid        primary key,
  tenant_id    uuid        not null,
  user_id      uuid        not null,
  name         text        not null check (name <> ''),
  permissions  text[]      not null,
  hash         bytea       not null unique check (octet_length(hash) = 32),
  hint         text        not null,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index personal_tokens_user on personal_tokens (user_id, id);
select tenant_rls('personal_tokens');

create table identity_providers (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  name            text        not null check (name <> ''),
  issuer          text        not null check (issuer like 'https://%' or issuer like 'http://127.0.0.1:%'),
  client_id       text        not null check (client_id <> ''),
  -- Sealed; empty for a public client.
  client_secret   bytea       not null,
  scopes          text[]      not null,
  enabled         boolean     not null,
  create_users    boolean     not null,
  link_by_email   boolean     not null,
  allowed_domains text[]      not null,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  version         bigint      not null default 1,
  unique (tenant_id, id),
  constraint identity_providers_once unique (tenant_id, issuer, client_id),
  foreign key (tenant_id, org_unit_id) references org_units (tenant_id, id)
);
select tenant_rls('identity_providers');

create table linked_accounts (
  provider_id  uuid        not null,
  subject      text        not null check (subject <> ''),
  user_id      uuid        not null,
  tenant_id    uuid        not null,
  email        text        not null default '',
  linked_at    timestamptz not null,
  last_used_at timestamptz not null,
  primary key (provider_id, subject),
  constraint linked_accounts_one_per_user unique (provider_id, user_id),
  foreign key (tenant_id, provider_id) references identity_providers (tenant_id, id) on delete cascade,
  foreign key (tenant_id, user_id) references users (tenant_id, id) on delete cascade
);
create index linked_accounts_user on linked_accounts (user_id);
select tenant_rls('linked_accounts');

-- auth's signing keys, sealed twice: by auth and by us. They belong to no tenant.
create table signing_key_sets (
  one        boolean     primary key default true check (one),
  version    bigint      not null check (version > 0),
  sealed     bytea       not null,
  updated_at timestamptz not null
);
