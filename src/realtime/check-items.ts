import type { Viewer } from '../auth/viewer.ts';
import type { GuardResult, GuardStage } from '../engine/guard.ts';
import { checkTexts, findGuardrails } from '../guardrails/moderate/check-texts.ts';
import { patternPlaceholder } from '../guardrails/patterns.ts';
import type { TranscriptItem } from './input.ts';
import type { RealtimeRuntime } from './runtime.ts';

/** An item, and the agent that said it or that it was said to. */
export interface AttributedItem extends TranscriptItem {
  /** The row id. */
  readonly agentId: string;
}

/** An item as it is stored. */
export interface CheckedItem extends AttributedItem {
  /** Of BLOCKED, no model is given anything. */
  readonly status: 'COMPLETE' | 'REDACTED' | 'BLOCKED';
  readonly results: readonly GuardResult[];
}

/**
 * Checks items with the guardrails of the scenario and of their agents: what agents say as OUTPUT, everything else as INPUT.
 * Nothing can be held back of what was spoken already. REDACT replaces what was found. What is blocked is given to no model: of
 * what an agent said, nothing is stored; what the user said stays, for the user alone, as in a turn.
 * @returns in their order
 * @throws the signal's reason if it is aborted
 */
export async function checkItems(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { scenarioId, conversationId }: { readonly scenarioId: string; readonly conversationId: string },
  items: readonly AttributedItem[],
  signal: AbortSignal,
): Promise<CheckedItem[]> {
  const checked = new Map<string, CheckedItem>();
  for (const agentId of new Set(items.map((item) => item.agentId))) {
    const own = items.filter((item) => item.agentId === agentId);
    const guardrails = (await findGuardrails(viewer, runs, { agentId, scenarioId })) ?? [];
    const texts = own.map(({ role, content }) => ({ stage: stageOf(role), text: content }));
    const guarded = await checkTexts(viewer, runs, { agentId, guardrails, conversationId }, texts, signal);
    for (const [index, item] of own.entries()) {
      const guard = guarded[index];
      if (guard === undefined) throw new Error('A text of a transcript was not checked.');
      const isBlocked = guard.blockedBy !== null;
      const isKept = !isBlocked || item.role !== 'ASSISTANT';
      checked.set(item.itemId, {
        ...item,
        content: isKept ? guard.value : patternPlaceholder,
        status: isBlocked ? 'BLOCKED' : guard.isRedacted ? 'REDACTED' : 'COMPLETE',
        results: guard.results,
      });
    }
  }
  return items.flatMap(({ itemId }) => checked.get(itemId) ?? []);
}

function stageOf(role: TranscriptItem['role']): GuardStage {
  return role === 'ASSISTANT' ? 'OUTPUT' : 'INPUT';
}
