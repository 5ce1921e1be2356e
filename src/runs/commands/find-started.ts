import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { Run } from '../../generated/prisma/client.ts';
import type { TurnInput } from '../input.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Finds the run that an idempotency key has started, or that its message has joined.
 * @param known runs of the conversation that were read already: if one of them has the key, nothing is read
 * @returns null: the key is new
 * @throws {ConflictError} if the key came with another payload
 */
export async function findStarted(
  viewer: Viewer,
  { agents }: RunRuntime,
  db: Db,
  { conversationId, idempotencyKey, payloadHash }: TurnInput,
  known?: readonly Run[],
): Promise<Run | null> {
  const { tenantId } = viewer;
  const where = { conversationId, idempotencyKey };
  const started = known
    ? known.find((run) => run.idempotencyKey === idempotencyKey)
    : await db.run.findFirst({ where: { ...where, tenantId } });
  const steered = started
    ? null
    : await db.steeredMessage.findUnique({
        where: { conversationId_idempotencyKey: where, tenantId },
        include: { run: true },
      });
  const run = started ?? steered?.run;
  if (!run) return null;
  const stored = steered?.payloadHash ?? run.payloadHash;
  // Rows of earlier versions hold the hash itself.
  if (stored === payloadHash || agents.keys.isHashOf(stored, payloadHash)) return run;
  const message = 'This idempotencyKey has started a turn with another payload. Use a fresh key for a new turn.';
  throw new ConflictError(message, formatId('Run', run.id));
}
