import { useQuery } from 'urql';
import { readFragment } from '../generated/fragment-masking.ts';
import {
  DeleteHttpToolDocument,
  DeleteMcpServerDocument,
  EndpointToEditDocument,
  HttpToolDetailsFragmentDoc,
  McpServerDetailsFragmentDoc,
} from '../generated/graphql.ts';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { AdminLink } from '../parts/link.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Loading, Problem } from '../parts/states.tsx';
import { useChange } from '../parts/use-change.ts';
import { openAdmin } from '../route.ts';
import { HttpToolForm } from './http-tool-form.tsx';
import { McpServerForm } from './mcp-server-form.tsx';
import { StatusBadge } from './status-badge.tsx';
import { backToTools } from './tool-list.tsx';

/** An HTTP tool or an MCP server. */
export function EndpointEditor({ id }: { readonly id: string }) {
  const [{ data, error, fetching }, read] = useQuery({ query: EndpointToEditDocument, variables: { id } });
  const node = data?.node;
  const removeTool = useChange(DeleteHttpToolDocument, ['HttpTool', 'Tool']);
  const removeServer = useChange(DeleteMcpServerDocument, ['McpServer', 'Tool']);
  const refusal = removeTool.refusal ?? removeServer.refusal;
  const problem = refusal && (
    <p className="problem" role="alert">
      {refusal.message}
    </p>
  );
  if (node?.__typename === 'HttpTool') {
    const tool = readFragment(HttpToolDetailsFragmentDoc, node);
    const remove = async () => (await removeTool.run({ id })) && openAdmin('tools');
    return (
      <Page
        title={tool.name}
        back={backToTools}
        actions={
          <>
            <AdminLink className="button" to={['tools', 'try', tool.name]}>
              Try it
            </AdminLink>
            <ConfirmButton label="Delete" question={`Delete the tool ${tool.name}?`} act={remove} />
          </>
        }
      >
        {problem}
        <HttpToolForm tool={tool} />
      </Page>
    );
  }
  if (node?.__typename === 'McpServer') {
    const server = readFragment(McpServerDetailsFragmentDoc, node);
    const remove = async () => (await removeServer.run({ id })) && openAdmin('tools');
    return (
      <Page
        title={server.name}
        back={backToTools}
        actions={
          <>
            <StatusBadge status={server.status} />
            <button
              type="button"
              className="button"
              aria-disabled={fetching}
              onClick={() => read({ requestPolicy: 'network-only' })}
            >
              Look again
            </button>
            <ConfirmButton label="Delete" question={`Delete the server ${server.name}?`} act={remove} />
          </>
        }
      >
        {problem}
        <McpServerForm server={server} />
        <Section title="Its tools">
          {server.tools.length === 0 && <p className="muted">None are known yet.</p>}
          <ul className="tool-names">
            {server.tools.map(({ name, description }) => (
              <li key={name}>
                <AdminLink to={['tools', 'try', name]}>{name}</AdminLink> <span className="muted">{description}</span>
              </li>
            ))}
          </ul>
        </Section>
      </Page>
    );
  }
  return error ? <Problem error={error} /> : <Loading />;
}
