import { randomUUIDv7 } from 'node:crypto';
import { ConflictError } from '../api/errors.ts';
import { formatId, parseId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import { planConversation } from '../conversations/create.ts';
import type { Database, Db } from '../database/client.ts';
import type { Schedule } from '../generated/prisma/client.ts';
import { readClock } from './clock.ts';
import { findNext } from './cron.ts';
import { parseSchedule, type ScheduleDraft } from './input.ts';
import { readSchedule } from './read.ts';
import { giveUpOpen, withoutRoles } from './start-due.ts';

/** Schedules of one user, and of a tenant. */
const maxOfUser = 50;
const maxOfTenant = 1_000;

/**
 * Creates a schedule of the viewer.
 * @param input ScheduleInput
 * @throws {BadUserInputError} naming the field; {@link NotFoundError} and {@link ForbiddenError} for the agent and the scenario;
 *   {@link ConflictError} if there are too many
 */
export async function createSchedule(viewer: Viewer, db: Database, input: unknown): Promise<Schedule> {
  const draft = parseSchedule(input);
  const target = await findTarget(viewer, db, draft);
  const { tenantId, userId } = viewer;
  const now = await readClock(db);
  return db.$transaction(async (tx) => {
    // Of two that are created in the same moment, the second counts the first.
    await tx.$executeRaw`SELECT id FROM tenants WHERE id = ${tenantId} FOR NO KEY UPDATE`;
    const own = await tx.schedule.count({ where: { tenantId, userId } });
    if (own >= maxOfUser) throw new ConflictError(`You have ${maxOfUser} schedules already: delete some first.`);
    if ((await tx.schedule.count({ where: { tenantId } })) >= maxOfTenant)
      throw new ConflictError(`Your organisation has ${maxOfTenant.toLocaleString('en-US')} schedules already.`);
    const id = randomUUIDv7();
    return tx.schedule.create({ data: { id, tenantId, userId, ...columnsOf(draft, now), ...target } });
  });
}

/**
 * Replaces a schedule of the viewer. Without another expression or time zone, its next time stays; if it is switched off, what
 * has not started does not start.
 * @param id the public id
 * @param input ScheduleInput
 * @throws as {@link createSchedule}; {@link NotFoundError} and {@link ForbiddenError} for the schedule
 */
export async function updateSchedule(viewer: Viewer, db: Database, id: string, input: unknown): Promise<Schedule> {
  const row = parseId('Schedule', id, ['id']);
  const draft = parseSchedule(input);
  const before = await readSchedule(viewer, db, id);
  const target = await findTarget(viewer, db, draft);
  const { tenantId, userId } = viewer;
  const now = await readClock(db);
  return db.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT id FROM schedules WHERE tenant_id = ${tenantId} AND id = ${row}::uuid FOR UPDATE`;
    const { nextAt: stored } = await readSchedule(viewer, tx, formatId('Schedule', row));
    const isSameTime = before.cron === draft.cron && before.timeZone === draft.timeZone && draft.isActive;
    const columns = columnsOf(draft, now);
    const nextAt = isSameTime && stored !== null ? stored : columns.nextAt;
    if (!draft.isActive) await giveUpOpen(tx, tenantId, row);
    const data = { ...columns, ...target, nextAt, lastError: null, updatedAt: now };
    return tx.schedule.update({ where: { id: row, tenantId, userId }, data });
  });
}

/**
 * Deletes a schedule of the viewer with its history. The conversations and runs stay.
 * @param id the public id
 * @returns the public id
 * @throws {BadUserInputError} {@link NotFoundError} {@link ForbiddenError}
 */
export async function deleteSchedule(viewer: Viewer, db: Db, id: string): Promise<string> {
  const schedule = await readSchedule(viewer, db, id);
  const { tenantId, userId } = viewer;
  await db.schedule.deleteMany({ where: { id: schedule.id, tenantId, userId } });
  return id;
}

/** Checks the agent and the scenario as for a conversation that begins now, without the roles that a start will not have. */
async function findTarget(viewer: Viewer, db: Db, { agentId, scenarioKey }: ScheduleDraft) {
  const agent = agentId === null ? {} : { agentId: formatId('Agent', agentId) };
  const planned = await planConversation(withoutRoles(viewer), db, null, { ...agent, scenarioKey }, ['input']);
  return { agentId, scenarioId: planned.scenarioId };
}

function columnsOf({ name, cron, timeZone, content, isActive }: ScheduleDraft, now: Date) {
  const nextAt = isActive ? findNext(cron, timeZone, now) : null;
  return { name, cron, timeZone, content, isActive, nextAt };
}
