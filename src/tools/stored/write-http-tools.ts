import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId, parseId } from '../../api/ids.ts';
import { badInput, parseInput } from '../../api/input.ts';
import { requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { changeConfiguration } from '../../database/change-configuration.ts';
import type { Db } from '../../database/client.ts';
import type { HttpTool, Prisma } from '../../generated/prisma/client.ts';
import { headersOf } from '../contract/headers.ts';
import { isIdempotentByDefault } from '../http/definition.ts';
import { parseTemplate } from '../http/url-template.ts';
import * as part from '../registry/input.ts';
import type { ToolRegistry } from '../registry/registry.ts';
import { assertUnused } from './assert-unused.ts';
import { callColumns, storedFields } from './input.ts';
import { explainMissingTool, type HttpToolQuery } from './read.ts';
import { writeSecretHeaders } from './secret-headers.ts';

const change = 'change tools';
const maxTools = 500;

const createInput = z.strictObject({
  name: part.newToolName,
  description: part.description,
  parameters: part.parameters,
  method: part.httpMethod,
  url: part.templateUrl,
  isIdempotent: z.boolean().nullish(),
  ...storedFields,
});
const updateInput = createInput.partial();
const defaults = { timeoutMs: 10_000 };

/** A written HTTP tool, with the names of the secret headers that were dropped because its origin has changed. */
export type WrittenHttpTool = HttpTool & { readonly droppedSecretHeaders: readonly string[] };

/**
 * Creates an HTTP tool of the viewer's tenant.
 * @param input CreateHttpToolInput
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the field; {@link ForbiddenError} unless the viewer is an
 *   admin; {@link ConflictError} if another tool has the name
 */
export async function createHttpTool(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  query: HttpToolQuery = {},
): Promise<WrittenHttpTool> {
  await tools.deps.changeLimit.take(viewer);
  const { headers, secretHeaders: secrets, ...given } = parseInput(createInput, input, ['input']);
  const origin = checkUrl(tools, given.url, given.parameters);
  requireAdmin(viewer, change);
  await assertNameFree(viewer, tools, given.name);
  const { tenantId } = viewer;
  if ((await tools.deps.db.httpTool.count({ where: { tenantId } })) >= maxTools) {
    throw new ConflictError(`A tenant has at most ${maxTools} HTTP tools.`);
  }
  const work = async (tx: Db) => {
    const { name, description, method, url } = given;
    const { id } = await tx.httpTool.create({
      data: {
        ...callColumns(given, defaults),
        ...{ tenantId, name, description, method, url },
        isIdempotent: given.isIdempotent ?? isIdempotentByDefault(method),
        parameters: jsonOf(given.parameters),
        headers: headersOf(headers ?? []),
      },
      select: { id: true },
    });
    await writeSecretHeaders(tx, tools.deps.keys, { tenantId, toolId: id }, origin, secrets ?? [], []);
    return { ...(await tx.httpTool.findUniqueOrThrow({ where: { id }, ...query })), droppedSecretHeaders: [] };
  };
  return changeConfiguration(viewer, tools.deps, work, { taken: explainTaken(given.name) });
}

/**
 * Changes the fields of an HTTP tool that the input has. Running turns keep the tool as it was. A URL of another origin
 * drops the secret headers that the input does not set.
 * @param id the public id
 * @param input UpdateHttpToolInput
 * @throws as createHttpTool does; {@link NotFoundError} if it does not exist; {@link ConflictError} also if agents use it
 *   under its present name and the input renames it
 */
export async function updateHttpTool(
  viewer: Viewer,
  tools: ToolRegistry,
  id: string,
  input: unknown,
  query: HttpToolQuery = {},
): Promise<WrittenHttpTool> {
  await tools.deps.changeLimit.take(viewer);
  const row = parseId('HttpTool', id, ['id']);
  const { headers, secretHeaders: secrets, ...given } = parseInput(updateInput, input, ['input']);
  requireAdmin(viewer, change);
  const { tenantId } = viewer;
  const current = await tools.deps.db.httpTool.findUnique({ where: { id: row, tenantId }, select: { name: true } });
  if (given.name !== undefined && current && given.name !== current.name) {
    await assertNameFree(viewer, tools, given.name);
  }
  const work = async (tx: Db) => {
    const before = await lockTool(viewer, tx, id, row);
    const url = given.url ?? before.url;
    const origin = checkUrl(tools, url, given.parameters ?? asSchema(before.parameters));
    if (given.name !== undefined && given.name !== before.name) {
      await assertUnused(tx, tools.deps, tenantId, `The tool ${before.name}`, { name: before.name });
    }
    const { name, description, method, parameters } = given;
    await tx.httpTool.update({
      where: { id: row },
      data: {
        ...callColumns(given, defaults),
        url,
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(method !== undefined && { method }),
        ...planIdempotency(given, before.method),
        ...(parameters !== undefined && { parameters: jsonOf(parameters) }),
        ...(headers !== undefined && { headers: headersOf(headers ?? []) }),
      },
    });
    const owner = { tenantId, toolId: row };
    const droppedSecretHeaders = await writeSecretHeaders(
      tx,
      tools.deps.keys,
      owner,
      origin,
      secrets ?? [],
      before.secrets,
    );
    return { ...(await tx.httpTool.findUniqueOrThrow({ where: { id: row }, ...query })), droppedSecretHeaders };
  };
  return changeConfiguration(viewer, tools.deps, work, { taken: explainTaken(given.name ?? '') });
}

/** Another method has other effects: what was said of the old one does not hold for it. */
function planIdempotency(
  { isIdempotent, method }: Pick<z.output<typeof updateInput>, 'isIdempotent' | 'method'>,
  methodBefore: HttpTool['method'],
) {
  const newMethod = method ?? methodBefore;
  if (isIdempotent === undefined && newMethod === methodBefore) return {};
  return { isIdempotent: isIdempotent ?? isIdempotentByDefault(newMethod) };
}

/**
 * Deletes an HTTP tool.
 * @param id the public id
 * @returns the public id
 * @throws {RateLimitedError}; {@link BadUserInputError} for the id; {@link ForbiddenError} for the viewer or the id;
 *   {@link NotFoundError}; {@link ConflictError} if agents use it
 */
export async function deleteHttpTool(viewer: Viewer, tools: ToolRegistry, id: string): Promise<string> {
  await tools.deps.changeLimit.take(viewer);
  const row = parseId('HttpTool', id, ['id']);
  requireAdmin(viewer, change);
  return changeConfiguration(viewer, tools.deps, async (tx) => {
    const { name } = await lockTool(viewer, tx, id, row);
    await assertUnused(tx, tools.deps, viewer.tenantId, `The tool ${name}`, { name });
    await tx.httpTool.delete({ where: { id: row } });
    return formatId('HttpTool', row);
  });
}

async function lockTool(viewer: Viewer, tx: Db, id: string, row: string) {
  await tx.$executeRaw`SELECT id FROM http_tools WHERE id = ${row}::uuid FOR UPDATE`;
  const tool = await tx.httpTool.findUnique({
    where: { id: row, tenantId: viewer.tenantId },
    select: {
      name: true,
      url: true,
      method: true,
      parameters: true,
      secrets: { select: { name: true, origin: true } },
    },
  });
  if (tool === null) throw await explainMissingTool(viewer, tx, id, row);
  return tool;
}

async function assertNameFree(viewer: Viewer, tools: ToolRegistry, name: string): Promise<void> {
  if ((await tools.listTools(viewer, 'turn')).some((tool) => tool.name === name)) {
    throw new ConflictError(explainTaken(name));
  }
}

function explainTaken(name: string): string {
  return `The name ${name} is taken by another tool: choose another one.`;
}

/**
 * @returns the origin of a URL
 * @throws {BadUserInputError} if a placeholder is not an argument, or the operator does not allow the address
 */
function checkUrl(tools: ToolRegistry, url: string, parameters: Record<string, unknown>): string {
  const problem = part.explainPlaceholders(url, parameters);
  if (problem !== null) throw badInput(['input', 'url'], problem);
  const template = parseTemplate(url);
  if (typeof template === 'string') throw badInput(['input', 'url'], template);
  const refusal = tools.deps.guard.explainRefusal(template.example);
  if (refusal !== null) throw badInput(['input', 'url'], refusal);
  return template.origin;
}

const jsonObject = z.record(z.string(), z.json());

/** A schema as Prisma takes it. */
function jsonOf(schema: Record<string, unknown>): Prisma.InputJsonObject {
  return jsonObject.parse(schema);
}

function asSchema(column: unknown): Record<string, unknown> {
  return z.record(z.string(), z.unknown()).parse(column);
}
