import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import { type MessageStatus, Prisma } from '../../generated/prisma/client.ts';
import { indexText } from './terms.ts';

type Indexer = Pick<Db, '$queryRaw'>;

/** Of each text, so many characters are indexed. */
const maxCharacters = 100_000;
/** Conversations of a user, the most recently active ones, in which a search looks for what is not indexed yet. */
const recentConversations = 50;
/** Messages that one statement of a search indexes. */
const maxOfUser = 100;

interface Unindexed {
  readonly id: string;
  readonly tenantId: string;
  readonly userId: string;
  readonly content: string;
  readonly status: MessageStatus;
  /** The status and the hash of the whole text that were read: what has changed since is not indexed by it. */
  readonly version: string;
}

const version = Prisma.sql`m.status::text || md5(m.content)`;
const columns = Prisma.sql`m.id::text, m.tenant_id AS "tenantId", left(m.content, ${maxCharacters}::int) AS content, m.status,
  ${version} AS version`;
const isDue = Prisma.sql`NOT m.is_indexed AND m.status <> 'STREAMING'`;

/** Whether any message is to be indexed yet. One statement. */
export async function hasUnindexed(db: Indexer): Promise<boolean> {
  const [found] = await db.$queryRaw<{ found: boolean }[]>`
    SELECT EXISTS (SELECT 1 FROM messages AS m WHERE ${isDue}) AS found`;
  return found?.found === true;
}

/**
 * Indexes some messages of whomever. Two statements. What somebody else is changing at this moment is left for later.
 * @returns how many are now indexed
 */
export async function indexSome(db: Indexer, limit: number): Promise<number> {
  const rows = await db.$queryRaw<Unindexed[]>`
    SELECT ${columns}, c.user_id AS "userId" FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id
    WHERE ${isDue} LIMIT ${limit}`;
  return store(db, rows, Prisma.sql`FOR NO KEY UPDATE OF m SKIP LOCKED`);
}

/**
 * Indexes what a user has that is not indexed yet, in the conversations with the last activity: so a search finds a message
 * at once. One statement, and one more if there is any.
 */
export async function indexRecentOf({ tenantId, userId }: Viewer, db: Indexer): Promise<void> {
  const rows = await db.$queryRaw<Unindexed[]>`
    SELECT ${columns}, ${userId}::text AS "userId"
    FROM unnest(ARRAY[false, true]) AS shelf (is_archived)
    CROSS JOIN LATERAL (
      SELECT id FROM conversations
      WHERE tenant_id = ${tenantId} AND user_id = ${userId} AND is_archived = shelf.is_archived
      ORDER BY updated_at DESC, id DESC LIMIT ${recentConversations}
    ) AS c
    JOIN messages AS m ON m.conversation_id = c.id AND m.tenant_id = ${tenantId}
    WHERE ${isDue} LIMIT ${maxOfUser}`;
  // It waits for others that index the same: they are found by this search, too.
  if (rows.length > 0) await store(db, rows, Prisma.sql`FOR NO KEY UPDATE OF m`);
}

/** Stores the words of messages that are as they were read. What guardrails have blocked has none. One statement. */
async function store(db: Indexer, rows: readonly Unindexed[], lock: Prisma.Sql): Promise<number> {
  if (rows.length === 0) return 0;
  const texts = rows.map((row) => (row.status === 'BLOCKED' ? '' : indexText(row.content, row)));
  const stored = await db.$queryRaw<{ count: number }[]>`
    WITH chosen AS (
      SELECT m.id, m.tenant_id, c.user_id, made.tsv
      FROM unnest(${rows.map(({ id }) => id)}::uuid[], ${rows.map((row) => row.version)}::text[], ${texts}::text[])
        AS made (id, version, tsv)
      JOIN messages AS m ON m.id = made.id JOIN conversations AS c ON c.id = m.conversation_id
      WHERE ${isDue} AND ${version} = made.version ORDER BY m.id ${lock}
    ), written AS (
      INSERT INTO message_words (tenant_id, message_id, user_id, tsv)
      SELECT tenant_id, id, user_id, tsv::tsvector FROM chosen WHERE tsv <> ''
      ON CONFLICT (tenant_id, message_id) DO UPDATE SET tsv = excluded.tsv
    ), marked AS (
      UPDATE messages SET is_indexed = true FROM chosen WHERE messages.id = chosen.id RETURNING 1
    )
    SELECT count(*)::int AS count FROM marked`;
  return stored[0]?.count ?? 0;
}
