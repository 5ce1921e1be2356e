import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import type { Citation } from '../../generated/prisma/client.ts';
import { type AnswerBudget, rowBytes } from '../../limits/answer-budget.ts';

/**
 * What messages of a user cite. One statement for any number of messages.
 * @param ids row ids of messages
 * @returns the citations of each message, by their numbers, in the order of the ids; none for a message that was deleted or
 *   is somebody else's
 * @throws {QueryTooComplexError} if they do not fit into the answer
 */
export async function readCitationsOfMessages(
  { tenantId, userId }: Viewer,
  { db, answer }: { readonly db: Database; readonly answer: AnswerBudget },
  ids: readonly string[],
): Promise<Citation[][]> {
  const rows = await db.citation.findMany({
    where: { tenantId, messageId: { in: [...ids] }, message: { conversation: { userId } } },
    orderBy: { index: 'asc' },
  });
  await answer.take(rows.length * rowBytes);
  const byMessage = Map.groupBy(rows, ({ messageId }) => messageId);
  return ids.map((id) => byMessage.get(id) ?? []);
}
