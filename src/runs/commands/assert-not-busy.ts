import { ConflictError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import type { TurnInput } from '../input.ts';

/** Unfinished runs of one conversation at most. */
export const maxUnfinished = 50;

/**
 * Checks that a turn may start, or wait behind others.
 * @param unfinished the runs of its conversation that are in the way, in their order
 * @throws {ConflictError} if unfinished runs are in the way of a turn: one with REJECT, fifty with the others
 */
export function assertNotBusy(unfinished: readonly { readonly id: string }[], { ifBusy }: TurnInput): void {
  const [blockingRun] = unfinished;
  if (!blockingRun) return;
  if (ifBusy === 'REJECT')
    throw new ConflictError('The conversation is busy with another turn.', formatId('Run', blockingRun.id));
  if (unfinished.length < maxUnfinished) return;
  const message = `At most ${maxUnfinished} turns of a conversation may wait.`;
  throw new ConflictError(message, formatId('Run', blockingRun.id));
}
