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

/** The guardrails that check an item beside those of its agent. */
export interface FurtherChecks {
  readonly itemId: string;
  /** The row ids of the agents whose guardrails they are. */
  readonly checkedBy: readonly string[];
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
  runtime: RealtimeRuntime,
  session: {
    readonly scenarioId: string;
    readonly conversationId: string;
    /** The item for which an agent is to be chosen; null: none. */
    readonly routing: FurtherChecks | null;
  },
  items: readonly AttributedItem[],
  signal: AbortSignal,
): Promise<CheckedItem[]> {
  const { runs } = runtime;
  const { scenarioId, conversationId, routing } = session;
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
  for (const agentId of routing?.checkedBy ?? []) {
    const item = checked.get(routing?.itemId ?? '');
    if (item && item.status !== 'BLOCKED')
      checked.set(item.itemId, await checkFurther(viewer, runtime, { agentId, conversationId }, item, signal));
  }
  return items.flatMap(({ itemId }) => checked.get(itemId) ?? []);
}

/** Checks what the user said with the guardrails of one more agent, as far as those before have left it. */
export async function checkFurther(
  viewer: Viewer,
  { runs }: RealtimeRuntime,
  { agentId, conversationId }: { readonly agentId: string; readonly conversationId: string },
  item: CheckedItem,
  signal: AbortSignal,
): Promise<CheckedItem> {
  const guardrails = (await findGuardrails(viewer, runs, { agentId, scenarioId: null })) ?? [];
  const texts = [{ stage: stageOf(item.role), text: item.content }];
  const [guard] = await checkTexts(viewer, runs, { agentId, guardrails, conversationId }, texts, signal);
  if (guard === undefined) throw new Error('A text of a transcript was not checked.');
  const status = guard.blockedBy !== null ? 'BLOCKED' : guard.isRedacted ? 'REDACTED' : item.status;
  return { ...item, content: guard.value, status, results: [...item.results, ...guard.results] };
}

function stageOf(role: TranscriptItem['role']): GuardStage {
  return role === 'ASSISTANT' ? 'OUTPUT' : 'INPUT';
}
