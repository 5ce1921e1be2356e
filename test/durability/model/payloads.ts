import { createHash } from 'node:crypto';
import type { TurnToolCall } from '../../../src/engine/events.ts';
import type { Run } from '../../../src/generated/prisma/client.ts';
import { packEvents } from '../../../src/log/archive.ts';
import type { RunEventPayload } from '../../../src/log/event.ts';
import { nameMessage } from '../../../src/runs/execute/name-message.ts';
import { writePauseState } from '../../../src/runs/frozen-turn.ts';
import type { RunRuntime } from '../../../src/runs/runtime.ts';
import type { FinishedMessage, LedgerEntry } from '../../../src/runs/transitions/step-parts.ts';

// What the rows of the explored runs hold: one call of one step, without a text.

/** The call of a run. Its id is made of the run's: a process that takes the run over makes the same one. */
export function callOf({ id, agentId }: Run): TurnToolCall {
  const hex = createHash('sha256').update(id).digest('hex');
  return {
    id: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`,
    callId: 'call',
    messageId: null,
    step: 0,
    index: 0,
    name: 'refund_order',
    arguments: '{"orderNumber":"1042"}',
    editedArguments: null,
    decidedBy: null,
    result: null,
    status: 'PENDING',
    error: null,
    agentId: agentId ?? '',
    startedAt: null,
    finishedAt: null,
    approvalExpiresAt: null,
  };
}

/** The message with which a run ends. As in the product, its id is made of the run's. */
export function answerOf({ id }: Run, agentId: string): FinishedMessage {
  const end = {
    content: 'Done.',
    status: 'COMPLETE',
    finishReason: 'STOP',
    transfers: '[]',
    citations: [],
    reasoning: null,
    takesCalls: true,
  } as const;
  return { messageId: nameMessage(id, 1), agentId, step: 1, ...end };
}

/** The model call of that message. */
export function ledgerOf({ id }: Run, agentId: string): LedgerEntry {
  const call = {
    step: 1,
    agentId,
    model: 'scripted',
    usage: null,
    durationMs: 1,
    timeToFirstTokenMs: 1,
  };
  return { id: nameMessage(id, 2), call };
}

/** The archive of a run whose last events are these. */
export async function archiveOf({ id: runId, userMessageId }: Run, last: readonly RunEventPayload[]) {
  const payloads: RunEventPayload[] = [{ type: 'RunStarted', userMessageId }, ...last];
  const events = payloads.map((payload, index) => ({ ...payload, seq: index + 1, runId, at: 0 }));
  return { archive: await packEvents(events), lastSeq: events.length };
}

/** What a run continues from when its call was decided. */
export function pauseStateOf({ agents }: RunRuntime, run: Run): string {
  const { callId: id, name, arguments: args } = callOf(run);
  const paused = {
    agentId: run.agentId ?? '',
    step: 0,
    history: [],
    content: '',
    calls: [{ id, name, arguments: args }],
    outputs: [],
    usedCallIds: [],
    elapsedMs: 0,
  };
  return writePauseState(
    { agents: new Map(), guards: new Map(), tools: new Map() },
    [],
    paused,
    agents.defaults.llm.endpoint,
  );
}
