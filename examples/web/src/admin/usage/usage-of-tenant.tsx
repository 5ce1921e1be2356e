import { useState } from 'react';
import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  TenantUsageDocument,
  type TenantUsageQuery,
  UsageCountsFragmentDoc,
  type UsageDimension,
} from '../generated/graphql.ts';
import { SelectField } from '../parts/form.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { Chart, type Share } from './chart.tsx';
import { fillDays, listDays } from './days.ts';

const dimensions = [
  ['DAY', 'day'],
  ['AGENT', 'agent'],
  ['USER', 'user'],
  ['MODEL', 'model'],
] as const satisfies readonly (readonly [UsageDimension, string])[];

const ranges = [
  ['7', 'the last 7 days'],
  ['14', 'the last 14 days'],
  ['30', 'the last 30 days'],
  ['90', 'the last 90 days'],
  ['365', 'the last 365 days'],
] as const;

/** More bars than that help nobody: the rest is one of them. */
const maxBars = 25;

const { timeZone } = Intl.DateTimeFormat().resolvedOptions();

type Range = (typeof ranges)[number][0];

/** The tokens of all users, by what the person chooses. */
export function UsageOfTenant() {
  const [by, setBy] = useState<UsageDimension>('DAY');
  const [range, setRange] = useState<Range>('14');
  return (
    <>
      <search className="bar">
        <SelectField label="By" path="by" value={by} options={dimensions} onChange={setBy} />
        <SelectField label="In" path="from" value={range} options={ranges} onChange={setRange} />
      </search>
      <Bars key={`${by} ${range}`} by={by} range={range} />
    </>
  );
}

function Bars({ by, range }: { readonly by: UsageDimension; readonly range: Range }) {
  const [days] = useState(() => listDays(Number(range), new Date()));
  const isByDay = by === 'DAY';
  const [{ data, error }] = useQuery({
    query: TenantUsageDocument,
    variables: {
      from: days[0]?.toISOString() ?? '',
      by: [by],
      timeZone,
      orderBy: isByDay ? 'KEY' : 'TOKENS',
      first: isByDay ? days.length : maxBars,
    },
  });
  if (error) return <Problem error={error} />;
  const usage = data?.tenantUsage;
  if (!usage) return <Loading />;
  const name = dimensions.find(([value]) => value === by)?.[1] ?? '';
  return (
    <>
      <Sum usage={usage} />
      <Chart
        caption={`Tokens by ${name}`}
        of={name.charAt(0).toUpperCase() + name.slice(1)}
        shares={isByDay ? fillDays(days, listShares(usage)) : withRest(listShares(usage), usage)}
      />
    </>
  );
}

type Usage = NonNullable<TenantUsageQuery['tenantUsage']>;

function Sum({ usage }: { readonly usage: Usage }) {
  const { inputTokens, outputTokens, modelCalls, unreportedCalls } = readFragment(UsageCountsFragmentDoc, usage.totals);
  return (
    <p className="hint">
      All users have used {(inputTokens + outputTokens).toLocaleString()} tokens in {modelCalls.toLocaleString()} model
      calls.
      {unreportedCalls > 0 &&
        ` ${unreportedCalls.toLocaleString()} of the calls have not reported theirs: there were more.`}
    </p>
  );
}

function listShares({ edges }: Usage): readonly Share[] {
  return edges.map(({ node: { day, agent, userId, model, usage } }) => {
    const counts = readFragment(UsageCountsFragmentDoc, usage);
    const id = day ?? agent?.id ?? userId ?? model ?? '';
    const name = agent ? (agent.name ?? 'an agent of a user’s own') : id || 'no agent';
    return { ...counts, id, name };
  });
}

/** The shares that are shown, and one for all others. */
function withRest(shares: readonly Share[], { totals, totalCount }: Usage): readonly Share[] {
  if (totalCount <= shares.length) return shares;
  const all = readFragment(UsageCountsFragmentDoc, totals);
  const less = (key: 'modelCalls' | 'inputTokens' | 'outputTokens') =>
    all[key] - shares.reduce((sum, share) => sum + share[key], 0);
  const rest = { modelCalls: less('modelCalls'), inputTokens: less('inputTokens'), outputTokens: less('outputTokens') };
  return [...shares, { id: 'rest', name: `${(totalCount - shares.length).toLocaleString()} more`, ...rest }];
}
