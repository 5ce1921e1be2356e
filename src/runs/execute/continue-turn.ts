import { resolveAgents } from '../../agents/resolve.ts';
import type { ResumedTurn } from '../../engine/continued-turn.ts';
import type { TurnToolCall } from '../../engine/events.ts';
import { planHistoryTokens } from '../../engine/fit-history.ts';
import { describeOutcome } from '../../engine/history.ts';
import type { CallDecision, PausedTurn } from '../../engine/paused-turn.ts';
import type { RunPlan } from '../../engine/plan.ts';
import { unknownNote } from '../../engine/tool-step.ts';
import type { ToolCall } from '../../generated/prisma/client.ts';
import { isCheckedBeforeStoring } from '../../guardrails/turn-guard.ts';
import { type FrozenPlan, readPauseState, readPlan } from '../frozen-turn.ts';
import { takeoverSeqs } from '../lease.ts';
import { loadHistory } from '../plan/history.ts';
import type { PlannedTurn } from '../planned-turn.ts';
import { rebuildEvents } from '../rebuild-events.ts';
import type { LaunchRequest, RunRuntime } from '../runtime.ts';
import { isOpenCall, readStoredCall } from '../stored-call.ts';
import { FileChecks, type FileFindings } from './check-files.ts';
import { findPosition, type RunPosition } from './find-position.ts';
import { readerOf } from './read-addresses.ts';
import type { RunRecorder } from './recorder.ts';
import { restoreTurn } from './restore-turn.ts';
import { limitsFrom } from './resume.ts';
import { routerOf } from './turn-router.ts';

/** A run that was taken over cannot continue. The message is for the user. */
export class CannotContinue extends Error {
  override readonly name = 'CannotContinue';
}

/**
 * Restores a turn whose process has died, from its rows. Finished steps, results and handoffs stay; the step that was broken
 * off is tried again, its text taken back; a call that was under way is made again if its tool is idempotent, and is UNKNOWN
 * otherwise. Readers are told all of it again, with seqs after those that the dead process may have used.
 * @returns null if nothing of the turn was written: it begins
 * @throws {CannotContinue} with nothing changed
 */
export async function continueTurn(
  runtime: RunRuntime,
  execution: LaunchRequest & { readonly signal: AbortSignal },
  recorder: RunRecorder,
): Promise<{ turn: PlannedTurn; plan: RunPlan; found: FileFindings } | null> {
  const { run, viewer, signal } = execution;
  const { plan, pause, ...rows } = await runtime.db.run.findUniqueOrThrow({
    where: { id: run.id },
    select: {
      plan: true,
      pause: true,
      messages: { where: { step: { not: null }, role: 'ASSISTANT' } },
      toolCalls: true,
      handoffs: true,
    },
  });
  // It came out of the queue, and its process died before it chose the agent.
  if (plan === null && run.routingDecision === null) return null;
  if (plan === null) throw new CannotContinue('It was started by an earlier version of the server.');

  const position = findPosition(rows);
  const { step } = position;
  const agentId = position.agentId ?? run.agentId;
  const { agents: frozen, definitions, ...begun } = readStored(() => readPlan(plan.plan));
  // A decision that is stored stands: nobody is asked again.
  const orchestration = run.routingDecision === null ? begun.orchestration : null;
  const agent = frozen.find(({ id }) => id === agentId);
  if (!agent) throw new CannotContinue('Its agent is not known any more.');
  if (!(await resolveAgents(viewer, runtime.agents, [agent.id])).has(agent.id))
    throw new CannotContinue(`The agent ${agent.name} was deleted in the meantime.`);

  const open = position.kind === 'answer' ? position.toolCalls.filter(isOpenCall) : [];
  const asked: FrozenPlan['definitions'] = pause
    ? readStored(() => readPauseState(pause.state)).definitions
    : new Map();
  const turn = await restoreTurn(
    runtime,
    viewer,
    {
      ...begun,
      agents: frozen,
      definitions: new Map([...definitions, ...asked]),
      startAgentId: agent.id,
      calls: open.map(({ callId: id, name }) => ({ id, name })),
      orchestration,
    },
    signal,
  );
  const unknown = new Set(
    open.filter(({ status }) => status === 'RUNNING').filter((call) => !mayBeMadeAgain(turn, call)),
  );
  const left = open.filter((call) => !unknown.has(call)).flatMap((call) => readStoredCall(call) ?? []);
  const reopened = position.kind === 'step' ? position.reopened : null;
  const rowIds = [...unknown].map(({ rowId }) => rowId);
  await recorder.takeOver({ reopened, unknown: rowIds }, left, { agentId: agent.id, step });
  for (const call of rows.toolCalls) recorder.sources.note(call);
  await tellAgain(runtime, run, recorder);

  const budget = Math.min(planHistoryTokens(agentOf(turn)), runtime.historyTokens);
  const guards = (turn.guards.get(agent.id) ?? []).filter(isCheckedBeforeStoring);
  // Who blocks the text of the user is found in the rows (execute.ts).
  const checks = new FileChecks(runtime, execution, agent.id, guards);
  const reader = readerOf(runtime, execution, agent.id, checks);
  const history = await loadHistory(runtime.db, run, budget, { agents: turn.agents, beforeStep: step, reader });
  const before = [...rows.toolCalls, ...rows.handoffs].filter((entry) => entry.step < step);
  const usedCallIds = before.map(({ callId }) => callId);
  const common = { agents: turn.agents, startAgentId: agent.id, history, limits: limitsFrom(runtime, step) };
  const from = { agentId: agent.id, step, elapsedMs: run.elapsedMs };
  // Readers were told what the rows held before that.
  const found = checks.findings;
  if (position.kind === 'step') {
    const router = routerOf(runtime, execution, turn);
    const written = rows.messages.find(({ id }) => id === reopened)?.content ?? '';
    // A step begins with its model call, unless an agent is to be chosen first.
    const lostLength = router ? null : written.length;
    const retried = { ...from, usedCallIds, isReopened: reopened !== null, lostLength };
    return { turn, found, plan: { ...common, resumed: null, retried, ...(router && { router }) } };
  }
  const paused = { ...from, history, usedCallIds: [...usedCallIds, ...position.calls.map(({ id }) => id)] };
  return { turn, found, plan: { ...common, resumed: resumeAnswer(position, paused, { unknown, left }) } };
}

/** Reads what another process has stored of the turn, which may have had another version: nothing of it may be guessed. */
function readStored<Stored>(read: () => Stored): Stored {
  try {
    return read();
  } catch (cause) {
    throw new CannotContinue('It was started by another version of the server.', { cause });
  }
}

function agentOf({ agents, startAgentId }: PlannedTurn) {
  const agent = agents.get(startAgentId);
  if (!agent) throw new Error('The turn has no plan for its agent.');
  return agent;
}

/** Whether a call that was under way may be sent again: the tool is the one that was called, and it is idempotent. */
function mayBeMadeAgain({ tools, changedCalls }: PlannedTurn, { callId, name }: ToolCall): boolean {
  return tools.get(name)?.isIdempotent === true && changedCalls?.has(callId) !== true;
}

/** The answer of a step, with the results that there are and the calls that are left. */
function resumeAnswer(
  { content, calls, toolCalls, state }: Extract<RunPosition, { kind: 'answer' }>,
  paused: Pick<PausedTurn, 'agentId' | 'step' | 'history' | 'usedCallIds' | 'elapsedMs'>,
  { unknown, left }: { readonly unknown: ReadonlySet<ToolCall>; readonly left: readonly TurnToolCall[] },
): ResumedTurn {
  const outputs = toolCalls.flatMap((call) => {
    const ended = unknown.has(call) ? ({ ...call, status: 'UNKNOWN', error: unknownNote } as const) : call;
    return isOpenCall(ended) ? [] : [[call.callId, describeOutcome(ended)] as const];
  });
  const decisions = toolCalls.flatMap((call): [string, CallDecision][] => {
    const { rowId: id, callId, messageId, editedArguments, decidedBy, finishedAt } = call;
    if (decidedBy === null) return [];
    const approved = call.status !== 'DENIED';
    return [[callId, { id, messageId, approved, editedArguments, decidedBy, decidedAt: finishedAt ?? new Date() }]];
  });
  return { paused: { ...paused, content, calls, state, outputs }, decisions: new Map(decisions), toolCalls: left };
}

/** Gives readers what the rows hold, with seqs that nobody has been given. */
async function tellAgain(runtime: RunRuntime, run: LaunchRequest['run'], recorder: RunRecorder): Promise<void> {
  const { began, happened } = await rebuildEvents(runtime.db, run, run.reservedSeq - takeoverSeqs + 1);
  const buffer = runtime.log.open(run.id);
  buffer.restore([...began, ...happened]);
  recorder.noteCheckpoint(buffer.lastSeq);
  runtime.feed.wake(run);
}
