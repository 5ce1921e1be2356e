import { useQuery } from 'urql';
import { HttpToolListDocument, McpServerListDocument, ToolListDocument } from '../generated/graphql.ts';
import { AdminLink } from '../parts/link.tsx';
import { Page, Section } from '../parts/page.tsx';
import { Badge, Loading, Problem } from '../parts/states.tsx';
import { Rows, Table } from '../parts/table.tsx';
import { StatusBadge } from './status-badge.tsx';

export const backToTools = { to: ['tools'], title: 'Tools' };

/** All tools that agents can be given, and the HTTP tools and MCP servers of the tenant. */
export function ToolList() {
  return (
    <Page
      title="Tools"
      actions={
        <>
          <AdminLink className="button" to={['tools', 'mcp', 'new']}>
            New MCP server
          </AdminLink>
          <AdminLink className="button primary" to={['tools', 'http', 'new']}>
            New HTTP tool
          </AdminLink>
        </>
      }
    >
      <AllTools />
      <Section title="HTTP tools">
        <Table caption="HTTP tools" columns={['Name', 'Request']}>
          <Rows
            query={HttpToolListDocument}
            variables={{}}
            type="HttpTool"
            read={(data) => data.httpTools}
            empty="There is none yet. With New HTTP tool, agents call an address of yours."
            row={(tool) => (
              <tr key={tool.id}>
                <th scope="row">
                  <AdminLink to={['tools', 'edit', tool.id]}>{tool.name}</AdminLink>{' '}
                  {!tool.isActive && <Badge tone="warn">off</Badge>}
                </th>
                <td className="words">
                  {tool.method} <bdi>{tool.url}</bdi>
                </td>
              </tr>
            )}
          />
        </Table>
      </Section>
      <Section title="MCP servers">
        <Table caption="MCP servers" columns={['Name', 'State', 'Tools', 'Address']} numbers={['Tools']}>
          <Rows
            query={McpServerListDocument}
            variables={{}}
            type="McpServer"
            read={(data) => data.mcpServers}
            empty="There is none yet. With New MCP server, agents get the tools of a server."
            row={(server) => (
              <tr key={server.id}>
                <th scope="row">
                  <AdminLink to={['tools', 'edit', server.id]}>{server.name}</AdminLink>
                </th>
                <td>
                  <StatusBadge status={server.status} />
                </td>
                <td className="number">{server.tools.length}</td>
                <td className="words">
                  <bdi>{server.url}</bdi>
                </td>
              </tr>
            )}
          />
        </Table>
      </Section>
    </Page>
  );
}

function AllTools() {
  const [{ data, error }] = useQuery({ query: ToolListDocument });
  if (error) return <Problem error={error} />;
  if (!data) return <Loading />;
  return (
    <Table caption="Tools" columns={['Name', 'From', 'State', 'Description']}>
      <tbody>
        {data.tools.map((tool) => (
          <tr key={tool.name}>
            <th scope="row">
              <AdminLink to={['tools', 'try', tool.name]}>{tool.name}</AdminLink>
            </th>
            <td>{{ BUILTIN: 'server', HTTP: 'HTTP', MCP: 'MCP' }[tool.source]}</td>
            <td>
              {tool.problem ? <Badge tone="bad">{tool.problem}</Badge> : <Badge tone="good">ready</Badge>}{' '}
              {tool.requiresApproval && <Badge>asks</Badge>}
            </td>
            <td className="words muted">{tool.description}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}
