import { randomUUIDv7 } from 'node:crypto';
import { SwitchboardError } from '../api/errors.ts';
import { formatId } from '../api/ids.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database, Db } from '../database/client.ts';
import { Prisma, type Schedule } from '../generated/prisma/client.ts';
import { startRun } from '../runs/commands/start.ts';
import type { RunRuntime } from '../runs/runtime.ts';
import { findDue } from './cron.ts';

/** Schedules that one round looks at, and due times that it starts. */
const atOnce = 50;
/** How long one attempt may take before another process tries, in seconds; it doubles with each attempt, up to 300. */
const attemptSeconds = 60;
/** After so many attempts, about an hour, a due time is given up. */
const maxAttempts = 15;
/** What does not become right by itself: the schedule is switched off. */
const lasting: ReadonlySet<string> = new Set(['BAD_USER_INPUT', 'NOT_FOUND', 'FORBIDDEN']);

/** Who a scheduled turn is started for: nobody's token says which roles the user has by then, so it has none. */
export function withoutRoles({ tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>): Viewer {
  return { tenantId, userId, roles: [], expiresAt: Infinity };
}

/**
 * Starts the turns that are due, each once: several processes, and several rounds, do not harm each other. The row of a due
 * time is written before its turn is started, with the id of the conversation and so the key of the turn: whoever tries again
 * finds the turn that an attempt has started.
 * @param now the clock that schedules follow
 * @returns how many turns were started
 */
export async function startDue(runtime: RunRuntime, now: Date): Promise<number> {
  await takeDueTimes(runtime.db, now);
  const times = await claimTimes(runtime.db);
  let started = 0;
  for (const time of times) {
    try {
      if (await startOne(runtime, time)) started += 1;
    } catch (error) {
      // Its claim stands until the next attempt, which finds the turn if it was started. The others do not wait for that.
      runtime.logger.warn({ err: error, schedule: time.scheduleId }, 'what became of a scheduled turn was not written');
    }
  }
  return started;
}

/** Now, in the precision of its column, which would round it up: it could be a moment ahead for the statement that follows. */
const soon = Prisma.sql`date_trunc('milliseconds', clock_timestamp())`;

/**
 * Writes the due times of schedules, and when each is due next. No lock is held while times are computed: whoever writes first
 * moves a schedule on, and nobody does if it was changed meanwhile.
 */
async function takeDueTimes(db: Database, now: Date): Promise<void> {
  const due = await db.$queryRaw<(Pick<Schedule, 'id' | 'tenantId' | 'cron' | 'timeZone'> & { nextAt: Date })[]>`
    SELECT id, tenant_id AS "tenantId", cron, time_zone AS "timeZone", next_at AS "nextAt" FROM schedules
    WHERE next_at <= ${now} ORDER BY next_at LIMIT ${atOnce}`;
  for (const { id, tenantId, cron, timeZone, nextAt: stored } of due) {
    const { dueAt, nextAt } = findDue(cron, timeZone, stored, now);
    await db.$executeRaw`
      WITH moved AS (
        UPDATE schedules SET next_at = ${nextAt}, is_active = ${nextAt !== null}
        WHERE tenant_id = ${tenantId} AND id = ${id}::uuid AND next_at = ${stored} AND cron = ${cron}
          AND time_zone = ${timeZone}
        RETURNING tenant_id, id
      )
      INSERT INTO schedule_times (tenant_id, schedule_id, due_at, conversation_id, next_attempt_at)
      SELECT tenant_id, id, ${dueAt}::timestamptz, ${randomUUIDv7()}::uuid, ${soon} FROM moved
      WHERE ${dueAt}::timestamptz IS NOT NULL ON CONFLICT DO NOTHING`;
  }
}

/** A due time that this process tries to start. */
interface ClaimedTime extends Pick<Schedule, 'tenantId' | 'userId' | 'name' | 'timeZone' | 'content' | 'agentId'> {
  readonly scheduleId: string;
  readonly dueAt: Date;
  readonly conversationId: string;
  readonly attempts: number;
  /** When the schedule was last changed: what fails says nothing of another one that it has become meanwhile. */
  readonly updatedAt: Date;
  readonly scenarioId: string | null;
  /** Null: it has none, or it was deleted. */
  readonly scenarioKey: string | null;
}

function claimTimes(db: Db): Promise<ClaimedTime[]> {
  return db.$queryRaw`
    WITH due AS MATERIALIZED (
      SELECT tenant_id, schedule_id, due_at FROM schedule_times WHERE next_attempt_at <= clock_timestamp()
      ORDER BY next_attempt_at LIMIT ${atOnce} FOR UPDATE SKIP LOCKED
    )
    UPDATE schedule_times AS t SET attempts = t.attempts + 1, next_attempt_at = clock_timestamp()
      + least(300, ${attemptSeconds} * power(2, least(t.attempts, 10))) * interval '1 second'
    FROM due JOIN schedules AS s ON s.tenant_id = due.tenant_id AND s.id = due.schedule_id
    LEFT JOIN scenarios AS c ON c.tenant_id = s.tenant_id AND c.id = s.scenario_id
    WHERE t.tenant_id = due.tenant_id AND t.schedule_id = due.schedule_id AND t.due_at = due.due_at
    RETURNING t.tenant_id AS "tenantId", t.schedule_id AS "scheduleId", t.due_at AS "dueAt", t.attempts,
      t.conversation_id AS "conversationId", s.user_id AS "userId", s.name, s.time_zone AS "timeZone", s.content,
      s.updated_at AS "updatedAt", s.agent_id AS "agentId", s.scenario_id AS "scenarioId", c.key AS "scenarioKey"`;
}

/** @returns whether a turn was started @throws what the database does if it does not take what became of it */
async function startOne(runtime: RunRuntime, time: ClaimedTime): Promise<boolean> {
  const { tenantId, conversationId, agentId, scenarioKey, name } = time;
  const idempotencyKey = `schedule ${time.dueAt.toISOString()}`;
  let runId: string;
  try {
    // It may have been switched off since the claim, by its user or because another of its times was refused.
    const { scheduleId, dueAt, attempts } = time;
    const open = { tenantId, scheduleId, dueAt, attempts, nextAttemptAt: { not: null } };
    if ((await runtime.db.scheduleTime.count({ where: open })) === 0) return false;
    const before = await runtime.db.run.findFirst({ where: { tenantId, conversationId, idempotencyKey } });
    if (before === null && time.scenarioId !== null && scenarioKey === null)
      return await switchOff(runtime.db, time, 'The scenario of the schedule was deleted.');
    const agent = agentId === null ? {} : { agentId: formatId('Agent', agentId) };
    const input = {
      conversationId: formatId('Conversation', conversationId),
      newConversation: { title: name, scenarioKey, ...agent },
      content: fillIn(time),
      idempotencyKey,
    };
    ({ id: runId } = before ?? (await startRun(withoutRoles(time), runtime, input, {})));
  } catch (error) {
    const isLasting = error instanceof SwitchboardError && lasting.has(error.code);
    if (!isLasting)
      runtime.logger.warn({ err: error, schedule: time.scheduleId }, 'a scheduled turn could not be started');
    const message = error instanceof SwitchboardError ? error.message : 'The turn could not be started.';
    if (isLasting) await switchOff(runtime.db, time, message);
    else await putOff(runtime.db, time, message);
    return false;
  }
  // If this fails, the turn has been started all the same: nothing is put off or given up.
  return await settle(runtime.db, time, runId);
}

/*
 * What an attempt writes. The row of the schedule is locked first, as where it is changed. Another attempt that came meanwhile
 * decides instead.
 */

/** Writes which turn was started. Why a schedule was switched off meanwhile stays. @returns whether this attempt decided */
async function settle(db: Db, { tenantId, scheduleId, dueAt, attempts }: ClaimedTime, runId: string): Promise<boolean> {
  const settled = await db.$executeRaw`
    WITH locked AS MATERIALIZED (
      SELECT id FROM schedules WHERE tenant_id = ${tenantId} AND id = ${scheduleId}::uuid FOR UPDATE
    ), settled AS (
      UPDATE schedule_times SET run_id = ${runId}::uuid, next_attempt_at = NULL
      WHERE tenant_id = ${tenantId} AND schedule_id IN (SELECT id FROM locked) AND due_at = ${dueAt}
        AND attempts = ${attempts}
      RETURNING schedule_id
    )
    UPDATE schedules SET last_error = CASE WHEN is_active THEN NULL ELSE last_error END
    WHERE tenant_id = ${tenantId} AND id IN (SELECT schedule_id FROM settled)`;
  return settled > 0;
}

/**
 * Switches the schedule off, with the reason; what else of it has not started does not start. If it was changed meanwhile, a later
 * attempt starts its time as it is then.
 */
async function switchOff(db: Database, time: ClaimedTime, lastError: string): Promise<false> {
  const { tenantId, scheduleId, dueAt, attempts } = time;
  await db.$transaction(async (tx) => {
    if (!(await lockUnchanged(tx, time))) return;
    const data = { nextAttemptAt: null };
    const { count } = await tx.scheduleTime.updateMany({ where: { tenantId, scheduleId, dueAt, attempts }, data });
    if (count === 0) return;
    await tx.schedule.update({
      where: { id: scheduleId, tenantId },
      data: { isActive: false, nextAt: null, lastError },
    });
    await giveUpOpen(tx, tenantId, scheduleId);
  });
  return false;
}

/** Leaves it to a later attempt, or gives it up after the last one: the schedule goes on with its next time. */
async function putOff(db: Database, time: ClaimedTime, lastError: string): Promise<void> {
  const { tenantId, scheduleId, dueAt, attempts } = time;
  await db.$transaction(async (tx) => {
    if (!(await lockUnchanged(tx, time))) return;
    const count = await tx.$executeRaw`
      UPDATE schedule_times SET next_attempt_at = CASE WHEN attempts < ${maxAttempts}::int THEN next_attempt_at END
      WHERE tenant_id = ${tenantId} AND schedule_id = ${scheduleId}::uuid AND due_at = ${dueAt}
        AND attempts = ${attempts} AND next_attempt_at IS NOT NULL`;
    if (count > 0) await tx.schedule.update({ where: { id: scheduleId, tenantId }, data: { lastError } });
  });
}

/** Locks the schedule of a time. @returns whether it is as it was when the attempt began */
async function lockUnchanged(tx: Db, { tenantId, scheduleId, updatedAt }: ClaimedTime): Promise<boolean> {
  const [found] = await tx.$queryRaw<{ readonly updatedAt: Date }[]>`
    SELECT updated_at AS "updatedAt" FROM schedules WHERE tenant_id = ${tenantId} AND id = ${scheduleId}::uuid FOR UPDATE`;
  return found?.updatedAt.getTime() === updatedAt.getTime();
}

/** Due times that have not started are given up. */
export async function giveUpOpen(tx: Db, tenantId: string, scheduleId: string): Promise<void> {
  const where = { tenantId, scheduleId, nextAttemptAt: { not: null } };
  await tx.scheduleTime.updateMany({ where, data: { nextAttemptAt: null } });
}

/** The message of a due time: `{{date}}` and `{{time}}` in the time zone of the schedule, `{{dueAt}}` in UTC. */
function fillIn({ content, dueAt, timeZone }: ClaimedTime): string {
  const local = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' }).format(dueAt);
  const [date = '', time = ''] = local.split(' ');
  const values: Readonly<Record<string, string>> = { date, time, dueAt: dueAt.toISOString() };
  return content.replaceAll(/\{\{(date|time|dueAt)\}\}/g, (all, name: string) => values[name] ?? all);
}
