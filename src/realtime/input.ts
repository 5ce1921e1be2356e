import { z } from 'zod';
import { parseId } from '../api/ids.ts';
import { badInput, integer, list, parseInput, text } from '../api/input.ts';
import { messageContent } from '../conversations/input.ts';
import { realtimeLimits } from './limits.ts';

const startInput = z.strictObject({
  scenarioKey: text(1, 255),
  rootAgentId: z.string().nullish(),
  contextSnapshotId: z.string().nullish(),
  conversationId: z.string().nullish(),
  ttlSeconds: integer(10, 7_200).nullish(),
});

/** A StartRealtimeSessionInput, checked. @throws {BadUserInputError} naming the field and its limit */
export function parseStartInput(input: unknown) {
  const parsed = parseInput(startInput, input, ['input']);
  const { rootAgentId, contextSnapshotId, conversationId } = parsed;
  // All ids are looked at before the owner of any of them.
  if (rootAgentId != null) parseId('Agent', rootAgentId, ['input', 'rootAgentId']);
  if (contextSnapshotId != null) parseId('ContextSnapshot', contextSnapshotId, ['input', 'contextSnapshotId']);
  if (conversationId != null) parseId('Conversation', conversationId, ['input', 'conversationId']);
  return parsed;
}

const item = z.strictObject({
  itemId: text(1, 255),
  role: z.enum(['USER', 'ASSISTANT', 'SYSTEM']),
  content: messageContent.refine((content) => content.trim() !== '', 'must not be blank'),
  agentName: text(1, 255).nullish(),
  at: z.date().nullish(),
});

/** An item of a transcript. */
export interface TranscriptItem {
  readonly itemId: string;
  readonly role: 'USER' | 'ASSISTANT' | 'SYSTEM';
  readonly content: string;
  /** Null: the active agent of the session. */
  readonly agentName: string | null;
  /** When it was spoken, by the clock of the client. */
  readonly at: Date;
  /** Its index in the arguments. */
  readonly index: number;
}

/**
 * The items of a batch in the order in which they were spoken, each once. An item without a time comes directly after the one
 * before it in the list; the first one counts as spoken now.
 * @throws {BadUserInputError} naming the item, its field and the limit
 */
export function parseItems(input: unknown, now: Date): TranscriptItem[] {
  const parsed = parseInput(list(item, realtimeLimits.itemsOfBatch), input, ['items']);
  const bytes = parsed.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  if (bytes > realtimeLimits.bytesOfBatch) {
    const limit = realtimeLimits.bytesOfBatch.toLocaleString('en-US');
    throw badInput(['items'], `must have at most ${limit} bytes of text together: send them in several requests`);
  }
  const byId = new Map<string, TranscriptItem>();
  let last = now;
  for (const [index, { at, agentName, ...given }] of parsed.entries()) {
    // The clock of the client may be wrong: nothing was said later than now.
    if (at != null) last = at > now ? now : at;
    const same = byId.get(given.itemId);
    if (same === undefined) byId.set(given.itemId, { ...given, agentName: agentName ?? null, at: last, index });
    else if (same.content !== given.content || same.role !== given.role) {
      throw badInput(
        ['items', index, 'itemId'],
        'is in the list twice, with another text or role: send each item once',
      );
    }
  }
  return [...byId.values()].sort((a, b) => a.at.getTime() - b.at.getTime());
}
