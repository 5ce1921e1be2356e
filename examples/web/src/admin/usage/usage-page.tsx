import { useQuery } from 'urql';
import { UsagePageDocument } from '../generated/graphql.ts';
import { formatMoment } from '../parts/moment.ts';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { Chart } from './chart.tsx';
import { UsageOfTenant } from './usage-of-tenant.tsx';

/** `/admin/usage`: the tokens of the tenant by day, agent, user and model, the viewer's conversations, and the budgets of today. */
export function UsagePage() {
  return (
    <Page title="Usage">
      <UsageOfTenant />
      <Rest />
    </Page>
  );
}

function Rest() {
  const [{ data, error }] = useQuery({ query: UsagePageDocument });
  if (error) return <Problem error={error} />;
  if (!data) return <Loading />;
  const { viewer, conversations } = data;
  const shares = conversations.edges.map(({ node: { id, title, usage } }) => ({ id, name: title, ...usage }));
  return (
    <>
      <Section title="Your conversations">
        <Chart caption="Tokens of the conversations that you used last" of="Conversation" shares={shares} />
      </Section>
      <Section title="Budgets of today">
        {viewer.tokenBudgets.length === 0 && (
          <p className="muted">
            There are none. The operator sets them with <code>TOKEN_BUDGET_PER_USER_DAILY</code> and{' '}
            <code>TOKEN_BUDGET_PER_TENANT_DAILY</code>.
          </p>
        )}
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
