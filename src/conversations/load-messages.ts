import type { Viewer } from '../auth/viewer.ts';
import type { Db } from '../database/client.ts';
import { type Message, Prisma } from '../generated/prisma/client.ts';
import { type AnswerBudget, freeBytes, rowBytes, type SizedReads } from '../limits/answer-budget.ts';
import type { MessageQuery } from './append.ts';
import { fittingMessageColumns } from './columns.ts';

/** A message whose contents were not read. */
export interface SizedMessage {
  readonly id: string;
  readonly conversationId: string;
  /** Where it stands in its list: its position in the active branch, or its number among the messages of all branches. */
  readonly place: number;
  /** Bytes of the contents and, if they are selected, of its tool calls. */
  readonly bytes: number;
}

/** By what messages are listed: their position in the active branch, or their number among those of all branches. */
export type PlaceColumn = 'position' | 'number';

/** Which messages: by their row ids, or by ranges of places in conversations, both ends inclusive. */
export type MessageChoice =
  | { readonly ids: readonly string[] }
  | {
      readonly ranges: readonly { readonly conversationId: string; readonly first: number; readonly last: number }[];
      readonly by: PlaceColumn;
    };

/** How much of what the answer may still hold a list of messages may take: other fields need some as well. */
export const maxShare = 0.75;

/** More messages than this are never read before their size is known. */
const maxSmall = 100;

/**
 * Reads the messages that are small enough to be read before their size is known, in one statement: nearly always all.
 * @returns null, and nothing was read, if there are too many, or their tool calls are selected, whose size is unknown
 */
export async function loadSmallMessages(
  viewer: Viewer,
  { db, answer }: SizedReads,
  choice: MessageChoice,
  query: MessageQuery,
): Promise<Message[] | null> {
  const count =
    'ids' in choice ? choice.ids.length : choice.ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (count > maxSmall || query.include?.toolCalls) return null;
  const maxBytes = Math.floor(Math.min(freeBytes, answer.remaining) / count);
  const wanted =
    'ids' in choice
      ? { id: { in: [...choice.ids] } }
      : {
          // Without the ids, the owner would be found by reading all conversations of a small table.
          conversation: {
            userId: viewer.userId,
            id: { in: choice.ranges.map(({ conversationId }) => conversationId) },
          },
          OR: choice.ranges.map(({ conversationId, first, last }) => ({
            conversationId,
            [choice.by]: first === last ? first : { gte: first, lte: last },
          })),
        };
  const messages = await db.message.findMany({
    where: { ...ownedBy(viewer), ...wanted, bytes: { lte: maxBytes } },
    ...query,
  });
  await answer.take(messages.reduce((sum, { bytes }) => sum + bytes + rowBytes, 0));
  return messages;
}

/** A part of a conversation: places, both inclusive, of which the contents are read from `start` on. */
export interface MessageRange {
  readonly conversationId: string;
  readonly first: number;
  readonly last: number;
  /** Whether the contents are read from the first on, or from the last. */
  readonly fromLowest: boolean;
}

/** What one statement has read of some ranges. */
export interface SizedRanges<Row = Message> {
  /** All of them. */
  readonly measured: readonly SizedMessage[];
  /** Those of which the contents were read. */
  readonly loaded: readonly Row[];
}

/**
 * Reads messages in one statement: the sizes of all, and the contents of as many as may be read before their size is
 * known. The database sums the sizes up.
 */
export async function loadRanges(
  { tenantId, userId }: Viewer,
  { db, answer }: SizedReads,
  ranges: readonly MessageRange[],
  by: PlaceColumn,
): Promise<SizedRanges> {
  const column = Prisma.raw(by);
  const available = Math.min(freeBytes, answer.remaining);
  const wanted = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  // Several pages share what one answer may hold, with each other and with other lists that are read at the same time.
  const [budget, maxEach] = ranges.length === 1 ? [available * maxShare, available] : [available, available / wanted];
  const rows = await db.$queryRaw<(Message & { readonly fits: boolean })[]>`
    SELECT ${fittingMessageColumns}, m.fits FROM (
      SELECT m.*, m.bytes <= ${Math.floor(maxEach)}::integer AND sum(m.bytes + ${rowBytes}::integer) OVER (
        ORDER BY range.place, CASE WHEN range.from_lowest THEN m.${column} ELSE -m.${column} END
      ) <= ${Math.floor(budget)}::integer AS fits
      FROM unnest(
        ${ranges.map(({ conversationId }) => conversationId)}::uuid[],
        ${ranges.map(({ first }) => first)}::integer[],
        ${ranges.map(({ last }) => last)}::integer[],
        ${ranges.map(({ fromLowest }) => fromLowest)}::boolean[]
      ) WITH ORDINALITY AS range (conversation_id, first, last, from_lowest, place)
      JOIN conversations AS c ON c.id = range.conversation_id AND c.tenant_id = ${tenantId} AND c.user_id = ${userId}
      -- Ordered and limited, so that it walks the index of places and reads nothing else of a conversation.
      CROSS JOIN LATERAL (
        SELECT * FROM messages WHERE tenant_id = ${tenantId} AND conversation_id = range.conversation_id
          AND ${column} BETWEEN range.first AND range.last
        ORDER BY ${column} LIMIT range.last - range.first + 1
      ) AS m
    ) AS m`;
  const loaded = rows.filter(({ fits }) => fits);
  await answer.take(loaded.reduce((sum, { bytes }) => sum + bytes + rowBytes, 0));
  const measured = rows.map(({ id, conversationId, bytes, [by]: place }) => ({
    id,
    conversationId,
    bytes,
    place: place ?? 0,
  }));
  return { measured, loaded };
}

/** The sizes of messages, in one statement that reads no contents. */
export async function measureMessages(
  viewer: Viewer,
  db: Db,
  choice: MessageChoice,
  query: MessageQuery,
): Promise<SizedMessage[]> {
  const place = Prisma.raw('ids' in choice ? 'position' : choice.by);
  const wanted =
    'ids' in choice
      ? Prisma.sql`messages AS m WHERE m.id = ANY(${[...choice.ids]}::uuid[])`
      : Prisma.sql`unnest(
          ${choice.ranges.map(({ conversationId }) => conversationId)}::uuid[],
          ${choice.ranges.map(({ first }) => first)}::integer[],
          ${choice.ranges.map(({ last }) => last)}::integer[]
        ) AS range (conversation_id, first, last)
        JOIN messages AS m ON m.conversation_id = range.conversation_id AND m.${place} BETWEEN range.first AND range.last
        WHERE true`;
  return db.$queryRaw<SizedMessage[]>`
    SELECT m.id, m.conversation_id AS "conversationId", m.${place} AS place, (m.bytes + ${sumCalls(query)})::integer AS bytes
    FROM ${wanted} AND m.tenant_id = ${viewer.tenantId} AND EXISTS (
      SELECT FROM conversations AS c WHERE c.id = m.conversation_id AND c.user_id = ${viewer.userId}
    )`;
}

/** Reads messages whose size was taken from the budget. */
export function loadMeasured(viewer: Viewer, db: Db, ids: readonly string[], query: MessageQuery): Promise<Message[]> {
  return db.message.findMany({ where: { ...ownedBy(viewer), id: { in: [...ids] } }, ...query });
}

/**
 * Reads messages by their row ids. One statement if they are small, else three.
 * @returns in the order of the ids; null: the viewer has none with that id. An error if the answer cannot hold it as well
 * @throws {RateLimitedError} if too many large answers are under way
 */
export async function readMessagesById(
  viewer: Viewer,
  reads: SizedReads,
  ids: readonly string[],
  query: MessageQuery,
): Promise<(Message | Error | null)[]> {
  const found = new Map<string, Message | Error>();
  const wanted = [...new Set(ids)];
  for (const message of (await loadSmallMessages(viewer, reads, { ids: wanted }, query)) ?? []) {
    found.set(message.id, message);
  }
  const missing = wanted.filter((id) => !found.has(id));
  const measured = missing.length === 0 ? [] : await measureMessages(viewer, reads.db, { ids: missing }, query);
  const fitting = await takeFitting(measured, reads.answer);
  for (const { id } of measured) if (!fitting.includes(id)) found.set(id, reads.answer.tooLarge());
  // What was measured may be deleted by now.
  if (fitting.length > 0) {
    for (const message of await loadMeasured(viewer, reads.db, fitting, query)) found.set(message.id, message);
  }
  return ids.map((id) => found.get(id) ?? null);
}

/** Takes the messages that still fit into an answer from its budget. @returns their ids */
async function takeFitting(measured: readonly SizedMessage[], answer: AnswerBudget): Promise<string[]> {
  const fitting: string[] = [];
  let bytes = 0;
  for (const message of measured) {
    const next = bytes + message.bytes + rowBytes;
    const isFirst = fitting.length === 0 && answer.isUntouched;
    if (next > answer.remaining && !isFirst) continue;
    fitting.push(message.id);
    bytes = next;
  }
  if (fitting.length > 0) await answer.take(bytes);
  return fitting;
}

function ownedBy({ tenantId, userId }: Viewer) {
  return { tenantId, conversation: { userId } };
}

/** The bytes of the tool calls that are selected with a message `m`, each with its row. */
export function sumCalls({ include }: MessageQuery): Prisma.Sql {
  const calls = include?.toolCalls;
  if (!calls) return Prisma.sql`0`;
  const { take = null, skip = 0 } = typeof calls === 'object' ? calls : {};
  return Prisma.sql`(SELECT coalesce(sum(page.bytes + ${rowBytes}), 0) FROM (
    SELECT t.bytes FROM tool_calls AS t WHERE t.message_id = m.id ORDER BY t.step, t.index LIMIT ${take} OFFSET ${skip}
  ) AS page)`;
}
