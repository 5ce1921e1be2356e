import { parseId } from '../api/ids.ts';
import { type PlaceArgs, planPlaces, selectRange } from '../api/numbered-paging.ts';
import type { Connection } from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { freeBytes, rowBytes, type SizedReads } from '../limits/answer-budget.ts';
import { type ShownConversation, type ShownMessage, shownMessageColumns, shownOncePerPage } from './columns.ts';
import { loadMeasured, maxShare } from './load-messages.ts';
import { fillPages, messageList } from './message-page.ts';
import { explainMissingConversation } from './read.ts';

/** A conversation, and what makes a page of its messages. */
export interface ConversationWithMessages {
  readonly conversation: ShownConversation;
  /**
   * Makes the page: without a statement if all of its messages are small.
   * @throws {QueryTooComplexError} if not even one message fits
   * @throws {RateLimitedError} if too many large answers are under way
   */
  readonly readPage: () => Promise<Connection<ShownMessage>>;
}

type Prefixed<Row> = { readonly [Name in keyof Row as `of_${Name & string}`]: Row[Name] };
type OrNull<Row> = Row | { readonly [Name in keyof Row]: null };
/** The conversation comes with the first message, or alone. Of a message that does not fit, the content is missing. */
type Row = OrNull<Prefixed<ShownConversation>> & OrNull<MeasuredMessage>;
type MeasuredMessage = ShownMessage & { readonly position: number; readonly fits: boolean };

/**
 * Reads a conversation of the viewer together with a page of its messages, in one statement: the sizes of all, and the
 * contents of as many as may be read before their size is known.
 * @param id the public id
 * @throws {BadUserInputError} if the id is not a conversation id, or a page argument is invalid
 * @throws {NotFoundError} if it does not exist; {@link ForbiddenError} if it is another user's
 */
export async function readWithMessages(
  viewer: Viewer,
  reads: SizedReads,
  id: string,
  args: PlaceArgs,
): Promise<ConversationWithMessages> {
  const { db, answer } = reads;
  const conversationId = parseId('Conversation', id, ['id']);
  const { lowest, highest, size, fromLowest } = selectRange(messageList, args, conversationId);
  const available = Math.min(freeBytes, answer.remaining);
  const direction = fromLowest ? Prisma.sql`ASC` : Prisma.sql`DESC`;
  // Ordered and limited, so that it walks the index of positions and reads nothing else of the conversation.
  const rows = await db.$queryRaw<Row[]>`
    SELECT ${shownOncePerPage}, ${shownMessageColumns}, m.fits
    FROM conversations AS c LEFT JOIN LATERAL (
      SELECT m.*, row_number() OVER reading AS place, m.bytes <= ${Math.floor(available)}::integer
        AND sum(m.bytes + ${rowBytes}::integer) OVER reading <= ${Math.floor(available * maxShare)}::integer AS fits
      FROM (
        SELECT * FROM messages WHERE tenant_id = ${viewer.tenantId} AND conversation_id = c.id
          AND position BETWEEN ${lowest}::integer AND ${highest}::integer
        ORDER BY position ${direction} LIMIT ${size}
      ) AS m
      WINDOW reading AS (ORDER BY position ${direction} ROWS UNBOUNDED PRECEDING)
    ) AS m ON true
    WHERE c.id = ${conversationId}::uuid AND c.tenant_id = ${viewer.tenantId} AND c.user_id = ${viewer.userId}`;
  const conversation = findConversation(rows);
  if (conversation === null) throw await explainMissingConversation(viewer, db, conversationId);
  const readPage = async () => {
    const { isUntouched } = answer;
    const loaded: MeasuredMessage[] = [];
    let bytes = 0;
    for (const row of rows) {
      if (row.id === null || !row.fits) continue;
      loaded.push(row);
      bytes += row.bytes + rowBytes;
    }
    await answer.take(bytes);
    const page = planPlaces(messageList, args, { id: conversationId, count: conversation.messageCount });
    const measure = () =>
      rows.flatMap((row) => (row.id === null ? [] : [{ ...row, conversationId, place: row.position }]));
    const first = { loaded, measure, isUntouched, conversationOf: () => conversationId };
    const loadMore = (ids: readonly string[]) => loadMeasured(viewer, db, ids, {});
    const [connection] = await fillPages<ShownMessage>(reads, [page], first, loadMore);
    if (!connection) throw new Error('A page of messages is missing.');
    return connection;
  };
  return { conversation, readPage };
}

function findConversation(rows: readonly Row[]): ShownConversation | null {
  for (const row of rows) {
    if (row.of_id === null) continue;
    return {
      id: row.of_id,
      userId: row.of_userId,
      title: row.of_title,
      messageCount: row.of_messageCount,
      isArchived: row.of_isArchived,
      isPinned: row.of_isPinned,
      createdAt: row.of_createdAt,
      updatedAt: row.of_updatedAt,
    };
  }
  return null;
}
