import type { Logger } from 'pino';
import { formatId } from '../api/ids.ts';
import type { Database } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import { type KeyRing, SecretUnreadableError } from '../secrets/key-ring.ts';
import { openWebhookSecret } from '../secrets/stored-secrets.ts';
import { webhookDeliveries, webhookSeconds } from '../telemetry/metrics.ts';
import { webhookBody } from './body.ts';
import {
  type ClaimedWebhook,
  claimWebhooks,
  type DeliveryResult,
  type DueDelivery,
  finishAttempt,
  releaseWebhook,
  takeDelivery,
} from './claim.ts';
import { expireDeliveries } from './expire.ts';
import { planRetry } from './retries.ts';
import { type Attempt, sendRequest } from './send.ts';
import { signDelivery } from './signing.ts';

/** How often the database is asked what is to be sent. */
const pollEveryMs = 1_000;
const expireEveryMs = 60_000;
/** Webhooks of one tenant that are sent to at the same time by this process. */
const perTenant = 4;
/** What one webhook is sent before others have their turn: so many deliveries, or for so long. */
const turnSize = 20;
const turnMs = 20_000;

/** What deliveries are sent with. */
export interface SenderOptions {
  readonly db: Database;
  readonly keys: KeyRing;
  readonly logger: Logger;
  /** A fetch through the address guard. */
  readonly fetchGuarded: typeof fetch;
  /** How long an attempt may take, in milliseconds; shorter than the lease. */
  readonly timeoutMs: number;
  /** Webhooks that are sent to at the same time by this process. */
  readonly atOnce: number;
}

/**
 * Sends the deliveries of all webhooks. Their rows are the queue: it claims a webhook (claim.ts), sends what is due one after
 * another, and gives it back. So a receiver has at most one request at a time from all instances, in the order of the events
 * unless one has to be repeated, and a receiver that is slow takes one place of its tenant's four. One for the process.
 */
export class WebhookSender implements AsyncDisposable {
  readonly #options: SenderOptions;
  readonly #closing = new AbortController();
  /** Webhooks that are being sent to, by tenant. */
  readonly #busy = new Map<string, number>();
  readonly #work = new Set<Promise<unknown>>();
  readonly #timers: NodeJS.Timeout[] = [];
  #isPolling = false;
  #pollsAgain = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Starts to send. */
  start(): void {
    this.#timers.push(
      setInterval(() => this.wake(), pollEveryMs).unref(),
      setInterval(() => this.#run('expire deliveries', () => this.#expire()), expireEveryMs).unref(),
    );
  }

  /** Looks for what is to be sent, now: call it after something was committed. */
  wake(): void {
    this.#pollsAgain = true;
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#run('claim webhooks', async () => {
      try {
        while (this.#pollsAgain && !this.#closing.signal.aborted) {
          this.#pollsAgain = false;
          await this.#claim();
        }
      } finally {
        this.#isPolling = false;
      }
    });
  }

  /** Stops sending. What is under way is given up, and sent again by whoever runs next. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#closing.abort();
    while (this.#work.size > 0) await Promise.allSettled([...this.#work]);
  }

  async #claim(): Promise<void> {
    const { db, atOnce } = this.#options;
    const max = atOnce - [...this.#busy.values()].reduce((sum, count) => sum + count, 0);
    if (max <= 0) return;
    for (const webhook of await claimWebhooks(db, { busy: this.#busy, perTenant, max })) {
      this.#count(webhook.tenantId, 1);
      this.#run('send the deliveries of a webhook', () => this.#serve(webhook));
    }
  }

  async #serve(webhook: ClaimedWebhook): Promise<void> {
    const { db } = this.#options;
    const endAt = performance.now() + turnMs;
    try {
      for (let sent = 0; sent < turnSize && performance.now() < endAt; sent += 1) {
        const due = this.#closing.signal.aborted ? null : await takeDelivery(db, webhook);
        if (due === null) break;
        await this.#send(webhook, due);
      }
    } finally {
      this.#count(webhook.tenantId, -1);
      await releaseWebhook(db, webhook);
      // There may be more of it, or of others that had no place.
      if (!this.#closing.signal.aborted) this.wake();
    }
  }

  async #send(webhook: ClaimedWebhook, due: DueDelivery): Promise<void> {
    const { db, logger } = this.#options;
    const begunAt = performance.now();
    const attempt = await this.#attempt(webhook, due).catch((error: unknown): DeliveryResult | Attempt => {
      if (!this.#closing.signal.aborted) throw error;
      return { status: 'PENDING', statusCode: null, error: 'The server was stopped.', pauseMs: 0 };
    });
    const result = 'ok' in attempt ? planResult(attempt, due.attemptsNow) : attempt;
    await finishAttempt(db, webhook, due, result);
    const outcome = { DELIVERED: 'delivered', PENDING: 'retried', FAILED: 'given_up' } as const;
    webhookDeliveries.inc({ outcome: outcome[result.status] });
    webhookSeconds.observe((performance.now() - begunAt) / 1_000);
    if (result.status !== 'DELIVERED') {
      const ids = { webhookId: formatId('Webhook', webhook.id), deliveryId: formatId('WebhookDelivery', due.id) };
      const { statusCode, status, error } = result;
      logger.warn({ ...ids, tenantId: webhook.tenantId, statusCode, status, error }, 'a webhook was not delivered');
    }
  }

  async #attempt(webhook: ClaimedWebhook, due: DueDelivery): Promise<Attempt> {
    const { keys, fetchGuarded, timeoutMs } = this.#options;
    const fail = (error: string): Attempt => ({ ok: false, statusCode: null, error, retryAfterMs: null });
    const parsed = webhookBody.safeParse(due.body);
    if (!parsed.success) {
      this.#options.logger.error({ err: parsed.error, deliveryId: due.id }, 'the body of a delivery is invalid');
      return fail('The server has stored a body that is not valid.');
    }
    const usable = due.secrets.filter(({ name }) => name === 'current' || due.overlaps);
    const opened = Promise.all(usable.map((secret) => openWebhookSecret(keys, webhook.id, secret)));
    const secrets = await opened.catch((error: unknown) => {
      if (error instanceof SecretUnreadableError) return null;
      throw error;
    });
    if (secrets === null || secrets.length === 0) {
      return fail('The secret of the webhook cannot be read. Make a new one with rotateWebhookSecret.');
    }
    const body = JSON.stringify(due.body);
    const headers = signDelivery(formatId('WebhookDelivery', due.id), new Date(), body, secrets);
    return sendRequest(fetchGuarded, { url: due.url, headers, body, timeoutMs }, this.#closing.signal);
  }

  async #expire(): Promise<void> {
    const count = await expireDeliveries(this.#options.db);
    if (count === 0) return;
    webhookDeliveries.inc({ outcome: 'given_up' }, count);
    this.#options.logger.warn({ count }, 'webhook deliveries were given up');
  }

  #count(tenantId: string, by: 1 | -1): void {
    const count = (this.#busy.get(tenantId) ?? 0) + by;
    if (count > 0) this.#busy.set(tenantId, count);
    else this.#busy.delete(tenantId);
  }

  #run(name: string, work: () => Promise<unknown>): void {
    if (this.#closing.signal.aborted) return;
    const round = withoutCounting(null, work)
      .catch((error: unknown) => this.#options.logger.warn({ err: error, job: name }, 'a job of webhooks failed'))
      .finally(() => this.#work.delete(round));
    this.#work.add(round);
  }
}

function planResult(attempt: Attempt, attemptsNow: number): DeliveryResult {
  const { statusCode } = attempt;
  if (attempt.ok) return { status: 'DELIVERED', statusCode, error: null, pauseMs: 0 };
  const pauseMs = planRetry(attemptsNow, attempt.retryAfterMs, Math.random());
  const { error } = attempt;
  return pauseMs === null
    ? { status: 'FAILED', statusCode, error, pauseMs: 0 }
    : { status: 'PENDING', statusCode, error, pauseMs };
}
