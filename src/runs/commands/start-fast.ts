import { SwitchboardError } from '../../api/errors.ts';
import type { PlainConversation } from '../../conversations/known-conversations.ts';
import { isUniqueViolation } from '../../database/errors.ts';
import type { Run } from '../../generated/prisma/client.ts';
import { collectQuotas, noteQuota } from '../../limits/quotas.ts';
import type { TurnInput } from '../input.ts';
import type { Moment } from '../lease.ts';
import { type ConversationForTurn, compileTurn } from '../plan/plan-turn.ts';
import type { OpeningMessage, RunRuntime } from '../runtime.ts';
import { createRunFast } from '../transitions/create-run-fast.ts';
import type { NewTurn } from '../transitions/new-turn.ts';
import { needsCheck, needsMoreThanRow } from './check-input.ts';
import { takeSlot } from './take-slot.ts';

/** A turn that was started, or that its key had started before. */
export interface Started {
  readonly run: Run;
  /** A moment before the lease of this process began, if the run is new. */
  readonly leasedAt: Moment;
  readonly created: boolean;
  readonly openingMessage: OpeningMessage | null;
  /** Runs that have to make room. */
  readonly superseded: readonly string[];
}

/**
 * Starts a turn in one statement. Of two requests that both see an idle conversation, the unique indexes (one begun run,
 * one run for each key) let one through; for the other the statement fails as a whole.
 * @param expected what the turn was compiled from, if that was not read; null: it was
 * @returns null, with nothing written, if something is in its way: the transaction finds out what. So is a knowledge base
 *   that it adds documents to
 */
export async function tryStartFast(
  runtime: RunRuntime,
  newTurn: NewTurn,
  expected: PlainConversation | null = null,
): Promise<Started | null> {
  const { input } = newTurn;
  if (needsMoreThanRow(input)) return null;
  let created: Awaited<ReturnType<typeof createRunFast>> = null;
  try {
    created = await createRunFast(runtime, newTurn, expected);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
  }
  if (created === null) return null;
  const { run, leasedAt, position } = created;
  return { run, leasedAt, created: true, openingMessage: openingMessage(input, position), superseded: [] };
}

/** The user message as history needs it; null if it is not the first of its conversation. */
export function openingMessage(
  { content, attachments, branch }: TurnInput,
  position: number | null,
): OpeningMessage | null {
  // What is answered again is in its row.
  if (position !== 1 || branch?.kind === 'REGENERATE') return null;
  // What its uploads have in them is read with the history.
  if (attachments.some(({ id }) => id !== null)) return null;
  return { role: 'USER', content, step: null, attachments: [...attachments] };
}

/**
 * Starts a turn of a conversation that this process remembers, without reading it: the statement that writes the turn
 * compares it with the rows.
 * @returns null, with nothing written, if it is not remembered, is not as it is remembered, or anything is in the way of the
 *   turn: who reads the rows finds out what, and says so in the usual order
 */
export async function tryStartKnown(
  runtime: RunRuntime,
  { viewer, input, stored }: Pick<NewTurn, 'viewer' | 'input' | 'stored'>,
): Promise<{ readonly newTurn: NewTurn; readonly started: Started } | null> {
  const known = runtime.knownConversations.take(viewer, input.conversationId, input.idempotencyKey);
  if (known === null || input.after > 0 || input.contextSnapshotId !== null || runtime.closing) return null;
  // Whether the viewer may change the bases is asked first, and where a branch begins is read.
  if (needsMoreThanRow(input) || input.branch !== null) return null;
  try {
    const conversation = { ...known, id: input.conversationId, scenarioId: null, user: { settings: null } };
    const turn = await compileTurn(viewer, runtime, conversation, stored);
    // Guardrails check its text first.
    if (needsCheck(turn) || runtime.closing) return null;
    const newTurn: NewTurn = { viewer, input, stored, turn, attachedBases: null, messageStatus: 'COMPLETE' };
    const { started, quotas } = await collectQuotas(async (quotas) => ({
      started: await startCounted(runtime, newTurn, known),
      quotas,
    }));
    if (!started) return null;
    // Only now: of a turn that is attached to, which is free, its answer names no limit.
    for (const quota of quotas.values()) noteQuota(quota);
    rememberPlain(runtime, newTurn, conversation);
    return { newTurn, started };
  } catch (error) {
    if (error instanceof SwitchboardError) return null;
    throw error;
  }
}

/** Starts a turn of a remembered conversation, for a point of the viewer's limit. @returns null, with nothing written or taken */
async function startCounted(runtime: RunRuntime, newTurn: NewTurn, known: PlainConversation): Promise<Started | null> {
  const { turnLimit } = runtime;
  const { viewer } = newTurn;
  using slot = await takeSlot(runtime, viewer, {
    take: () => turnLimit.tryTake(viewer),
    giveBack: async (isTaken) => (isTaken ? turnLimit.giveBack(viewer) : undefined),
  });
  if (!slot.point) return null;
  let started: Started | null = null;
  try {
    started = await tryStartFast(runtime, newTurn, known);
    return started;
  } finally {
    if (!started) await turnLimit.giveBack(viewer);
  }
}

/** Remembers a conversation in which a turn was started, if it is plain, for its next turn. */
export function rememberPlain(
  { knownConversations }: RunRuntime,
  { viewer, input, stored, turn }: NewTurn,
  { scenarioId, user, followsDefault, projectId }: ConversationForTurn,
): void {
  if (scenarioId !== null || user.settings !== null) return;
  const now = {
    activeAgentId: turn.startAgentId,
    followsDefault: followsDefault && stored.agentId === null,
    projectId,
  };
  knownConversations.remember(viewer, input.conversationId, now, input.idempotencyKey);
}
