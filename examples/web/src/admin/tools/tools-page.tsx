import type { PageProps } from '../pages.ts';
import { Page } from '../parts/page.tsx';
import { EndpointEditor } from './endpoint-editor.tsx';
import { HttpToolForm } from './http-tool-form.tsx';
import { McpServerForm } from './mcp-server-form.tsx';
import { backToTools, ToolList } from './tool-list.tsx';
import { ToolTryout } from './tool-tryout.tsx';

/** Tools: `/admin/tools`, `/admin/tools/try/<name>`, `/admin/tools/http/new`, `/admin/tools/mcp/new`, `/admin/tools/edit/<id>`. */
export function ToolsPage({ path: [what, which = ''] }: PageProps) {
  switch (what) {
    case undefined:
      return <ToolList />;
    case 'try':
      return <ToolTryout name={which} />;
    case 'http':
      return (
        <Page title="New HTTP tool" back={backToTools}>
          <HttpToolForm tool={null} />
        </Page>
      );
    case 'mcp':
      return (
        <Page title="New MCP server" back={backToTools}>
          <McpServerForm server={null} />
        </Page>
      );
    default:
      return <EndpointEditor id={which} />;
  }
}
