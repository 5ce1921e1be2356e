import type { Viewer } from '../auth/viewer.ts';
import { listLastMessages } from '../conversations/merge-messages.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { realtimeLimits } from './limits.ts';

/** Something that has a place in a transcript. */
interface Spoken {
  /** The row id of its message. */
  readonly id: string;
  readonly at: Date;
}

/** Where messages of a transcript stand. */
export interface Places {
  readonly added: ReadonlyMap<string, number>;
  readonly moved: readonly { readonly id: string; readonly position: number }[];
}

/**
 * Finds the positions of new items. They stand at the end of the conversation; but an item that arrives late is put before
 * those of its session that were spoken after it. Messages of turns and of other sessions never move, nor does anything
 * before them, so a turn that is under way at the same time keeps its positions.
 *
 * No statement if nothing arrives late, else two. The row of the conversation is locked.
 * @param fresh in the order in which they were spoken
 */
export async function placeItems(
  tx: Prisma.TransactionClient,
  viewer: Viewer,
  session: { readonly id: string; readonly conversationId: string; readonly lastItemAt: Date | null },
  fresh: readonly Spoken[],
  messageCount: number,
): Promise<Places> {
  const [first] = fresh;
  const isLate = first !== undefined && session.lastItemAt !== null && first.at < session.lastItemAt;
  const tail = isLate ? await findTail(tx, viewer, session, first.at) : [];
  return mergeInOrder(tail, fresh, messageCount - tail.length);
}

/** The messages at the end of the conversation that are of this session and were spoken after a time, the oldest first. */
async function findTail(
  tx: Prisma.TransactionClient,
  viewer: Viewer,
  session: { readonly id: string; readonly conversationId: string },
  after: Date,
): Promise<(Spoken & { readonly position: number })[]> {
  const { conversationId } = session;
  const last = await listLastMessages(tx, viewer, conversationId, realtimeLimits.movedMessages);
  const items = await tx.realtimeItem.findMany({
    where: { sessionId: session.id, conversationId, messageId: { in: last.map(({ id }) => id) } },
    select: { messageId: true, at: true },
  });
  const times = new Map(items.map(({ messageId, at }) => [messageId, at]));
  const tail: (Spoken & { readonly position: number })[] = [];
  for (const message of last) {
    const at = times.get(message.id);
    if (at === undefined || at <= after) break;
    tail.push({ ...message, at });
  }
  return tail.reverse();
}

/**
 * Merges two lists that are in the order of their times, the old one first if times are equal.
 * @param before the position of the message before them; 0: there is none
 */
export function mergeInOrder(
  old: readonly (Spoken & { readonly position: number })[],
  fresh: readonly Spoken[],
  before: number,
): Places {
  const added = new Map<string, number>();
  const moved: { id: string; position: number }[] = [];
  let position = before;
  let next = 0;
  const putFresh = (until: Date | null) => {
    for (let item = fresh[next]; item && (until === null || item.at < until); item = fresh[next]) {
      position += 1;
      next += 1;
      added.set(item.id, position);
    }
  };
  for (const message of old) {
    putFresh(message.at);
    position += 1;
    if (message.position !== position) moved.push({ id: message.id, position });
  }
  putFresh(null);
  return { added, moved };
}
