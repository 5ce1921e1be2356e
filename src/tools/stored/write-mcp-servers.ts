import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId, parseId } from '../../api/ids.ts';
import { badInput, parseInput } from '../../api/input.ts';
import { requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { McpServer } from '../../generated/prisma/client.ts';
import { headersOf } from '../contract/headers.ts';
import * as part from '../registry/definition-input.ts';
import type { ToolRegistry } from '../registry/registry.ts';
import { settleSecrets } from '../registry/tool-secrets.ts';
import { assertUnused } from '../registry/users-of-tools.ts';
import { callColumns, changeTools, keptFields } from './change.ts';
import { explainMissingServer, type McpServerQuery } from './read.ts';

const change = 'change MCP servers';
const maxServers = 50;

const createInput = z.strictObject({
  name: part.serverName,
  url: part.serverUrl,
  ...keptFields,
});
const updateInput = createInput.partial();
const defaults = { timeoutMs: 30_000 };

/** An MCP server that was written, with the names of the secret headers that were dropped with their origin. */
export type WrittenMcpServer = McpServer & { readonly droppedSecretHeaders: readonly string[] };

/**
 * Makes an MCP server of the viewer's tenant. It is connected to when somebody needs its tools.
 * @param input CreateMcpServerInput
 * @throws {ForbiddenError} for who is no admin; {@link BadUserInputError} naming the field; {@link ConflictError} where
 *   the name is another server's; {@link RateLimitedError}
 */
export async function createMcpServer(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  query: McpServerQuery = {},
): Promise<WrittenMcpServer> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const { headers, secretHeaders: secrets, ...given } = parseInput(createInput, input, ['input']);
  assertNameFree(tools, given.name);
  checkUrl(tools, given.url);
  const { tenantId } = viewer;
  if ((await tools.deps.db.mcpServer.count({ where: { tenantId } })) >= maxServers) {
    throw new ConflictError(`A tenant has at most ${maxServers} MCP servers.`);
  }
  return changeTools(viewer, tools, `an MCP server named ${given.name}`, async (tx) => {
    const { name, url } = given;
    const { id } = await tx.mcpServer.create({
      data: { ...callColumns(given, defaults), tenantId, name, url, headers: headersOf(headers ?? []) },
      select: { id: true },
    });
    const owner = { tenantId, mcpServerId: id };
    await settleSecrets(tx, tools.deps.keys, owner, new URL(url).origin, secrets ?? [], []);
    return { ...(await tx.mcpServer.findUniqueOrThrow({ where: { id }, ...query })), droppedSecretHeaders: [] };
  });
}

/**
 * Changes what is given of an MCP server and leaves what is absent. Turns that are running keep what they began with. A
 * URL of another origin drops the secret headers that are not given anew.
 * @param id the public id
 * @param input UpdateMcpServerInput
 * @throws as createMcpServer does; {@link NotFoundError} when there is none; {@link ConflictError} also where agents
 *   use its tools under the name that it had
 */
export async function updateMcpServer(
  viewer: Viewer,
  tools: ToolRegistry,
  id: string,
  input: unknown,
  query: McpServerQuery = {},
): Promise<WrittenMcpServer> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const row = parseId('McpServer', id, ['id']);
  const { headers, secretHeaders: secrets, ...given } = parseInput(updateInput, input, ['input']);
  if (given.name !== undefined) assertNameFree(tools, given.name);
  if (given.url !== undefined) checkUrl(tools, given.url);
  const { tenantId } = viewer;
  return changeTools(viewer, tools, `an MCP server named ${given.name}`, async (tx) => {
    const before = await lockServer(viewer, tx, id, row);
    const { name, url = before.url } = given;
    if (name !== undefined && name !== before.name) await assertToolsUnused(viewer, tx, tools, before.name);
    await tx.mcpServer.update({
      where: { id: row },
      data: {
        ...callColumns(given, defaults),
        url,
        ...(name !== undefined && { name }),
        ...(headers !== undefined && { headers: headersOf(headers ?? []) }),
      },
    });
    const owner = { tenantId, mcpServerId: row };
    const { origin } = new URL(url);
    const droppedSecretHeaders = await settleSecrets(tx, tools.deps.keys, owner, origin, secrets ?? [], before.secrets);
    return { ...(await tx.mcpServer.findUniqueOrThrow({ where: { id: row }, ...query })), droppedSecretHeaders };
  });
}

/**
 * Deletes an MCP server; its tools are gone with it.
 * @param id the public id
 * @returns the public id
 * @throws {ForbiddenError | NotFoundError | BadUserInputError} for the viewer and the id; {@link ConflictError} where
 *   agents use its tools; {@link RateLimitedError}
 */
export async function deleteMcpServer(viewer: Viewer, tools: ToolRegistry, id: string): Promise<string> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const row = parseId('McpServer', id, ['id']);
  return changeTools(viewer, tools, 'an MCP server of that name', async (tx) => {
    const { name } = await lockServer(viewer, tx, id, row);
    await assertToolsUnused(viewer, tx, tools, name);
    await tx.mcpServer.delete({ where: { id: row } });
    return formatId('McpServer', row);
  });
}

async function lockServer(viewer: Viewer, tx: Db, id: string, row: string) {
  await tx.$executeRaw`SELECT id FROM mcp_servers WHERE id = ${row}::uuid FOR UPDATE`;
  const server = await tx.mcpServer.findUnique({
    where: { id: row, tenantId: viewer.tenantId },
    select: { name: true, url: true, secrets: { select: { name: true, origin: true } } },
  });
  return server ?? explainMissingServer(viewer, tx, id, row);
}

function checkUrl(tools: ToolRegistry, url: string): void {
  const refusal = tools.deps.guard.explainRefusal(url);
  if (refusal !== null) throw badInput(['input', 'url'], refusal);
}

function assertNameFree(tools: ToolRegistry, name: string): void {
  if (tools.deps.operator.mcpServers.some((server) => server.name === name)) {
    throw new ConflictError(`There is an MCP server named ${name} already: the operator gives it to every tenant.`);
  }
}

/** Names that only look as if they were of the server, because an HTTP tool has an underscore in its name, do not count. */
async function assertToolsUnused(viewer: Viewer, tx: Db, tools: ToolRegistry, server: string): Promise<void> {
  const kept = await tx.httpTool.findMany({ where: { tenantId: viewer.tenantId }, select: { name: true } });
  const except = new Set([...tools.fixedNames, ...kept.map(({ name }) => name)]);
  await assertUnused(tx, viewer.tenantId, `The MCP server ${server}`, { prefix: `${server}_`, except });
}
