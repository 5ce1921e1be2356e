import type { GuardReport } from '../../engine/guard.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { fileMark } from '../guard-result.ts';
import type { RunRuntime } from '../runtime.ts';

/**
 * Stores what the checks of a text have found and used, also if its turn is cancelled before it begins or a process dies.
 * @param report.isOfFile whether the text was that of a file: its checks say nothing of what the user wrote
 * @param isNew whether they were made for this run; else another request with its key was faster
 */
export async function storeInputChecks(
  { db, logger }: RunRuntime,
  { id: runId, tenantId, userId, conversationId }: Run,
  { results, calls, isOfFile }: Pick<GuardReport, 'results' | 'calls'> & { readonly isOfFile?: true },
  isNew: boolean,
): Promise<void> {
  const mark = isOfFile ? fileMark : {};
  const rows = results.map(({ decision, ...result }) => {
    const { categories, ...rest } = decision;
    return { ...result, tenantId, runId, step: 0, decision: { ...rest, categories: [...categories], ...mark } };
  });
  const ledger = calls.map(({ agentId, model, usage, durationMs }) => {
    const call = { agentId, step: 0, model, complete: usage !== null, durationMs, ...usage };
    return { ...call, tenantId, userId, conversationId, runId: isNew ? runId : null };
  });
  try {
    // The turn reports the results as well: each is stored once.
    if (isNew) await db.guardrailResult.createMany({ data: rows, skipDuplicates: true });
    if (ledger.length > 0) await db.modelCall.createMany({ data: ledger });
  } catch (error) {
    logger.error({ err: error, runId }, 'could not store what guardrails have found and used');
  }
}
