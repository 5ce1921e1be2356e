import { leaseMs } from '../lease.ts';
import type { RunRuntime } from '../runtime.ts';
import { begunStatuses } from '../statuses.ts';
import { cancelWaiting } from '../transitions/cancel-waiting.ts';
import { promoteQueue } from '../transitions/promote-next.ts';
import type { LeaseWatch } from './lease-watch.ts';
import { takeOverRun } from './take-over.ts';

const batch = 100;
/** Leases that were not renewed for so long are watched, in milliseconds. They are renewed twice a second. */
const lateMs = 2_000;
/** How many leases are watched at the same time, those that end first. */
const watched = 1_000;

/**
 * Takes over the runs that no process carries out any more (take-over.ts), cancels the runs that have waited for a person for
 * too long, and begins the queues in which nothing runs.
 * @param options.all also the runs whose lease is valid: at start, if no other process can use the database
 * @param options.watch decides which of the others are carried out by nobody; unset: none of them is taken
 */
export async function recoverRuns(
  runtime: RunRuntime,
  options: { readonly all: boolean; readonly watch?: LeaseWatch },
): Promise<void> {
  // Leases are renewed by the database's clock, so they end by it.
  const [clock] = await runtime.db.$queryRaw<{ now: Date }[]>`SELECT now() AS now`;
  const now = clock?.now ?? new Date();
  await takeOverRuns(runtime, now, options);
  await expireWaiting(runtime, now);
  await promoteStranded(runtime);
}

async function takeOverRuns(
  runtime: RunRuntime,
  now: Date,
  { all, watch }: { readonly all: boolean; readonly watch?: LeaseWatch },
): Promise<void> {
  // What this process has just given back is for others.
  if (runtime.closing) return;
  let taken: number;
  do {
    const found = await runtime.db.run.findMany({
      where: {
        // A run that waits for a person is held by no process: none can have left it behind.
        status: 'RUNNING',
        // Leases that are renewed in time are not looked at.
        ...(all ? {} : { leaseExpiresAt: { lt: new Date(now.getTime() + leaseMs - lateMs) } }),
        id: { notIn: [...runtime.running.keys(), ...runtime.launching.ids()] },
      },
      orderBy: { leaseExpiresAt: 'asc' },
      take: all ? batch : watched,
    });
    const dead = all ? found : (watch?.listDead(found) ?? []);
    taken = 0;
    for (const run of dead) if (await tryFor(runtime, run.id, () => takeOverRun(runtime, run))) taken++;
    // A run that cannot be taken is tried again in the next round; the others do not wait for it.
    if (!all || found.length < batch) break;
  } while (taken > 0);
}

/** Takes over the runs that their processes have given back, without waiting for the next round. */
export async function takeReleasedRuns(runtime: RunRuntime): Promise<void> {
  if (runtime.closing) return;
  const released = await runtime.db.run.findMany({ where: { status: 'RUNNING', leaseOwner: null }, take: batch });
  for (const run of released) await tryFor(runtime, run.id, () => takeOverRun(runtime, run));
}

/** Cancels the runs that have waited for a person for too long. */
async function expireWaiting(runtime: RunRuntime, now: Date): Promise<void> {
  // By position, not by what is left: a run that cannot be cancelled stays, and must not block the others.
  let after: { readonly actionExpiresAt: Date | null; readonly id: string } | null = null;
  for (;;) {
    const expired: { readonly actionExpiresAt: Date | null; readonly id: string }[] = await runtime.db.run.findMany({
      where: {
        status: 'REQUIRES_ACTION',
        actionExpiresAt: { lte: now },
        ...(after?.actionExpiresAt && {
          OR: [
            { actionExpiresAt: { gt: after.actionExpiresAt } },
            { actionExpiresAt: after.actionExpiresAt, id: { gt: after.id } },
          ],
        }),
      },
      orderBy: [{ actionExpiresAt: 'asc' }, { id: 'asc' }],
      take: batch,
      select: { id: true, actionExpiresAt: true },
    });
    for (const { id } of expired) {
      await tryFor(runtime, id, () =>
        cancelWaiting(runtime, id, { why: 'Nobody decided on it in time.', expiredAt: now }),
      );
    }
    after = expired.at(-1) ?? null;
    if (expired.length < batch) return;
  }
}

/** A row that causes an error must not stop the work on the others, or the start of the server. */
async function tryFor(runtime: RunRuntime, runId: string, work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    runtime.logger.error({ err: error, runId }, 'failed to recover a run');
    return false;
  }
}

/** Begins the queues of conversations in which nothing runs: the process that ran the last turn stopped after it. */
async function promoteStranded(runtime: RunRuntime): Promise<void> {
  const stranded = await runtime.db.run.findMany({
    where: {
      status: 'QUEUED',
      conversation: { runs: { none: { status: { in: [...begunStatuses] } } } },
    },
    orderBy: { number: 'asc' },
    distinct: ['conversationId'],
    take: batch,
  });
  for (const { id, conversationId } of stranded) {
    await tryFor(runtime, id, () => promoteQueue(runtime, conversationId));
  }
}
