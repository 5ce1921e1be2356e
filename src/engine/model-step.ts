import { setTimeout as sleep } from 'node:timers/promises';
import { TurnAborted } from './abort.ts';
import { nameEndpoint } from './endpoint-name.ts';
import type { FinishReason, TurnEvent, TurnModelCall, TurnToolCall } from './events.ts';
import { fitHistory, planHistoryTokens } from './fit-history.ts';
import { listFunctions } from './functions.ts';
import type { TurnGuard } from './guard.ts';
import { GuardedAnswer, type InputWatch, type OpenMessage, reportGuards } from './guarded-step.ts';
import { checkOutput, UnfitOutput } from './output-step.ts';
import { type PlannedAgent, type TurnLimits, writeInstructions } from './plan.ts';
import {
  type HistoryItem,
  ModelError,
  type ModelRequest,
  type ProviderState,
  type RequestedCall,
  type TurnPorts,
} from './ports.ts';
import { describeCalls, listTransfers } from './requested-calls.ts';
import { estimateCall, estimateHistory } from './tokens.ts';

/** The input of a model step. */
export interface ModelStepInput {
  readonly agent: PlannedAgent;
  readonly step: number;
  readonly history: readonly HistoryItem[];
  readonly limits: TurnLimits;
  /** Call ids of earlier steps. Some providers start again at call_0 in each step; ids are made unique in the run. */
  readonly usedCallIds: Set<string>;
  /** Context windows that providers have named in this turn, in tokens, by `nameEndpoint`. */
  readonly knownWindows: Map<string, number>;
  /** Whether its message is open already, its text withdrawn: the process of an earlier attempt has died. */
  readonly isReopened: boolean;
  /** Characters that are known of the answer to an attempt that was under way elsewhere; null: there was none. */
  readonly lostLength: number | null;
  /** The guardrails of the turn; null: it has none. */
  readonly guarded: { readonly guard: TurnGuard; readonly watch: InputWatch } | null;
}

/** The result of a model step. */
export interface ModelStepAnswer {
  readonly content: string;
  readonly calls: readonly RequestedCall[];
  /** The calls as they are shown, handoffs excluded. */
  readonly toolCalls: readonly TurnToolCall[];
  /** What the provider wants back with the calls; null: nothing. */
  readonly state: ProviderState | null;
}

const firstRetryDelayMs = 250;
/** If a provider asks for a longer pause than this, the step has failed: a person is waiting. */
const maxRetryDelayMs = 20_000;

/**
 * Runs one model step, and tries it again if its failure allows that: a step has no effects before its calls are run, so
 * only its text has to be withdrawn (textRetracted).
 *
 * @throws {ModelError} if it failed for good; the message, if one is open, has been closed as PARTIAL by then
 * @throws the signal's reason if it was stopped; likewise
 */
export async function* runModelStep(
  input: ModelStepInput,
  ports: TurnPorts,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, ModelStepAnswer, void> {
  const { agent, step, limits, guarded } = input;
  const endpoint = nameEndpoint(agent.endpoint);
  let budget = planHistoryTokens(agent, input.knownWindows.get(endpoint));
  let wasTooLong = false;
  let correction: readonly HistoryItem[] = [];

  const opened = { id: ports.messageId(step), started: input.isReopened };
  const message: OpenMessage = { ...opened, content: '', reasoningLength: 0 };
  for (let attempt = 0; ; attempt++) {
    const request = writeRequest(input, endpoint, budget, correction);
    let calls: readonly RequestedCall[] = [];
    const answer = guarded && GuardedAnswer.open(guarded.guard, { agentId: agent.id, step, message });
    let state: ProviderState | null = null;
    let isCut = false;
    const begunAt = ports.now().getTime();
    let firstTokenAt: number | null = null;
    let hasAnswered = false;
    let answerLength = 0;
    let finished = false;
    message.reasoningLength = 0;
    const modelCalled = (usage: TurnModelCall['usage']) => {
      const estimated = usage === null ? { estimatedTokens: estimateCall(request, answerLength) } : {};
      const timeToFirstTokenMs = firstTokenAt === null ? null : firstTokenAt - begunAt;
      const durationMs = ports.now().getTime() - begunAt;
      return ledgerEvent(input, { usage, ...estimated, durationMs, timeToFirstTokenMs });
    };

    // Whoever made the earlier attempt could not write what it has taken.
    if (attempt === 0 && input.lostLength !== null) {
      const estimatedTokens = estimateCall(request, input.lostLength);
      yield ledgerEvent(input, { usage: null, estimatedTokens, durationMs: 0, timeToFirstTokenMs: null });
    }
    let wasSent = false;

    try {
      signal.throwIfAborted();
      wasSent = true;
      for await (const event of ports.model.stream(request, signal)) {
        hasAnswered = true;
        if (event.type === 'text' || event.type === 'reasoning') {
          firstTokenAt ??= ports.now().getTime();
          answerLength += event.delta.length;
        }
        if (answer && event.type === 'text') yield* answer.pushText(event.delta, signal);
        else if (answer && event.type === 'reasoning') yield* answer.pushReasoning(event.delta, signal);
        else if (event.type === 'text') {
          if (!message.started) {
            message.started = true;
            yield { type: 'messageStarted', messageId: message.id, agentId: agent.id, step };
          }
          const offset = message.content.length;
          message.content += event.delta;
          yield { type: 'textDelta', messageId: message.id, offset, delta: event.delta };
        } else if (event.type === 'reasoning') {
          const offset = message.reasoningLength;
          message.reasoningLength += event.delta.length;
          yield { type: 'reasoningDelta', messageId: message.id, offset, delta: event.delta };
        } else if (event.type === 'call') {
          answerLength += event.call.arguments.length;
          calls = [...calls, withUniqueId(event.call, input.usedCallIds, ports)];
        } else {
          finished = true;
          isCut = event.reason === 'length';
          if (event.state !== undefined) state = { agentId: agent.id, endpoint, data: event.state };
          yield modelCalled(event.usage);
        }
        // Also between two events that arrived together: what is stopped writes no more.
        signal.throwIfAborted();
      }
      signal.throwIfAborted();
      if (!finished) throw truncated();
      if (answer) yield* answer.end(signal);
      const checkedCalls = (await guarded?.guard.checkCalls(agent.id, calls, signal)) ?? null;
      if (checkedCalls) {
        yield* reportGuards(checkedCalls, step);
        calls = checkedCalls.value;
      }
      // The provider's own form of the answer holds what was replaced.
      if (answer?.isRedacted || checkedCalls?.isRedacted) state = null;
      // What the user wrote may still be flagged beside the model: nothing is final before.
      await guarded?.watch.settle(signal);
      if (guarded) yield* guarded.watch.report();
      const written = { agent, step, message, isCut, guard: guarded?.guard ?? null };
      const output = calls.length === 0 ? yield* checkOutput(written, ports, signal) : null;
      const messageId = message.started ? message.id : null;
      const toolCalls = describeCalls(calls, { agent, step, messageId }, ports);
      // Before the message is completed: whoever reads the completed message reads its calls.
      if (calls.length > 0) yield { type: 'callsRequested', toolCalls, transfers: listTransfers(calls, agent), state };
      const status = answer?.isTextRedacted || output?.isRedacted ? 'REDACTED' : 'COMPLETE';
      const end = closeMessage(message, status, isCut ? 'LENGTH' : 'STOP', calls.length === 0);
      if (message.started) yield output ? { ...end, data: output.data } : end;
      return { content: message.content, calls, toolCalls, state };
    } catch (error) {
      // A call that failed in the middle of its answer, or that was stopped, has cost tokens too; the ledger records that
      // their number is unknown.
      if (!finished && (hasAnswered || (wasSent && signal.aborted))) yield modelCalled(null);

      const isTooLong = error instanceof ModelError && error.failure.code === 'CONTEXT_TOO_LONG';
      const isShortened = isTooLong && !wasTooLong && !signal.aborted;
      if (isShortened) {
        wasTooLong = true;
        if (error.contextTokens !== null) input.knownWindows.set(endpoint, error.contextTokens);
        budget = planShorterHistory(input, request, error.contextTokens);
      }
      const isCorrected = error instanceof UnfitOutput && error.failure.retryable && correction.length === 0;
      if (isCorrected) correction = error.correction;
      const mayRetry = !signal.aborted && attempt < limits.maxRetries;
      const delayMs =
        isShortened || (isCorrected && !signal.aborted) ? 0 : mayRetry ? retryDelayOf(error, attempt) : null;
      if (delayMs === null) {
        await guarded?.watch.finish(signal);
        const isTripped = guarded !== null && guarded.watch.tripped !== null;
        if (isTripped && message.content !== '') {
          message.content = '';
          yield { type: 'textRetracted', messageId: message.id, length: 0 };
        }
        if (message.started) yield closeMessage(message, 'PARTIAL', isTripped ? 'FILTERED' : explainEnd(error, signal));
        throw error;
      }
      if (message.content !== '') {
        message.content = '';
        yield { type: 'textRetracted', messageId: message.id, length: 0 };
      }
      await sleep(delayMs, undefined, { signal }).catch(() => {});
    }
  }
}

/**
 * How long to wait before a step is tried again, in milliseconds: as long as the provider asks for, at least a delay that
 * doubles each time. It is partly random, so that turns that failed together are not retried together.
 * @returns null: the step is not tried again
 */
function retryDelayOf(error: unknown, attempt: number): number | null {
  if (!(error instanceof ModelError) || !error.isRetried) return null;
  const own = firstRetryDelayMs * 2 ** attempt * (0.5 + Math.random());
  const delay = Math.max(own, error.retryAfterMs ?? 0);
  return delay <= maxRetryDelayMs ? delay : null;
}

/** What the step sends: only what belongs to its agent and endpoint, and no more than fits. */
function writeRequest(
  { agent, history }: ModelStepInput,
  endpoint: string,
  budgetTokens: number,
  correction: readonly HistoryItem[],
): ModelRequest {
  const own = history.map((item) => {
    if (item.role !== 'assistant' || item.state === undefined) return item;
    if (item.state.agentId === agent.id && item.state.endpoint === endpoint) return item;
    const { state: _state, ...rest } = item;
    return rest;
  });
  return {
    endpoint: agent.endpoint,
    instructions: writeInstructions(agent),
    // The user's last message stays, which is not the one that asks for a correction.
    history: [...fitHistory(own, budgetTokens - estimateHistory(correction)), ...correction],
    tools: listFunctions(agent),
    temperature: agent.temperature,
    maxTokens: agent.maxTokens,
    ...(agent.outputSchema && { outputSchema: agent.outputSchema }),
  };
}

/** How much of a history that was too long is tried after the provider named its window, and if it named none. */
const shorterPart = 0.7;
const muchShorterPart = 0.3;

/** The budget for the next attempt, after the provider refused a history as too long. */
function planShorterHistory(
  { agent }: ModelStepInput,
  { history }: ModelRequest,
  contextTokens: number | null,
): number {
  const refused = estimateHistory(history);
  if (contextTokens === null) return Math.floor(refused * muchShorterPart);
  return Math.min(planHistoryTokens(agent, contextTokens), Math.floor(refused * shorterPart));
}

function closeMessage(
  message: OpenMessage,
  status: 'COMPLETE' | 'PARTIAL' | 'REDACTED',
  finishReason: FinishReason,
  isFinal = false,
): Extract<TurnEvent, { type: 'messageCompleted' }> {
  const { id: messageId, content } = message;
  return { type: 'messageCompleted', messageId, content, status, finishReason, isFinal };
}

/** Why a message that is not complete has ended. */
function explainEnd(error: unknown, signal: AbortSignal): FinishReason {
  if (signal.aborted) {
    const isFailure = signal.reason instanceof TurnAborted && signal.reason.failure !== null;
    return isFailure ? 'ERROR' : 'CANCELLED';
  }
  if (!(error instanceof ModelError)) return 'ERROR';
  const { code } = error.failure;
  return code === 'MODEL_REFUSED' || code === 'GUARDRAIL_TRIPPED' ? 'FILTERED' : 'ERROR';
}

function withUniqueId(call: RequestedCall, used: Set<string>, ports: TurnPorts): RequestedCall {
  const id = call.id !== '' && !used.has(call.id) ? call.id : `call_${ports.newId()}`;
  used.add(id);
  return id === call.id ? call : { ...call, id };
}

function truncated(): ModelError {
  return new ModelError({
    code: 'MODEL_ERROR',
    message: 'The model stopped mid-answer.',
    retryable: true,
  });
}

function ledgerEvent(
  { agent, step }: ModelStepInput,
  call: Omit<TurnModelCall, 'step' | 'agentId' | 'model'>,
): TurnEvent {
  return { type: 'modelCalled', call: { step, agentId: agent.id, model: agent.endpoint.model, ...call } };
}
