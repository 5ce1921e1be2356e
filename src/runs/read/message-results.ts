import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import type { GuardResult } from '../../engine/guard.ts';
import { type AnswerBudget, rowBytes } from '../../limits/answer-budget.ts';
import { readGuardResult } from '../guard-result.ts';

/** The results that a message has at most: each guardrail of an agent and of its scenario leaves one for each agent. */
const maxResultsOfMessage = 100;
const inOrder = { orderBy: [{ at: 'asc' as const }, { id: 'asc' as const }], take: maxResultsOfMessage };

/**
 * What guardrails decided about messages of a user: those that were checked by themselves, and those that started a run.
 * The number of statements is the same for any number of messages.
 * @param ids row ids of messages
 * @returns the results of each message, oldest first, in the order of the ids; none for a message that was deleted or is
 *   somebody else's
 * @throws {QueryTooComplexError} if they do not fit into the answer
 */
export async function readResultsOfMessages(
  { tenantId, userId }: Viewer,
  { db, answer }: { readonly db: Database; readonly answer: AnswerBudget },
  ids: readonly string[],
): Promise<GuardResult[][]> {
  const rows = await db.message.findMany({
    where: { id: { in: [...ids] }, tenantId, conversation: { userId } },
    select: {
      id: true,
      guardrailResults: inOrder,
      startedRuns: {
        where: { isCurrent: true },
        take: 1,
        select: { guardrailResults: { where: { stage: 'INPUT' }, ...inOrder } },
      },
    },
  });
  const results = new Map(
    rows.map(({ id, guardrailResults, startedRuns: [startedRun] }) => [
      id,
      [...guardrailResults, ...(startedRun?.guardrailResults ?? [])],
    ]),
  );
  await answer.take([...results.values()].reduce((sum, { length }) => sum + length, 0) * rowBytes);
  return ids.map((id) => (results.get(id) ?? []).map(readGuardResult));
}
