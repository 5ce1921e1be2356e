import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Viewer } from './auth/viewer.ts';
import { RateLimitedError } from './errors.ts';

/** Lets each user do something so often. */
export interface RateLimit {
  /**
   * Takes one point of the viewer's.
   * @throws {RateLimitedError} when none is left, with the milliseconds until there is one again
   */
  take(viewer: Viewer): Promise<void>;
}

/** Something that may be done as often as one likes. */
export const noLimit: RateLimit = { take: () => Promise.resolve() };

/**
 * A limit per user of a tenant, counted in this process.
 * @param what for the message: "turns"
 * @param rate so many points in so many seconds; null for no limit
 */
export function createRateLimit(
  what: string,
  rate: { readonly points: number; readonly seconds: number } | null,
): RateLimit {
  if (rate === null) return noLimit;
  const limiter = new RateLimiterMemory({ points: rate.points, duration: rate.seconds });
  return {
    async take({ tenantId, userId }) {
      try {
        await limiter.consume(JSON.stringify([tenantId, userId]));
      } catch (refused) {
        if (!(refused instanceof RateLimiterRes)) throw refused;
        const message = `Too many ${what}: at most ${rate.points} in ${rate.seconds} seconds.`;
        throw new RateLimitedError(message, refused.msBeforeNext);
      }
    },
  };
}
