import { z } from 'zod';
import { ConflictError, NotFoundError, UnavailableError } from '../../api/errors.ts';
import { formatId, parseId } from '../../api/ids.ts';
import { badInput, json, parseInput, text } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { type ExactJson, parseExactJson } from '../../engine/exact-json.ts';
import { deniedNote } from '../../engine/tool-step.ts';
import type { Prisma, Run, ToolCall } from '../../generated/prisma/client.ts';
import type { RunEvent } from '../../log/event.ts';
import { requireProjectCached } from '../../projects/access.ts';
import { refuseRoles, type Tool } from '../../tools/contract/tool.ts';
import { explainMisfit } from '../../tools/parameters/check.ts';
import { unpackArchive } from '../archive.ts';
import { readDecisions } from '../decisions.ts';
import { type PauseState, readPauseState } from '../frozen-turn.ts';
import { storedTurn } from '../input.ts';
import { findRun, type RunQuery, readRun } from '../read/read.ts';
import { findToolCall } from '../read/tool-calls.ts';
import type { LaunchRequest, ResumedRun, RunRuntime } from '../runtime.ts';
import { lockConversationOf } from '../transitions/lock-conversation.ts';
import { resumeRun } from '../transitions/resume-run.ts';

/** The decision of a person on a tool call. */
export interface ApprovalInput {
  /** The public id of the run of the call; absent: whichever it is. */
  readonly runId?: string | null | undefined;
  /** The public id of the call. */
  readonly toolCallId: string;
  readonly approve: boolean;
  /** Instead of the model's arguments: a JSON object as text. */
  readonly arguments?: string | null | undefined;
}

const maxArgumentsBytes = 65_536;
const jsonObject = z.record(z.string(), z.unknown());

/**
 * Approves or denies a tool call that waits for it. If it was the last waiting call of its run, the run continues here, on
 * the instance that was asked. Until then the decisions on the other calls are stored.
 *
 * @throws {BadUserInputError} naming the argument; {@link ForbiddenError}, {@link NotFoundError} for the run and the
 *   call; {@link ForbiddenError} also if it is to be carried out, in a project in which the viewer is no EDITOR any more;
 *   {@link ConflictError} if the call does not wait, or not any more
 */
export async function approveToolCall(
  viewer: Viewer,
  runtime: RunRuntime,
  input: ApprovalInput,
  query: RunQuery = {},
): Promise<Run> {
  const callId = parseId('ToolCall', input.toolCallId, ['toolCallId']);
  const editedArguments = readArguments(input);
  const { id, name } = await findCallingRun(viewer, runtime, input);
  if (input.approve) await requireEditor(viewer, runtime, id);
  // Before the transaction, because it may have to connect to a server.
  const tool = editedArguments === null ? undefined : (await runtime.tools.findTools(viewer, [name], 'person'))[0];
  const decide = async (tx: Prisma.TransactionClient) => {
    // Decisions on one run come one after another.
    const lock = await lockConversationOf(tx, id);
    const found = await tx.run.findUnique({ where: { id }, include: { toolCalls: true, pause: true, archive: true } });
    if (!lock || !found) throw new NotFoundError(`There is no tool call ${input.toolCallId}.`);
    const { toolCalls, pause, archive, ...run } = found;
    const call = toolCalls.find((candidate) => candidate.rowId === callId);
    if (!call) throw new NotFoundError(`There is no tool call ${input.toolCallId}.`);
    const late = run.actionExpiresAt !== null && run.actionExpiresAt <= lock.now;
    const refusal = refuse(run, call, late);
    if (refusal !== null) throw new ConflictError(refusal, formatId('Run', id));
    if (editedArguments !== null) assertFit(viewer, tool, readPauseState(pause?.state), call, editedArguments);

    const decided = input.approve
      ? ({ status: 'PENDING', editedArguments } as const)
      : ({ status: 'DENIED', error: deniedNote, finishedAt: new Date() } as const);
    const decision = { ...decided, decidedBy: viewer.userId };
    await tx.toolCall.update({ where: { rowId: call.rowId }, data: decision });
    const calls = toolCalls.map((other) => (other === call ? { ...other, ...decision } : other));
    if (calls.some((other) => other.status === 'AWAITING_APPROVAL')) return null;

    const state = readPauseState(pause?.state);
    const events = archive ? await unpackArchive(tx, id, archive.events) : [];
    const { run: continued, leasedAt } = await resumeRun(tx, runtime, run, state.paused.elapsedMs);
    // Nothing is begun that would be interrupted immediately: another instance, or the next start, takes it. Checked last:
    // the server can have begun to stop since the first statement.
    if (runtime.closing)
      throw new UnavailableError('The server is stopping. Try again: another one takes the decision.');
    return { run: continued, leasedAt, events, resumed: { state, decisions: readDecisions(calls) } };
  };
  const resumed = await runtime.launching.during(id, () => runtime.db.$transaction(decide));
  if (!resumed) runtime.launching.done(id);

  if (resumed) continueRun(viewer, runtime, resumed);
  const run = await readRun(viewer, runtime.db, id, query);
  runtime.feed.wake(run);
  return run;
}

/** @returns the edited arguments as they are stored; null if there are none */
function readArguments({ approve, arguments: written }: ApprovalInput): string | null {
  if (written === null || written === undefined) return null;
  if (!approve) throw badInput(['arguments'], 'must not be given if the call is denied');
  if (Buffer.byteLength(written) > maxArgumentsBytes) throw badInput(['arguments'], 'must be at most 64 KB long');
  const checked = parseInput(text(0, maxArgumentsBytes), written, ['arguments']);
  let read: ExactJson;
  try {
    read = parseExactJson(checked);
  } catch {
    throw badInput(['arguments'], 'must be a JSON object, as text');
  }
  const { value, inexact } = read;
  if (inexact !== null) {
    const shown = inexact.slice(0, 100);
    throw badInput(
      ['arguments'],
      `must not hold the number ${shown}, which cannot be stored exactly: write it as text`,
    );
  }
  if (!jsonObject.safeParse(value).success) throw badInput(['arguments'], 'must be a JSON object, as text');
  // Its values reach tools and JSON columns: they must be storable and not too deeply nested.
  parseInput(json(maxArgumentsBytes), value, ['arguments']);
  return checked;
}

/** The row id of the run that made the call, and the name of its tool. */
async function findCallingRun(
  viewer: Viewer,
  { db }: RunRuntime,
  { runId: rawRunId, toolCallId }: ApprovalInput,
): Promise<{ readonly id: string; readonly name: string }> {
  const run = rawRunId == null ? null : await findRun(viewer, db, rawRunId, ['runId']);
  const { runId: id, name } = await findToolCall(viewer, db, toolCallId, ['toolCallId']);
  // Imported calls belong to no run.
  if (id === null) throw new ConflictError('This tool call does not wait for an approval.');
  if (run !== null && run.id !== id) throw new NotFoundError(`There is no tool call ${toolCallId} in run ${rawRunId}.`);
  return { id, name };
}

/** What is carried out is the viewer's deed, also if the turn began long ago. Calls can be denied by whoever has left. */
async function requireEditor(viewer: Viewer, { db, agents }: RunRuntime, runId: string): Promise<void> {
  const { tenantId } = viewer;
  const run = await db.run.findUnique({
    where: { id: runId, tenantId },
    select: { conversation: { select: { projectId: true } } },
  });
  const projectId = run?.conversation?.projectId ?? null;
  if (projectId !== null) await requireProjectCached(viewer, agents, projectId, 'EDITOR');
}

/**
 * Checks edited arguments against the tool. If the tool cannot be reached or was changed, they are checked against its
 * parameters at the time when the person was asked.
 * @throws {BadUserInputError} when they do not fit
 */
function assertFit(
  viewer: Viewer,
  tool: Tool | undefined,
  { agents, definitions, paused }: PauseState,
  call: ToolCall,
  written: string,
): void {
  const args: unknown = JSON.parse(written);
  const then = definitions.get(call.name);
  // A viewer who may not call the tool may decide on the call; the tool itself refuses it then.
  const asks = tool && refuseRoles(viewer, tool.requiredRoles) === null;
  const frozen = agents.find(({ id }) => id === paused.agentId)?.tools.find(({ name }) => name === call.name);
  const wrong =
    asks && (then === undefined || tool.hashDefinition() === then)
      ? tool.check(args, viewer)
      : frozen && explainMisfit(frozen.parameters, args);
  if (wrong) throw badInput(['arguments'], wrong);
}

/** Why nobody can decide on the call; null: it waits for a decision. */
function refuse(run: Run, call: ToolCall, late: boolean): string | null {
  if (call.status === 'DENIED') return 'This tool call was denied already.';
  if (call.decidedBy !== null && call.status !== 'CANCELLED') return 'This tool call was approved already.';
  if (call.status === 'AWAITING_APPROVAL' && late) return 'The time to decide on this tool call is over.';
  if (call.status === 'AWAITING_APPROVAL' && run.status === 'REQUIRES_ACTION') return null;
  if (call.status === 'CANCELLED') return 'This tool call was cancelled.';
  return 'This tool call does not wait for an approval.';
}

/** Carries out the rest of a turn, here. Its readers on this instance stay attached. */
function continueRun(
  viewer: Viewer,
  runtime: RunRuntime,
  continued: Pick<LaunchRequest, 'run' | 'leasedAt'> & {
    readonly events: readonly RunEvent[];
    readonly resumed: ResumedRun;
  },
): void {
  const { run, leasedAt, events, resumed } = continued;
  runtime.log.open(run.id).restore(events);
  runtime.launch({
    viewer,
    run,
    leasedAt,
    stored: storedTurn.parse(run.input),
    turn: null,
    openingMessage: null,
    resumed,
    isTakeover: false,
  });
}
