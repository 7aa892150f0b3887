-- +goose Up
-- What can be bought: who sells it, plans with prices, tax rules, coupons.

-- The state machines, declared once. '' is before the row is there. The same
-- moves are in the code; a test compares them.
-- +goose StatementBegin
create function state_moves() returns table (machine text, from_state text, to_state text)
language sql immutable parallel safe as $$
  values
    ('plan', '', 'active'), ('plan', 'active', 'archived'), ('plan', 'archived', 'active'),
    ('coupon', '', 'active'), ('coupon', 'active', 'archived'), ('coupon', 'archived', 'active'),
    ('coupon_use', '', 'reserved'), ('coupon_use', 'reserved', 'redeemed'), ('coupon_use', 'reserved', 'released'),
    ('coupon_use', 'released', 'reserved'),
    ('hold', '', 'asked'), ('hold', 'asked', 'held'), ('hold', 'asked', 'refused'), ('hold', 'asked', 'released'),
    ('hold', 'held', 'released'), ('hold', 'held', 'used'), ('hold', 'released', 'used'),
    ('checkout', '', 'preparing'), ('checkout', 'preparing', 'open'), ('checkout', 'preparing', 'refused'),
    ('checkout', 'preparing', 'expired'), ('checkout', 'preparing', 'completed'), ('checkout', 'open', 'completed'),
    ('checkout', 'open', 'expired'), ('checkout', 'expired', 'completed'),
    ('order', '', 'pending'), ('order', 'pending', 'paying'), ('order', 'pending', 'paid'), ('order', 'pending', 'canceled'),
    ('order', 'canceled', 'paying'), ('order', 'canceled', 'paid'), ('order', 'paying', 'paid'), ('order', 'paying', 'defaulted'),
    ('order', 'paying', 'refunded'), ('order', 'paid', 'partially_refunded'), ('order', 'paid', 'refunded'),
    ('order', 'partially_refunded', 'refunded'), ('order', 'defaulted', 'refunded'),
    ('instalment', '', 'scheduled'), ('instalment', 'scheduled', 'paid'), ('instalment', 'scheduled', 'past_due'),
    ('instalment', 'scheduled', 'canceled'), ('instalment', 'past_due', 'paid'), ('instalment', 'past_due', 'canceled'),
    ('refund', '', 'pending'), ('refund', 'pending', 'succeeded'), ('refund', 'pending', 'failed'),
    ('entitlement', '', 'granted'), ('entitlement', 'granted', 'revoked'),
    ('subscription', '', 'trialing'), ('subscription', '', 'active'), ('subscription', 'trialing', 'active'),
    ('subscription', 'trialing', 'past_due'), ('subscription', 'trialing', 'paused'), ('subscription', 'trialing', 'ended'),
    ('subscription', 'active', 'past_due'), ('subscription', 'active', 'paused'), ('subscription', 'active', 'ended'),
    ('subscription', 'past_due', 'active'), ('subscription', 'past_due', 'paused'), ('subscription', 'past_due', 'ended'),
    ('subscription', 'paused', 'active'), ('subscription', 'paused', 'ended'),
    ('pool', '', 'active'), ('pool', 'active', 'closed'),
    ('seat', '', 'assigned'), ('seat', 'assigned', 'released')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function keep_to_moves() returns trigger language plpgsql as $$
declare
  before text := '';
begin
  if tg_op = 'UPDATE' then
    before := old.state;
    if new.state = before then
      return new;
    end if;
  end if;
  if not exists (select 1 from state_moves() m where m.machine = tg_argv[0] and m.from_state = before and m.to_state = new.state) then
    raise exception '% may not go from "%" to "%"', tg_argv[0], before, new.state
      using errcode = 'check_violation', constraint = tg_argv[0] || '_moves';
  end if;
  return new;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function has_states(tbl text, machine text) returns void language plpgsql as $$
begin
  execute format('create trigger moves before insert or update of state on %I for each row execute function keep_to_moves(%L)', tbl, machine);
end
$$;
-- +goose StatementEnd

-- What was written stays: for invoices, credit notes and the ledger.
-- +goose StatementBegin
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'check_violation', constraint = tg_table_name || '_append_only';
end
$$;
-- +goose StatementEnd

-- Who sells: the name on an invoice, with number ranges of its own.
create table legal_entities (
  id                 uuid        primary key,
  tenant_id          uuid        not null,
  org_unit_id        uuid        not null,
  name               text        not null check (name <> ''),
  address            text        not null,
  country            text        not null check (country ~ '^[A-Z]{2}$'),
  tax_id             text        not null default '',
  invoice_prefix     text        not null check (invoice_prefix ~ '^[A-Z0-9-]{1,12}$'),
  credit_note_prefix text        not null check (credit_note_prefix ~ '^[A-Z0-9-]{1,12}$'),
  created_at         timestamptz not null,
  version            bigint      not null default 1,
  constraint legal_entities_prefixes check (invoice_prefix <> credit_note_prefix)
);
create unique index legal_entities_invoice_prefix on legal_entities (tenant_id, invoice_prefix);
create unique index legal_entities_credit_note_prefix on legal_entities (tenant_id, credit_note_prefix);
select tenant_rls('legal_entities');

-- The last number of each range. The row's lock makes numbers gap-free: it is
-- held until the document is committed, and a rollback gives the number back.
create table document_counters (
  legal_entity_id uuid   not null references legal_entities (id),
  kind            text   not null check (kind in ('invoice', 'credit_note')),
  tenant_id       uuid   not null,
  last            bigint not null default 0 check (last >= 0),
  primary key (legal_entity_id, kind)
);
select tenant_rls('document_counters');

create table plans (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  legal_entity_id uuid        not null references legal_entities (id),
  name            text        not null check (name <> ''),
  description     text        not null default '',
  kind            text        not null check (kind in ('one_off', 'subscription', 'instalments')),
  state           text        not null,
  tax_inclusive   boolean     not null,
  tax_category    text        not null default '',
  access_days     integer     check (access_days > 0),
  period_unit     text        not null default '' check (period_unit in ('', 'day', 'week', 'month', 'year')),
  period_count    integer     not null default 0 check (period_count between 0 and 366),
  trial_days      integer     not null default 0 check (trial_days between 0 and 730),
  instalments     integer     not null default 0 check (instalments between 0 and 60),
  refund_days     integer     not null default 14 check (refund_days between 0 and 3650),
  for_people      boolean     not null default true,
  for_org_units   boolean     not null default true,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  version         bigint      not null default 1,
  constraint plans_period check ((kind = 'one_off') = (period_unit = '' and period_count = 0)),
  constraint plans_trial check (kind = 'subscription' or trial_days = 0),
  constraint plans_instalments check ((kind = 'instalments') = (instalments >= 2)),
  constraint plans_access check (kind <> 'subscription' or access_days is null)
);
select has_states('plans', 'plan');
create index plans_tenant on plans (tenant_id, id desc);
select tenant_rls('plans');

-- What a plan opens. Title and org unit are those of the course when the plan
-- was made or last changed.
create table plan_courses (
  plan_id     uuid     not null references plans (id) on delete cascade,
  course_id   uuid     not null,
  tenant_id   uuid     not null,
  org_unit_id uuid     not null,
  title       text     not null,
  position    smallint not null,
  primary key (plan_id, course_id)
);
create index plan_courses_course on plan_courses (course_id);
select tenant_rls('plan_courses');

-- A price is never changed: a new one takes its place, and who subscribed to
-- the old one keeps it.
create table prices (
  id         uuid        primary key,
  plan_id    uuid        not null references plans (id) on delete cascade,
  tenant_id  uuid        not null,
  currency   text        not null check (currency ~ '^[A-Z]{3}$'),
  amount     bigint      not null check (amount between 0 and 999999999999),
  position   smallint    not null,
  replaced_at timestamptz,
  created_at timestamptz not null
);
create unique index prices_current on prices (plan_id, currency) where replaced_at is null;
select tenant_rls('prices');

-- One row per course that has, or had, a price: its lock orders what course is
-- told of it.
create table priced_courses (
  course_id uuid   primary key,
  tenant_id uuid   not null,
  changes   bigint not null default 1
);
select tenant_rls('priced_courses');

-- A rule holds from its date until the next rule of the same place and category
-- begins, so that two can never hold at once.
create table tax_rules (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  country     text        not null check (country ~ '^[A-Z]{2}$'),
  region      text        not null default '',
  category    text        not null default '',
  components  jsonb       not null check (jsonb_typeof(components) = 'array' and jsonb_array_length(components) between 0 and 5),
  valid_from  timestamptz not null,
  created_at  timestamptz not null,
  unique (tenant_id, country, region, category, valid_from)
);
select tenant_rls('tax_rules');

create table coupons (
  id                uuid        primary key,
  tenant_id         uuid        not null,
  org_unit_id       uuid        not null,
  code              text        not null check (code ~ '^[A-Z0-9_-]{3,40}$'),
  state             text        not null,
  percent_ppm       bigint      check (percent_ppm between 1 and 1000000),
  amount            bigint      check (amount > 0),
  currency          text        not null default '',
  plan_ids          uuid[]      not null default '{}',
  course_ids        uuid[]      not null default '{}',
  starts_at         timestamptz,
  expires_at        timestamptz,
  max_uses          integer     check (max_uses > 0),
  max_uses_per_user integer     check (max_uses_per_user > 0),
  periods           integer     check (periods > 0),
  uses              integer     not null default 0,
  created_at        timestamptz not null,
  updated_at        timestamptz not null,
  version           bigint      not null default 1,
  constraint coupons_kind check ((percent_ppm is null) <> (amount is null) and (amount is null) = (currency = '')),
  constraint coupons_limit check (uses >= 0 and (max_uses is null or uses <= max_uses))
);
create unique index coupons_code on coupons (tenant_id, code);
select has_states('coupons', 'coupon');
select tenant_rls('coupons');

-- A use is reserved at checkout and redeemed by the payment. slot numbers the
-- uses of one person.
create table coupon_uses (
  id         uuid        primary key,
  coupon_id  uuid        not null references coupons (id),
  tenant_id  uuid        not null,
  user_id    uuid        not null,
  slot       integer     not null check (slot > 0),
  state      text        not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create unique index coupon_uses_slot on coupon_uses (coupon_id, user_id, slot) where state <> 'released';
create index coupon_uses_user on coupon_uses (user_id);
select has_states('coupon_uses', 'coupon_use');
select tenant_rls('coupon_uses');

-- The counter of a coupon follows its uses; the coupon's row lock and its check
-- hold the limit in any race.
-- +goose StatementBegin
create function count_coupon_uses() returns trigger language plpgsql as $$
declare
  delta integer := 0;
begin
  if tg_op = 'UPDATE' and old.state <> 'released' then
    delta := delta - 1;
  end if;
  if new.state <> 'released' then
    delta := delta + 1;
  end if;
  if delta <> 0 then
    update coupons set uses = uses + delta where id = new.coupon_id;
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger coupon_uses_count after insert or update of state on coupon_uses for each row execute function count_coupon_uses();
