import { NotFoundError, UnavailableError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { retryWhileAway } from '../../database/outage.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { TurnInput } from '../input.ts';
import type { RunRuntime } from '../runtime.ts';
import { provisionalNumbers } from '../statuses.ts';
import { noteSteering } from '../steering-notices.ts';

/** How long to wait before the rows are read again, in milliseconds: at first, and at most. */
const [firstWaitMs, maxWaitMs] = [20, 500];

/** Whether a run is a message that waits to join another one, and no turn yet. */
export function isWaitingToJoin({ number, status }: Pick<Run, 'number' | 'status'>): boolean {
  return number >= provisionalNumbers && status === 'QUEUED';
}

/**
 * Tells the run that is under way that a message waits for it, wherever it is carried out. If that is lost, the run sees it in
 * the rows with its next call.
 */
export function hintSteering(runtime: RunRuntime, { conversationId }: Run): void {
  if (!noteSteering(runtime, conversationId)) runtime.remote.announce({ type: 'steered', conversationId });
}

/** The run that a message has joined, or its own. */
export interface Joined {
  readonly run: Run;
  /** The client reads what comes after this seq: its own `after`, or one that the rows tell, which may be ahead of the log. */
  readonly after: number;
}

/**
 * The run that answers a message, and from where it is read: that of its own turn, or the one that it has joined, from its
 * MessageSteered on. As long as neither is decided, it waits. The rows decide, whichever instance carries the run out.
 * @param run what its key has led to so far
 * @param options.mayWait whether it also waits while the run waits for a person; otherwise it returns that run
 * @throws {UnavailableError} if the server stops: the same key finds the outcome; {@link NotFoundError} if the conversation was
 *   deleted
 */
export async function awaitJoining(
  viewer: Viewer,
  runtime: RunRuntime,
  { conversationId, idempotencyKey, after }: TurnInput,
  run: Run,
  { mayWait }: { readonly mayWait: boolean },
): Promise<Joined> {
  const { tenantId, userId } = viewer;
  const { db } = runtime;
  const isOwn = run.idempotencyKey === idempotencyKey;
  if (isOwn && !isWaitingToJoin(run)) return { run, after };
  const read = async (): Promise<Joined | 'gone' | null> => {
    const own = isOwn ? await db.run.findUnique({ where: { id: run.id, tenantId, userId } }) : null;
    if (own) return isWaitingToJoin(own) ? null : { run: own, after };
    const joined = await db.steeredMessage.findUnique({
      where: { conversationId_idempotencyKey: { conversationId, idempotencyKey }, tenantId },
      include: { run: true },
    });
    return joined ? { run: joined.run, after: Math.max(after, joined.seq - 1) } : 'gone';
  };
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMs * 2, maxWaitMs)) {
    using decision = runtime.joining.open(conversationId);
    const found = await retryWhileAway(read, { maxMs: runtime.outageMs });
    if (found === 'gone')
      throw new NotFoundError(`There is no conversation ${formatId('Conversation', conversationId)}.`);
    if (found) return found;
    if (!mayWait) {
      const where = { tenantId, userId, conversationId, status: 'REQUIRES_ACTION' } as const;
      const paused = await db.run.findFirst({ where });
      if (paused) return { run: paused, after };
    }
    if (runtime.closing || runtime.sendingAway)
      throw new UnavailableError('The server is stopping. Try again with the same idempotencyKey.');
    await decision.wait(waitMs);
  }
}
