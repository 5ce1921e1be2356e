import { readFragment } from '../generated/fragment-masking.ts';
import { AgentListDocument, AgentRowFragmentDoc } from '../generated/graphql.ts';
import { AdminLink } from '../parts/link.tsx';
import { Page } from '../parts/page.tsx';
import { Badge } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';

/** All agents that the viewer can use. */
export function AgentList() {
  return (
    <Page
      title="Agents"
      actions={
        <AdminLink className="button primary" to={['agents', 'new']}>
          New agent
        </AdminLink>
      }
    >
      <Table caption="Agents" columns={['Name', 'Model', 'State', 'Description']}>
        <Rows
          query={AgentListDocument}
          variables={{}}
          type="Agent"
          read={(data) => data.agents}
          empty="There is no agent yet. Make one with New agent."
          row={(node) => {
            const agent = readFragment(AgentRowFragmentDoc, node);
            return (
              <tr key={agent.id}>
                <th scope="row">
                  <AdminLink to={['agents', agent.id]}>
                    <bdi>{agent.name}</bdi>
                  </AdminLink>
                </th>
                <td>
                  {agent.llm.model} <span className="muted">{agent.llm.provider}</span>
                </td>
                <td>
                  <span className="badges">
                    {agent.isDefault && <Badge tone="good">default</Badge>}
                    {!agent.isActive && <Badge tone="warn">off</Badge>}
                    <Badge>{agent.isShared ? 'shared' : 'mine'}</Badge>
                  </span>
                </td>
                <td className="words muted" dir="auto">
                  {agent.description}
                </td>
              </tr>
            );
          }}
        />
      </Table>
    </Page>
  );
}
