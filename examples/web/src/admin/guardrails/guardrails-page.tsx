import { GuardedAgentsDocument, GuardedScenariosDocument } from '../generated/graphql.ts';
import type { PageProps } from '../pages.ts';
import { AdminLink } from '../parts/link.tsx';
import { Page } from '../parts/page.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { GuardrailEditor } from './guardrail-editor.tsx';

/** Guardrails: `/admin/guardrails`, and those of an agent or a scenario at `/admin/guardrails/<id>`. */
export function GuardrailsPage({ path: [id] }: PageProps) {
  return id === undefined ? <Owners /> : <GuardrailEditor id={id} />;
}

/** Whose guardrails there can be. */
function Owners() {
  return (
    <Page title="Guardrails">
      <p className="muted lead">
        The guardrails of a scenario hold for all of its agents, and come before those of an agent.
      </p>
      <Table caption="Guardrails" columns={['Of', 'Kind', 'Guardrails']}>
        <Rows
          query={GuardedScenariosDocument}
          variables={{}}
          type="Scenario"
          read={(data) => data.scenarios}
          empty="There is no scenario yet. Make one on the page Scenarios, and give it guardrails here."
          row={(node) => <OwnerRow key={node.id} owner={node} kind="Scenario" />}
        />
        <Rows
          query={GuardedAgentsDocument}
          variables={{}}
          type="Agent"
          read={(data) => data.agents}
          empty="There is no agent yet. Make one on the page Agents, and give it guardrails here."
          row={(node) => <OwnerRow key={node.id} owner={node} kind="Agent" />}
        />
      </Table>
    </Page>
  );
}

interface OwnerRowProps {
  readonly owner: {
    readonly id: string;
    readonly name: string;
    readonly guardrails: readonly { readonly name: string }[];
  };
  readonly kind: string;
}

function OwnerRow({ owner, kind }: OwnerRowProps) {
  return (
    <tr>
      <th scope="row">
        <AdminLink to={['guardrails', owner.id]}>
          <bdi>{owner.name}</bdi>
        </AdminLink>
      </th>
      <td>{kind}</td>
      <td className="words">
        {owner.guardrails.map(({ name }) => name).join(', ') || <span className="muted">none</span>}
      </td>
    </tr>
  );
}
