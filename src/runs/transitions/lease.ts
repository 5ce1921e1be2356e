import type { Database } from '../../database/client.ts';
import { isUniqueViolation } from '../../database/errors.ts';
import { Prisma, type Run } from '../../generated/prisma/client.ts';
import { LeaseLost, leaseMs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { provisionalNumbers } from '../statuses.ts';

/** A run as this process has it: its epoch tells this lease from those before and after it. */
export type LeasedRun = Pick<Run, 'id' | 'leaseEpoch'>;

/** The end of a lease that begins or is renewed with the statement. Leases begin and end by the database's clock only. */
export const leaseEnd = Prisma.sql`clock_timestamp() + ${leaseMs} * interval '1 millisecond'`;

/** The row of a run only while this process carries it out with this lease, for statements by Prisma. */
export function ownedRow({ instanceId }: RunRuntime, { id, leaseEpoch }: LeasedRun) {
  return { id, leaseOwner: instanceId, leaseEpoch, status: 'RUNNING' } as const;
}

/** As {@link ownedRow}, as the condition of a statement by hand. */
export function isOwned({ instanceId }: RunRuntime, { id, leaseEpoch }: LeasedRun): Prisma.Sql {
  return Prisma.sql`runs.id = ${id}::uuid AND runs.lease_owner = ${instanceId}
    AND runs.lease_epoch = ${leaseEpoch} AND runs.status = 'RUNNING'`;
}

/**
 * The first part of a statement that writes something of a run: `owned` holds the row of the run, locked to the end of the
 * statement, or nothing if this process has no lease of it. All that the statement writes depends on `owned`, so that a
 * former owner writes nothing, whenever its statement arrives.
 */
export function lockOwned(runtime: RunRuntime, run: LeasedRun): Prisma.Sql {
  return Prisma.sql`owned AS (
    SELECT id, tenant_id, conversation_id, user_id FROM runs WHERE ${isOwned(runtime, run)} FOR NO KEY UPDATE)`;
}

/**
 * As {@link lockOwned}, for statements that write the row of the conversation too: it is locked first, as everywhere
 * (lock-conversation.ts).
 */
export function lockOwnedWithConversation(
  runtime: RunRuntime,
  run: LeasedRun & Pick<Run, 'conversationId'>,
): Prisma.Sql {
  return Prisma.sql`conversation AS (
    SELECT id FROM conversations WHERE id = ${run.conversationId}::uuid FOR NO KEY UPDATE
  ), owned AS (
    SELECT id, tenant_id, conversation_id, user_id FROM runs
    WHERE ${isOwned(runtime, run)} AND conversation_id = (SELECT id FROM conversation) FOR NO KEY UPDATE)`;
}

/**
 * Sends a statement that adds rows unless they are there, and sends it again if they are there all the same: a statement that
 * waits for its locks does not see what was committed meanwhile, by an earlier attempt whose answer was lost for example.
 */
export async function againIfOutdated<Result>(send: () => Promise<Result>): Promise<Result> {
  try {
    return await send();
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    return send();
  }
}

/**
 * Runs a statement that begins with one of the locks above.
 * @returns whether messages wait to join the run (join-steered.ts)
 * @throws {LeaseLost} with nothing written, if this process has no lease of the run
 */
export async function writeOwned(db: Pick<Database, '$queryRaw'>, run: LeasedRun, parts: Prisma.Sql): Promise<boolean> {
  const [row] = await againIfOutdated(
    () => db.$queryRaw<{ owned: number; steered: boolean }[]>`
      WITH ${parts} SELECT count(*)::int AS owned, EXISTS (
        SELECT 1 FROM runs AS waiting WHERE waiting.conversation_id = (SELECT conversation_id FROM owned LIMIT 1)
          AND waiting.number >= ${provisionalNumbers}::int AND waiting.status = 'QUEUED'
      ) AS steered FROM owned`,
  );
  if (!row?.owned) throw new LeaseLost(run.id);
  return row.steered;
}
