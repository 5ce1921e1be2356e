import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import { type AnswerBudget, rowBytes } from '../../limits/answer-budget.ts';

/** What a message is beside its text. */
interface Details {
  readonly data: unknown;
  readonly reasoning: string | null;
}

/**
 * What messages of a user are beside their texts: their sizes first, then as many as fit into the answer. Two statements for
 * any number of messages.
 * @param ids row ids of messages
 * @returns in the order of the ids; null for a message that is no more than its text, was deleted or is somebody else's; an
 *   error for one that the answer cannot hold as well
 */
export async function readDetailsOfMessages(
  { tenantId, userId }: Viewer,
  { db, answer }: { readonly db: Database; readonly answer: AnswerBudget },
  ids: readonly string[],
): Promise<(Details | Error | null)[]> {
  const where = { tenantId, messageId: { in: [...new Set(ids)] }, message: { conversation: { userId } } };
  const measured = await db.messageDetails.findMany({ where, select: { messageId: true, bytes: true } });
  const found = new Map<string, Details | Error>();
  const fitting: string[] = [];
  let bytes = 0;
  for (const row of measured) {
    const next = bytes + row.bytes + rowBytes;
    if (next > answer.remaining) found.set(row.messageId, answer.tooLarge());
    else {
      fitting.push(row.messageId);
      bytes = next;
    }
  }
  if (fitting.length > 0) {
    await answer.take(bytes);
    const rows = await db.messageDetails.findMany({ where: { ...where, messageId: { in: fitting } } });
    for (const { messageId, data, reasoning } of rows) found.set(messageId, { data, reasoning });
  }
  return ids.map((id) => found.get(id) ?? null);
}
