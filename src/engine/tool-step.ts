import { raceAbort } from './abort.ts';
import type { ResumedTurn } from './continued-turn.ts';
import type { CallStatus, TurnEvent, TurnToolCall } from './events.ts';
import type { Guarded, TurnGuard } from './guard.ts';
import { reportGuards } from './guarded-step.ts';
import type { PlannedAgent, TurnLimits } from './plan.ts';
import type { HistoryItem, RequestedCall, ToolOutcome, TurnPorts } from './ports.ts';
import { type FinishedCall, needsApproval, runCall } from './run-call.ts';
import { boundResult } from './tool-result.ts';

/** The input of a tool step. */
export interface ToolStepInput {
  readonly agent: PlannedAgent;
  readonly step: number;
  readonly calls: readonly RequestedCall[];
  /** Those of them that are tool calls, before any of them begins; after a pause, those that waited. */
  readonly toolCalls: readonly TurnToolCall[];
  readonly limits: TurnLimits;
  /** The state from which the step continues after a pause; null: the step begins. */
  readonly resumed: ResumedTurn | null;
  /** The guardrails of the turn; null: it has none. */
  readonly guard: TurnGuard | null;
}

/** The outcome of a tool step. */
export type ToolStepOutcome =
  | {
      readonly kind: 'done';
      /** The calls as they were run: with the arguments that a person has changed. */
      readonly calls: readonly RequestedCall[];
      /** A result for every call, in the order of the calls. */
      readonly results: readonly HistoryItem[];
      /** The next active agent; null: the same. */
      readonly handoffTo: string | null;
    }
  | {
      readonly kind: 'waiting';
      /** The calls that a person has to decide on. */
      readonly waiting: readonly TurnToolCall[];
      /** The results of the other calls. */
      readonly outputs: readonly (readonly [callId: string, output: string])[];
    };

/** The result of a transfer tool, for the model. */
export const transferredOutput = JSON.stringify({ ok: true, note: 'You are the active agent now. Answer the user.' });

/** The result of a call whose outcome cannot be learnt any more, for people and for the model. */
export const unknownNote = 'The server stopped during this call. Whether it was carried out is not known.';

/** The result of a call whose result a guardrail has flagged, for people. */
const withheldNote = 'A guardrail withheld the result of this call.';

/** The result of a call that a person has denied, for the model. */
export const deniedNote = 'A person denied this call.';

/**
 * Runs the calls of one model step concurrently, each with its timeout; then the handoff, if the model asked for one.
 * If a call fails, the error is its result for the model. All calls are announced before the first one begins. If a
 * person has to approve some of them, the others are run, and the step waits for the decisions.
 *
 * @throws the signal's reason if the turn is stopped; every open call has been closed as CANCELLED by then
 */
export async function* runToolStep(
  input: ToolStepInput,
  ports: TurnPorts,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, ToolStepOutcome, void> {
  const { agent, step, limits, resumed, guard } = input;
  const handoffs = new Map(agent.handoffs.map((handoff) => [handoff.toolName, handoff]));
  const outputs = new Map<string, string>(resumed?.paused.outputs);
  const toolCalls = new Map(input.toolCalls.map((toolCall) => [toolCall.callId, toolCall]));
  const open = new Map<string, TurnToolCall>();
  const waiting: TurnToolCall[] = [];

  const close = (toolCall: TurnToolCall, status: CallStatus, result: unknown, error: string | null): TurnEvent => {
    open.delete(toolCall.callId);
    return { type: 'toolCallCompleted', toolCall: { ...toolCall, status, result, error, finishedAt: ports.now() } };
  };

  try {
    for (const [index, call] of input.calls.entries()) {
      if (handoffs.has(call.name) || outputs.has(call.id)) continue;
      const toolCall = toolCalls.get(call.id);
      if (!toolCall) throw new Error(`The call ${call.id} has no decision.`);
      const decision = resumed?.decisions.get(call.id);
      if (decision?.approved === false) {
        outputs.set(call.id, JSON.stringify({ error: deniedNote }));
        const denied = { ...toolCall, status: 'DENIED', error: deniedNote, finishedAt: decision.decidedAt } as const;
        yield { type: 'toolCallCompleted', toolCall: denied };
      } else if (!decision && needsApproval(call, index, agent, ports)) {
        waiting.push({ ...toolCall, status: 'AWAITING_APPROVAL' });
      } else {
        const begun: TurnToolCall = {
          ...toolCall,
          status: 'RUNNING',
          startedAt: toolCall.startedAt ?? ports.now(),
        };
        open.set(call.id, begun);
        yield { type: 'toolCallStarted', toolCall: begun };
      }
    }

    const running = new Map(
      [...open.values()].map((toolCall) => {
        const finished = runCall(toolCall, agent, ports, limits, signal);
        return [toolCall.callId, guard ? checkOutcome(finished, guard, agent, signal) : finished];
      }),
    );
    while (running.size > 0) {
      const { callId, outcome, checked }: CheckedCall = await raceAbort(Promise.race(running.values()), signal);
      running.delete(callId);
      const toolCall = open.get(callId);
      if (!toolCall) continue;
      if (checked) {
        if (checked.blockedBy !== null) yield close(toolCall, 'FAILED', null, withheldNote);
        yield* reportGuards(checked, step);
      }
      const tool = agent.tools.find(({ name }) => name === toolCall.name);
      if (outcome.ok) {
        const { output, result } = boundResult(outcome.result, tool?.maxResultLength ?? limits.maxResultLength);
        outputs.set(callId, output);
        yield close(toolCall, 'SUCCEEDED', result, null);
      } else {
        outputs.set(callId, JSON.stringify({ error: outcome.error }));
        yield close(toolCall, 'FAILED', null, outcome.error);
      }
    }
  } catch (error) {
    for (const toolCall of [...open.values()]) yield close(toolCall, 'CANCELLED', null, 'The turn was stopped.');
    throw error;
  }
  if (waiting.length > 0) return { kind: 'waiting', waiting, outputs: [...outputs] };

  let handoffTo: string | null = null;
  for (const call of input.calls) {
    const handoff = handoffs.get(call.name);
    if (!handoff) continue;
    if (handoffTo !== null) {
      outputs.set(call.id, JSON.stringify({ error: 'Ignored: another agent is the active agent already.' }));
      continue;
    }
    handoffTo = handoff.toAgentId;
    outputs.set(call.id, transferredOutput);
    const edge = { id: ports.newId(), callId: call.id, step, fromAgentId: agent.id, toAgentId: handoff.toAgentId };
    yield { type: 'handoffOccurred', ...edge, reason: reasonOf(call.arguments), at: ports.now() };
  }

  const calls = input.calls.map((call) => {
    const edited = resumed?.decisions.get(call.id)?.editedArguments ?? null;
    return edited === null ? call : { ...call, arguments: edited };
  });
  const results = calls.map(
    (call): HistoryItem => ({ role: 'tool', callId: call.id, output: outputs.get(call.id) ?? '' }),
  );
  return { kind: 'done', calls, results, handoffTo };
}

/** The outcome of a call, with what guardrails have found in it. */
interface CheckedCall extends FinishedCall {
  readonly checked?: Guarded<ToolOutcome> | null;
}

async function checkOutcome(
  finished: Promise<FinishedCall>,
  guard: TurnGuard,
  agent: PlannedAgent,
  signal: AbortSignal,
): Promise<CheckedCall> {
  const { callId, outcome } = await finished;
  const checked = (await guard.checkOutcome(agent.id, outcome, signal)) ?? null;
  return { callId, outcome: checked?.value ?? outcome, checked };
}

function reasonOf(written: string): string | null {
  try {
    const parsed: unknown = JSON.parse(written);
    const reason = typeof parsed === 'object' && parsed !== null && 'reason' in parsed ? parsed.reason : null;
    return typeof reason === 'string' && reason !== '' ? reason.slice(0, 1_000) : null;
  } catch {
    return null;
  }
}
