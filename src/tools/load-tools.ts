import type { Viewer } from '../auth/viewer.ts';
import type { HttpTool, McpServer, Secret } from '../generated/prisma/client.ts';
import { openSecret } from '../secrets/stored-secrets.ts';
import { readHeaders } from './headers.ts';
import type { ToolHost } from './host.ts';
import type { HttpToolDefinition } from './http-tool.ts';
import type { McpDefinition } from './mcp-config.ts';

/** What a tenant has of its own, secrets opened. It never leaves the server. */
export interface TenantTools {
  readonly httpTools: readonly HttpToolDefinition[];
  readonly mcpServers: readonly McpDefinition[];
}

/**
 * The active HTTP tools and MCP servers of the viewer's tenant, out of the cache; one statement where they are not in it.
 * @param onLoad is told what was loaded anew
 */
export function loadTenantTools(
  viewer: Viewer,
  host: ToolHost,
  onLoad: (tools: TenantTools) => void,
): Promise<TenantTools> {
  const { tenantId } = viewer;
  return host.config.get(tenantId, 'tools', async () => {
    const active = { where: { isActive: true }, orderBy: { name: 'asc' }, include: { secrets: true } } as const;
    const tenant = await host.db.tenant.findUnique({
      where: { id: tenantId },
      select: { tools: active, mcpServers: active },
    });
    const tools = {
      httpTools: await Promise.all((tenant?.tools ?? []).map((row) => defineHttpTool(host, row))),
      mcpServers: (await Promise.all((tenant?.mcpServers ?? []).map((row) => defineMcpServer(host, row)))).flat(),
    };
    onLoad(tools);
    return tools;
  });
}

async function defineHttpTool(
  host: ToolHost,
  row: HttpTool & { readonly secrets: readonly Secret[] },
): Promise<HttpToolDefinition> {
  const { name, description, method, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles } = row;
  return {
    ...{ name, description, method, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles },
    parameters: readParameters(row.parameters),
    headers: await openHeaders(host, row, new URL(url.replaceAll(/[{}]/g, '')).origin),
    secretNames: row.secrets.map((secret) => secret.name),
  };
}

async function defineMcpServer(
  host: ToolHost,
  row: McpServer & { readonly secrets: readonly Secret[] },
): Promise<McpDefinition[]> {
  const { name, tenantId, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles } = row;
  const headers = await openHeaders(host, row, new URL(url).origin);
  // Without its secrets it would only answer that it does not know who asks.
  if (headers === null) return [];
  const address = { kind: 'http', url, headers, guarded: true } as const;
  const secretNames = row.secrets.map((secret) => secret.name);
  return [{ name, tenantId, address, secretNames, timeoutMs, maxResultLength, requiresApproval, requiredRoles }];
}

/** All headers of a row; null where a secret one cannot be read. A secret that is for another origin stays out. */
async function openHeaders(
  host: ToolHost,
  row: { readonly name: string; readonly headers: unknown; readonly secrets: readonly Secret[] },
  origin: string,
): Promise<Record<string, string> | null> {
  const headers = readHeaders(row.headers);
  try {
    for (const secret of row.secrets) {
      if (secret.origin === origin) headers[secret.name] = await openSecret(host.keys, secret);
    }
    return headers;
  } catch (error) {
    host.logger.error({ err: error, tool: row.name }, 'the secrets of a tool cannot be read');
    return null;
  }
}

/** The column of a JSON Schema: it was checked when it was written. */
function readParameters(column: unknown): Record<string, unknown> {
  if (typeof column !== 'object' || column === null || Array.isArray(column)) return { type: 'object' };
  return { ...column };
}
