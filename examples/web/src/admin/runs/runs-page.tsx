import { readFragment } from '../generated/fragment-masking.ts';
import { LatestRunsDocument, RunRowFragmentDoc } from '../generated/graphql.ts';
import type { PageProps } from '../pages.ts';
import { AdminLink } from '../parts/link.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page } from '../parts/page.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { Outcome } from './outcome.tsx';
import { RunView } from './run-view.tsx';
import { formatTime } from './timeline.ts';

/** `/admin/runs`: the latest runs; with an id, one of them. */
export function RunsPage({ path: [id] }: PageProps) {
  return id === undefined ? <Runs /> : <RunView id={id} />;
}

function Runs() {
  return (
    <Page title="Runs">
      <p className="hint">
        The last five runs of each of your conversations. Those of other users are not yours to read.
      </p>
      <Table caption="Runs" columns={['Began', 'Conversation', 'Agent', 'Outcome', 'Took', 'Model calls', 'Tokens']}>
        <Rows
          query={LatestRunsDocument}
          variables={{}}
          type="Run"
          read={({ conversations }) => conversations}
          empty="Nobody has asked anything yet."
          row={({ title, runs }) =>
            readFragment(
              RunRowFragmentDoc,
              runs.edges.map(({ node }) => node),
            )
              .toReversed()
              .map(({ id, createdAt, startedAt, finishedAt, agent, status, usage }) => (
                <tr key={id}>
                  <td className="when">
                    <AdminLink to={['runs', id]}>{formatMoment(createdAt)}</AdminLink>
                  </td>
                  <td dir="auto">{title}</td>
                  <td dir="auto">{agent?.name ?? '–'}</td>
                  <td>
                    <Outcome status={status} />
                  </td>
                  <td className="number">
                    {startedAt && finishedAt ? formatTime(Date.parse(finishedAt) - Date.parse(startedAt)) : '–'}
                  </td>
                  <td className="number">{usage.modelCalls.toLocaleString()}</td>
                  <td className="number">{usage.totalTokens.toLocaleString()}</td>
                </tr>
              ))
          }
        />
      </Table>
    </Page>
  );
}
