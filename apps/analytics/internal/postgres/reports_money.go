package postgres

// Statements of the reports about money and searches. $1 are courses, $2 org units
// and $3 people, null for no limit.
const (
	forMoney = `($1::uuid[] is null or course_id = any ($1)) and ($2::uuid[] is null or org_unit_id = any ($2)) and ($3::uuid[] is null or user_id = any ($3))`

	sums = `count(*) filter (where kind = 'payment') as payments, coalesce(sum(amount) filter (where kind = 'payment'), 0)::bigint as gross,
    coalesce(sum(tax) filter (where kind = 'payment'), 0)::bigint as tax, count(*) filter (where kind = 'refund') as refunds,
    coalesce(sum(amount) filter (where kind = 'refund'), 0)::bigint as refunded,
    coalesce(sum(case kind when 'payment' then amount else -amount end), 0)::bigint as net`

	revenueSQL = `
with money as (select * from payments where at >= ($4::timestamptz[])[1] and at < ($4::timestamptz[])[cardinality($4::timestamptz[])] and ` + forMoney + `)
select b, y.currency, coalesce(x.payments, 0), coalesce(x.gross, 0), coalesce(x.tax, 0), coalesce(x.refunds, 0), coalesce(x.refunded, 0), coalesce(x.net, 0)
from generate_series(1, cardinality($4::timestamptz[]) - 1) as b
cross join (select distinct currency from money) y
left join (select width_bucket(at, $4::timestamptz[]) as b, currency, ` + sums + ` from money group by 1, 2) x using (b, currency)
order by b, y.currency limit $5`

	revenueByPlanSQL = `
select s.plan_id, coalesce(p.name, ''), coalesce(p.kind, ''), s.currency, s.payments, s.gross, s.tax, s.refunds, s.refunded, s.net
from (select plan_id, currency, ` + sums + ` from payments where at >= $4 and at < $5 and ` + forMoney + ` group by 1, 2) s
left join plans p using (plan_id)
order by s.net desc, s.plan_id, s.currency limit $6`

	// A change holds until the next one of its subscription.
	mrrSQL = `
with changes as (
  select state, currency, monthly, at, lead(at) over (partition by subscription_id order by seq) as until
  from subscription_changes where ` + forMoney + `
), ends as (select * from unnest($4::timestamptz[]) with ordinality as e (bound, b))
select e.b, y.currency, count(c.currency), coalesce(sum(c.monthly), 0)::bigint
from ends e cross join (select distinct currency from changes) y
left join changes c on c.currency = y.currency and c.state in ('active', 'past_due') and c.at < e.bound and coalesce(c.until >= e.bound, true)
group by e.b, y.currency order by e.b, y.currency limit $5`

	searchTermsSQL = `
select term, sum(searches)::bigint as n, sum(without_result)::bigint as none
from search_terms where slot >= $1 and slot < $2
group by term order by none desc, n desc, term limit $3`
)
