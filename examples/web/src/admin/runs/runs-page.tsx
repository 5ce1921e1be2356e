import { useState } from 'react';
import { useQuery } from 'urql';
import { useSettled } from '../../use-settled.ts';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  RunFiltersDocument,
  type RunRowFragment,
  RunRowFragmentDoc,
  type RunStatus,
  TenantRunsDocument,
} from '../generated/graphql.ts';
import type { PageProps } from '../pages.ts';
import { SelectField, TextField } from '../parts/form.tsx';
import { AdminLink } from '../parts/link.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page } from '../parts/page.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { Outcome, outcomeChoices } from './outcome.tsx';
import { RunView } from './run-view.tsx';
import { formatTime } from './timeline.ts';

/** `/admin/runs`: the runs of all users; with an id, one of them. */
export function RunsPage({ path: [id] }: PageProps) {
  return id === undefined ? <Runs /> : <RunView id={id} />;
}

const hour = 3_600_000;
const times = [
  ['', 'any time'],
  [String(hour), 'the last hour'],
  [String(24 * hour), 'the last day'],
  [String(7 * 24 * hour), 'the last 7 days'],
] as const;

function Runs() {
  const [{ data }] = useQuery({ query: RunFiltersDocument });
  const [status, setStatus] = useState<RunStatus | ''>('');
  const [agentId, setAgent] = useState('');
  const [user, setUser] = useState('');
  const [time, setTime] = useState<(typeof times)[number][0]>('');
  const [from, setFrom] = useState<string | null>(null);
  const userId = useSettled(user.trim());
  const variables = {
    status: status ? [status] : null,
    agentId: agentId || null,
    userId: userId || null,
    from,
  };
  const agents = data?.agents.edges.map(({ node }) => [node.id, node.name] as const) ?? [];
  return (
    <Page title="Runs">
      <search className="bar">
        <SelectField
          label="Outcome"
          path="status"
          value={status}
          options={[['', 'any'], ...outcomeChoices]}
          onChange={setStatus}
        />
        <SelectField
          label="Agent"
          path="agentId"
          value={agentId}
          options={[['', 'any'], ...agents]}
          onChange={setAgent}
        />
        <TextField label="User" path="userId" value={user} onChange={setUser} />
        <SelectField
          label="Began in"
          path="from"
          value={time}
          options={times}
          onChange={(chosen) => {
            setTime(chosen);
            setFrom(chosen ? new Date(Date.now() - Number(chosen)).toISOString() : null);
          }}
        />
      </search>
      <Table
        caption="Runs"
        columns={['Began', 'User', 'Agent', 'Outcome', 'Took', 'Model calls', 'Tokens']}
        numbers={['Took', 'Model calls', 'Tokens']}
      >
        <Rows
          key={JSON.stringify(variables)}
          query={TenantRunsDocument}
          variables={variables}
          type="TenantRun"
          read={({ tenantRuns }) => tenantRuns}
          empty="No run is like that. Choose other filters, or ask something in the chat."
          row={(node) => {
            const run = readFragment(RunRowFragmentDoc, node);
            return <RunRow key={run.id} run={run} />;
          }}
        />
      </Table>
    </Page>
  );
}

function RunRow({ run }: { readonly run: RunRowFragment }) {
  const { id, userId, agent, status, errorCode, createdAt, durationMs, usage } = run;
  return (
    <tr>
      <td className="when">
        <AdminLink to={['runs', id]}>{formatMoment(createdAt)}</AdminLink>
      </td>
      <td dir="auto">{userId}</td>
      <td dir="auto">{nameAgent(agent) ?? '–'}</td>
      <td>
        <Outcome status={status} /> {errorCode && <span className="hint">{errorCode}</span>}
      </td>
      <td className="number">{durationMs == null ? '–' : formatTime(durationMs)}</td>
      <td className="number">{usage.modelCalls.toLocaleString()}</td>
      <td className="number">{usage.totalTokens.toLocaleString()}</td>
    </tr>
  );
}

/** The name of an agent; that of another user's own agent is for nobody else. */
function nameAgent(agent: RunRowFragment['agent']): string | null {
  return agent ? (agent.name ?? 'an agent of their own') : null;
}
