import { EventsExpiredError } from '../api/errors.ts';
import { badInput } from '../api/input.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { type FeedEvent, type FeedOwner, feedEvent } from './feed-event.ts';

/** How long an event is kept at least, unless 1,000 newer ones of its user push it out: see the migration. */
const keptMs = 24 * 3600_000;
/** How many expired events one statement deletes. */
const pruneBatch = 1_000;

/** What to load of a user to know the seq of the last event: the selection of a Prisma query. */
export const lastSeqOfUser = {
  expiredEventSeq: true,
  feedEvents: { select: { seq: true }, orderBy: { seq: 'desc' }, take: 1 },
} as const;

/** The seq of the last event of a user, of what `lastSeqOfUser` has loaded: 0 before the first one. */
export function findLastSeq(user: {
  readonly expiredEventSeq: number;
  readonly feedEvents: readonly { readonly seq: number }[];
}): number {
  return Math.max(user.expiredEventSeq, user.feedEvents[0]?.seq ?? 0);
}

/** The seq of the last event of a user: 0 before the first one. One statement. */
export async function readLastSeq(owner: FeedOwner, db: Db): Promise<number> {
  return (await readLastSeqs([owner], db))[0]?.lastSeq ?? 0;
}

/** The number of the last event in SQL, for a row of `users`. */
const lastSeq = Prisma.sql`greatest(users.expired_event_seq, (
  SELECT seq FROM feed_events WHERE tenant_id = users.tenant_id AND user_id = users.id ORDER BY seq DESC LIMIT 1))`;

/** The seqs of the last events of several users. One statement. */
export async function readLastSeqs(
  owners: readonly FeedOwner[],
  db: Db,
): Promise<(FeedOwner & { readonly lastSeq: number })[]> {
  return db.$queryRaw`
    SELECT users.tenant_id AS "tenantId", users.id AS "userId", ${lastSeq} AS "lastSeq" FROM users
    JOIN unnest(${owners.map(({ tenantId }) => tenantId)}::text[], ${owners.map(({ userId }) => userId)}::text[])
      AS wanted (tenant, id) ON users.tenant_id = wanted.tenant AND users.id = wanted.id`;
}

/**
 * The next events of a user's feed after `after`, the oldest first. One statement.
 * @throws {EventsExpiredError} if one of them is not kept any more
 * @throws {BadUserInputError} if the feed has not got as far as `after`
 */
export async function readFeed(
  { tenantId, userId }: FeedOwner,
  db: Db,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<FeedEvent[]> {
  const rows = await db.$queryRaw<{ lastSeq: number; seq: number | null }[]>`
    SELECT ${lastSeq} AS "lastSeq", event.* FROM users LEFT JOIN LATERAL (
      SELECT seq, at, type::text, conversation_id::text AS "conversationId", message_id::text AS "messageId",
        run_id::text AS "runId", handoff_id::text AS "handoffId", from_agent_id::text AS "fromAgentId",
        to_agent_id::text AS "toAgentId", is_new AS "isNew"
      FROM feed_events WHERE tenant_id = users.tenant_id AND user_id = users.id AND seq > ${after}
      ORDER BY seq LIMIT ${limit}
    ) AS event ON true
    WHERE users.tenant_id = ${tenantId} AND users.id = ${userId}
    ORDER BY event.seq`;
  const last = rows[0]?.lastSeq ?? 0;
  if (after > last) throw badInput(['after'], `must be at most ${last}, the seq of your last event so far`);
  const events = rows.filter(({ seq }) => seq !== null).map((row) => feedEvent.parse(row));
  // Numbers have no gaps: one that is missing was deleted, for its age or because there were 1,000 after it.
  const isCut = events.some(({ seq }, index) => seq !== after + 1 + index);
  if (isCut || (events.length === 0 && after < last)) throw new EventsExpiredError(last);
  return events;
}

/** Whether the feed says after `after` that a conversation of the user was deleted. One statement. */
export async function isDeletedAfter(
  { tenantId, userId }: FeedOwner,
  db: Db,
  conversationId: string,
  after: number,
): Promise<boolean> {
  const found = await db.feedEvent.findFirst({
    where: { tenantId, userId, seq: { gt: after }, type: 'ConversationDeleted', conversationId },
    select: { seq: true },
  });
  return found !== null;
}

/** Deletes the events of all users that are older than a day, some at a time. @returns how many it deleted */
export async function deleteExpiredEvents(db: Db, now = new Date()): Promise<number> {
  const before = new Date(now.getTime() - keptMs);
  for (let deleted = 0; ; ) {
    const [{ count } = { count: 0 }] = await db.$queryRaw<{ count: number }[]>`
      WITH old AS MATERIALIZED (
        SELECT tenant_id, user_id, seq FROM feed_events WHERE at < ${before} ORDER BY at LIMIT ${pruneBatch}
        FOR UPDATE SKIP LOCKED
      ), expired AS (
        DELETE FROM feed_events AS e USING old
        WHERE e.tenant_id = old.tenant_id AND e.user_id = old.user_id AND e.seq = old.seq
        RETURNING e.tenant_id, e.user_id, e.seq
      ), counted AS (
        -- If the last one of a user is among them, the numbers still go on after it.
        UPDATE users SET expired_event_seq = greatest(expired_event_seq, seq)
        FROM (SELECT tenant_id, user_id, max(seq) AS seq FROM expired GROUP BY 1, 2) AS of_user
        WHERE users.tenant_id = of_user.tenant_id AND users.id = of_user.user_id
      )
      SELECT count(*)::int AS count FROM expired`;
    deleted += count;
    if (count < pruneBatch) return deleted;
  }
}
