import { ConflictError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import { findSameMessages } from '../conversations/merge-messages.ts';
import type { Db } from '../database/client.ts';
import type { RealtimeSession } from '../generated/prisma/client.ts';
import type { TranscriptItem } from './input.ts';

/**
 * Finds the items of a batch that were recorded before. One statement, two if there are any.
 * @returns the row ids of their messages, by the ids of the items
 * @throws {ConflictError} if one of them was recorded in another session of the conversation, or with another text or role
 */
export async function findKnownItems(
  db: Db,
  viewer: Viewer,
  session: Pick<RealtimeSession, 'id' | 'conversationId'>,
  items: readonly Pick<TranscriptItem, 'itemId' | 'role' | 'content'>[],
): Promise<ReadonlyMap<string, string>> {
  const { conversationId } = session;
  const rows = await db.realtimeItem.findMany({
    where: { conversationId, itemId: { in: items.map(({ itemId }) => itemId) } },
    select: { itemId: true, sessionId: true, messageId: true },
  });
  const foreign = rows.find(({ sessionId }) => sessionId !== session.id);
  if (foreign) throw new ConflictError(`The item ${quote(foreign.itemId)} belongs to another realtime session.`);
  const known = new Map(rows.map(({ itemId, messageId }) => [itemId, messageId]));
  const said = items.flatMap(({ itemId, role, content }) => {
    const id = known.get(itemId);
    return id === undefined ? [] : [{ itemId, id, role, content }];
  });
  const same = await findSameMessages(
    db,
    viewer,
    conversationId,
    said.map(({ id, role, content }) => ({ id, role, content })),
  );
  const other = said.find(({ id }) => !same.has(id));
  if (other) {
    throw new ConflictError(
      `The item ${quote(other.itemId)} was recorded with another text or role. Record an item when its text is final.`,
    );
  }
  return known;
}

function quote(itemId: string): string {
  return JSON.stringify(itemId);
}
