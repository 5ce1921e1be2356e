import { z } from 'zod';
import { ConflictError } from '../../api/errors.ts';
import { formatId, parseId } from '../../api/ids.ts';
import { badInput, parseInput } from '../../api/input.ts';
import { requireAdmin } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { HttpTool, Prisma } from '../../generated/prisma/client.ts';
import { headersOf } from '../contract/headers.ts';
import { parseTemplate } from '../http/url-template.ts';
import * as part from '../registry/definition-input.ts';
import type { ToolRegistry } from '../registry/registry.ts';
import { settleSecrets } from '../registry/tool-secrets.ts';
import { assertUnused } from '../registry/users-of-tools.ts';
import { callColumns, changeTools, keptFields } from './change.ts';
import { explainMissingTool, type HttpToolQuery } from './read.ts';

const change = 'change tools';
const maxTools = 500;

const createInput = z.strictObject({
  name: part.toolName,
  description: part.description,
  parameters: part.parameters,
  method: part.httpMethod,
  url: part.templateUrl,
  ...keptFields,
});
const updateInput = createInput.partial();
const defaults = { timeoutMs: 10_000 };

/** An HTTP tool that was written, with the names of the secret headers that were dropped with their origin. */
export type WrittenHttpTool = HttpTool & { readonly droppedSecretHeaders: readonly string[] };

/**
 * Makes an HTTP tool of the viewer's tenant.
 * @param input CreateHttpToolInput
 * @throws {ForbiddenError} for who is no admin; {@link BadUserInputError} naming the field; {@link ConflictError} where
 *   the name is another tool's; {@link RateLimitedError}
 */
export async function createHttpTool(
  viewer: Viewer,
  tools: ToolRegistry,
  input: unknown,
  query: HttpToolQuery = {},
): Promise<WrittenHttpTool> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const { headers, secretHeaders: secrets, ...given } = parseInput(createInput, input, ['input']);
  const origin = checkUrl(tools, given.url, given.parameters);
  await assertNameFree(viewer, tools, given.name);
  const { tenantId } = viewer;
  if ((await tools.deps.db.httpTool.count({ where: { tenantId } })) >= maxTools) {
    throw new ConflictError(`A tenant has at most ${maxTools} HTTP tools.`);
  }
  return changeTools(viewer, tools, `a tool named ${given.name}`, async (tx) => {
    const data = {
      ...callColumns(given, defaults),
      name: given.name,
      description: given.description,
      method: given.method,
    };
    const { id } = await tx.httpTool.create({
      data: {
        ...data,
        tenantId,
        url: given.url,
        parameters: jsonOf(given.parameters),
        headers: headersOf(headers ?? []),
      },
      select: { id: true },
    });
    await settleSecrets(tx, tools.deps.keys, { tenantId, toolId: id }, origin, secrets ?? [], []);
    return { ...(await tx.httpTool.findUniqueOrThrow({ where: { id }, ...query })), droppedSecretHeaders: [] };
  });
}

/**
 * Changes what is given of an HTTP tool and leaves what is absent. Turns that are running keep what they began with. A
 * URL of another origin drops the secret headers that are not given anew.
 * @param id the public id
 * @param input UpdateHttpToolInput
 * @throws as createHttpTool does; {@link NotFoundError} when there is none; {@link ConflictError} also where agents use
 *   it under the name that it had
 */
export async function updateHttpTool(
  viewer: Viewer,
  tools: ToolRegistry,
  id: string,
  input: unknown,
  query: HttpToolQuery = {},
): Promise<WrittenHttpTool> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const row = parseId('HttpTool', id, ['id']);
  const { headers, secretHeaders: secrets, ...given } = parseInput(updateInput, input, ['input']);
  const { tenantId } = viewer;
  const current = await tools.deps.db.httpTool.findUnique({ where: { id: row, tenantId }, select: { name: true } });
  if (given.name !== undefined && current && given.name !== current.name)
    await assertNameFree(viewer, tools, given.name);
  return changeTools(viewer, tools, `a tool named ${given.name}`, async (tx) => {
    const before = await lockTool(viewer, tx, id, row);
    const url = given.url ?? before.url;
    const origin = checkUrl(tools, url, given.parameters ?? asSchema(before.parameters));
    if (given.name !== undefined && given.name !== before.name) {
      await assertUnused(tx, tenantId, `The tool ${before.name}`, { name: before.name });
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
        ...(parameters !== undefined && { parameters: jsonOf(parameters) }),
        ...(headers !== undefined && { headers: headersOf(headers ?? []) }),
      },
    });
    const owner = { tenantId, toolId: row };
    const droppedSecretHeaders = await settleSecrets(tx, tools.deps.keys, owner, origin, secrets ?? [], before.secrets);
    return { ...(await tx.httpTool.findUniqueOrThrow({ where: { id: row }, ...query })), droppedSecretHeaders };
  });
}

/**
 * Deletes an HTTP tool.
 * @param id the public id
 * @returns the public id
 * @throws {ForbiddenError | NotFoundError | BadUserInputError} for the viewer and the id; {@link ConflictError} where
 *   agents use it; {@link RateLimitedError}
 */
export async function deleteHttpTool(viewer: Viewer, tools: ToolRegistry, id: string): Promise<string> {
  await tools.deps.changeLimit.take(viewer);
  requireAdmin(viewer, change);
  const row = parseId('HttpTool', id, ['id']);
  return changeTools(viewer, tools, 'a tool of that name', async (tx) => {
    const { name } = await lockTool(viewer, tx, id, row);
    await assertUnused(tx, viewer.tenantId, `The tool ${name}`, { name });
    await tx.httpTool.delete({ where: { id: row } });
    return formatId('HttpTool', row);
  });
}

async function lockTool(viewer: Viewer, tx: Db, id: string, row: string) {
  await tx.$executeRaw`SELECT id FROM http_tools WHERE id = ${row}::uuid FOR UPDATE`;
  const tool = await tx.httpTool.findUnique({
    where: { id: row, tenantId: viewer.tenantId },
    select: { name: true, url: true, parameters: true, secrets: { select: { name: true, origin: true } } },
  });
  return tool ?? explainMissingTool(viewer, tx, id, row);
}

async function assertNameFree(viewer: Viewer, tools: ToolRegistry, name: string): Promise<void> {
  if ((await tools.listTools(viewer, 'turn')).some((tool) => tool.name === name)) {
    throw new ConflictError(`There is a tool named ${name} already.`);
  }
}

/** @returns the origin of a URL whose placeholders are arguments, and that may be dialled by its looks */
function checkUrl(tools: ToolRegistry, url: string, parameters: Record<string, unknown>): string {
  const wrong = part.explainPlaceholders(url, parameters);
  if (wrong !== null) throw badInput(['input', 'url'], wrong);
  const template = parseTemplate(url);
  if (typeof template === 'string') throw badInput(['input', 'url'], template);
  const refusal = tools.deps.guard.explainRefusal(template.origin);
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
