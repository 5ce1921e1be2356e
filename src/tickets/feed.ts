import type { Logger } from 'pino';
import { z } from 'zod';
import { EventsExpiredError } from '../api/errors.ts';
import type { Database, Db } from '../database/client.ts';
import { Feed } from '../feed/feed.ts';
import { assemblePages, type FeedPage, type FeedRequest, type FeedRow } from '../feed/feed-page.ts';

/** The channel of PostgreSQL on which instances notify each other that something happened to tickets. */
export const ticketChannel = 'switchboard_tickets';
/** How many expired events one statement deletes. */
const pruneBatch = 1_000;
const expired =
  'Events after this position are not stored any more. Read the tickets again, with lastTicketEventSeq, and subscribe after it.';

const ticketEvent = z.object({
  seq: z.int(),
  at: z.date(),
  type: z.enum(['TicketCreated', 'TicketUpdated', 'TicketCommented']),
  ticketId: z.uuid(),
  commentId: z.uuid().nullable(),
});

/** Something that happened to a ticket of a tenant, by row ids. `seq` counts the events of all tickets of the tenant. */
export type TicketFeedEvent = Readonly<z.output<typeof ticketEvent>>;

/** The tenant whose tickets they are. */
interface TicketOwner {
  readonly tenantId: string;
}

/** What happens to the tickets of each tenant. Readers select what their viewer may see. */
export class TicketFeed extends Feed<TicketOwner, TicketFeedEvent> {
  /** @param options.alone whether no other process uses the database: then nobody has to be notified */
  constructor(options: { readonly db: Database; readonly logger: Logger; readonly alone: boolean }) {
    super(
      {
        channel: ticketChannel,
        keyOf: ({ tenantId }) => tenantId,
        read,
        readLastSeqs,
        deleteExpired: deleteExpiredTicketEvents,
      },
      options,
    );
  }
}

/** The seq of the last event of a tenant's tickets: 0 before the first one. One statement. */
export async function readLastTicketSeq(owner: TicketOwner, db: Db): Promise<number> {
  return (await readLastSeqs([owner], db))[0]?.lastSeq ?? 0;
}

async function readLastSeqs(owners: readonly TicketOwner[], db: Db) {
  const rows = await db.$queryRaw<{ tenantId: string; lastSeq: number }[]>`
    SELECT id AS "tenantId", greatest(expired_ticket_event_seq, (
      SELECT seq FROM ticket_events WHERE tenant_id = tenants.id ORDER BY seq DESC LIMIT 1)) AS "lastSeq"
    FROM tenants WHERE id = ANY(${owners.map(({ tenantId }) => tenantId)}::text[])`;
  return rows.map(({ tenantId, lastSeq }) => ({ owner: { tenantId }, lastSeq }));
}

async function read(
  requests: readonly FeedRequest<TicketOwner>[],
  db: Db,
  limit: number,
): Promise<FeedPage<TicketFeedEvent>[]> {
  const tenants = requests.map(({ owner }) => owner.tenantId);
  const rows = await db.$queryRaw<FeedRow[]>`
    SELECT wanted.place::int, greatest(tenants.expired_ticket_event_seq, (
      SELECT seq FROM ticket_events WHERE tenant_id = tenants.id ORDER BY seq DESC LIMIT 1)) AS "lastSeq", event.*
    FROM unnest(${tenants}::text[], ${requests.map(({ after }) => after)}::int[])
      WITH ORDINALITY AS wanted (tenant, after, place)
    JOIN tenants ON tenants.id = wanted.tenant
    LEFT JOIN LATERAL (
      SELECT seq, at, type::text, ticket_id::text AS "ticketId", comment_id::text AS "commentId"
      FROM ticket_events WHERE tenant_id = tenants.id AND seq > wanted.after ORDER BY seq LIMIT ${limit}
    ) AS event ON true
    ORDER BY wanted.place, event.seq`;
  return assemblePages(
    requests,
    rows,
    (row) => ticketEvent.parse(row),
    (last) => new EventsExpiredError(last, expired),
  );
}

/** Deletes the events of all tenants that are older than a day, some at a time. @returns how many it deleted */
export async function deleteExpiredTicketEvents(db: Db): Promise<number> {
  for (let deleted = 0; ; ) {
    const [{ count } = { count: 0 }] = await db.$queryRaw<{ count: number }[]>`
      WITH old AS MATERIALIZED (
        SELECT tenant_id, seq FROM ticket_events WHERE at < clock_timestamp() - interval '1 day'
        ORDER BY at LIMIT ${pruneBatch} FOR UPDATE SKIP LOCKED
      ), expired AS (
        DELETE FROM ticket_events AS e USING old WHERE e.tenant_id = old.tenant_id AND e.seq = old.seq
        RETURNING e.tenant_id, e.seq
      ), counted AS (
        -- If the last one of a tenant is among them, the numbers still go on after it.
        UPDATE tenants SET expired_ticket_event_seq = greatest(expired_ticket_event_seq, seq)
        FROM (SELECT tenant_id, max(seq) AS seq FROM expired GROUP BY 1) AS of_tenant
        WHERE tenants.id = of_tenant.tenant_id
      )
      SELECT count(*)::int AS count FROM expired`;
    deleted += count;
    if (count < pruneBatch) return deleted;
  }
}
