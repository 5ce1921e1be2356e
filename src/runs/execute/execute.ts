import { SwitchboardError } from '../../api/errors.ts';
import { retryWhileAway } from '../../database/outage.ts';
import { withoutCounting } from '../../database/statements.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { TurnModelCall } from '../../engine/events.ts';
import { planHistoryTokens } from '../../engine/fit-history.ts';
import type { TurnGuard } from '../../engine/guard.ts';
import type { RunPlan } from '../../engine/plan.ts';
import type { Failure } from '../../engine/ports.ts';
import { internalFailure, runTurn } from '../../engine/run-turn.ts';
import { budgetTokensOf } from '../../engine/tokens.ts';
import { isCheckedBeforeStoring, openTurnGuard } from '../../guardrails/turn-guard.ts';
import type { RunEventBuffer } from '../../log/event-buffer.ts';
import { noteTurnEvent } from '../../telemetry/turns/turn.ts';
import { writePlan } from '../frozen-turn.ts';
import { LeaseLost, type RunLease } from '../lease.ts';
import { historyOfFirst, loadHistory } from '../plan/history.ts';
import { compileTurn, conversationForTurn } from '../plan/plan-turn.ts';
import type { CompiledTurn, PlannedTurn } from '../planned-turn.ts';
import { queuedEvents } from '../queued-events.ts';
import { cancelledEnd, type RunEnd } from '../run-end.ts';
import type { LaunchRequest, RunOutcome, RunRuntime, RunSizeLimits } from '../runtime.ts';
import { setAgent } from '../transitions/set-agent.ts';
import { FileChecks, type FileFindings } from './check-files.ts';
import { CannotContinue, continueTurn } from './continue-turn.ts';
import { finishRun, interruptRun } from './finish.ts';
import { readInputResults } from './guard-rows.ts';
import { type Pause, waitForApproval } from './pause.ts';
import { hasAddresses, readerOf } from './read-addresses.ts';
import type { RunRecorder } from './recorder.ts';
import { resumeTurn } from './resume.ts';
import { portsOf } from './turn-ports.ts';
import { routerOf } from './turn-router.ts';

/** A run that is carried out, and the way to stop it. */
interface Execution extends LaunchRequest {
  readonly signal: AbortSignal;
  readonly lease: RunLease;
  stop(reason: unknown): void;
}

/**
 * Carries out a run from its first event, or from its pause, to its last or to its next pause: the engine's events are
 * written to rows, then given to the log. Detached: it depends on no socket and on no operation.
 * @returns when the rows are written and every reader can read the last event
 */
export function executeRun(runtime: RunRuntime, execution: Execution, recorder: RunRecorder): Promise<RunOutcome> {
  const { tenantId, userId } = execution.run;
  return withoutCounting({ tenantId, userId }, async () => {
    // The rows of before the pause hold what the log holds. Noted before anything is awaited: readers ask immediately.
    if (execution.resumed) recorder.noteCheckpoint(runtime.log.open(execution.run.id).lastSeq);
    try {
      const outcome = await carryOut(runtime, execution, recorder);
      if (!('waiting' in outcome)) return await finishRun(runtime, execution, recorder, outcome);
      const hasPaused = await waitForApproval(runtime, execution, recorder, outcome);
      // If it may not wait, somebody has asked for its end.
      return hasPaused ? 'waiting' : await finishRun(runtime, execution, recorder, cancelledEnd);
    } catch (error) {
      if (!(error instanceof CannotContinue)) return letGo(runtime, execution, error);
      return interruptRun(runtime, execution, recorder, error).catch((lost: unknown) =>
        letGo(runtime, execution, lost),
      );
    } finally {
      recorder.noteOver();
    }
  });
}

/**
 * Lets go of a run that goes on without this process, or whose end the database did not take. Its readers are not told of
 * an end: they get the rest of it as soon as the rows hold it (sync-remote.ts).
 */
function letGo(runtime: RunRuntime, execution: Execution, error: unknown): RunOutcome {
  const { run } = execution;
  execution.stop(error instanceof LeaseLost ? error : new LeaseLost(run.id, { cause: error }));
  runtime.log.find(run.id)?.dropHeld();
  if (error instanceof LeaseLost)
    runtime.logger.warn({ err: error, runId: run.id }, 'a run goes on without this process');
  else runtime.logger.error({ err: error, runId: run.id }, 'a run was left to whoever takes it over');
  return 'lost';
}

async function carryOut(runtime: RunRuntime, execution: Execution, recorder: RunRecorder): Promise<RunEnd | Pause> {
  const { run, viewer, resumed, signal } = execution;
  const { log } = runtime;
  try {
    // Each of them changes nothing a second time.
    const retry = { maxMs: runtime.outageMs, signal };
    const continued = execution.isTakeover
      ? await retryWhileAway(() => continueTurn(runtime, execution, recorder), retry)
      : null;
    const begun: BegunTurn =
      continued ??
      (resumed
        ? await retryWhileAway(
            () => resumeTurn(runtime, viewer, resumed, { run, signal, sources: recorder.sources }),
            retry,
          )
        : await beginTurn(runtime, execution));
    const { turn, plan, found } = begun;
    recorder.agentId = turn.startAgentId;
    const buffer = log.open(run.id);
    const guard = await retryWhileAway(() => guardOf(runtime, execution, turn, found), retry);
    for await (const event of runTurn(plan, portsOf(runtime, execution, turn, recorder), signal, guard)) {
      // What a former owner still does is neither written nor shown.
      if (signal.reason instanceof LeaseLost) throw signal.reason;
      if (!execution.lease.seemsFresh) buffer.hold();
      switch (event.type) {
        case 'textDelta':
        case 'reasoningDelta':
          log.append(run.id, recorder.recordDelta(event));
          break;
        case 'turnPaused':
          return { turn, waiting: event.waiting, paused: event.paused };
        case 'turnCompleted':
          return { status: 'COMPLETED', failure: null };
        case 'turnCancelled':
          return cancelledEnd;
        case 'turnFailed':
          if (event.cause !== undefined) {
            const { failure, cause } = event;
            runtime.logger.warn({ runId: run.id, code: failure.code, cause: describeCause(cause) }, 'a turn failed');
          }
          return { status: 'FAILED', failure: event.failure };
        default: {
          noteTurnEvent(event);
          if (event.type === 'modelCalled') noteTokens(runtime, run, event.call);
          const payload = await recorder.record(event);
          if (payload) log.append(run.id, payload);
        }
      }
      if (!signal.aborted && isTooLarge(buffer, runtime.sizeLimits)) {
        runtime.logger.warn({ runId: run.id }, 'a run became too large');
        execution.stop(new TurnAborted(tooLarge));
      }
    }
    throw new Error('The engine ended without an end.');
  } catch (error) {
    if (error instanceof LeaseLost || signal.reason instanceof LeaseLost || error instanceof CannotContinue)
      throw error;
    execution.stop(error);
    recorder.markIncomplete();
    // It was stopped while what it begins with was read.
    if (error instanceof TurnAborted) {
      return error.failure ? { status: 'FAILED', failure: error.failure } : cancelledEnd;
    }
    if (error instanceof SwitchboardError) {
      // Something was there when the turn was asked for, and is not when it begins: its agent, for example.
      runtime.logger.info({ runId: run.id, code: error.code }, 'a turn could not begin');
      return { status: 'FAILED', failure: { code: 'INTERNAL', message: error.message, retryable: false } };
    }
    runtime.logger.error({ err: error, runId: run.id }, 'a turn could not be carried out');
    return { status: 'FAILED', failure: internalFailure };
  }
}

/** The failure of a run that became too large. The same turn would become too large again. */
const tooLarge: Failure = {
  code: 'MODEL_ERROR',
  message: 'The answer is too long: the turn was stopped. Ask for less at once.',
  retryable: false,
};

function isTooLarge({ events, bytes }: RunEventBuffer, { maxEvents, maxBytes }: RunSizeLimits): boolean {
  // Room for the events that close what is open.
  return events.length >= maxEvents - reservedEvents || bytes >= maxBytes;
}

const reservedEvents = 50;

/** A turn that is carried out. */
interface BegunTurn {
  readonly turn: PlannedTurn;
  readonly plan: RunPlan;
  /** What guardrails have found in its files before it; unset: nothing. */
  readonly found?: FileFindings;
}

/** Gives readers the first events of the turn, and reads what it begins with. */
async function beginTurn(runtime: RunRuntime, request: Execution): Promise<BegunTurn> {
  const { run, openingMessage } = request;
  // It may have waited on another instance.
  runtime.log.open(run.id).fill(queuedEvents(run));
  const retry = { maxMs: runtime.outageMs, signal: request.signal };
  const turn = request.turn ?? (await retryWhileAway(() => compileQueued(runtime, request), retry));
  const { agents, startAgentId, routing } = turn;
  runtime.log.append(run.id, { type: 'RunStarted', userMessageId: run.userMessageId });
  if (turn.orchestration === null) runtime.log.append(run.id, { type: 'RoutingDecided', decision: routing });
  const agent = agents.get(startAgentId);
  if (agent === undefined) throw new Error('The turn has no plan for its first agent.');
  const budget = Math.min(planHistoryTokens(agent), runtime.historyTokens);
  const guards = (turn.guards.get(startAgentId) ?? []).filter(isCheckedBeforeStoring);
  const checks = new FileChecks(runtime, request, startAgentId, guards);
  const reader = readerOf(runtime, request, startAgentId, checks);
  // What is read at the addresses of files is stored with the message: it is read as any other then.
  const history =
    openingMessage && !(reader.fetch && hasAddresses(openingMessage))
      ? historyOfFirst(openingMessage, budget)
      : await retryWhileAway(() => loadHistory(runtime.db, run, budget, { agents, beforeStep: 0, reader }), retry);
  const router = routerOf(runtime, request, turn);
  const plan = { agents, startAgentId, history, limits: runtime.limits, resumed: null, ...(router && { router }) };
  return { turn, plan, found: checks.findings };
}

async function compileQueued(runtime: RunRuntime, { viewer, run, stored }: LaunchRequest): Promise<CompiledTurn> {
  const conversation = await runtime.db.conversation.findUniqueOrThrow({
    where: { id: run.conversationId },
    include: conversationForTurn,
  });
  const turn = await compileTurn(viewer, runtime, conversation, stored, { hasWaited: true });
  const { startAgentId: toAgentId, routing } = turn;
  const frozen = writePlan(turn, runtime.agents.defaults.llm.endpoint);
  const decided = turn.orchestration === null ? { routing } : {};
  await setAgent(runtime, run, { toAgentId, ...decided, plan: frozen, asked: stored.agentId !== null });
  runtime.feed.wake(run);
  return turn;
}

/**
 * The guardrails of the turn. What has checked the text of the user before it was stored, before a pause or in a process that
 * has died does not check it again.
 */
async function guardOf(
  runtime: RunRuntime,
  { run, stored, resumed, isTakeover }: Execution,
  { guards }: PlannedTurn,
  found: FileFindings = { results: [], blockedBy: null },
): Promise<TurnGuard | null> {
  const isContinued = resumed !== null || isTakeover;
  const written = isContinued && guards.size > 0 ? await readInputResults(runtime, run) : { all: [], ofText: [] };
  const ids = new Set(written.all.map(({ id }) => id));
  const before = (stored.guardrailResults ?? []).map((result) => ({ ...result, at: new Date(result.at) }));
  const blocking = written.all.find(({ decision }) => decision.flagged && decision.action === 'BLOCK');
  return openTurnGuard(guards, {
    earlier: {
      results: resumed ? [] : [...before.filter(({ id }) => !ids.has(id)), ...found.results],
      blockedBy: blocking?.guardrail ?? stored.guardrailBlockedBy ?? found.blockedBy,
      fingerprints: stored.guardrailFingerprints ?? [],
      checked: written.ofText,
    },
    timeoutMs: runtime.agents.guardrails.timeoutMs,
  });
}

/** What a step has used counts before its row is written: the next step is checked before that. */
function noteTokens({ agents }: RunRuntime, run: LaunchRequest['run'], call: TurnModelCall): void {
  const reported = (call.usage?.inputTokens ?? 0) + (call.usage?.outputTokens ?? 0);
  agents.tokenBudget.note(run, budgetTokensOf(call) ?? reported);
}

/** Names a failure for the log: what providers and tools say may hold text of the user, so it stays out. */
function describeCause(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { name: typeof cause };
  const inner = cause.cause instanceof Error ? { cause: describeCause(cause.cause) } : {};
  const status = 'status' in cause && typeof cause.status === 'number' ? { status: cause.status } : {};
  return { name: cause.name, ...status, ...inner };
}
