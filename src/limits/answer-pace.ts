import { setTimeout as sleep } from 'node:timers/promises';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { RateLimitedError } from '../api/errors.ts';
import type { Limits, Rate } from '../config/limits.ts';
import { refusals } from '../telemetry/metrics.ts';
import { type Owner, userKey } from './byte-counts.ts';

/** The longest wait for the bytes of another period, in milliseconds; then the operation is refused. */
const maxWaitMs = 10_000;

/** The bytes of one user, or of one tenant, in the present period. */
interface Counted {
  readonly limiter: RateLimiterMemory;
  readonly rate: Rate;
  readonly key: string;
}

/**
 * Bounds how many bytes of large answers a user, and a tenant, may ask for in a period. How many are under way at the same
 * time (AnswerBytes) says nothing of how fast they follow one another: a reader of the largest pages, one after the other,
 * would take most of the time of the process, and of the database. Only this process counts: it is its time that is shared.
 */
export class AnswerPace {
  readonly #users: { readonly limiter: RateLimiterMemory; readonly rate: Rate } | null;
  readonly #tenants: { readonly limiter: RateLimiterMemory; readonly rate: Rate } | null;

  /** @param limits points are bytes; null: as fast as one likes */
  constructor(limits: Limits | null) {
    this.#users = limits?.user ? { limiter: createLimiter(limits.user), rate: limits.user } : null;
    this.#tenants = limits?.tenant ? { limiter: createLimiter(limits.tenant), rate: limits.tenant } : null;
  }

  /**
   * Counts bytes before they are read. Whoever has read as much as a period allows waits for the next period; the bytes that
   * exceed it are of any number, so that everything can be read.
   * @param signal ends the wait
   * @throws {RateLimitedError} if there was no room in ten seconds
   */
  async take(owner: Owner, bytes: number, signal: AbortSignal): Promise<void> {
    const until = performance.now() + maxWaitMs;
    for (const counted of this.#of(owner)) await takeOne(counted, bytes, until, signal);
  }

  /** As `take`, for the next event of a stream: it waits as long as it takes, or until the signal aborts. */
  async wait(owner: Owner, bytes: number, signal: AbortSignal): Promise<void> {
    for (const counted of this.#of(owner)) {
      if (signal.aborted) return;
      await takeOne(counted, bytes, Number.POSITIVE_INFINITY, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  /** Counts bytes that do not wait: their operation has begun to read. */
  async count(owner: Owner, bytes: number): Promise<void> {
    for (const { limiter, key } of this.#of(owner)) await limiter.penalty(key, bytes);
  }

  #of(owner: Owner): Counted[] {
    const user = this.#users && { ...this.#users, key: userKey(owner) };
    const tenant = this.#tenants && { ...this.#tenants, key: owner.tenantId };
    return [user, tenant].filter((counted) => counted !== null);
  }
}

function createLimiter({ points, seconds: duration }: Rate): RateLimiterMemory {
  return new RateLimiterMemory({ points, duration });
}

async function takeOne(
  { limiter, rate, key }: Counted,
  bytes: number,
  until: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const { consumedPoints, msBeforeNext } = await limiter.penalty(key, bytes);
    // What exceeds the period is taken by the first that exceeds it; the next one waits.
    if (consumedPoints - bytes < rate.points) return;
    if (signal.aborted) throw new RateLimitedError('The client has left.', msBeforeNext);
    if (performance.now() + msBeforeNext > until) {
      refusals.inc({ limit: 'answer-bytes', scope: 'pace' });
      throw new RateLimitedError(
        `You read large answers too fast: at most ${rate.points.toLocaleString('en-US')} bytes in ${rate.seconds} seconds. ` +
          'Ask for smaller pages, or wait between them.',
        msBeforeNext,
      );
    }
    await sleep(msBeforeNext, undefined, { signal }).catch(() => {});
  }
}
