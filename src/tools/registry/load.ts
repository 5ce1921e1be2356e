import type { Viewer } from '../../auth/viewer.ts';
import type { HttpTool, McpServer, Secret } from '../../generated/prisma/client.ts';
import { openSecret } from '../../secrets/stored-secrets.ts';
import { readHeaders } from '../contract/headers.ts';
import type { HttpToolDefinition } from '../http/definition.ts';
import type { McpDefinition } from '../mcp/config.ts';
import type { ToolDependencies } from './deps.ts';

/** The tools of a tenant's own, with decrypted secrets. They never leave the server. */
export interface TenantTools {
  readonly httpTools: readonly HttpToolDefinition[];
  readonly mcpServers: readonly McpDefinition[];
}

/**
 * The active HTTP tools and MCP servers of the viewer's tenant, from the cache; one statement if it does not hold them.
 * @param onLoad is called with what was read from the database
 */
export function loadTenantTools(
  viewer: Viewer,
  deps: ToolDependencies,
  onLoad: (tools: TenantTools) => void,
): Promise<TenantTools> {
  const { tenantId } = viewer;
  return deps.config.get(tenantId, 'tools', async () => {
    const active = { where: { isActive: true }, orderBy: { name: 'asc' }, include: { secrets: true } } as const;
    const tenant = await deps.db.tenant.findUnique({
      where: { id: tenantId },
      select: { tools: active, mcpServers: active },
    });
    const tools = {
      httpTools: await Promise.all((tenant?.tools ?? []).map((row) => defineHttpTool(deps, row))),
      mcpServers: (await Promise.all((tenant?.mcpServers ?? []).map((row) => defineMcpServer(deps, row)))).flat(),
    };
    onLoad(tools);
    return tools;
  });
}

async function defineHttpTool(
  deps: ToolDependencies,
  row: HttpTool & { readonly secrets: readonly Secret[] },
): Promise<HttpToolDefinition> {
  const { name, description, method, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles } = row;
  return {
    ...{ name, description, method, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles },
    isIdempotent: row.isIdempotent,
    parameters: readParameters(row.parameters),
    headers: await openHeaders(deps, row, new URL(url.replaceAll(/[{}]/g, '')).origin),
    secretNames: row.secrets.map((secret) => secret.name),
  };
}

async function defineMcpServer(
  deps: ToolDependencies,
  row: McpServer & { readonly secrets: readonly Secret[] },
): Promise<McpDefinition[]> {
  const { name, tenantId, url, timeoutMs, maxResultLength, requiresApproval, requiredRoles } = row;
  const headers = await openHeaders(deps, row, new URL(url).origin);
  // Without its secrets it would only refuse the request.
  if (headers === null) return [];
  const address = { kind: 'http', url, headers, guarded: true } as const;
  const secretNames = row.secrets.map((secret) => secret.name);
  return [{ name, tenantId, address, secretNames, timeoutMs, maxResultLength, requiresApproval, requiredRoles }];
}

/** All headers of a row; null if a secret one cannot be decrypted. Secrets for another origin are left out. */
async function openHeaders(
  deps: ToolDependencies,
  row: { readonly name: string; readonly headers: unknown; readonly secrets: readonly Secret[] },
  origin: string,
): Promise<Record<string, string> | null> {
  const headers = readHeaders(row.headers);
  try {
    for (const secret of row.secrets) {
      if (secret.origin === origin) headers[secret.name] = await openSecret(deps.keys, secret);
    }
    return headers;
  } catch (error) {
    deps.logger.error({ err: error, tool: row.name }, 'the secrets of a tool cannot be read');
    return null;
  }
}

/** The column of a JSON Schema: it was checked when it was written. */
function readParameters(column: unknown): Record<string, unknown> {
  if (typeof column !== 'object' || column === null || Array.isArray(column)) return { type: 'object' };
  return { ...column };
}
