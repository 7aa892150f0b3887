-- +goose Up
-- The mock gateway's own memory. It stands for a company elsewhere that knows no
-- tenants and whose tables payment never reads: it asks by the provider interface.
create table mock_sessions (
  id          text        primary key,
  reference   text        not null unique,
  mode        text        not null check (mode in ('payment', 'setup')),
  customer    text        not null,
  description text        not null,
  amount      bigint      not null check (amount >= 0),
  currency    text        not null,
  save_method boolean     not null,
  metadata    jsonb       not null,
  state       text        not null check (state in ('open', 'challenged', 'completed', 'abandoned', 'expired')),
  card        text        not null default '',
  payment_id  text        not null default '',
  method_id   text        not null default '',
  declined    text        not null default '',
  success_url text        not null,
  cancel_url  text        not null,
  expires_at  timestamptz not null,
  created_at  timestamptz not null
);

create table mock_methods (
  id         text        primary key,
  customer   text        not null,
  card       text        not null,
  brand      text        not null,
  last4      text        not null,
  detached   boolean     not null default false,
  created_at timestamptz not null
);

create table mock_payments (
  ord        bigint      generated always as identity unique,
  id         text        primary key,
  key        text        not null unique,
  session_id text        not null default '',
  reference  text        not null,
  method_id  text        not null default '',
  amount     bigint      not null check (amount >= 0),
  currency   text        not null,
  refunded   bigint      not null default 0,
  state      text        not null check (state in ('succeeded', 'failed')),
  failure    text        not null default '',
  metadata   jsonb       not null,
  created_at timestamptz not null,
  constraint mock_payments_refunds check (refunded between 0 and amount)
);

create table mock_refunds (
  ord        bigint      generated always as identity unique,
  id         text        primary key,
  key        text        not null unique,
  payment_id text        not null references mock_payments (id),
  amount     bigint      not null check (amount > 0),
  currency   text        not null,
  metadata   jsonb       not null,
  created_at timestamptz not null
);

-- Webhooks on their way: each row is one delivery, repeated until it is taken or
-- given up.
create table mock_deliveries (
  id         bigint      generated always as identity primary key,
  event_id   text        not null,
  body       text        not null,
  due_at     timestamptz not null,
  attempts   integer     not null default 0,
  status     integer     not null default 0,
  done_at    timestamptz,
  created_at timestamptz not null
);
create index mock_deliveries_due on mock_deliveries (due_at) where done_at is null;
