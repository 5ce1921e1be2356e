import type { Db } from '../database/client.ts';
import { eventOfType, type WebhookBody } from './body.ts';

/**
 * Writes what happened for all webhooks of a tenant that are to be sent it. One statement; none of them: no row.
 * @param about the row id of the ticket or of the feedback of which the body tells: the deliveries are deleted with it
 * @param tx the transaction of what happened: neither exists without the other
 */
export async function appendDeliveries(
  tx: Db,
  tenantId: string,
  body: WebhookBody,
  about: { readonly ticketId?: string; readonly feedbackId?: string } = {},
): Promise<void> {
  await tx.$executeRaw`
    SELECT append_webhook_deliveries(${tenantId}, ${eventOfType[body.type]}::"WebhookEvent", ${JSON.stringify(body)}::jsonb,
      ${about.ticketId ?? null}::uuid, ${about.feedbackId ?? null}::uuid)::text`;
}
