import { createHash } from 'node:crypto';
import { lockAgentsInUse, requireUsableAgents } from '../agents/require.ts';
import { explainMissingAgent } from '../agents/visible.ts';
import { badInput, parseInput } from '../api/input.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import type { ChatSettings, Prisma } from '../generated/prisma/client.ts';
import { updateSettingsInput } from './input.ts';

/** What to load with the row: the selection of a GraphQL document. */
export interface SettingsQuery {
  readonly include?: Prisma.ChatSettingsInclude;
}

/** The settings of a viewer who has not set any; the database has the same defaults. */
export const defaultSettings = { enabledTools: [], model: null, temperature: 0.7, maxTokens: 2_000 };

/**
 * Reads the viewer's settings. One statement.
 * @returns the defaults if none were set, under the id that the row will have
 */
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
 * Changes the given settings; absent ones stay, and null sets the default. Concurrent changes run one after another, and
 * both apply.
 * @param toolNames reads the names of the tools of the viewer's tenant
 * @param input UpdateChatSettingsInput
 * @throws {BadUserInputError} naming the field; also for an agent that is not active, and for an unknown tool that was not
 *   enabled before; {@link NotFoundError} and {@link ForbiddenError} for an agent
 */
export async function updateChatSettings(
  viewer: Viewer,
  db: Database,
  toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>,
  input: unknown,
  query: SettingsQuery = {},
): Promise<ChatSettings> {
  const parsed = parseInput(updateSettingsInput, input, ['input']);
  const { tenantId, userId } = viewer;
  const id = settingsId(viewer);
  await requireTools(viewer, toolNames, parsed.enabledTools ?? [], async () => {
    const stored = await db.chatSettings.findUnique({
      where: { id, tenantId, userId },
      select: { enabledTools: true },
    });
    return stored?.enabledTools ?? [];
  });
  const agentPath = (index: number) => ['input', 'enabledAgents', index];
  const agents =
    parsed.enabledAgents === undefined
      ? undefined
      : await requireUsableAgents(viewer, db, parsed.enabledAgents ?? [], agentPath);
  return db.$transaction(async (tx) => {
    // The row is created first and then changed, so that it is locked and concurrent changes do not overwrite each other.
    await tx.chatSettings.createMany({ data: [{ id, tenantId, userId }], skipDuplicates: true });
    if (agents !== undefined) {
      await tx.$executeRaw`
        SELECT id FROM chat_settings WHERE id = ${id}::uuid AND tenant_id = ${tenantId} AND user_id = ${userId} FOR UPDATE`;
      await lockAgents(viewer, tx, agents);
      await tx.chatSettingsAgent.deleteMany({ where: { tenantId, settingsId: id } });
      await tx.chatSettingsAgent.createMany({
        data: agents.map((agentId, position) => ({ tenantId, settingsId: id, agentId, position })),
      });
    }
    return tx.chatSettings.update({
      where: { id, tenantId, userId },
      data: {
        ...(parsed.enabledTools !== undefined && { enabledTools: [...new Set(parsed.enabledTools ?? [])] }),
        ...(parsed.model !== undefined && { model: parsed.model }),
        ...(parsed.temperature !== undefined && { temperature: parsed.temperature ?? defaultSettings.temperature }),
        ...(parsed.maxTokens !== undefined && { maxTokens: parsed.maxTokens ?? defaultSettings.maxTokens }),
      },
      ...query,
    });
  });
}

/**
 * Removes an agent that was deleted from all settings of its tenant.
 * @param agentId the row id
 */
export async function removeAgentFromSettings(db: Db, tenantId: string, agentId: string): Promise<void> {
  await db.chatSettingsAgent.deleteMany({ where: { tenantId, agentId } });
}

/**
 * Locks agents, so that none is deleted before the transaction ends: `removeAgentFromSettings` runs after the deletion and
 * then finds the new rows.
 * @throws {NotFoundError} if one was deleted since it was checked
 */
async function lockAgents(viewer: Viewer, tx: Prisma.TransactionClient, agents: readonly string[]): Promise<void> {
  const locked = await lockAgentsInUse(viewer, tx, agents);
  const missing = agents.find((agentId) => locked.get(agentId)?.isDeleted !== false);
  if (missing !== undefined) throw await explainMissingAgent(viewer, tx, missing);
}

/** Checks that tools exist. Tools that are already enabled may stay, also while they are unavailable. */
async function requireTools(
  viewer: Viewer,
  toolNames: (viewer: Viewer) => Promise<ReadonlySet<string>>,
  names: readonly string[],
  readEnabled: () => Promise<readonly string[]>,
): Promise<void> {
  if (names.length === 0) return;
  const enabled = new Set(await readEnabled());
  if (names.every((name) => enabled.has(name))) return;
  const known = await toolNames(viewer);
  const missing = names.findIndex((name) => !known.has(name) && !enabled.has(name));
  if (missing >= 0) throw badInput(['input', 'enabledTools', missing], `names an unknown tool: ${names[missing]}`);
}

/** The row id of a viewer's settings. It is derived from the viewer, so that it is known before the row exists. */
function settingsId(viewer: Viewer): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(['ChatSettings', viewer.tenantId, viewer.userId]))
    .digest();
  // RFC 9562, version 8: the other bits of the UUID are defined by the application.
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}
