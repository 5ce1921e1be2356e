import { readId } from '../../api/ids.ts';
import { retryWhileAway } from '../../database/outage.ts';
import { planHistoryTokens } from '../../engine/fit-history.ts';
import type { MessageFiles } from '../../engine/ports.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { readAttachments } from '../attached-text.ts';
import { readAttachedFiles } from '../plan/attached-files.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import type { RunRuntime } from '../runtime.ts';

/** The files of the message that began a run, for the guardrails of agents that become active in it. Nothing is read before it is asked for. */
export function filesOfMessage(
  runtime: RunRuntime,
  { run, signal }: { readonly run: Run; readonly signal: AbortSignal },
  { agents, startAgentId }: PlannedTurn,
): MessageFiles {
  const { db } = runtime;
  const { tenantId, userId, conversationId } = run;
  const whileAway = <Found>(read: () => Promise<Found>) => retryWhileAway(read, { maxMs: runtime.outageMs, signal });
  const readMessage = () =>
    db.message.findFirst({
      where: { id: run.userMessageId, tenantId, conversationId },
      select: { id: true, content: true, attachments: true },
    });
  return {
    read: () =>
      whileAway(async () => {
        const message = await readMessage();
        const files = (message ? readAttachments(message) : []).map(({ id, fileId, name, url }, place) => {
          const stored = id ?? fileId;
          const rowId = stored === undefined ? null : readId('Attachment', stored);
          return { place, id: rowId, name, url: id === null ? url : null };
        });
        const where = { tenantId, userId, conversationId, id: { in: files.flatMap(({ id }) => id ?? []) } };
        const rows = await db.attachment.findMany({ where, select: { id: true, text: true } });
        const texts = new Map(rows.map(({ id, text }) => [id, text]));
        return files.map((file) => ({ ...file, text: file.id === null ? null : (texts.get(file.id) ?? null) }));
      }),
    give: () =>
      whileAway(async () => {
        const message = await readMessage();
        const agent = agents.get(startAgentId);
        if (message === null || agent === undefined) return null;
        const budgetTokens = Math.min(planHistoryTokens(agent), runtime.historyTokens);
        const files = await readAttachedFiles(db, run, [message], { budgetTokens, isOfRun: () => false });
        return files.get(message.id) ?? null;
      }),
  };
}
