-- +goose Up
-- Buying: checkout sessions, orders, payments, refunds, entitlements.
create table checkout_sessions (
  id               uuid        primary key,
  tenant_id        uuid        not null,
  org_unit_id      uuid        not null,
  user_id          uuid        not null,
  plan_id          uuid        not null references plans (id),
  -- The unit that seats are bought for; null for a person's own purchase.
  for_org_unit_id  uuid,
  mode             text        not null check (mode in ('payment', 'setup')),
  quote            jsonb       not null,
  currency         text        not null check (currency ~ '^[A-Z]{3}$'),
  total            bigint      not null check (total between 0 and 999999999999),
  due_now          bigint      not null,
  coupon_id        uuid        references coupons (id),
  billing          jsonb       not null,
  state            text        not null,
  refusal          text        not null default '',
  missing          uuid[]      not null default '{}',
  provider         text        not null,
  provider_session text        not null default '',
  url              text        not null default '',
  success_url      text        not null,
  cancel_url       text        not null,
  expires_at       timestamptz not null,
  completed_at     timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  version          bigint      not null default 1,
  constraint checkout_sessions_due check (due_now between 0 and total),
  constraint checkout_sessions_refusal check ((state = 'refused') = (refusal <> '')),
  constraint checkout_sessions_completed check ((state = 'completed') = (completed_at is not null))
);
create unique index checkout_sessions_provider on checkout_sessions (provider, provider_session) where provider_session <> '';
create index checkout_sessions_user on checkout_sessions (user_id, id desc);
create index checkout_sessions_open on checkout_sessions (expires_at) where state in ('preparing', 'open');
select has_states('checkout_sessions', 'checkout');
select tenant_rls('checkout_sessions');

-- The seats that enrollment holds for a session, one per course (rule 35).
create table checkout_holds (
  id         uuid        primary key,
  session_id uuid        not null references checkout_sessions (id),
  course_id  uuid        not null,
  tenant_id  uuid        not null,
  user_id    uuid        not null,
  state      text        not null,
  expires_at timestamptz,
  updated_at timestamptz not null,
  unique (session_id, course_id)
);
create index checkout_holds_user on checkout_holds (user_id);
select has_states('checkout_holds', 'hold');
select tenant_rls('checkout_holds');

create table payment_methods (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  user_id         uuid        not null,
  provider        text        not null,
  provider_method text        not null,
  brand           text        not null,
  last4           text        not null check (last4 ~ '^[0-9]{4}$'),
  preferred       boolean     not null default false,
  removed_at      timestamptz,
  created_at      timestamptz not null
);
create unique index payment_methods_provider on payment_methods (provider, provider_method);
create unique index payment_methods_preferred on payment_methods (user_id) where preferred and removed_at is null;
create index payment_methods_user on payment_methods (user_id, id desc);
select tenant_rls('payment_methods');

create table subscriptions (
  id                   uuid        primary key,
  tenant_id            uuid        not null,
  org_unit_id          uuid        not null,
  user_id              uuid        not null,
  plan_id              uuid        not null references plans (id),
  price_id             uuid        not null references prices (id),
  state                text        not null,
  currency             text        not null,
  coupon_id            uuid        references coupons (id),
  coupon_periods_left  integer,
  billing              jsonb       not null,
  anchor_at            timestamptz not null,
  period_n             integer     not null default 0 check (period_n >= 0),
  period_start         timestamptz not null,
  period_end           timestamptz not null,
  trial_told_at        timestamptz,
  cancel_at_period_end boolean     not null default false,
  canceled_at          timestamptz,
  ended_at             timestamptz,
  end_reason           text        not null default '',
  paused_at            timestamptz,
  credit               bigint      not null default 0 check (credit >= 0),
  attempts             integer     not null default 0 check (attempts >= 0),
  next_action_at       timestamptz,
  created_at           timestamptz not null,
  updated_at           timestamptz not null,
  version              bigint      not null default 1,
  constraint subscriptions_period check (period_end > period_start),
  constraint subscriptions_ended check ((state = 'ended') = (ended_at is not null)),
  constraint subscriptions_paused check ((state = 'paused') = (paused_at is not null)),
  constraint subscriptions_due check ((state in ('trialing', 'active', 'past_due')) = (next_action_at is not null))
);
create index subscriptions_user on subscriptions (user_id, id desc);
create index subscriptions_due_at on subscriptions (next_action_at) where next_action_at is not null;
-- One running subscription of a plan per person.
create unique index subscriptions_one on subscriptions (user_id, plan_id) where state <> 'ended';
select has_states('subscriptions', 'subscription');
select tenant_rls('subscriptions');

create table orders (
  id              uuid        primary key,
  tenant_id       uuid        not null,
  org_unit_id     uuid        not null,
  legal_entity_id uuid        not null references legal_entities (id),
  user_id         uuid        not null,
  plan_id         uuid        not null references plans (id),
  session_id      uuid        unique references checkout_sessions (id),
  subscription_id uuid        references subscriptions (id),
  for_org_unit_id uuid,
  kind            text        not null check (kind in ('purchase', 'seats', 'renewal', 'change')),
  description     text        not null,
  quantity        integer     not null check (quantity > 0),
  currency        text        not null check (currency ~ '^[A-Z]{3}$'),
  unit_amount     bigint      not null check (unit_amount >= 0),
  subtotal        bigint      not null check (subtotal >= 0),
  discount        bigint      not null check (discount between 0 and subtotal),
  credit          bigint      not null default 0 check (credit >= 0),
  tax             bigint      not null check (tax >= 0),
  tax_inclusive   boolean     not null,
  tax_lines       jsonb       not null,
  total           bigint      not null check (total between 0 and 999999999999),
  paid            bigint      not null default 0 check (paid >= 0),
  refunded        bigint      not null default 0 check (refunded >= 0),
  coupon_id       uuid        references coupons (id),
  billing         jsonb       not null,
  period_start    timestamptz,
  period_end      timestamptz,
  state           text        not null,
  paid_at         timestamptz,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  version         bigint      not null default 1,
  constraint orders_total check (total = subtotal - discount - credit + case when tax_inclusive then 0 else tax end),
  constraint orders_not_overpaid check (paid <= total),
  constraint orders_refunds_within_paid check (refunded <= paid),
  constraint orders_paid check ((paid_at is not null) = (state not in ('pending', 'canceled'))),
  constraint orders_paid_in_full check (state <> 'paid' or paid = total),
  constraint orders_refunded check (state <> 'refunded' or refunded = paid)
);
create index orders_user on orders (user_id, id desc);
create index orders_org_unit on orders (org_unit_id, id desc);
create index orders_subscription on orders (subscription_id);
-- A period of a subscription is charged once, whatever the number of tries.
create unique index orders_period on orders (subscription_id, period_start) where kind = 'renewal';
select has_states('orders', 'order');
select tenant_rls('orders');

create table instalments (
  order_id    uuid        not null references orders (id),
  n           smallint    not null check (n > 0),
  tenant_id   uuid        not null,
  amount      bigint      not null check (amount >= 0),
  due_at      timestamptz not null,
  state       text        not null,
  attempts    integer     not null default 0,
  next_try_at timestamptz,
  paid_at     timestamptz,
  primary key (order_id, n),
  constraint instalments_paid check ((state = 'paid') = (paid_at is not null))
);
create index instalments_due on instalments (next_try_at) where next_try_at is not null;
select has_states('instalments', 'instalment');
select tenant_rls('instalments');

-- Money that a provider says it took, or did not. A surplus one was paid although
-- nothing was due any more and goes back.
create table payments (
  id               uuid        primary key,
  tenant_id        uuid        not null,
  order_id         uuid        not null references orders (id),
  provider         text        not null,
  provider_payment text        not null,
  instalment       smallint,
  amount           bigint      not null check (amount >= 0),
  currency         text        not null,
  state            text        not null check (state in ('succeeded', 'failed', 'surplus')),
  failure          text        not null default '',
  refunded         bigint      not null default 0,
  created_at       timestamptz not null,
  constraint payments_once unique (provider, provider_payment),
  constraint payments_refunds check (refunded >= 0 and refunded <= amount)
);
create index payments_order on payments (order_id);
select tenant_rls('payments');

-- +goose StatementBegin
create function add_up_payments() returns trigger language plpgsql as $$
begin
  if new.state = 'succeeded' then
    update orders set paid = paid + new.amount where id = new.order_id;
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger payments_add_up after insert on payments for each row execute function add_up_payments();

create table refunds (
  id            uuid        primary key,
  tenant_id     uuid        not null,
  org_unit_id   uuid        not null,
  order_id      uuid        not null references orders (id),
  user_id       uuid        not null,
  kind          text        not null check (kind in ('self_service', 'staff', 'automatic')),
  amount        bigint      not null check (amount > 0),
  tax           bigint      not null default 0 check (tax between 0 and amount),
  currency      text        not null,
  reason        text        not null,
  note          text        not null default '',
  end_access    boolean     not null,
  requested_by  uuid,
  state         text        not null,
  failure       text        not null default '',
  completed_at  timestamptz,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  version       bigint      not null default 1,
  constraint refunds_completed check ((state = 'succeeded') = (completed_at is not null))
);
create index refunds_order on refunds (order_id);
create index refunds_pending on refunds (created_at) where state = 'pending';
select has_states('refunds', 'refund');
select tenant_rls('refunds');

-- Of which payment a refund gives back how much.
create table refund_parts (
  id              uuid   primary key,
  refund_id       uuid   not null references refunds (id),
  payment_id      uuid   not null references payments (id),
  tenant_id       uuid   not null,
  amount          bigint not null check (amount > 0),
  provider_refund text   not null default '',
  unique (refund_id, payment_id)
);
select tenant_rls('refund_parts');

-- What was refunded, or is about to be, is added up by the database: the locks of
-- order and payment and their checks hold Σ refunds ≤ paid also in parallel
-- (rule 33).
-- +goose StatementBegin
create function add_up_refunds() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    update orders set refunded = refunded + new.amount where id = new.order_id;
  elsif new.state = 'failed' and old.state <> 'failed' then
    update orders set refunded = refunded - new.amount where id = new.order_id;
    update payments p set refunded = p.refunded - r.amount from refund_parts r where r.refund_id = new.id and p.id = r.payment_id;
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger refunds_add_up after insert or update of state on refunds for each row execute function add_up_refunds();
-- +goose StatementBegin
create function add_up_refund_parts() returns trigger language plpgsql as $$
begin
  update payments set refunded = refunded + new.amount where id = new.payment_id;
  return null;
end
$$;
-- +goose StatementEnd
create trigger refund_parts_add_up after insert on refund_parts for each row execute function add_up_refund_parts();

create table seat_pools (
  id          uuid        primary key,
  tenant_id   uuid        not null,
  org_unit_id uuid        not null,
  plan_id     uuid        not null references plans (id),
  order_id    uuid        not null unique references orders (id),
  seats       integer     not null check (seats > 0),
  used        integer     not null default 0,
  state       text        not null,
  valid_until timestamptz,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  version     bigint      not null default 1,
  constraint seat_pools_seats check (used between 0 and seats)
);
create index seat_pools_org_unit on seat_pools (org_unit_id, id desc);
select has_states('seat_pools', 'pool');
select tenant_rls('seat_pools');

create table pool_seats (
  id          uuid        primary key,
  pool_id     uuid        not null references seat_pools (id),
  tenant_id   uuid        not null,
  user_id     uuid        not null,
  state       text        not null,
  reason      text        not null default '',
  assigned_by uuid,
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);
create unique index pool_seats_one on pool_seats (pool_id, user_id) where state = 'assigned';
create index pool_seats_user on pool_seats (user_id);
select has_states('pool_seats', 'seat');
select tenant_rls('pool_seats');

-- +goose StatementBegin
create function count_pool_seats() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    update seat_pools set used = used + 1 where id = new.pool_id;
  elsif new.state = 'released' and old.state = 'assigned' then
    update seat_pools set used = used - 1 where id = new.pool_id;
  end if;
  return null;
end
$$;
-- +goose StatementEnd
create trigger pool_seats_count after insert or update of state on pool_seats for each row execute function count_pool_seats();

-- A right to be in a course, as enrollment is told it.
create table entitlements (
  id               uuid        primary key,
  tenant_id        uuid        not null,
  org_unit_id      uuid        not null,
  user_id          uuid        not null,
  course_id        uuid        not null,
  plan_id          uuid        not null references plans (id),
  order_id         uuid        references orders (id),
  subscription_id  uuid        references subscriptions (id),
  seat_id          uuid        references pool_seats (id),
  hold_id          uuid,
  state            text        not null,
  reason           text        not null default '',
  keep_access      boolean     not null default false,
  valid_from       timestamptz not null,
  valid_until      timestamptz,
  told             text        not null check (told in ('pending', 'enrolled', 'known', 'refused')),
  refusal          text        not null default '',
  enrollment_id    uuid,
  certified        boolean     not null default false,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  version          bigint      not null default 1,
  constraint entitlements_source check (num_nonnulls(order_id, subscription_id, seat_id) >= 1),
  constraint entitlements_refusal check ((told = 'refused') = (refusal <> ''))
);
create unique index entitlements_order on entitlements (order_id, course_id) where order_id is not null and subscription_id is null;
create unique index entitlements_subscription on entitlements (subscription_id, course_id) where subscription_id is not null and state = 'granted';
create unique index entitlements_seat on entitlements (seat_id, course_id) where seat_id is not null;
create index entitlements_user on entitlements (user_id, id desc);
create index entitlements_course on entitlements (course_id, id);
select has_states('entitlements', 'entitlement');
select tenant_rls('entitlements');

-- Events of providers that had their effect, or their refusal: each once.
create table webhook_events (
  provider    text        not null,
  event_id    text        not null,
  tenant_id   uuid,
  type        text        not null,
  outcome     text        not null,
  received_at timestamptz not null,
  primary key (provider, event_id)
);
create index webhook_events_received on webhook_events (received_at);
alter table webhook_events enable row level security;
create policy tenant on webhook_events using (tenant_id is null or tenant_visible(tenant_id)) with check (tenant_id is null or tenant_visible(tenant_id));
