import { readFragment } from '../generated/fragment-masking.ts';
import { ScenarioListDocument, ScenarioRowFragmentDoc } from '../generated/graphql.ts';
import { AdminLink } from '../parts/link.tsx';
import { Page } from '../parts/page.tsx';
import { Badge } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';

/** All scenarios. */
export function ScenarioList() {
  return (
    <Page
      title="Scenarios"
      actions={
        <AdminLink className="button primary" to={['scenarios', 'new']}>
          New scenario
        </AdminLink>
      }
    >
      <Table caption="Scenarios" columns={['Name', 'Key', 'Agents', 'Version', 'Description']} numbers={['Version']}>
        <Rows
          query={ScenarioListDocument}
          variables={{}}
          type="Scenario"
          read={(data) => data.scenarios}
          empty="There is no scenario yet. Make one of shared agents with New scenario."
          row={(node) => {
            const scenario = readFragment(ScenarioRowFragmentDoc, node);
            return (
              <tr key={scenario.id}>
                <th scope="row">
                  <AdminLink to={['scenarios', scenario.id]}>
                    <bdi>{scenario.name}</bdi>
                  </AdminLink>
                </th>
                <td>
                  {scenario.key} {!scenario.isActive && <Badge tone="warn">off</Badge>}
                </td>
                <td>
                  {scenario.agents.length}, from <bdi>{scenario.rootAgent.name}</bdi>
                </td>
                <td className="number">{scenario.version}</td>
                <td className="words muted" dir="auto">
                  {scenario.description}
                </td>
              </tr>
            );
          }}
        />
      </Table>
    </Page>
  );
}
