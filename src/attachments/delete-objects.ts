import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import type { ObjectStore } from './object-store.ts';

/** Objects that are claimed at a time, and that are deleted at the same time. */
const batch = 20;
const atOnce = 5;
/** How long until a claimed object is tried again, in minutes: it doubles each time, up to six hours. It is never given up. */
const firstDelayMinutes = 5;
const maxDelayMinutes = 360;

/**
 * Deletes the objects of attachments that were deleted, some at a time. What one instance has claimed, the others leave alone until it
 * must have failed. An object that is deleted twice is deleted.
 */
export async function deleteObjects({
  db,
  store,
  logger,
  signal,
}: {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}): Promise<void> {
  for (;;) {
    const claimed = await db.$queryRaw<{ key: string }[]>`
      UPDATE deleted_objects SET attempts = attempts + 1,
        due_at = now() + least(${firstDelayMinutes} * 2 ^ least(attempts, 10), ${maxDelayMinutes}) * interval '1 minute'
      WHERE object_key = ANY(ARRAY(
        SELECT object_key FROM deleted_objects WHERE due_at <= now() ORDER BY due_at LIMIT ${batch} FOR UPDATE SKIP LOCKED
      ))
      RETURNING object_key AS key`;
    const deleted: string[] = [];
    let failure: unknown = null;
    for (let begin = 0; begin < claimed.length && !signal.aborted; begin += atOnce) {
      const some = claimed.slice(begin, begin + atOnce).map(async ({ key }) => {
        await store.delete(key, signal);
        deleted.push(key);
      });
      for (const outcome of await Promise.allSettled(some)) if (outcome.status === 'rejected') failure = outcome.reason;
    }
    if (deleted.length > 0) await db.deletedObject.deleteMany({ where: { objectKey: { in: deleted } } });
    if (failure !== null && !signal.aborted)
      logger.warn(
        { err: failure, objects: claimed.length - deleted.length },
        'could not delete objects of attachments: they are tried again',
      );
    // A store that deletes none of them is down for the rest, too.
    if (claimed.length < batch || deleted.length === 0 || signal.aborted) return;
  }
}
