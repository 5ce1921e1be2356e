import { EventsExpiredError } from '../api/errors.ts';
import { badInput } from '../api/input.ts';
import type { Db } from '../database/client.ts';
import { type FeedEvent, type FeedOwner, feedEvent } from './feed-event.ts';

/** How long an event is kept at least, unless 1,000 newer ones of its user push it out: see the migration. */
const keptMs = 24 * 3600_000;
/** How many expired events one statement deletes. */
const pruneBatch = 1_000;

/**
 * The seq of the last event of a user: 0 before the first one. One statement.
 */
export async function readLastSeq({ tenantId, userId }: FeedOwner, db: Db): Promise<number> {
  const user = await db.user.findUnique({
    where: { tenantId_id: { tenantId, id: userId } },
    select: { lastEventSeq: true },
  });
  return user?.lastEventSeq ?? 0;
}

/** The seqs of the last events of several users. One statement. */
export async function readLastSeqs(
  owners: readonly FeedOwner[],
  db: Db,
): Promise<(FeedOwner & { readonly lastSeq: number })[]> {
  return db.$queryRaw`
    SELECT tenant_id AS "tenantId", users.id AS "userId", last_event_seq AS "lastSeq" FROM users
    JOIN unnest(${owners.map(({ tenantId }) => tenantId)}::text[], ${owners.map(({ userId }) => userId)}::text[])
      AS wanted (tenant, id) ON tenant_id = wanted.tenant AND users.id = wanted.id`;
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
    SELECT users.last_event_seq AS "lastSeq", event.* FROM users LEFT JOIN LATERAL (
      SELECT seq, at, type::text, conversation_id::text AS "conversationId", message_id::text AS "messageId",
        run_id::text AS "runId", handoff_id::text AS "handoffId", from_agent_id::text AS "fromAgentId",
        to_agent_id::text AS "toAgentId"
      FROM feed_events WHERE tenant_id = users.tenant_id AND user_id = users.id AND seq > ${after}
      ORDER BY seq LIMIT ${limit}
    ) AS event ON true
    WHERE users.tenant_id = ${tenantId} AND users.id = ${userId}
    ORDER BY event.seq`;
  const lastSeq = rows[0]?.lastSeq ?? 0;
  if (after > lastSeq) throw badInput(['after'], `must be at most ${lastSeq}, the seq of your last event so far`);
  const events = rows.filter(({ seq }) => seq !== null).map((row) => feedEvent.parse(row));
  // Numbers have no gaps: one that is missing was deleted, for its age or because there were 1,000 after it.
  const isCut = events.some(({ seq }, index) => seq !== after + 1 + index);
  if (isCut || (events.length === 0 && after < lastSeq)) throw new EventsExpiredError(lastSeq);
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
    const count = await db.$executeRaw`
      DELETE FROM feed_events WHERE (tenant_id, user_id, seq) IN (
        SELECT tenant_id, user_id, seq FROM feed_events WHERE at < ${before} ORDER BY at LIMIT ${pruneBatch}
        FOR UPDATE SKIP LOCKED)`;
    deleted += count;
    if (count < pruneBatch) return deleted;
  }
}
