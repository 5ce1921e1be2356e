import type { Db } from '../../database/client.ts';
import { buildHistory, type PastTurn } from '../../engine/history.ts';
import type { PlannedAgent } from '../../engine/plan.ts';
import type { HistoryItem } from '../../engine/ports.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { withAttachments } from '../attached-text.ts';
import { readProviderState } from '../provider-state.ts';
import type { OpeningMessage } from '../runtime.ts';
import { type FileReader, readAttachedFiles } from './attached-files.ts';
import { nameHandoffs } from './handoff-names.ts';
import { type PastMessageRow, readPastMessages } from './past-messages.ts';

/** Bytes that are read for each token of the budget. A token is about four; what is stored is longer than what is sent. */
const bytesPerToken = 5;

/**
 * What the model is given of the past of a conversation, ending with the user message of the run. It is read backwards, and
 * only as far as the budget goes. Three statements at most, whatever the length.
 * @param budgetTokens older turns are dropped beyond it
 * @param options.agents those of the turn: handoffs to them are named as the turn offers them
 * @param options.reader reads what is not known yet of the files of the messages of the run; unset: nobody does
 * @param options.beforeStep also what the run itself has written before this step; 0: it begins
 */
export async function loadHistory(
  db: Db,
  run: Run,
  budgetTokens: number,
  {
    agents,
    beforeStep,
    reader,
  }: {
    readonly agents: ReadonlyMap<string, PlannedAgent>;
    readonly beforeStep: number;
    readonly reader?: FileReader;
  },
): Promise<HistoryItem[]> {
  const isPast = ({ runId, step }: { readonly runId: string | null; readonly step: number | null }) =>
    runId !== run.id || step === null || step < beforeStep;
  // What joined the run before this step was said to its model, too.
  const wasSaid = (message: PastMessageRow) =>
    isPast(message) || (message.role === 'USER' && message.step === beforeStep);
  const messages = (await readPastMessages(db, run, budgetTokens * bytesPerToken)).filter(wasSaid).reverse();

  // The message of a turn that waited in the queue was written before the answer of the turn it waited for: messages are
  // grouped by run, each run at the position where it began. A turn of which not even the beginning was read is left out.
  const begun = new Set(messages.filter(({ startedRun }) => startedRun).map(({ runId }) => runId));
  const turns = new Map<string, { runId: string | null; messages: PastMessageRow[] }>();
  for (const message of messages) {
    const { runId } = message;
    if (runId !== null && !begun.has(runId)) continue;
    const key = runId ?? message.id;
    const turn = turns.get(key) ?? { runId, messages: [] };
    turn.messages.push(message);
    turns.set(key, turn);
  }

  const runIds = [...turns.values()]
    .flatMap((turn) => turn.runId ?? [])
    .filter((id) => id !== run.id || beforeStep > 0);
  const imported = [...turns.values()]
    .flatMap((turn) => turn.messages)
    .filter((message) => message.role === 'ASSISTANT' && message.step === null);
  const [calls, handoffs] = await Promise.all([
    runIds.length + imported.length === 0
      ? []
      : db.toolCall.findMany({
          where: { OR: [{ runId: { in: runIds } }, { messageId: { in: imported.map((message) => message.id) } }] },
          orderBy: [{ step: 'asc' }, { index: 'asc' }],
        }),
    runIds.length === 0
      ? []
      : db.handoff.findMany({
          where: { runId: { in: runIds } },
          include: { toAgent: { select: { id: true, name: true } } },
        }),
  ]);

  const files = await readAttachedFiles(db, run, messages.toReversed(), {
    budgetTokens,
    isOfRun: ({ id, runId }) => id === run.userMessageId || runId === run.id,
    ...(reader && { reader }),
  });
  const offered = nameHandoffs(agents.values());
  const others = nameHandoffs([...agents.values(), ...handoffs.map(({ toAgent }) => toAgent)]);
  const past: PastTurn[] = [];
  let own: PastTurn | null = null;
  for (const turn of turns.values()) {
    const ids = new Set(turn.messages.map((message) => message.id));
    const assembled: PastTurn = {
      messages: turn.messages.map((message) => {
        const attached = files.get(message.id);
        return { ...message, content: withAttachments(message), ...(attached && { attached }) };
      }),
      calls: calls
        .filter(isPast)
        .filter((call) => (call.runId !== null ? call.runId === turn.runId : ids.has(call.messageId ?? '')))
        .map((call) => ({ ...call, state: readProviderState(call.providerState) })),
      handoffs: handoffs
        .filter((handoff) => handoff.runId === turn.runId && isPast(handoff))
        .map((handoff) => {
          const { id } = handoff.toAgent;
          return { ...handoff, toolName: offered.get(id) ?? others.get(id) ?? '' };
        }),
    };
    if (turn.runId === run.id) own = assembled;
    else past.push(assembled);
  }
  return buildHistory(own ? [...past, own] : past, budgetTokens);
}

/** The history of a conversation that begins with this message. */
export function historyOfFirst(message: OpeningMessage, budgetTokens: number): HistoryItem[] {
  const messages = [{ ...message, content: withAttachments(message) }];
  return buildHistory([{ messages, calls: [], handoffs: [] }], budgetTokens);
}
