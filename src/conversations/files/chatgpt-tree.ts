import { z } from 'zod';
import { cleanText } from '../../engine/text.ts';

/** A message of the tree that is kept. */
interface ChatGptMessage {
  /** The id of its node. */
  readonly key: string;
  /** The nearest node above it that is kept, too. */
  readonly parent: string | null;
  readonly role: 'USER' | 'ASSISTANT';
  readonly content: string;
  /** Whether it was written to its end. */
  readonly isWhole: boolean;
  readonly at: Date;
}

/** The messages of a conversation of ChatGPT. */
export interface ChatGptTree {
  /** In the order in which they were written, parents before their children. */
  readonly messages: readonly ChatGptMessage[];
  /** How much of what was left out, by its name. */
  readonly leftOut: ReadonlyMap<string, number>;
  /** The nearest node that is kept, from this one upwards; null: none is. */
  keptAt(key: string | null): string | null;
}

const part = z.union([z.string(), z.looseObject({ content_type: z.string().optional(), text: z.string().optional() })]);

const node = z.object({
  parent: z.string().nullish(),
  message: z
    .object({
      author: z.object({ role: z.string() }),
      create_time: z.number().nullish().catch(null),
      content: z.object({
        content_type: z.string(),
        parts: z.array(part).nullish(),
        text: z.string().nullish().catch(null),
      }),
      status: z.string().nullish().catch(null),
      weight: z.number().nullish().catch(null),
      recipient: z.string().nullish().catch(null),
      metadata: z
        .looseObject({
          is_visually_hidden_from_conversation: z.boolean().nullish().catch(null),
          attachments: z.array(z.unknown()).nullish().catch(null),
        })
        .nullish()
        .catch(null),
    })
    .nullish(),
});
type Node = z.output<typeof node>;
type Message = NonNullable<Node['message']>;

/** What is left out, by the names under which it is counted. */
const names = {
  broken: 'nodes that are not messages as they should be',
  circle: 'nodes in a circle',
  system: 'messages of the system',
  tool: 'calls of tools and their results',
  hidden: 'hidden messages',
  reasoning: 'notes of reasoning',
  other: 'messages of other kinds',
  empty: 'messages without a text',
  file: 'images, files and recordings',
} as const;

/** Reads the tree of a conversation. Nodes may stand in any order, name each other in a circle, or be no nodes at all. */
export function readTree(mapping: Readonly<Record<string, unknown>>, createdAt: Date): ChatGptTree {
  const leftOut = new Map<string, number>();
  const count = (what: keyof typeof names, times = 1) => {
    if (times > 0) leftOut.set(names[what], (leftOut.get(names[what]) ?? 0) + times);
  };
  const nodes = new Map<string, Node>();
  for (const [key, value] of Object.entries(mapping)) {
    const read = node.safeParse(value);
    if (read.success) nodes.set(key, read.data);
    else count('broken');
  }
  const ordered = orderNodes(nodes);
  count('circle', nodes.size - ordered.length);
  /** Of each node, the nearest one above it or itself that is kept, and the time of it. */
  const kept = new Map<string, { readonly key: string | null; readonly at: Date }>();
  const messages: ChatGptMessage[] = [];
  for (const key of ordered) {
    const { parent, message } = nodes.get(key) ?? {};
    const above = kept.get(parent ?? '') ?? { key: null, at: createdAt };
    const text = message ? readMessage(message, count) : null;
    if (!message || text === null) {
      kept.set(key, above);
      continue;
    }
    const written = readMoment(message.create_time) ?? above.at;
    // A message is not older than the one that it follows.
    const at = written > above.at || above.key === null ? written : above.at;
    kept.set(key, { key, at });
    const isWhole = message.status == null || message.status === 'finished_successfully';
    const role = message.author.role === 'user' ? 'USER' : 'ASSISTANT';
    messages.push({ key, parent: above.key, role, content: text, isWhole, at });
  }
  // Sorting is stable: of one moment, parents stay before their children.
  messages.sort((a, b) => a.at.getTime() - b.at.getTime());
  return { messages, leftOut, keptAt: (key) => kept.get(key ?? '')?.key ?? null };
}

/** The nodes that hang on a root, parents before their children. A node whose parent is not there is a root. */
function orderNodes(nodes: ReadonlyMap<string, Node>): string[] {
  const below = Map.groupBy(nodes.keys(), (key) => {
    const parent = nodes.get(key)?.parent;
    return parent != null && nodes.has(parent) ? parent : null;
  });
  const ordered = [...(below.get(null) ?? [])];
  // It grows while it is read.
  for (const key of ordered) for (const child of below.get(key) ?? []) ordered.push(child);
  return ordered;
}

/** The text of a message that is kept; null: it is left out, and counted. */
function readMessage(message: Message, count: (what: keyof typeof names, times?: number) => void): string | null {
  const { author, content, metadata, weight, recipient } = message;
  const { content_type: kind } = content;
  const leaveOut = (what: keyof typeof names) => {
    count(what);
    return null;
  };
  if (author.role === 'system') return leaveOut('system');
  if (author.role === 'tool') return leaveOut('tool');
  if (author.role !== 'user' && author.role !== 'assistant') return leaveOut('other');
  if (author.role === 'assistant' && recipient != null && recipient !== 'all') return leaveOut('tool');
  if (metadata?.is_visually_hidden_from_conversation === true || weight === 0) return leaveOut('hidden');
  if (kind === 'thoughts' || kind === 'reasoning_recap') return leaveOut('reasoning');
  if (kind !== 'text' && kind !== 'multimodal_text' && kind !== 'code') return leaveOut('other');
  const parts = content.parts ?? (content.text == null ? [] : [content.text]);
  const texts = parts.flatMap((each) => {
    if (typeof each === 'string') return [each];
    return each.content_type === 'audio_transcription' && each.text !== undefined ? [each.text] : [];
  });
  const files = (metadata?.attachments?.length ?? 0) || parts.length - texts.length;
  count('file', files);
  const text = cleanText(texts.filter((each) => each !== '').join('\n\n'));
  // A question of an image alone is kept: its answer follows it.
  return text.trim() === '' && (files === 0 || author.role !== 'user') ? leaveOut('empty') : text;
}

/** A moment of seconds since 1970; null: it is none. */
export function readMoment(seconds: number | null | undefined): Date | null {
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds < 100_000_000_000)) return null;
  return new Date(seconds * 1_000);
}
