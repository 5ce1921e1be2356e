import type { Db } from '../database/client.ts';
import { Prisma } from '../generated/prisma/client.ts';

/** What stands in place of a text that was erased. */
export const erasedText = 'Erased.';

/** Tickets that one transaction treats: each has up to 1,000 comments. */
const batch = 10;

/**
 * Erases what some tickets say: subject, body, category and comments, what their history says of these, and the deliveries of
 * webhooks that tell of them. The tickets stay, with their numbers and states. Two statements.
 * @param tx a transaction: whoever comments on one of them, or changes it, waits until its end
 * @param tenantId of the tickets
 * @param options.which a condition on `t`, the tickets
 * @param options.unlink what is changed in addition, so that `which` finds them no more: `contact_id = NULL`
 * @returns how many, 10 at most; 0: there are no more
 */
export async function eraseTicketTexts(
  tx: Db,
  tenantId: string,
  { which, unlink }: { readonly which: Prisma.Sql; readonly unlink: Prisma.Sql },
): Promise<number> {
  // A statement of its own: the next one sees what was written while this one waited.
  const chosen = await tx.$queryRaw<{ readonly id: string }[]>`
    SELECT t.id FROM tickets AS t WHERE t.tenant_id = ${tenantId} AND ${which}
    ORDER BY t.id LIMIT ${batch} FOR NO KEY UPDATE`;
  if (chosen.length === 0) return 0;
  const ofChosen = Prisma.sql`tenant_id = ${tenantId} AND ticket_id = ANY(${chosen.map(({ id }) => id)}::uuid[])`;
  await tx.$executeRaw`
    WITH comments AS (
      UPDATE ticket_comments SET body = ${erasedText} WHERE ${ofChosen}
    ), changes AS (
      UPDATE ticket_changes SET value_before = NULL, value_after = NULL
      WHERE ${ofChosen} AND field NOT IN ('status', 'priority', 'assignee')
    ), deliveries AS (
      DELETE FROM webhook_deliveries WHERE ${ofChosen}
    )
    UPDATE tickets SET subject = ${erasedText}, body = ${erasedText}, category = NULL, creation_key = NULL,
      creation_hash = NULL, updated_at = now(), ${unlink}
    WHERE tenant_id = ${tenantId} AND id = ANY(${chosen.map(({ id }) => id)}::uuid[])`;
  return chosen.length;
}
