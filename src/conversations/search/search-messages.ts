import { z } from 'zod';
import { parseInput, text } from '../../api/input.ts';
import { buildConnection, type Connection, type PageArgs, pageSizes, parsePage } from '../../api/paging.ts';
import type { Viewer } from '../../auth/viewer.ts';
import { type Message, Prisma } from '../../generated/prisma/client.ts';
import type { SizedReads } from '../../limits/answer-budget.ts';
import { fitPage } from '../../limits/fit-page.ts';
import { isReadable } from '../../projects/access.ts';
import type { MessageQuery } from '../append.ts';
import { indexRecentOf } from './index-messages.ts';
import { makeSnippet } from './snippet.ts';
import { ownerLexeme, readTerms } from './terms.ts';

/** A message that a search has found. */
export interface MessageHit {
  readonly message: Message;
  readonly snippet: string;
  readonly score: number;
}

/** The arguments of a search. It is ranked, so it goes forward only. */
export type SearchArgs = Pick<PageArgs, 'first' | 'after'> & { readonly query: string };

/** Of the messages that have all the words, so many are ranked: the newest. */
const maxRanked = 2_000;

const searchInput = text(1, 200);
const hitKey = z.tuple([z.number(), z.uuid()]);
type HitKey = z.output<typeof hitKey>;

/**
 * Searches all messages of the viewer: of all branches and of archived conversations too, but not those of projects of which
 * the viewer is no member any more, nor what guardrails have blocked. Three statements, and one more if some are not indexed.
 * @param query relations to load with the messages
 * @throws {BadUserInputError} if the text or a page argument is invalid
 * @throws {QueryTooComplexError} if not even one message fits into the answer
 */
export async function searchMessages(
  viewer: Viewer,
  reads: SizedReads,
  { query: search, ...args }: SearchArgs,
  query: MessageQuery = {},
): Promise<Connection<MessageHit>> {
  const { db, answer } = reads;
  const { tenantId } = viewer;
  const page = parsePage<HitKey>(args, { list: 'messageHits', key: hitKey, ...pageSizes });
  const terms = readTerms(parseInput(searchInput, search, ['query']));
  const nothing = { rows: [], moreBefore: page.after !== null, moreAfter: false };
  if (terms === null) return buildConnection<MessageHit, HitKey>(page, nothing, () => 0);
  await indexRecentOf(viewer, db);
  const ranked = await db.$queryRaw<{ id: string; score: number; bytes: number }[]>(
    rankMessages(viewer, terms.query, { after: page.after, limit: page.size + 1 }),
  );
  const rows = ranked.slice(0, page.size);
  const found = { rows, moreBefore: page.after !== null, moreAfter: ranked.length > rows.length };
  const fitting = await fitPage(page, found, answer);
  const ids = fitting.rows.map(({ id }) => id);
  const messages =
    ids.length === 0 ? [] : await db.message.findMany({ where: { tenantId, id: { in: ids } }, ...query });
  const byId = new Map(messages.map((message) => [message.id, message]));
  const hits = fitting.rows.flatMap(({ id, score }) => {
    const message = byId.get(id);
    // Deleted or blocked since.
    if (message === undefined || message.status === 'BLOCKED') return [];
    const key: HitKey = [score, id];
    return [{ key, node: { message, score, snippet: makeSnippet(message.content, terms) } }];
  });
  return buildConnection(page, { ...fitting, rows: hits }, () => hits.length);
}

/** The statement that finds and ranks messages. */
export function rankMessages(
  viewer: Viewer,
  terms: string,
  { after, limit }: { readonly after: HitKey | null; readonly limit: number },
): Prisma.Sql {
  const { tenantId, userId } = viewer;
  const rest =
    after === null ? Prisma.empty : Prisma.sql`AND (hit.score, m.id) < (${after[0]}::float8, ${after[1]}::uuid)`;
  // Ordered by a text: by the id itself, PostgreSQL may walk all messages of the tenant in its order.
  return Prisma.sql`
    SELECT m.id::text, hit.score, m.bytes FROM (
      SELECT found.message_id, ts_rank(found.tsv, ${terms}::tsquery, 1)::float8 AS score FROM (
        SELECT w.message_id, w.tsv FROM message_words AS w
        WHERE w.tenant_id = ${tenantId} AND w.user_id = ${userId}
          AND w.tsv @@ ${`${ownerLexeme(viewer)} & ${terms}`}::tsquery
        ORDER BY w.message_id::text DESC LIMIT ${maxRanked}
      ) AS found
    ) AS hit
    JOIN messages AS m ON m.id = hit.message_id AND m.tenant_id = ${tenantId} AND m.status <> 'BLOCKED'
    JOIN conversations AS c ON c.id = m.conversation_id AND c.tenant_id = ${tenantId} AND c.user_id = ${userId}
      AND ${isReadable(viewer, Prisma.sql`c.project_id`)}
    WHERE true ${rest}
    ORDER BY hit.score DESC, m.id DESC LIMIT ${limit}`;
}
