import { createHash } from 'node:crypto';
import { z } from 'zod';
import { badInput, decimal, integer, list, modelName, parseInput } from '../api/input.ts';
import { explainMissingAgent } from '../auth/access.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { ChatSettings, Prisma } from '../generated/prisma/client.ts';
import { requireUsableAgents } from './choose-agent.ts';

/** What to load beside the row: what a document selects. */
export interface SettingsQuery {
  readonly include?: Prisma.ChatSettingsInclude;
}

/** What applies where the viewer has set nothing; the database's defaults are the same. */
export const defaultSettings = { enabledTools: [], model: null, temperature: 0.7, maxTokens: 2_000 };

const toolName = z
  .string({ error: 'must be the name of a tool' })
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be the name of a tool: 1 to 64 letters, digits, _ or -');

/** The model settings of a viewer and of a turn, with their ranges. */
export const modelSettings = {
  model: modelName,
  temperature: decimal(0, 2),
  maxTokens: integer(1, 32_000),
};

const updateInput = z.strictObject({
  enabledTools: list(toolName, 100).nullish(),
  enabledAgents: list(z.string(), 100).nullish(),
  model: modelSettings.model.nullish(),
  temperature: modelSettings.temperature.nullish(),
  maxTokens: modelSettings.maxTokens.nullish(),
});

/** The viewer's settings; the defaults, under the id that the row will have, where none were set. One statement. */
export async function readChatSettings(
  viewer: Viewer,
  db: Db,
  query: SettingsQuery = {},
): Promise<ChatSettings & { enabledAgents?: unknown }> {
  const { tenantId, userId } = viewer;
  const user = await db.user.findUnique({
    where: { tenantId_id: { tenantId, id: userId } },
    select: { createdAt: true, settings: query.include === undefined ? true : { include: query.include } },
  });
  if (user?.settings) return user.settings;
  const since = user?.createdAt ?? new Date();
  const id = settingsId(viewer);
  return { id, tenantId, userId, ...defaultSettings, enabledAgents: [], createdAt: since, updatedAt: since };
}

/**
 * Changes what is given, leaves what is absent, and takes null as "back to the default". Two of them at once are both
 * applied, one after the other.
 * @param toolNames the names of the tools that there are for the viewer's tenant
 * @param input UpdateChatSettingsInput
 * @throws {BadUserInputError} naming the field and its range; also for an agent that is not active, and a tool that there
 *   is not and was not enabled before
 * @throws {NotFoundError | ForbiddenError} for an agent
 */
export async function updateChatSettings(
  viewer: Viewer,
  db: Database,
  toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>,
  input: unknown,
  query: SettingsQuery = {},
): Promise<ChatSettings> {
  const given = parseInput(updateInput, input, ['input']);
  const { tenantId, userId } = viewer;
  const id = settingsId(viewer);
  await requireTools(viewer, toolNames, given.enabledTools ?? [], async () => {
    const stored = await db.chatSettings.findUnique({
      where: { id, tenantId, userId },
      select: { enabledTools: true },
    });
    return stored?.enabledTools ?? [];
  });
  const agents =
    given.enabledAgents === undefined
      ? undefined
      : await requireUsableAgents(viewer, db, given.enabledAgents ?? [], (index) => ['input', 'enabledAgents', index]);
  return db.$transaction(async (tx) => {
    // The row is made first and then changed: its lock lets two who come at once both have their fields.
    await tx.chatSettings.createMany({ data: [{ id, tenantId, userId }], skipDuplicates: true });
    if (agents !== undefined) {
      await tx.$executeRaw`SELECT id FROM chat_settings WHERE id = ${id}::uuid FOR UPDATE`;
      await holdAgents(viewer, tx, agents);
      await tx.chatSettingsAgent.deleteMany({ where: { tenantId, settingsId: id } });
      await tx.chatSettingsAgent.createMany({
        data: agents.map((agentId, position) => ({ tenantId, settingsId: id, agentId, position })),
      });
    }
    return tx.chatSettings.update({
      where: { id, tenantId, userId },
      data: {
        ...(given.enabledTools !== undefined && { enabledTools: [...new Set(given.enabledTools ?? [])] }),
        ...(given.model !== undefined && { model: given.model }),
        ...(given.temperature !== undefined && { temperature: given.temperature ?? defaultSettings.temperature }),
        ...(given.maxTokens !== undefined && { maxTokens: given.maxTokens ?? defaultSettings.maxTokens }),
      },
      ...query,
    });
  });
}

/**
 * Holds the rows of agents so that none is deleted before the transaction ends; whoever deletes one takes it out of
 * everybody's settings afterwards. References alone do not: a deleted agent keeps its row.
 * @throws {NotFoundError} where one was deleted meanwhile
 */
async function holdAgents(viewer: Viewer, tx: Prisma.TransactionClient, agents: readonly string[]): Promise<void> {
  if (agents.length === 0) return;
  // Deleting takes FOR UPDATE, the only lock that this one is in the way of; changes of agents go on.
  const held = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM agents WHERE id = ANY(${[...agents]}::uuid[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE`;
  const there = new Set(held.map(({ id }) => id));
  const gone = agents.find((agent) => !there.has(agent));
  if (gone !== undefined) throw await explainMissingAgent(viewer, tx, gone);
}

/** Tools that are enabled already may stay, also while they are out of reach. */
async function requireTools(
  viewer: Viewer,
  toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>,
  names: readonly string[],
  readHeld: () => Promise<readonly string[]>,
): Promise<void> {
  if (names.length === 0) return;
  const held = new Set(await readHeld());
  if (names.every((name) => held.has(name))) return;
  const there = await toolNames(viewer);
  const missing = names.findIndex((name) => !there.has(name) && !held.has(name));
  if (missing >= 0) throw badInput(['input', 'enabledTools', missing], `names no tool: there is no ${names[missing]}`);
}

/** The row id of a viewer's settings: made from who they are, so that it is the same before the row is there. */
function settingsId(viewer: Viewer): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(['ChatSettings', viewer.tenantId, viewer.userId]))
    .digest();
  // RFC 9562, version 8: a UUID whose other bits are the application's own.
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
