import {
  buildPlaceEdge,
  buildPlaces,
  type NumberedList,
  type PlaceArgs,
  type PlacePage,
  planPlaces,
} from '../api/numbered-paging.ts';
import type { Connection } from '../api/paging.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Conversation, Message } from '../generated/prisma/client.ts';
import { rowBytes, type SizedReads } from '../limits/answer-budget.ts';
import type { MessageQuery } from './append.ts';
import {
  loadMeasured,
  loadRanges,
  loadSmallMessages,
  type MessageRange,
  maxShare,
  measureMessages,
  type PlaceColumn,
  type SizedMessage,
  type SizedRanges,
} from './load-messages.ts';

/** The list of the messages of a conversation's active branch, by position. */
export const messageList: NumberedList = { name: 'messages', defaultSize: 100, maxSize: 500 };
/** The list of the messages of all branches, in the order in which they were added. */
const treeList: NumberedList = { ...messageList, name: 'messagesOfAllBranches' };

/** What arranging the messages of pages takes of each. */
export type PagedMessage = Pick<Message, 'id' | 'position' | 'bytes'> & Partial<Pick<Message, 'number'>>;

export type MessageListArgs = PlaceArgs & { readonly allBranches?: boolean | null | undefined };

/** The conversation of a page. */
export type PagedConversation = Pick<Conversation, 'id' | 'messageCount'>;

/**
 * Reads a page of the messages of each conversation. One statement if they are small; else another one for as many as fit: a page that cannot hold all ends early, and says that the list goes on. It has one message at least.
 * @param conversations the viewer's own
 * @param query relations to load with the messages
 * @throws {BadUserInputError} if a page argument is invalid, or a cursor is of another conversation
 * @throws {QueryTooComplexError} if not even one message of each page fits
 * @throws {RateLimitedError} if too many large answers are under way
 */
export async function readMessagePages(
  viewer: Viewer,
  reads: SizedReads,
  { allBranches, ...args }: MessageListArgs,
  conversations: readonly PagedConversation[],
  query: MessageQuery,
): Promise<Connection<Message>[]> {
  const by = allBranches ? 'number' : 'position';
  const counts = allBranches ? await countAllBranches(viewer, reads, conversations) : null;
  const pages = conversations.map(({ id, messageCount }) =>
    counts
      ? planPlaces(treeList, args, { id, count: counts.get(id) ?? 0 })
      : planPlaces(messageList, args, { id, count: messageCount }),
  );
  const ranges = pages
    .filter(({ first, last }) => first <= last)
    .map(({ parent, first, last, fromLowest }) => ({ conversationId: parent.id, first, last, fromLowest }));
  if (ranges.length === 0) return pages.map((page) => build(page, [], false));

  const { isUntouched } = reads.answer;
  const load = () => loadFirst(viewer, reads, ranges, by, query);
  // The newest messages of a list of conversations come before the pages that take what is left.
  const hasOneEach = ranges.every(({ first, last }) => first === last);
  const first = await (hasOneEach ? reads.answer.readSmall(load) : load());
  const loadMore = (ids: readonly string[]) => loadMeasured(viewer, reads.db, ids, query);
  const conversationOf = ({ conversationId }: Message) => conversationId;
  const read = { loaded: first.loaded, measure: () => first.measured, isUntouched, conversationOf };
  return fillPages(reads, pages, read, loadMore);
}

/** What was read of pages first. */
interface FirstRead<Row> {
  /** The messages of which the contents were read. */
  readonly loaded: readonly Row[];
  /** The sizes of all messages of the pages. Called if not all of them were loaded. */
  readonly measure: () => readonly SizedMessage[];
  /** Whether nothing of the answer was taken before. */
  readonly isUntouched: boolean;
  /** The row id of the conversation of a message. */
  readonly conversationOf: (message: Row) => string;
}

/**
 * Makes pages of what was read of them first, and of as many of the other messages as fit.
 * @param loadMore reads messages by their row ids
 * @throws {QueryTooComplexError} if not even one message of each page fits
 * @throws {RateLimitedError} if too many large answers are under way
 */
export async function fillPages<Row extends PagedMessage>(
  reads: SizedReads,
  pages: readonly PlacePage[],
  { loaded: small, measure, isUntouched, conversationOf }: FirstRead<Row>,
  loadMore: (ids: readonly string[]) => Promise<Row[]>,
): Promise<Connection<Row>[]> {
  const wanted = pages.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0);
  const ofPage = (page: PlacePage, rows: readonly Row[]) =>
    pages.length === 1 ? rows : rows.filter((row) => isOnPage(page, conversationOf(row), placeOf(page, row)));
  if (small.length === wanted) return pages.map((page) => build(page, ofPage(page, small), false));

  const hasOneEach = pages.every(({ first, last }) => first >= last);
  if (!hasOneEach) await reads.answer.afterSmallReads();
  const lines = listLines(pages, measure(), new Set(small.map(({ id }) => id)));
  const [only, ...others] = lines.flatMap(({ messages }) => messages.slice(0, 1));
  if (isUntouched && only && others.length === 0 && !only.isLoaded && only.bytes + rowBytes > reads.answer.remaining) {
    // The first object of an answer may have any size, alone: the small ones that were read for this page are left out.
    reads.answer.giveBack(sumRows(small));
  }
  const { chosen, cut } = choose(lines, reads);
  const missing = chosen.filter(({ isLoaded }) => !isLoaded).map(({ id }) => id);
  await reads.answer.take(sumRows(chosen.filter(({ isLoaded }) => !isLoaded)));
  const loaded = missing.length === 0 ? [] : await loadMore(missing);
  const ids = new Set(chosen.map(({ id }) => id));
  const rows = [...small, ...loaded].filter(({ id }) => ids.has(id));
  return pages.map((page) => build(page, ofPage(page, rows), cut.has(page)));
}

/** Reads what may be read before sizes are known, and the sizes of all. With relations, these are two statements. */
async function loadFirst(
  viewer: Viewer,
  reads: SizedReads,
  ranges: readonly MessageRange[],
  by: PlaceColumn,
  query: MessageQuery,
): Promise<SizedRanges> {
  if (!query.include) return loadRanges(viewer, reads, ranges, by);
  const loaded = (await loadSmallMessages(viewer, reads, { ranges, by }, query)) ?? [];
  const wanted = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (loaded.length === wanted) return { loaded, measured: [] };
  return { loaded, measured: await measureMessages(viewer, reads.db, { ranges, by }, query) };
}

/** The newest message of each conversation, in the order of the conversations; null: it has none. */
export async function readLastMessages(
  viewer: Viewer,
  reads: SizedReads,
  conversations: readonly PagedConversation[],
  query: MessageQuery,
): Promise<(Message | null)[]> {
  const pages = await readMessagePages(viewer, reads, { last: 1 }, conversations, query);
  return pages.map(({ edges }) => edges[0]?.node ?? null);
}

interface ChosenMessage extends SizedMessage {
  /** Whether its contents were read already. */
  readonly isLoaded: boolean;
}

/** The messages of a page, in the order in which it is filled. */
interface PageLine {
  readonly page: PlacePage;
  readonly messages: readonly ChosenMessage[];
}

function listLines(
  pages: readonly PlacePage[],
  measured: readonly SizedMessage[],
  loaded: ReadonlySet<string>,
): readonly PageLine[] {
  return pages.map((page) => {
    const messages = measured
      .filter(({ conversationId, place }) => isOnPage(page, conversationId, place))
      .toSorted((one, other) => (page.fromLowest ? one.place - other.place : other.place - one.place))
      .map((message) => ({ ...message, isLoaded: loaded.has(message.id) }));
    return { page, messages };
  });
}

/** Chooses what fits: the first message of every page, then more of each page, in the order of the pages. */
function choose(
  lines: readonly PageLine[],
  { answer }: SizedReads,
): { readonly chosen: readonly ChosenMessage[]; readonly cut: ReadonlySet<PlacePage> } {
  const first = lines.flatMap(({ messages }) => messages.slice(0, 1));
  const needed = sumRows(first.filter(({ isLoaded }) => !isLoaded));
  if (needed > answer.remaining && !(first.length === 1 && answer.isUntouched)) throw answer.tooLarge();
  let available = answer.remaining * maxShare - needed;
  const chosen: ChosenMessage[] = [...first];
  const cut = new Set<PlacePage>();
  for (const { page, messages } of lines) {
    for (const message of messages.slice(1)) {
      const bytes = message.isLoaded ? 0 : message.bytes + rowBytes;
      if (bytes > available) {
        cut.add(page);
        break;
      }
      available -= bytes;
      chosen.push(message);
    }
  }
  return { chosen, cut };
}

function sumRows(messages: readonly { readonly bytes: number }[]): number {
  return messages.reduce((sum, { bytes }) => sum + bytes + rowBytes, 0);
}

function build<Row extends PagedMessage>(page: PlacePage, messages: readonly Row[], isCut: boolean): Connection<Row> {
  return buildPlaces(page, messages, (message) => placeOf(page, message), isCut);
}

function isOnPage({ parent, first, last }: PlacePage, conversationId: string, place: number): boolean {
  return conversationId === parent.id && place >= first && place <= last;
}

function placeOf({ list }: PlacePage, { position, number }: PagedMessage): number {
  return (list === treeList ? number : position) ?? 0;
}

/** How many messages conversations have in all branches: the last number. One statement. */
async function countAllBranches(
  { tenantId, userId }: Viewer,
  { db }: SizedReads,
  conversations: readonly PagedConversation[],
): Promise<Map<string, number>> {
  const rows = await db.$queryRaw<{ id: string; count: number }[]>`
    SELECT c.id::text, (SELECT coalesce(max(number), 0) FROM messages WHERE conversation_id = c.id) AS count
    FROM conversations AS c
    WHERE c.id = ANY(${conversations.map(({ id }) => id)}::uuid[]) AND c.tenant_id = ${tenantId} AND c.user_id = ${userId}`;
  return new Map(rows.map(({ id, count }) => [id, count]));
}

/** A message as an edge of `Conversation.messages`, in ascending order. */
export function buildMessageEdge(message: Message) {
  return buildPlaceEdge(messageList, message, message.position ?? 0, message.conversationId);
}
