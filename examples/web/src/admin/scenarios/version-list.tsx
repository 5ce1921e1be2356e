import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import { ScenarioVersionListDocument, ScenarioVersionRowFragmentDoc } from '../generated/graphql.ts';
import { AdminLink } from '../parts/link.tsx';
import { formatMoment } from '../parts/moment.ts';
import { Page } from '../parts/page.tsx';
import { Badge } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';

/** What a scenario was before: each version with who has made it, and when. */
export function VersionList({ id }: { readonly id: string }) {
  const [{ data }] = useQuery({ query: ScenarioVersionListDocument, variables: { id, after: null } });
  const scenario = data?.scenario;
  return (
    <Page title="History" back={{ to: ['scenarios', id], title: scenario?.name ?? 'Scenario' }}>
      <Table caption="Versions" columns={['Version', 'Name', 'Made', 'By', 'What']}>
        <Rows
          query={ScenarioVersionListDocument}
          variables={{ id }}
          type="ScenarioVersion"
          read={(page) => page.scenario?.versions}
          empty="No version is stored."
          row={(node) => {
            const { version, name, createdAt, changedBy, restoredFrom } = readFragment(
              ScenarioVersionRowFragmentDoc,
              node,
            );
            return (
              <tr key={version}>
                <th scope="row">
                  <AdminLink to={['scenarios', id, 'versions', String(version)]}>Version {version}</AdminLink>
                </th>
                <td>
                  <bdi>{name}</bdi>
                </td>
                <td>
                  <time dateTime={createdAt}>{formatMoment(createdAt)}</time>
                </td>
                <td>{changedBy ? <bdi>{changedBy}</bdi> : <span className="muted">the server</span>}</td>
                <td>
                  {version === scenario?.version && <Badge tone="good">present</Badge>}
                  {restoredFrom && <Badge>restored from {restoredFrom}</Badge>}
                </td>
              </tr>
            );
          }}
        />
      </Table>
    </Page>
  );
}
