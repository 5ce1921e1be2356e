import { setTimeout as sleep } from 'node:timers/promises';
import type { RetentionEnv } from '../config/retention.ts';
import { deleteConversationRows, isAtRest } from '../conversations/delete-rows.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { rowsPurged } from '../telemetry/metrics.ts';

type Purger = Pick<Db, '$queryRaw' | '$executeRaw'>;

/** How a purge is carried out. */
export interface PurgeOptions {
  readonly retention: RetentionEnv;
  readonly now: Date;
  readonly signal: AbortSignal;
  /** How long it pauses after each statement, in milliseconds: others use the database too. */
  readonly pauseMs: number;
  /** Rows that one statement deletes. */
  readonly batch: number;
}

/** How many rows of each kind were deleted. */
export type Purged = Record<keyof RetentionEnv, number>;

/** Rows of conversations that one statement deletes: each has many rows of other tables. */
const conversationsPerStatement = 10;
/** Users whose conversations one statement looks at. */
const usersPerStatement = 500;
const dayMs = 24 * 3_600_000;

/**
 * Deletes what is kept no longer, a few rows at a time. It remembers nothing: what was not reached is found by the next one,
 * and two at the same time do not harm each other.
 * @throws the signal's reason if it is aborted
 */
export async function purge(db: Purger, options: PurgeOptions): Promise<Purged> {
  const purged: Purged = { archives: 0, conversations: 0, guardrailResults: 0, ledger: 0 };
  const begun = new Map<keyof RetentionEnv, AsyncGenerator<number, void>>();
  for (const kind of ['conversations', 'archives', 'guardrailResults', 'ledger'] as const) {
    const days = options.retention[kind];
    if (days === null) continue;
    const before = new Date(options.now.getTime() - days * dayMs);
    begun.set(kind, purges[kind](db, before, options));
  }
  // In turn: one that has much to delete, and is stopped before its end each time, keeps none of the others waiting.
  while (begun.size > 0) {
    for (const [kind, batches] of begun) {
      const { done, value: count } = await batches.next();
      if (done) {
        begun.delete(kind);
        continue;
      }
      purged[kind] += count;
      if (count > 0) rowsPurged.inc({ kind }, count);
      await sleep(options.pauseMs, undefined, { signal: options.signal }).catch(() => {});
      options.signal.throwIfAborted();
    }
  }
  return purged;
}

type Batches = (db: Purger, before: Date, options: PurgeOptions) => AsyncGenerator<number, void>;

const purges: Readonly<Record<keyof RetentionEnv, Batches>> = {
  async *conversations(db, before, { batch }) {
    // User by user, with the index of their lists: the time of the last activity has no other one.
    let after: Owner | null = null;
    for (;;) {
      const owners: Owner[] = await listOwners(db, before, after);
      for (const { tenantId, userId, isOld } of owners) {
        if (!isOld) continue;
        const which = Prisma.sql`c.tenant_id = ${tenantId} AND c.user_id = ${userId}
          AND c.is_archived = ANY('{f,t}') AND c.updated_at < ${before} AND ${isAtRest}`;
        let deleted: readonly unknown[];
        do {
          deleted = await deleteConversationRows(db, which, conversationsPerStatement);
          yield deleted.length;
        } while (deleted.length === conversationsPerStatement);
      }
      after = owners.at(-1) ?? null;
      if (after === null) break;
      yield 0;
    }
    // The history of schedules is as old as what it has started.
    yield* untilNone(
      () => db.$executeRaw`
        WITH old AS MATERIALIZED (
          SELECT tenant_id, schedule_id, due_at FROM schedule_times
          WHERE due_at < ${before} AND next_attempt_at IS NULL ORDER BY due_at LIMIT ${batch}
        )
        DELETE FROM schedule_times AS t USING old
        WHERE t.tenant_id = old.tenant_id AND t.schedule_id = old.schedule_id AND t.due_at = old.due_at`,
    );
  },

  async *archives(db, before, { batch }) {
    // Ids of runs are made in the order of time: what was created later need not be looked at.
    const end = firstIdOf(before);
    let after = '00000000-0000-0000-0000-000000000000';
    for (;;) {
      const [step] = await db.$queryRaw<{ last: string | null; deleted: number }[]>`
        WITH page AS (
          SELECT a.run_id, r.finished_at < ${before} AND r.status IN ('COMPLETED', 'FAILED', 'CANCELLED') AS is_old
          FROM run_archives AS a JOIN runs AS r ON r.id = a.run_id
          WHERE a.run_id > ${after}::uuid AND a.run_id < ${end}::uuid ORDER BY a.run_id LIMIT ${batch}
        ), gone AS (
          DELETE FROM run_archives WHERE run_id IN (SELECT run_id FROM page WHERE is_old) RETURNING run_id
        )
        SELECT (SELECT run_id FROM page ORDER BY run_id DESC LIMIT 1)::text AS last,
          (SELECT count(*) FROM gone)::int AS deleted`;
      yield step?.deleted ?? 0;
      if (step?.last == null) return;
      after = step.last;
    }
  },

  async *guardrailResults(db, before, { batch }) {
    const end = firstIdOf(before);
    yield* untilNone(
      () => db.$executeRaw`
        DELETE FROM guardrail_results WHERE id = ANY(ARRAY(
          SELECT g.id FROM guardrail_results AS g LEFT JOIN runs AS r ON r.id = g.run_id
          WHERE g.id < ${end}::uuid AND (r.id IS NULL OR r.finished_at < ${before}) ORDER BY g.id LIMIT ${batch}))`,
    );
    yield* untilNone(
      () => db.$executeRaw`
        DELETE FROM realtime_guardrail_results WHERE id = ANY(ARRAY(
          SELECT id FROM realtime_guardrail_results WHERE id < ${end}::uuid ORDER BY id LIMIT ${batch}))`,
    );
  },

  async *ledger(db, before, { batch }) {
    const end = firstIdOf(before);
    yield* untilNone(
      () => db.$executeRaw`
        DELETE FROM model_calls WHERE id = ANY(ARRAY(
          SELECT c.id FROM model_calls AS c LEFT JOIN runs AS r ON r.id = c.run_id
          WHERE c.id < ${end}::uuid AND (r.id IS NULL OR r.finished_at < ${before}) ORDER BY c.id LIMIT ${batch}))`,
    );
    const day = before.toISOString().slice(0, 10);
    yield* untilNone(
      () => db.$executeRaw`
        WITH old AS MATERIALIZED (
          SELECT tenant_id, user_id, day FROM user_token_days WHERE day < ${day}::date ORDER BY day LIMIT ${batch}
        )
        DELETE FROM user_token_days AS d USING old
        WHERE d.tenant_id = old.tenant_id AND d.user_id = old.user_id AND d.day = old.day`,
    );
    yield* untilNone(
      () => db.$executeRaw`
        WITH old AS MATERIALIZED (
          SELECT tenant_id, day, part FROM tenant_token_days WHERE day < ${day}::date ORDER BY day LIMIT ${batch}
        )
        DELETE FROM tenant_token_days AS d USING old
        WHERE d.tenant_id = old.tenant_id AND d.day = old.day AND d.part = old.part`,
    );
  },
};

interface Owner {
  readonly tenantId: string;
  readonly userId: string;
  /** Whether one of their conversations is old. */
  readonly isOld: boolean;
}

/** The next users, and whether they have conversations without any activity since a moment. */
function listOwners(db: Purger, before: Date, after: Owner | null): Promise<Owner[]> {
  return db.$queryRaw`
    SELECT u.tenant_id AS "tenantId", u.id AS "userId", EXISTS (
      SELECT 1 FROM conversations AS c
      WHERE c.tenant_id = u.tenant_id AND c.user_id = u.id
        AND c.is_archived = ANY('{f,t}') AND c.updated_at < ${before}
    ) AS "isOld"
    FROM users AS u WHERE (u.tenant_id, u.id) > (${after?.tenantId ?? ''}, ${after?.userId ?? ''})
    ORDER BY u.tenant_id, u.id LIMIT ${usersPerStatement}`;
}

async function* untilNone(deleteSome: () => Promise<number>): AsyncGenerator<number, void> {
  for (;;) {
    const deleted = await deleteSome();
    yield deleted;
    if (deleted === 0) return;
  }
}

/** The smallest id that can have been made at a moment (UUID, version 7). */
export function firstIdOf(moment: Date): string {
  const time = Math.max(0, moment.getTime()).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}
