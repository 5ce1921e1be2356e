import { randomUUIDv7 } from 'node:crypto';
import { z } from 'zod';
import { formatId } from '../../api/ids.ts';
import { badInput } from '../../api/input.ts';
import { cleanText } from '../../engine/text.ts';
import { makeTitle } from '../text.ts';
import { type ChatGptTree, readMoment, readTree } from './chatgpt-tree.ts';
import type { conversationInFile } from './format.ts';

/** The longest title of a conversation, in characters. */
const maxTitle = 200;
/** Nodes of one conversation: most are messages, and those have a limit of their own. */
const maxNodes = 40_000;

const chatGptConversation = z.object({
  title: z.string().nullish().catch(null),
  create_time: z.number().nullish().catch(null),
  update_time: z.number().nullish().catch(null),
  current_node: z.string().nullish().catch(null),
  is_archived: z.boolean().nullish().catch(null),
  is_starred: z.boolean().nullish().catch(null),
  mapping: z.record(z.string(), z.unknown()),
});

/** What a file has to say of a conversation, before it is checked. */
type UncheckedConversation = z.input<typeof conversationInFile>;

/**
 * Makes a conversation of `conversations.json`, the export of ChatGPT, one of a file of ours: its tree of messages with their
 * branches, as texts of the user and of the assistant. What that leaves out is counted.
 * @param notes gets a sentence on what was left out
 * @returns null: it is none of ChatGPT
 * @throws {BadUserInputError} if it has too many nodes
 */
export function convertChatGpt(value: unknown, notes: string[]): UncheckedConversation | null {
  const read = chatGptConversation.safeParse(value);
  if (!read.success) return null;
  const { title, create_time, update_time, current_node, is_archived, is_starred, mapping } = read.data;
  const nodes = Object.keys(mapping).length;
  if (nodes > maxNodes) throw badInput(['mapping'], `must have at most ${maxNodes} nodes, and it has ${nodes}`);
  const createdAt = readMoment(create_time) ?? new Date();
  const tree = readTree(mapping, createdAt);
  if (tree.leftOut.size > 0) {
    const counts = [...tree.leftOut].map(([what, count]) => `${count} ${what}`);
    notes.push(`left out: ${counts.join(', ')}.`);
  }
  const ids = new Map(tree.messages.map(({ key }) => [key, formatId('Message', randomUUIDv7())]));
  const idOf = (key: string | null) => (key === null ? null : (ids.get(key) ?? null));
  const lastAt = tree.messages.reduce((last, { at }) => (at > last ? at : last), createdAt);
  return {
    title: nameAsThere(title, tree),
    autoTitle: false,
    isPinned: is_starred === true,
    isArchived: is_archived === true,
    ...{ projectId: null, scenarioKey: null, agentId: null },
    activeLeafId: idOf(tree.keptAt(current_node ?? null)) ?? idOf(tree.messages.at(-1)?.key ?? null),
    createdAt: createdAt.toISOString(),
    updatedAt: (readMoment(update_time) ?? lastAt).toISOString(),
    messages: tree.messages.map(({ key, parent, role, content, isWhole, at }) => ({
      id: idOf(key) ?? '',
      parentId: idOf(parent),
      role,
      status: isWhole ? 'COMPLETE' : 'PARTIAL',
      content,
      source: 'IMPORT',
      createdAt: at.toISOString(),
      ...{ agentId: null, runId: null, step: null, attachments: [], routingDecision: null, finishReason: null },
      ...{ transfers: null, hasData: false, data: null, reasoning: null, citations: [], feedback: null },
    })),
    ...{ runs: [], toolCalls: [], toolCallsWithoutRun: [], handoffs: [] },
  };
}

function nameAsThere(title: string | null | undefined, { messages }: ChatGptTree): string {
  const given = [...cleanText(title ?? '')].slice(0, maxTitle).join('');
  if (given.trim() !== '') return given;
  return makeTitle(messages.find(({ role }) => role === 'USER')?.content ?? '');
}
