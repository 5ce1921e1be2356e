import { UnavailableError } from '../../api/errors.ts';
import { findTaken, takeTexts, withTexts } from '../../attachments/take.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { GuardReport } from '../../engine/guard.ts';
import {
  checkBeforeStoring,
  haveChecked,
  isCheckedBeforeStoring,
  listSteeringGuards,
} from '../../guardrails/turn-guard.ts';
import { checkAttachedDocuments, namesKnowledgeBase } from '../../knowledge/attached-documents.ts';
import type { TurnInput } from '../input.ts';
import type { CompiledTurn } from '../planned-turn.ts';
import type { RunRuntime } from '../runtime.ts';
import type { NewTurn } from '../transitions/new-turn.ts';

/** A turn whose text guardrails have checked, and what they have found. */
export interface InputChecks extends Pick<GuardReport, 'results' | 'calls'> {
  readonly newTurn: NewTurn;
}

/** Whether guardrails of the agent that begins check a text before it is stored. */
export function needsCheck({ startAgentId, guards }: CompiledTurn): boolean {
  return (guards.get(startAgentId) ?? []).some(isCheckedBeforeStoring);
}

/** As {@link needsCheck}, for a message that is to join a run: whatever agent answers then, its guardrails have checked it. */
export function needsCheckToJoin({ guards }: CompiledTurn): boolean {
  return listSteeringGuards(guards).length > 0;
}

/** Whether a message may join a run: it asks for it, and all guardrails have checked it. */
export function mayJoin({ stored, turn }: Pick<NewTurn, 'stored' | 'turn'>): boolean {
  return stored.steers === true && haveChecked(listSteeringGuards(turn.guards), stored.guardrailFingerprints ?? []);
}

/** Checks that attachments can be added to the knowledge bases that they name. Nothing is read if none names one. */
export function checkAttachments(
  viewer: Viewer,
  { knowledge }: RunRuntime,
  { attachments }: TurnInput,
  { projectId }: { readonly projectId: string | null },
) {
  return checkAttachedDocuments(viewer, knowledge, attachments, { projectId, path: ['input', 'attachments'] });
}

/** Reads the uploads that a turn names: from then on they are among its attachments. Nothing is read if it names none. */
export async function addUploads(viewer: Viewer, { db }: RunRuntime, input: TurnInput): Promise<TurnInput> {
  const { attachmentIds, attachments, conversationId } = input;
  if (attachmentIds.length === 0) return input;
  const at = { conversationId, beside: attachments.length, path: ['input', 'attachmentIds'] };
  return { ...input, attachments: [...attachments, ...(await findTaken(viewer, db, attachmentIds, at))] };
}

/** Whether the attachments of a turn take more than the statement that writes it: documents or uploads are among them. */
export function needsMoreThanRow({ attachments, attachmentIds }: TurnInput): boolean {
  return attachmentIds.length > 0 || namesKnowledgeBase(attachments) || attachments.some(({ id }) => id !== null);
}

/** Whether a turn cannot be written as it is: guardrails, the knowledge bases of its attachments or its uploads were not asked. */
export function isUnchecked({ stored, turn, input, attachedBases }: NewTurn): boolean {
  if (attachedBases === null && (input.attachmentIds.length > 0 || namesKnowledgeBase(input.attachments))) return true;
  return stored.guardrailFingerprints === undefined && needsCheck(turn);
}

/**
 * Checks the text of a new turn, before anything of it is stored: what is flagged is replaced in it, or the message is stored
 * as blocked. The turn itself reports it.
 * @param isBusy whether the message may join a run: then the guardrails of all agents check it
 * @throws {UnavailableError} if the server stops meanwhile
 */
export async function checkInput(runtime: RunRuntime, newTurn: NewTurn, isBusy: boolean): Promise<InputChecks> {
  const { turn, input, stored, viewer } = newTurn;
  const { startAgentId: agentId } = turn;
  const { closing, guardrails } = runtime.agents;
  const options = { agentId, timeoutMs: guardrails.timeoutMs, signal: closing };
  const { content } = input;
  const attachments = await withTexts(viewer, runtime.db, input.attachments);
  const guards =
    isBusy && stored.steers
      ? listSteeringGuards(turn.guards)
      : (turn.guards.get(agentId) ?? []).filter(isCheckedBeforeStoring);
  const checked = await checkBeforeStoring(guards, { content, attachments }, options).catch((error: unknown) => {
    if (!closing.aborted) throw error;
    throw new UnavailableError('The server is stopping. Try again: another one takes the turn.');
  });
  const { value, isRedacted, blockedBy, results, calls, fingerprints } = checked;
  const checkedFiles = takeTexts(attachments, value.attachments);
  const guardrailResults = results.map(({ decision, at, ...result }) => {
    const { categories } = decision;
    return { ...result, decision: { ...decision, categories: [...categories] }, at: at.toISOString() };
  });
  return {
    results,
    calls,
    newTurn: {
      ...newTurn,
      input: { ...input, content: value.content, attachments: checkedFiles.attachments },
      changedTexts: checkedFiles.changed,
      stored: {
        ...stored,
        guardrailResults,
        guardrailFingerprints: [...fingerprints],
        ...(blockedBy === null ? {} : { guardrailBlockedBy: blockedBy }),
      },
      messageStatus: blockedBy !== null ? 'BLOCKED' : isRedacted ? 'REDACTED' : 'COMPLETE',
    },
  };
}
