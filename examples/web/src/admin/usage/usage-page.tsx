import { useEffect, useState } from 'react';
import { type CombinedError, useClient, useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  UsageCountsFragmentDoc,
  UsageOfRunsDocument,
  UsagePageDocument,
  UsageSinceDocument,
} from '../generated/graphql.ts';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { sumByAgent } from './by-agent.ts';
import { Chart, type Share } from './chart.tsx';
import { type Counts, listDays, takeDays } from './days.ts';

const dayNames = new Intl.DateTimeFormat(undefined, { weekday: 'short', month: 'short', day: 'numeric' });

/** `/admin/usage`: the tokens of the viewer by day, agent and conversation, and the budgets of today. */
export function UsagePage() {
  return (
    <Page title="Usage">
      <p className="hint">Tokens of your own turns: the server counts them for each user.</p>
      <Section title="By day">
        <Days />
      </Section>
      <Section title="By agent, in your latest runs">
        <Agents />
      </Section>
      <Rest />
    </Page>
  );
}

function Days() {
  const { shares, error } = useDays(14);
  if (error) return <Problem error={error} />;
  return shares ? <Chart caption="Tokens by day" of="Day" shares={shares} /> : <Loading />;
}

/** Asks for the count since each of the days, and takes from each what came later. */
function useDays(count: number): { readonly shares: readonly Share[] | null; readonly error: CombinedError | null } {
  const client = useClient();
  const [shares, setShares] = useState<readonly Share[] | null>(null);
  const [error, setError] = useState<CombinedError | null>(null);
  useEffect(() => {
    let isLeft = false;
    const read = async () => {
      const days = listDays(count, new Date());
      const since: Counts[] = [];
      const answers = await Promise.all(
        days.map((day) =>
          client.query(UsageSinceDocument, { since: day.toISOString() }, { requestPolicy: 'network-only' }),
        ),
      );
      if (isLeft) return;
      for (const { data, error: refusal } of answers) {
        if (!data) return setError(refusal ?? null);
        since.push(readFragment(UsageCountsFragmentDoc, data.viewer.usage));
      }
      setShares(takeDays(since).map((counts, index) => ({ name: dayNames.format(days[index]), ...counts })));
    };
    void read();
    return () => {
      isLeft = true;
    };
  }, [client, count]);
  return { shares, error };
}

function Agents() {
  const [{ data, error }] = useQuery({ query: UsageOfRunsDocument });
  if (error) return <Problem error={error} />;
  if (!data) return <Loading />;
  const runs = data.conversations.edges.flatMap(({ node }) => node.runs.edges.map((edge) => edge.node));
  const shares = sumByAgent(
    runs.map(({ agent, usage }) => ({ name: agent?.name, ...readFragment(UsageCountsFragmentDoc, usage) })),
  );
  return <Chart caption="Tokens by agent" of="Agent that was active last" shares={shares} />;
}

function Rest() {
  const [{ data, error }] = useQuery({ query: UsagePageDocument });
  if (error) return <Problem error={error} />;
  if (!data) return <Loading />;
  const { viewer, conversations } = data;
  const shares = conversations.edges.map(({ node }) => ({
    id: node.id,
    name: node.title,
    ...readFragment(UsageCountsFragmentDoc, node.usage),
  }));
  return (
    <>
      <Section title="By conversation">
        <Chart caption="Tokens of the conversations that were used last" of="Conversation" shares={shares} />
      </Section>
      <Section title="Budgets of today">
        {viewer.tokenBudgets.length === 0 && <p className="muted">There are none.</p>}
        {viewer.tokenBudgets.map(({ scope, usedTokens, dailyTokens, resetAt }) => (
          <p key={scope}>
            {scope === 'USER' ? 'You have' : 'All users have'} used {usedTokens.toLocaleString()} of{' '}
            {dailyTokens.toLocaleString()} tokens. The next day begins {formatMoment(resetAt)}.
          </p>
        ))}
      </Section>
    </>
  );
}
