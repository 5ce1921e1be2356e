import type { Database } from '../database/client.ts';

/** Rows that one statement changes. */
const batch = 500;
/** Deliveries of one webhook that may wait. */
const maxPending = 100_000;

/**
 * Gives up what has waited for longer than a day, and what is too much; and deletes what is over: deliveries a week after they
 * were written, those that were given up after thirty days. Instances do not wait for each other.
 * @returns how many it gave up
 */
export async function expireDeliveries(db: Database): Promise<number> {
  const late = await repeat(
    () => db.$executeRaw`
      UPDATE webhook_deliveries SET status = 'FAILED',
        last_error = coalesce(last_error, 'It could not be sent for a day: the webhook was switched off, or too much was waiting.')
      WHERE id = ANY(ARRAY(
        SELECT id FROM webhook_deliveries WHERE status = 'PENDING' AND given_up_at <= clock_timestamp()
          AND created_at <= clock_timestamp() - interval '1 day'
        ORDER BY created_at LIMIT ${batch} FOR NO KEY UPDATE SKIP LOCKED
      ))`,
  );
  const excess = await repeat(
    () => db.$executeRaw`
      UPDATE webhook_deliveries SET status = 'FAILED', last_error = 'Too many deliveries of this webhook were waiting.'
      WHERE id = ANY(ARRAY(
        SELECT excess.id FROM webhooks CROSS JOIN LATERAL (
          SELECT id FROM webhook_deliveries WHERE webhook_id = webhooks.id AND status = 'PENDING'
          ORDER BY next_attempt_at, number OFFSET ${maxPending} LIMIT ${batch}
        ) AS excess LIMIT ${batch}
      )) AND status = 'PENDING'`,
  );
  for (const [status, days] of [['DELIVERED', 7] as const, ['FAILED', 30] as const]) {
    await repeat(
      () => db.$executeRaw`
        DELETE FROM webhook_deliveries WHERE id = ANY(ARRAY(
          SELECT id FROM webhook_deliveries WHERE status = ${status}::"WebhookDeliveryStatus"
            AND created_at < clock_timestamp() - make_interval(days => ${days})
          ORDER BY created_at LIMIT ${batch} FOR UPDATE SKIP LOCKED
        ))`,
    );
  }
  return late + excess;
}

async function repeat(work: () => Promise<number>): Promise<number> {
  for (let total = 0; ; ) {
    const count = await work();
    total += count;
    if (count < batch) return total;
  }
}
