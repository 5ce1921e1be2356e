import { ConflictError, UnavailableError } from '../../api/errors.ts';
import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { notFoundOrForbidden } from '../../auth/access.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { insertConversation } from '../../conversations/create.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { wakeAttachedBases } from '../../knowledge/attached-documents.ts';
import { storeInputChecks } from '../execute/store-checks.ts';
import { parseTurnInput, type StoredTurn, storedTurnOf, type TurnInput } from '../input.ts';
import { takeMoment } from '../lease.ts';
import { type ConversationForTurn, compileTurn } from '../plan/plan-turn.ts';
import { beginAtBranch } from '../plan/read-branch-point.ts';
import { type ConversationToStart, readForTurn } from '../plan/read-for-turn.ts';
import type { CompiledTurn } from '../planned-turn.ts';
import { queuedEvents } from '../queued-events.ts';
import { type RunQuery, readRun } from '../read/read.ts';
import type { RunRuntime } from '../runtime.ts';
import { unfinishedStatuses } from '../statuses.ts';
import { createRun } from '../transitions/create-run.ts';
import { lockConversation } from '../transitions/lock-conversation.ts';
import type { NewTurn } from '../transitions/new-turn.ts';
import { assertNotBusy, maxUnfinished } from './assert-not-busy.ts';
import { awaitJoining, hintSteering, isWaitingToJoin } from './await-joining.ts';
import { cancelRow } from './cancel.ts';
import {
  addUploads,
  checkAttachments,
  checkInput,
  type InputChecks,
  isUnchecked,
  mayJoin,
  needsCheck,
  needsCheckToJoin,
} from './check-input.ts';
import { findStarted } from './find-started.ts';
import { assertIsAsPlanned, planNewConversation, untilCreated } from './new-conversation.ts';
import { openingMessage, rememberPlain, type Started, tryStartFast, tryStartKnown } from './start-fast.ts';
import { takeSlot } from './take-slot.ts';

/**
 * Starts a turn exactly once, or finds the one that its idempotency key has started.
 * @param rawInput a ChatTurnInput
 * @returns the run, which continues by itself
 * @throws {BadUserInputError} naming the field; {@link ConflictError} when the key came with another payload, or the
 *   conversation is busy and `ifBusy` is REJECT; {@link RateLimitedError};
 *   {@link ForbiddenError}, {@link NotFoundError} for the conversation
 */
export async function startRun(viewer: Viewer, runtime: RunRuntime, rawInput: unknown, query: RunQuery): Promise<Run> {
  const input = parseTurnInput(rawInput);
  const run = await startTurn(viewer, runtime, input, query);
  if (!isWaitingToJoin(run)) return run;
  const { run: joined } = await awaitJoining(viewer, runtime, input, run, { mayWait: false });
  return readRun(viewer, runtime.db, joined.id, query);
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
  return runtime.startsByConversation.run(conversation, () =>
    input.newConversation === null
      ? startInLine(viewer, runtime, input, query)
      : untilCreated(() => startInLine(viewer, runtime, input, query)),
  );
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
    const known = input.newConversation === null && (await tryStartKnown(runtime, { viewer, input, stored }));
    if (known) return launchStarted(runtime, known.newTurn, known.started, query);
    const prepared = await prepareTurn(viewer, runtime, input, stored);
    if (!('newTurn' in prepared)) return query ? readRun(viewer, runtime.db, prepared.id, query) : prepared;
    return prepared.isUnchecked ? prepared : startPrepared(runtime, prepared, null, query);
  });
  if (!('newTurn' in begun)) return begun;
  assertNotBusy(begun.runs, input);
  // Guardrails may ask a model about the text.
  await runtime.agents.tokenBudget.assertLeft(viewer);
  await runtime.turnLimit.take(viewer);
  const checked = await checkInput(runtime, begun.newTurn, begun.runs.length > 0);
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
  let branched: Pick<NewTurn, 'input' | 'stored'> = { input, stored };
  try {
    const { activeAgentId, ...begun } = await beginAtBranch(viewer, runtime.db, conversation, branched);
    branched = begun;
    turn = await compileTurn(viewer, runtime, { ...conversation, activeAgentId }, stored);
  } catch (error) {
    // A client can attach to the run that its key has started, even if that run's agent could not be chosen any more.
    const same = await findStarted(viewer, runtime, runtime.db, input);
    if (!same) throw error;
    return same;
  }
  if (runtime.closing) throw new UnavailableError('The server is stopping. Try again: another one takes the turn.');
  const isNew = input.after === 0 && !runs.some((run) => run.idempotencyKey === input.idempotencyKey);
  const attachedBases = isNew ? await checkAttachments(viewer, runtime, input, conversation) : null;
  if (isNew) branched = { ...branched, input: await addUploads(viewer, runtime, branched.input) };
  const { creates } = conversation;
  const messageStatus = 'COMPLETE' as const;
  const newTurn = { viewer, ...branched, turn, attachedBases, messageStatus, ...(creates && { creates }) };
  const joins = stored.steers === true && runs.length > 0;
  const isUnchecked = isNew && (needsCheck(turn) || (joins && needsCheckToJoin(turn)));
  return { newTurn, conversation, runs, isUnchecked };
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
  const checksStored =
    checked && storeInputChecks(runtime, started.run, checked, started.created && !isWaitingToJoin(started.run));
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
  if (created && isWaitingToJoin(run)) hintSteering(runtime, run);
  else if (created && run.status === 'QUEUED') runtime.log.open(run.id).fill(queuedEvents(run));
  if (created) runtime.feed.wake(run);
  if (created && newTurn.attachedBases) wakeAttachedBases(runtime.knowledge, newTurn.attachedBases);
  await checksStored;
  // The runs before it are stopped, the last of the queue first; when the one that is running has ended, this one begins.
  for (const id of superseded) await cancelRow(runtime, id, new TurnAborted());
  // Returns the row as it is now, or with what the document selects.
  return query || superseded.length > 0 ? readRun(viewer, runtime.db, run.id, query) : run;
}

/** A run that is in the way of a turn. */
type BlockingRun = ConversationToStart['runs'][number];

/** The runs that are in the way of a turn: the one that its key has started, and the unfinished ones. */
function blocking({ idempotencyKey }: TurnInput) {
  return { OR: [{ idempotencyKey }, { status: { in: [...unfinishedStatuses] } }] };
}

/** Reads all that a turn is compiled from, and whether a run is in its way; one statement. */
async function loadConversation(viewer: Viewer, runtime: RunRuntime, input: TurnInput) {
  const conversation = await readForTurn(runtime.db, input, maxUnfinished + 1);
  if (conversation === null && input.newConversation) return planNewConversation(viewer, runtime.db, input);
  if (conversation && conversation.tenantId === viewer.tenantId && conversation.userId === viewer.userId) {
    await assertIsAsPlanned(viewer, runtime.db, conversation, input);
    return { ...conversation, creates: null };
  }
  throw absentConversation(viewer, input, conversation);
}

function absentConversation(
  viewer: Viewer,
  { conversationId }: TurnInput,
  row: Parameters<typeof notFoundOrForbidden>[2],
): Error {
  return notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', conversationId)}`, row);
}

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
  runtime.agents.tokenBudget.assertNotKnownUsed(viewer);
  const { turnLimit } = runtime;
  using _slot = await takeSlot(runtime, viewer, {
    take: () => (isCounted ? Promise.resolve() : turnLimit.take(viewer)),
    giveBack: () => turnLimit.giveBack(viewer),
  });
  let started: Started | null = null;
  try {
    const isPlain = before.length === 0 && input.branch === null && !newTurn.creates;
    started = (isPlain && (await tryStartFast(runtime, newTurn))) || (await startInTransaction(runtime, newTurn));
    return started;
  } finally {
    // Another request with the same key was faster, or something came in its way.
    if (!started?.created) await turnLimit.giveBack(viewer);
  }
}

function startInTransaction(runtime: RunRuntime, newTurn: NewTurn): Promise<Started> {
  const { viewer, input } = newTurn;
  const leasedAt = takeMoment();
  return runtime.db.$transaction(async (tx) => {
    if (newTurn.creates) await insertConversation(viewer, tx, newTurn.creates);
    const conversation = await lockConversation(tx, input.conversationId);
    if (!conversation) throw absentConversation(viewer, input, null);

    const related = await tx.run.findMany({
      where: { conversationId: conversation.id, ...blocking(input) },
      orderBy: { number: 'asc' },
    });
    const same = await findStarted(viewer, runtime, tx, input, related);
    if (same) {
      return { run: same, leasedAt, created: false, openingMessage: null, superseded: [] };
    }
    if (input.after > 0)
      throw badInput(['input', 'after'], 'must be 0 if the idempotencyKey has not started a turn yet');
    // It was there when the conversation was read, so that neither guardrails nor knowledge bases were asked.
    if (isUnchecked(newTurn))
      throw new ConflictError('The turn of this idempotencyKey was deleted meanwhile. Try again.');
    const blockingRun = related.at(0);
    assertNotBusy(related, input);
    await runtime.agents.tokenBudget.assertLeft(viewer, { db: tx });

    const { run, message } = await createRun(tx, runtime, conversation, {
      ...newTurn,
      joins: mayJoin(newTurn),
      queuedPosition: blockingRun ? related.filter(({ status }) => status === 'QUEUED').length + 1 : null,
    });
    const superseded = input.ifBusy === 'INTERRUPT' ? related.map((earlier) => earlier.id).reverse() : [];
    return { run, leasedAt, created: true, openingMessage: openingMessage(input, message.position), superseded };
  });
}
