import { parseId } from '../../api/ids.ts';
import {
  buildConnection,
  type Connection,
  type PageArgs,
  type PageRules,
  pageSizes,
  parsePage,
} from '../../api/paging.ts';
import { notFoundOrForbidden, requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { arrangeByKey, type RowKey, readKeyPage, timeColumn } from '../../database/keyset.ts';
import { type HttpTool, type McpServer, Prisma } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import { fitPage } from '../../limits/fit-page.ts';

/** Relations to load with the row: those that a document selects. */
export interface HttpToolQuery {
  readonly include?: Prisma.HttpToolInclude;
}
export interface McpServerQuery {
  readonly include?: Prisma.McpServerInclude;
}

/** The size of an HTTP tool, and of an MCP server. */
const httpToolBytes = Prisma.sql`octet_length(description) + octet_length(url) + octet_length(parameters::text)
  + octet_length(headers::text)`;
const mcpServerBytes = Prisma.sql`octet_length(url) + octet_length(headers::text)`;

const byAge = timeColumn(Prisma.sql`created_at`);
const httpToolRules: PageRules<RowKey> = { list: 'httpTools', key: byAge.key, ...pageSizes };
const mcpServerRules: PageRules<RowKey> = { list: 'mcpServers', key: byAge.key, ...pageSizes };
const see = 'see the configuration of tools';

/**
 * One HTTP tool of the viewer's tenant, for its admins.
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link ForbiddenError} unless the viewer is an admin
 */
export async function readHttpTool(viewer: Viewer, db: Db, id: string, query: HttpToolQuery = {}): Promise<HttpTool> {
  const row = parseId('HttpTool', id, ['id']);
  requireAdmin(viewer, see);
  const tool = await db.httpTool.findUnique({ where: { id: row, tenantId: viewer.tenantId }, ...query });
  if (tool === null) throw await explainMissingTool(viewer, db, id, row);
  return tool;
}

/** The error for an id that is not of an HTTP tool of the tenant; the caller throws it. */
export async function explainMissingTool(viewer: Viewer, db: Db, id: string, row: string) {
  const other = await db.httpTool.findUnique({ where: { id: row }, select: { tenantId: true } });
  return notFoundOrForbidden(viewer, `HTTP tool ${id}`, other && { tenantId: other.tenantId, userId: null });
}

/**
 * A page of the HTTP tools of the viewer's tenant, oldest first, for its admins.
 * @throws {BadUserInputError} when a page argument is wrong; {@link ForbiddenError} unless the viewer is an admin
 */
export async function listHttpTools(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs,
  query: HttpToolQuery = {},
): Promise<Connection<HttpTool>> {
  requireAdmin(viewer, see);
  const { tenantId } = viewer;
  const page = parsePage(args, httpToolRules);
  const where = Prisma.sql`tenant_id = ${tenantId}`;
  const list = { table: Prisma.sql`http_tools`, where, sort: byAge, descending: false, bytes: httpToolBytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.httpTool.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => db.httpTool.count({ where: { tenantId } }));
}

/**
 * One MCP server of the viewer's tenant, for its admins.
 * @throws {BadUserInputError | NotFoundError | ForbiddenError} for the id; {@link ForbiddenError} unless the viewer is an admin
 */
export async function readMcpServer(
  viewer: Viewer,
  db: Db,
  id: string,
  query: McpServerQuery = {},
): Promise<McpServer> {
  const row = parseId('McpServer', id, ['id']);
  requireAdmin(viewer, see);
  const server = await db.mcpServer.findUnique({ where: { id: row, tenantId: viewer.tenantId }, ...query });
  if (server === null) throw await explainMissingServer(viewer, db, id, row);
  return server;
}

/** The error for an id that is not of an MCP server of the tenant; the caller throws it. */
export async function explainMissingServer(viewer: Viewer, db: Db, id: string, row: string) {
  const other = await db.mcpServer.findUnique({ where: { id: row }, select: { tenantId: true } });
  return notFoundOrForbidden(viewer, `MCP server ${id}`, other && { tenantId: other.tenantId, userId: null });
}

/**
 * A page of the MCP servers of the viewer's tenant, oldest first, for its admins.
 * @throws {BadUserInputError} when a page argument is wrong; {@link ForbiddenError} unless the viewer is an admin
 */
export async function listMcpServers(
  viewer: Viewer,
  { db, answer }: SizedReads,
  args: PageArgs,
  query: McpServerQuery = {},
): Promise<Connection<McpServer>> {
  requireAdmin(viewer, see);
  const { tenantId } = viewer;
  const page = parsePage(args, mcpServerRules);
  const where = Prisma.sql`tenant_id = ${tenantId}`;
  const list = { table: Prisma.sql`mcp_servers`, where, sort: byAge, descending: false, bytes: mcpServerBytes };
  const found = await fitPage(page, await readKeyPage(db, list, page), answer);
  const ids = found.rows.map(({ key }) => key[1]);
  const rows = ids.length === 0 ? [] : await db.mcpServer.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  return buildConnection(page, arrangeByKey(found, rows), () => db.mcpServer.count({ where: { tenantId } }));
}

/**
 * What a tenant has stored of tools, for whoever checks names without a viewer.
 * @param toolNames the names to look for among its HTTP tools
 * @returns the names of those HTTP tools, and of all its MCP servers
 */
export async function listStoredNames(
  tenantId: string,
  db: Db,
  toolNames: readonly string[],
): Promise<{ readonly httpTools: readonly string[]; readonly mcpServers: readonly string[] }> {
  const select = { name: true };
  const httpTools = await db.httpTool.findMany({ where: { tenantId, name: { in: [...toolNames] } }, select });
  const mcpServers = await db.mcpServer.findMany({ where: { tenantId }, select });
  return { httpTools: httpTools.map(({ name }) => name), mcpServers: mcpServers.map(({ name }) => name) };
}
