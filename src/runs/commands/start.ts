import { ConflictError, UnavailableError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { storeTrace } from '../../telemetry/scope.ts';
import { parseTurnInput, type StoredTurn, type TurnInput } from '../input.ts';
import { takeMoment } from '../lease.ts';
import { type ConversationForTurn, compileTurn } from '../plan/plan-turn.ts';
import { readForTurn } from '../plan/read-for-turn.ts';
import type { CompiledTurn } from '../planned-turn.ts';
import { queuedEvents } from '../queued-events.ts';
import { type RunQuery, readRun } from '../read/read.ts';
import type { RunRuntime } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { createRun } from '../transitions/create-run.ts';
import { lockConversation } from '../transitions/lock-conversation.ts';
import type { NewTurn } from '../transitions/new-turn.ts';
import { cancelRow } from './cancel.ts';
import { checkInput, type InputChecks, needsCheck, storeInputChecks } from './check-input.ts';
import { openingMessage, rememberPlain, type Started, tryStartFast, tryStartKnown } from './start-fast.ts';

/**
 * Starts a turn exactly once, or finds the one that its idempotency key has started.
 * @param rawInput a ChatTurnInput
 * @returns the run, which continues by itself
 * @throws {BadUserInputError} naming the field; {@link ConflictError} when the key came with another payload, or the
 *   conversation is busy and `ifBusy` is REJECT; {@link RateLimitedError};
 *   {@link ForbiddenError}, {@link NotFoundError} for the conversation
 */
export function startRun(viewer: Viewer, runtime: RunRuntime, rawInput: unknown, query: RunQuery): Promise<Run> {
  return startTurn(viewer, runtime, parseTurnInput(rawInput), query);
}

/**
 * As {@link startRun}, with an input that is checked.
 *
 * One statement does it if nothing is in the way (create-run-fast.ts). Otherwise one transaction holds the
 * conversation's row while it looks at the key and at the unfinished runs, and writes the user message and the run. The
 * model is called after that has committed.
 *
 * @param query what to load beside the row; the row alone is returned as it was written
 */
export async function startTurn(viewer: Viewer, runtime: RunRuntime, input: TurnInput, query?: RunQuery): Promise<Run> {
  // Only the owner of a conversation waits for its line: whose it is has not been looked up yet.
  const conversation = JSON.stringify([viewer.tenantId, viewer.userId, input.conversationId]);
  runtime.availability.assertAvailable();
  return runtime.startsByConversation.run(conversation, () => startInLine(viewer, runtime, input, query));
}

/**
 * Starts a turn when it is its turn among those of its conversation. Guardrails that ask a provider about the text do not hold
 * a place in the line of the tenant meanwhile.
 */
async function startInLine(viewer: Viewer, runtime: RunRuntime, input: TurnInput, query?: RunQuery): Promise<Run> {
  const inLineOfTenant = <Result>(work: () => Promise<Result>) =>
    runtime.startsByTenant.run(viewer.tenantId, () => {
      // Before and after it has waited: what cannot be done now is refused without waiting for those who came before.
      runtime.availability.assertAvailable();
      return work();
    });
  const stored = storedTurnOf(viewer, input);
  const begun = await inLineOfTenant(async () => {
    const known = await tryStartKnown(runtime, { viewer, input, stored });
    if (known) return launchStarted(runtime, known.newTurn, known.started, query);
    const prepared = await prepareTurn(viewer, runtime, input, stored);
    if (!('newTurn' in prepared)) return query ? readRun(viewer, runtime.db, prepared.id, query) : prepared;
    return prepared.isUnchecked ? prepared : startPrepared(runtime, prepared, null, query);
  });
  if (!('newTurn' in begun)) return begun;
  assertNotBusy(begun.runs, input);
  await runtime.turnLimit.take(viewer);
  const checked = await checkInput(runtime, begun.newTurn);
  const prepared = { ...begun, newTurn: checked.newTurn, isUnchecked: false };
  return inLineOfTenant(() => startPrepared(runtime, prepared, checked, query));
}

/** A turn that is compiled, and the runs that were in its way when its conversation was read. */
interface PreparedTurn {
  readonly newTurn: NewTurn;
  readonly conversation: ConversationForTurn;
  readonly runs: readonly BlockingRun[];
  /** Whether guardrails are to check its text before it is stored. */
  readonly isUnchecked: boolean;
}

function storedTurnOf(viewer: Viewer, input: TurnInput): StoredTurn {
  const { agentId, contextSnapshotId, onDisconnect, model, temperature, maxTokens } = input;
  const snapshot = contextSnapshotId === null ? {} : { contextSnapshotId };
  const settings = { agentId, ...snapshot, onDisconnect, model, temperature, maxTokens };
  return { ...settings, roles: [...viewer.roles], ...storeTrace() };
}

/** @returns the run that its key has started, if that is all that can be had */
async function prepareTurn(
  viewer: Viewer,
  runtime: RunRuntime,
  input: TurnInput,
  stored: StoredTurn,
): Promise<PreparedTurn | Run> {
  const conversation = await loadConversation(viewer, runtime, input);
  const { runs } = conversation;
  let turn: CompiledTurn;
  try {
    turn = await compileTurn(viewer, runtime, conversation, stored);
  } catch (error) {
    // A client can attach to the run that its key has started, even if that run's agent could not be chosen any more.
    const { conversationId, idempotencyKey } = input;
    const same = await runtime.db.run.findFirst({ where: { conversationId, idempotencyKey } });
    if (!same) throw error;
    assertSamePayload(runtime, same, input);
    return same;
  }
  if (runtime.closing) throw new UnavailableError('The server is stopping. Try again: another one takes the turn.');
  const isNew = input.after === 0 && !runs.some((run) => run.idempotencyKey === input.idempotencyKey);
  const newTurn: NewTurn = { viewer, input, stored, turn, messageStatus: 'COMPLETE' };
  return { newTurn, conversation, runs, isUnchecked: isNew && needsCheck(turn) };
}

/** @param checked what guardrails have found in its text; null: nothing was checked */
async function startPrepared(
  runtime: RunRuntime,
  { newTurn, conversation, runs }: PreparedTurn,
  checked: InputChecks | null,
  query?: RunQuery,
): Promise<Run> {
  const started = await startWithinLimits(runtime, newTurn, { before: runs, isCounted: checked !== null });
  if (started.created) rememberPlain(runtime, newTurn, conversation);
  const checksStored = checked && storeInputChecks(runtime, started.run, checked, started.created);
  return launchStarted(runtime, newTurn, started, query, checksStored);
}

/**
 * Carries out a turn that was started just now.
 * @param checksStored resolves when what guardrails have found in its text is stored; null: nothing was checked
 * @returns its run, with what `query` selects
 */
async function launchStarted(
  runtime: RunRuntime,
  newTurn: NewTurn,
  { run, leasedAt, created, openingMessage, superseded }: Started,
  query?: RunQuery,
  checksStored: Promise<void> | null = null,
): Promise<Run> {
  const { viewer, turn } = newTurn;
  if (created && run.status === 'RUNNING') {
    runtime.launch({
      viewer,
      run,
      leasedAt,
      stored: newTurn.stored,
      turn,
      openingMessage,
      resumed: null,
      isTakeover: false,
    });
  }
  if (created && run.status === 'QUEUED') runtime.log.open(run.id).fill(queuedEvents(run));
  if (created) runtime.feed.wake(run);
  await checksStored;
  // The runs before it are stopped, the last of the queue first; when the one that is running has ended, this one begins.
  for (const id of superseded) await cancelRow(runtime, id, new TurnAborted());
  // Returns the row as it is now, or with what the document selects.
  return query || superseded.length > 0 ? readRun(viewer, runtime.db, run.id, query) : run;
}

/** A run that is in the way of a turn. */
interface BlockingRun {
  readonly id: string;
  readonly idempotencyKey: string;
}

/** The runs that are in the way of a turn: the one that its key has started, and the unfinished ones. */
function blocking({ idempotencyKey }: TurnInput) {
  return { OR: [{ idempotencyKey }, { status: { in: [...unfinishedStatuses] } }] };
}

/** Reads all that a turn is compiled from, and whether a run is in its way; one statement. */
async function loadConversation(viewer: Viewer, runtime: RunRuntime, input: TurnInput) {
  const conversation = await readForTurn(runtime.db, input, maxUnfinished + 1);
  if (conversation && conversation.tenantId === viewer.tenantId && conversation.userId === viewer.userId)
    return conversation;
  throw absentConversation(viewer, input, conversation);
}

function absentConversation(
  viewer: Viewer,
  { conversationId }: TurnInput,
  row: Parameters<typeof notFoundOrForbidden>[2],
): Error {
  return notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', conversationId)}`, row);
}

function assertSamePayload({ agents }: RunRuntime, run: Run, { payloadHash }: TurnInput): void {
  // Rows of earlier versions hold the hash itself.
  if (run.payloadHash === payloadHash || agents.keys.isHashOf(run.payloadHash, payloadHash)) return;
  const message = 'This idempotencyKey has started a turn with another payload. Use a fresh key for a new turn.';
  throw new ConflictError(message, formatId('Run', run.id));
}

/** Unfinished runs of one conversation at most. */
const maxUnfinished = 50;

/**
 * Starts a turn, or attaches to the one that its key has started. A turn that the rows refuse is refused before a
 * transaction begins, and a new one takes its rate-limit point before, too: a flood of starts costs no transaction. To
 * attach is free, however often a client comes back.
 * @param options.before the runs that were in the way when the conversation was read
 * @param options.isCounted whether its rate-limit point was taken already
 */
async function startWithinLimits(
  runtime: RunRuntime,
  newTurn: NewTurn,
  { before, isCounted }: { readonly before: readonly BlockingRun[]; readonly isCounted: boolean },
): Promise<Started> {
  const { viewer, input } = newTurn;
  if (before.some((run) => run.idempotencyKey === input.idempotencyKey) || input.after > 0)
    return startInTransaction(runtime, newTurn);
  assertNotBusy(before, input);
  using _slot = runtime.openTurns.enter(viewer);
  if (!isCounted) await runtime.turnLimit.take(viewer);
  let started: Started | null = null;
  try {
    started = before.length === 0 ? await tryStartFast(runtime, newTurn) : null;
    started ??= await startInTransaction(runtime, newTurn);
    return started;
  } finally {
    // Another request with the same key was faster, or something came in its way.
    if (!started?.created) await runtime.turnLimit.giveBack(viewer);
  }
}

/** @throws {ConflictError} if unfinished runs are in the way of a turn */
function assertNotBusy(unfinished: readonly { readonly id: string }[], { ifBusy }: TurnInput): void {
  const [blockingRun] = unfinished;
  if (!blockingRun) return;
  if (ifBusy === 'REJECT')
    throw new ConflictError('The conversation is busy with another turn.', formatId('Run', blockingRun.id));
  if (unfinished.length < maxUnfinished) return;
  const message = `At most ${maxUnfinished} turns of a conversation may wait.`;
  throw new ConflictError(message, formatId('Run', blockingRun.id));
}

function startInTransaction(runtime: RunRuntime, newTurn: NewTurn): Promise<Started> {
  const { viewer, input } = newTurn;
  const leasedAt = takeMoment();
  return runtime.db.$transaction(async (tx) => {
    const conversation = await lockConversation(tx, input.conversationId);
    if (!conversation) throw absentConversation(viewer, input, null);

    const related = await tx.run.findMany({
      where: { conversationId: conversation.id, ...blocking(input) },
      orderBy: { number: 'asc' },
    });
    const same = related.find((run) => run.idempotencyKey === input.idempotencyKey);
    if (same) {
      assertSamePayload(runtime, same, input);
      return { run: same, leasedAt, created: false, openingMessage: null, superseded: [] };
    }
    if (input.after > 0)
      throw badInput(['input', 'after'], 'must be 0 if the idempotencyKey has not started a turn yet');
    // It was there when the conversation was read, so that guardrails have not checked the text.
    if (newTurn.stored.guardrailFingerprints === undefined && needsCheck(newTurn.turn))
      throw new ConflictError('The turn of this idempotencyKey was deleted meanwhile. Try again.');
    const blockingRun = related.at(0);
    assertNotBusy(related, input);

    const { run, message } = await createRun(tx, runtime, conversation, {
      ...newTurn,
      queuedPosition: blockingRun ? related.filter(({ status }) => status === 'QUEUED').length + 1 : null,
    });
    const superseded = input.ifBusy === 'INTERRUPT' ? related.map((earlier) => earlier.id).reverse() : [];
    return { run, leasedAt, created: true, openingMessage: openingMessage(input, message.position), superseded };
  });
}
