import type { Viewer } from '../auth/viewer.ts';
import type { Message } from '../generated/prisma/client.ts';
import type { SizedReads } from '../limits/answer-budget.ts';
import type { MessageQuery } from './append.ts';
import { readMessagesById } from './load-messages.ts';

/** More branches than a message may have (runs/transitions/take-branch.ts), those that came out of the queue included. */
const maxListed = 200;

/**
 * The messages before messages in their branches. One statement more than reading them by their ids.
 * @returns in the order of the messages; null: none is before it. An error if the answer cannot hold it as well
 */
export async function readParents(
  viewer: Viewer,
  reads: SizedReads,
  messages: readonly Pick<Message, 'id'>[],
  query: MessageQuery,
): Promise<(Message | Error | null)[]> {
  const rows = await reads.db.$queryRaw<{ id: string; parentId: string }[]>`
    SELECT m.id::text, m.parent_id::text AS "parentId" FROM messages AS m
    JOIN conversations AS c ON c.id = m.conversation_id AND c.tenant_id = ${viewer.tenantId} AND c.user_id = ${viewer.userId}
    WHERE m.id = ANY(${messages.map(({ id }) => id)}::uuid[]) AND m.parent_id IS NOT NULL`;
  if (rows.length === 0) return messages.map(() => null);
  const ids = [...new Set(rows.map(({ parentId }) => parentId))];
  const parents = await readMessagesById(viewer, reads, ids, query);
  const byId = new Map(ids.map((id, index) => [id, parents[index] ?? null]));
  const parentOf = new Map(rows.map(({ id, parentId }) => [id, byId.get(parentId) ?? null]));
  return messages.map(({ id }) => parentOf.get(id) ?? null);
}

/**
 * The branches that begin with each of some messages: the message itself and those that follow the same message, the oldest
 * first. One statement more than reading them by their ids.
 * @returns in the order of the messages. An error if the answer cannot hold all of them
 */
export async function readBranches(
  viewer: Viewer,
  reads: SizedReads,
  messages: readonly Message[],
  query: MessageQuery,
): Promise<(Message[] | Error)[]> {
  const rows = await reads.db.$queryRaw<{ id: string; branchId: string }[]>`
    SELECT m.id::text, branch.id::text AS "branchId" FROM messages AS m
    JOIN conversations AS c ON c.id = m.conversation_id AND c.tenant_id = ${viewer.tenantId} AND c.user_id = ${viewer.userId}
    CROSS JOIN LATERAL (
      (SELECT id, number FROM messages WHERE conversation_id = m.conversation_id AND parent_id = m.parent_id)
      UNION ALL
      -- Those that begin the conversation: they follow none.
      (SELECT id, number FROM messages
        WHERE m.parent_id IS NULL AND conversation_id = m.conversation_id AND parent_id IS NULL AND number IS NOT NULL)
      ORDER BY number LIMIT ${maxListed}
    ) AS branch
    WHERE m.id = ANY(${messages.map(({ id }) => id)}::uuid[]) AND m.number IS NOT NULL
    ORDER BY branch.number`;
  // Nearly every message has no branch but itself, and is here already.
  const known = new Map<string, Message | Error | null>(
    query.include ? [] : messages.map((message) => [message.id, message]),
  );
  const wanted = [...rows.map(({ branchId }) => branchId), ...messages.map(({ id }) => id)];
  const ids = [...new Set(wanted)].filter((id) => !known.has(id));
  if (ids.length > 0) {
    const read = await readMessagesById(viewer, reads, ids, query);
    for (const [index, id] of ids.entries()) known.set(id, read[index] ?? null);
  }
  return messages.map((message) => {
    const branches: Message[] = [];
    for (const { branchId } of rows.filter(({ id }) => id === message.id)) {
      const branch = known.get(branchId);
      if (branch instanceof Error) return branch;
      if (branch) branches.push(branch);
    }
    if (branches.length > 0) return branches;
    // One that waits in the queue is in no branch yet. Of somebody else's, nothing more is read.
    const own = known.get(message.id) ?? [];
    return own instanceof Error ? own : [own].flat();
  });
}
