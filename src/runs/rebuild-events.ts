import { storedRoutingDecision } from '../conversations/routing-decision.ts';
import type { Prisma, Run } from '../generated/prisma/client.ts';
import type { RunEvent, RunEventPayload } from '../log/event.ts';
import { isRouted } from '../orchestration/last-decision.ts';
import { readGuardResult } from './guard-result.ts';
import { queuedEvents } from './queued-events.ts';
import { isOpenCall, readStoredCall } from './stored-call.ts';

/** The events of a run, rebuilt from its rows. */
interface RebuiltEvents {
  /** Up to RoutingDecided, without it if a classifier has decided: as they were. */
  readonly began: readonly RunEvent[];
  /** All that follow, with seqs that no reader can have seen. */
  readonly happened: readonly RunEvent[];
}

/**
 * Rebuilds the events of a run from its rows. Applied over what a reader has, they give what the rows hold: a TextDelta at
 * offset 0 replaces the text. Of a message that is being written, the text is taken back; of a call that has not ended,
 * there is no event.
 * @param firstSeq the seq of the first event that follows those
 */
export async function rebuildEvents(tx: Prisma.TransactionClient, run: Run, firstSeq: number): Promise<RebuiltEvents> {
  const where = { runId: run.id };
  const messages = await tx.message.findMany({
    where: { ...where, step: { not: null } },
    orderBy: { number: 'asc' },
  });
  const calls = await tx.toolCall.findMany({ where, orderBy: [{ step: 'asc' }, { index: 'asc' }] });
  const handoffs = await tx.handoff.findMany({ where, orderBy: { step: 'asc' } });

  const payloads: { readonly step: number; readonly payload: RunEventPayload }[] = [];
  const add = (step: number, ...list: RunEventPayload[]) =>
    payloads.push(...list.map((payload) => ({ step, payload })));
  for (const { id: messageId, step, agentId, content, status, role } of messages) {
    // It came before the answer of its step, also in the order of the messages.
    if (role === 'USER') {
      add(step ?? 0, { type: 'MessageSteered', messageId });
      continue;
    }
    if (agentId !== null) add(step ?? 0, { type: 'MessageStarted', messageId, agentId });
    if (status === 'STREAMING') {
      add(step ?? 0, { type: 'TextRetracted', messageId, length: 0 });
      continue;
    }
    add(
      step ?? 0,
      { type: 'TextDelta', messageId, offset: 0, delta: content },
      // A reader that has seen more than was saved takes the rest back.
      { type: 'TextRetracted', messageId, length: content.length },
      { type: 'MessageCompleted', messageId },
    );
  }
  for (const row of calls) {
    const call = readStoredCall(row);
    if (!call || isOpenCall(call)) continue;
    const started = { ...call, status: 'RUNNING', result: null, error: null, finishedAt: null } as const;
    // A call that was denied, or that nobody decided on, was never begun.
    if (call.startedAt !== null) add(call.step, { type: 'ToolCallStarted', toolCall: started });
    add(call.step, { type: 'ToolCallCompleted', toolCall: call });
  }
  for (const { id: handoffId, step, fromAgentId, toAgentId, reason, at, seq } of handoffs) {
    const handoff = { handoffId, fromAgentId, toAgentId, reason, happenedAt: at, happenedSeq: seq };
    add(step, { type: 'HandoffOccurred', ...handoff });
  }
  const tripped = await tx.guardrailResult.findMany({
    where: { ...where, tripwireTriggered: true },
    orderBy: [{ at: 'asc' }, { id: 'asc' }],
  });
  for (const row of tripped) add(row.step, { type: 'GuardrailTripped', result: readGuardResult(row) });
  // What guardrails found in the text came before the decision of a classifier, and its seq is not known.
  const decision = run.routingDecision === null ? null : storedRoutingDecision.parse(run.routingDecision);
  const wasRouted = isRouted(run.routingDecision);
  if (decision !== null && wasRouted) add(-1, { type: 'RoutingDecided', decision });
  payloads.sort((a, b) => a.step - b.step);

  const at = Date.now();
  const began = queuedEvents(run);
  const common = { runId: run.id, at };
  began.push({ type: 'RunStarted', userMessageId: run.userMessageId, seq: began.length + 1, ...common });
  if (decision !== null && !wasRouted) {
    began.push({ type: 'RoutingDecided', decision, seq: began.length + 1, ...common });
  }
  const happened = payloads.map(({ payload }, index) => ({ ...payload, seq: firstSeq + index, runId: run.id, at }));
  return { began, happened };
}
