import { EventsExpiredError } from '../api/errors.ts';
import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { type FeedEvent, type FeedOwner, feedEvent } from './feed-event.ts';
import { assemblePages, type FeedPage, type FeedRequest, type FeedRow } from './feed-page.ts';

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

/** The next events of each user's feed. One statement. @param limit how many events of a user it reads at most */
export async function readFeed(
  requests: readonly FeedRequest<FeedOwner>[],
  db: Db,
  limit: number,
): Promise<FeedPage<FeedEvent>[]> {
  const tenants = requests.map(({ owner }) => owner.tenantId);
  const users = requests.map(({ owner }) => owner.userId);
  const rows = await db.$queryRaw<FeedRow[]>`
    SELECT wanted.place::int, ${lastSeq} AS "lastSeq", event.*
    FROM unnest(${tenants}::text[], ${users}::text[], ${requests.map(({ after }) => after)}::int[])
      WITH ORDINALITY AS wanted (tenant, id, after, place)
    JOIN users ON users.tenant_id = wanted.tenant AND users.id = wanted.id
    LEFT JOIN LATERAL (
      SELECT seq, at, type::text, conversation_id::text AS "conversationId", message_id::text AS "messageId",
        run_id::text AS "runId", handoff_id::text AS "handoffId", from_agent_id::text AS "fromAgentId",
        to_agent_id::text AS "toAgentId", is_new AS "isNew"
      FROM feed_events WHERE tenant_id = users.tenant_id AND user_id = users.id AND seq > wanted.after
      ORDER BY seq LIMIT ${limit}
    ) AS event ON true
    ORDER BY wanted.place, event.seq`;
  return assemblePages(
    requests,
    rows,
    (row) => feedEvent.parse(row),
    (last) => new EventsExpiredError(last),
  );
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
