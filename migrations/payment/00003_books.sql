-- +goose Up
-- Invoices, credit notes and the ledger: what was written is never altered.
create table invoices (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  legal_entity_id uuid        not null references legal_entities (id),
  n               bigint      not null check (n > 0),
  number          text        not null,
  order_id        uuid        not null unique references orders (id),
  user_id         uuid        not null,
  seller          jsonb       not null,
  buyer           jsonb       not null,
  lines           jsonb       not null,
  tax_lines       jsonb       not null,
  currency        text        not null,
  subtotal        bigint      not null,
  discount        bigint      not null,
  tax             bigint      not null,
  tax_inclusive   boolean     not null,
  total           bigint      not null check (total >= 0),
  period_start    timestamptz,
  period_end      timestamptz,
  issued_at       timestamptz not null,
  unique (legal_entity_id, n),
  unique (tenant_id, number)
);
create index invoices_user on invoices (user_id, id desc);
create index invoices_org_unit on invoices (org_unit_id, id desc);
select tenant_rls('invoices');

create table credit_notes (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  legal_entity_id uuid        not null references legal_entities (id),
  n               bigint      not null check (n > 0),
  number          text        not null,
  invoice_id      uuid        not null references invoices (id),
  invoice_number  text        not null,
  order_id        uuid        not null references orders (id),
  refund_id       uuid        not null unique references refunds (id),
  user_id         uuid        not null,
  seller          jsonb       not null,
  buyer           jsonb       not null,
  reason          text        not null,
  currency        text        not null,
  tax             bigint      not null,
  total           bigint      not null check (total > 0),
  issued_at       timestamptz not null,
  unique (legal_entity_id, n),
  unique (tenant_id, number)
);
create index credit_notes_user on credit_notes (user_id, id desc);
create index credit_notes_order on credit_notes (order_id);
select tenant_rls('credit_notes');

-- An erasure may put a pseudonym in the place of the buyer, and nothing else.
-- +goose StatementBegin
create function keep_document() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' or to_jsonb(new) - array['user_id', 'buyer'] <> to_jsonb(old) - array['user_id', 'buyer'] or new.user_id = old.user_id then
    raise exception '% is never altered', tg_table_name using errcode = 'check_violation', constraint = tg_table_name || '_append_only';
  end if;
  return new;
end
$$;
-- +goose StatementEnd
create trigger invoices_keep before update or delete on invoices for each row execute function keep_document();
create trigger credit_notes_keep before update or delete on credit_notes for each row execute function keep_document();
create trigger invoices_truncate before truncate on invoices execute function refuse_change();
create trigger credit_notes_truncate before truncate on credit_notes execute function refuse_change();

-- Numbers follow one another without a gap: a document bears the number that its
-- counter has just reached.
-- +goose StatementBegin
create function take_number() returns trigger language plpgsql as $$
declare
  reached bigint;
begin
  select last into reached from document_counters where legal_entity_id = new.legal_entity_id and kind = tg_argv[0];
  if reached is distinct from new.n then
    raise exception '% number % does not follow', tg_argv[0], new.n using errcode = 'check_violation', constraint = tg_argv[0] || '_numbers';
  end if;
  return new;
end
$$;
-- +goose StatementEnd
create trigger invoices_number before insert on invoices for each row execute function take_number('invoice');
create trigger credit_notes_number before insert on credit_notes for each row execute function take_number('credit_note');

create table ledger_transactions (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  legal_entity_id uuid        not null references legal_entities (id),
  kind            text        not null check (kind in ('invoice', 'payment', 'credit_note', 'refund', 'write_off', 'surplus', 'surplus_returned')),
  reference_id    uuid        not null,
  order_id        uuid        not null references orders (id),
  at              timestamptz not null,
  unique (kind, reference_id)
);
create index ledger_transactions_order on ledger_transactions (order_id);
select tenant_rls('ledger_transactions');

create table ledger_entries (
  id              uuid        primary key,
  transaction_id  uuid        not null references ledger_transactions (id),
  tenant_id       uuid        not null,
  account         text        not null check (account in ('receivable', 'clearing', 'revenue', 'tax_payable', 'bad_debt', 'unallocated')),
  currency        text        not null check (currency ~ '^[A-Z]{3}$'),
  -- Debits are positive, credits negative.
  amount          bigint      not null check (amount <> 0),
  at              timestamptz not null
);
create index ledger_entries_transaction on ledger_entries (transaction_id);
create index ledger_entries_account on ledger_entries (tenant_id, account, id);
select tenant_rls('ledger_entries');

-- A transaction sums to zero per currency when it is committed.
-- +goose StatementBegin
create function ledger_balances() returns trigger language plpgsql as $$
declare
  off text;
begin
  select string_agg(currency || ' ' || total, ', ') into off
  from (select currency, sum(amount) as total from ledger_entries where transaction_id = new.transaction_id group by currency having sum(amount) <> 0) t;
  if off is not null then
    raise exception 'ledger transaction % is off by %', new.transaction_id, off
      using errcode = 'check_violation', constraint = 'ledger_balances';
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create constraint trigger ledger_balances after insert on ledger_entries
  deferrable initially deferred for each row execute function ledger_balances();
create trigger ledger_entries_keep before update or delete on ledger_entries for each row execute function refuse_change();
create trigger ledger_entries_truncate before truncate on ledger_entries execute function refuse_change();
create trigger ledger_transactions_keep before update or delete on ledger_transactions for each row execute function refuse_change();
create trigger ledger_transactions_truncate before truncate on ledger_transactions execute function refuse_change();

create table reconciliations (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  everywhere  boolean     not null,
  state       text        not null check (state in ('running', 'finished')),
  checked     jsonb       not null default '{}',
  differences integer     not null default 0,
  started_at  timestamptz not null,
  finished_at timestamptz,
  requested_by uuid
);
create index reconciliations_tenant on reconciliations (tenant_id, id desc);
select tenant_rls('reconciliations');
