import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId, parseId } from '../../api/ids.ts';
import { badInput, parseInput } from '../../api/input.ts';
import { requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { changeConfiguration } from '../../database/change-configuration.ts';
import type { Db } from '../../database/client.ts';
import type { McpServer } from '../../generated/prisma/client.ts';
import { headersOf } from '../contract/headers.ts';
import * as part from '../registry/input.ts';
import type { ToolRegistry } from '../registry/registry.ts';
import { assertUnused } from './assert-unused.ts';
import { callColumns, storedFields } from './input.ts';
import { explainMissingServer, type McpServerQuery } from './read.ts';
import { writeSecretHeaders } from './secret-headers.ts';

const change = 'change MCP servers';
const maxServers = 50;

const createInput = z.strictObject({
  name: part.serverName,
  url: part.serverUrl,
  ...storedFields,
});
const updateInput = createInput.partial();
const defaults = { timeoutMs: 30_000 };

/** A written MCP server, with the names of the secret headers that were dropped because its origin has changed. */
export type WrittenMcpServer = McpServer & { readonly droppedSecretHeaders: readonly string[] };

/**
 * Creates an MCP server of the viewer's tenant. The connection is made when somebody needs its tools.
 * @param input CreateMcpServerInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} unless the viewer is an
 *   admin; {@link ConflictError} if another server has the name
 */
export async function createMcpServer(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  query: McpServerQuery = {},
): Promise<WrittenMcpServer> {
  await tools.deps.changeLimit.take(viewer);
  const { headers, secretHeaders: secrets, ...given } = parseInput(createInput, input, ['input']);
  checkUrl(tools, given.url);
  requireAdmin(viewer, change);
  assertNameFree(tools, given.name);
  const { tenantId } = viewer;
  if ((await tools.deps.db.mcpServer.count({ where: { tenantId } })) >= maxServers) {
    throw new ConflictError(`A tenant has at most ${maxServers} MCP servers.`);
  }
  const work = async (tx: Db) => {
    const { name, url } = given;
    const { id } = await tx.mcpServer.create({
      data: { ...callColumns(given, defaults), tenantId, name, url, headers: headersOf(headers ?? []) },
      select: { id: true },
    });
    const owner = { tenantId, mcpServerId: id };
    await writeSecretHeaders(tx, tools.deps.keys, owner, new URL(url).origin, secrets ?? [], []);
    return { ...(await tx.mcpServer.findUniqueOrThrow({ where: { id }, ...query })), droppedSecretHeaders: [] };
  };
  return changeConfiguration(viewer, tools.deps, work, { taken: explainTaken(given.name) });
}

/**
 * Changes the fields of an MCP server that the input has. Running turns keep its tools as they were. A URL of another
 * origin drops the secret headers that the input does not set.
 * @param id the public id
 * @param input UpdateMcpServerInput
 * @throws as createMcpServer does; {@link NotFoundError} if it does not exist; {@link ConflictError} also if agents use
 *   its tools under its present name and the input renames it
 */
export async function updateMcpServer(
  viewer: Viewer,
  tools: ToolRegistry,
  id: string,
  input: unknown,
  query: McpServerQuery = {},
): Promise<WrittenMcpServer> {
  await tools.deps.changeLimit.take(viewer);
  const row = parseId('McpServer', id, ['id']);
  const { headers, secretHeaders: secrets, ...given } = parseInput(updateInput, input, ['input']);
  if (given.url !== undefined) checkUrl(tools, given.url);
  requireAdmin(viewer, change);
  if (given.name !== undefined) assertNameFree(tools, given.name);
  const { tenantId } = viewer;
  const work = async (tx: Db) => {
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
    const droppedSecretHeaders = await writeSecretHeaders(
      tx,
      tools.deps.keys,
      owner,
      origin,
      secrets ?? [],
      before.secrets,
    );
    return { ...(await tx.mcpServer.findUniqueOrThrow({ where: { id: row }, ...query })), droppedSecretHeaders };
  };
  return changeConfiguration(viewer, tools.deps, work, { taken: explainTaken(given.name ?? '') });
}

/**
 * Deletes an MCP server and thereby its tools.
 * @param id the public id
 * @returns the public id
 * @throws {RateLimitedError}; {@link BadUserInputError} for the id; {@link ForbiddenError} for the viewer or the id;
 *   {@link NotFoundError}; {@link ConflictError} if agents use its tools
 */
export async function deleteMcpServer(viewer: Viewer, tools: ToolRegistry, id: string): Promise<string> {
  await tools.deps.changeLimit.take(viewer);
  const row = parseId('McpServer', id, ['id']);
  requireAdmin(viewer, change);
  return changeConfiguration(viewer, tools.deps, async (tx) => {
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
  if (server === null) throw await explainMissingServer(viewer, tx, id, row);
  return server;
}

function checkUrl(tools: ToolRegistry, url: string): void {
  const refusal = tools.deps.guard.explainRefusal(url);
  if (refusal !== null) throw badInput(['input', 'url'], refusal);
}

function assertNameFree(tools: ToolRegistry, name: string): void {
  if (tools.deps.operator.mcpServers.some((server) => server.name === name)) {
    throw new ConflictError(`The name ${name} is taken by an MCP server of the operator: choose another one.`);
  }
}

function explainTaken(name: string): string {
  return `The name ${name} is taken by another MCP server: choose another one.`;
}

/** HTTP tools may have names that begin like those of the server's tools: they do not count. */
async function assertToolsUnused(viewer: Viewer, tx: Db, tools: ToolRegistry, server: string): Promise<void> {
  const httpTools = await tx.httpTool.findMany({ where: { tenantId: viewer.tenantId }, select: { name: true } });
  const except = new Set([...tools.fixedNames, ...httpTools.map(({ name }) => name)]);
  const names = { prefix: `${server}_`, except };
  await assertUnused(tx, tools.deps, viewer.tenantId, `The MCP server ${server}`, names);
}
