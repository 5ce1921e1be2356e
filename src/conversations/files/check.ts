import type { AgentDependencies } from '../../agents/dependencies.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Database } from '../../database/client.ts';
import type { GuardResult } from '../../engine/guard.ts';
import { checkPastMessage, findGuardrails } from '../../guardrails/moderate/check-texts.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { makeTitle, untitled } from '../text.ts';
import type { ToolCallInFile } from './format.ts';
import type { LinkedMessage, LinkedParts } from './link.ts';

/** What was imported, as guardrails let it be stored. */
export interface CheckedParts extends LinkedParts {
  readonly title: string;
  readonly messages: readonly CheckedMessage[];
}
export type CheckedMessage = LinkedMessage & { readonly guardrailResults: readonly GuardResult[] };

interface CheckDependencies {
  readonly db: Database;
  readonly agents: AgentDependencies;
  readonly turnLimit: RateLimit;
  readonly clientGone: AbortSignal | null;
}

/**
 * Checks the texts of an imported conversation with the guardrails for INPUT, whoever has written them: later turns give them
 * to a model, which can be given the titles of recent conversations as well. A message that is blocked is stored as such.
 * @param by whose guardrails; null: nobody's
 * @throws {RateLimitedError} if guardrails would ask a provider too often
 */
export async function checkImported(
  viewer: Viewer,
  { db, agents, turnLimit, clientGone }: CheckDependencies,
  by: { readonly agentId: string; readonly scenarioId: string | null } | null,
  parts: LinkedParts & { readonly title: string },
): Promise<CheckedParts> {
  const found = by === null ? null : await findGuardrails(viewer, { db, agents }, by);
  const guardrails = found?.filter(({ stages }) => stages.includes('INPUT')) ?? [];
  const unchecked = parts.messages.map((message) => ({ ...message, guardrailResults: [] }));
  if (by === null || guardrails.length === 0) return { ...parts, messages: unchecked };
  const asksProvider = guardrails.some(({ check }) => check.type === 'MODERATION' || check.type === 'CLASSIFIER');
  const isClassified = guardrails.some(({ check }) => check.type === 'CLASSIFIER');
  const signal = clientGone ?? new AbortController().signal;
  const check = async (texts: CheckedTexts) => {
    if (asksProvider) await turnLimit.take(viewer);
    if (isClassified) await agents.tokenBudget.assertLeft(viewer);
    const guardedBy = { agentId: by.agentId, guardrails, conversationId: null };
    return checkPastMessage(viewer, { db, agents }, guardedBy, texts, signal);
  };
  const title = await check({ content: parts.title, attachments: [], toolCalls: [] });
  const callsOf = Map.groupBy(parts.toolCalls, ({ messageId }) => messageId);
  const messages: CheckedMessage[] = [];
  const toolCalls: ToolCallInFile[] = [];
  for (const message of parts.messages) {
    const { content, attachments, data, reasoning } = message;
    const texts = { content, attachments, toolCalls: callsOf.get(message.id) ?? [] };
    const { value, isRedacted, blockedBy, results } = await check(texts);
    const isChanged = isRedacted || blockedBy !== null;
    toolCalls.push(...value.toolCalls.map((call) => (isChanged ? withoutOtherTexts(call) : call)));
    messages.push({
      ...message,
      content: value.content,
      attachments: value.attachments,
      status: blockedBy !== null ? 'BLOCKED' : isRedacted ? 'REDACTED' : message.status,
      // They say the same in other words.
      ...(isChanged ? { hasData: false, data: null, reasoning: null, transfers: null } : { data, reasoning }),
      guardrailResults: results,
    });
  }
  // The calls of steps without a text.
  for (const call of callsOf.get(null) ?? []) {
    const { value, isRedacted, blockedBy } = await check({ content: '', attachments: [], toolCalls: [call] });
    const [checked = call] = value.toolCalls;
    if (blockedBy !== null) toolCalls.push({ ...withoutOtherTexts(call), arguments: '{}', result: null, error: null });
    else toolCalls.push(isRedacted ? withoutOtherTexts(checked) : checked);
  }
  // Redacted, it may be longer than a title can be.
  const kept = title.isRedacted ? makeTitle(title.value.content) : parts.title;
  return { ...parts, messages, toolCalls, title: title.blockedBy === null ? kept : untitled };
}

interface CheckedTexts {
  readonly content: string;
  readonly attachments: LinkedMessage['attachments'];
  readonly toolCalls: readonly ToolCallInFile[];
}

/** A call without the texts in which guardrails replace nothing. */
function withoutOtherTexts(call: ToolCallInFile): ToolCallInFile {
  return { ...call, editedArguments: null, transfers: null };
}
