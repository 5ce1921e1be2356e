import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { RateLimitedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Limits, Rate } from '../config/limits.ts';

/** Lets each user, and all users of a tenant together, do something so often. */
export interface RateLimit {
  /**
   * Takes one point of the viewer's and one of the tenant's.
   * @throws {RateLimitedError} when none is left, with the milliseconds until there is one again
   */
  take(viewer: Viewer): Promise<void>;
  /** Gives one of each back: what they were taken for was not done. */
  giveBack(viewer: Viewer): Promise<void>;
}

/** Something that may be done as often as one likes. */
const noLimit: RateLimit = { take: () => Promise.resolve(), giveBack: () => Promise.resolve() };

/**
 * A limit per user of a tenant, and per tenant.
 * @param what for the message: "turns"
 * @param limits so many points in so many seconds; null for no limit
 * @param redis where the points are counted, for all instances together; null: in this process. While Redis is out of
 *   reach each process counts for itself.
 */
export function createRateLimit(what: string, limits: Limits | null, redis: Redis | null = null): RateLimit {
  if (limits === null) return noLimit;
  const users = limits.user && createLimiter(`${what}:user`, limits.user, redis);
  const tenants = limits.tenant && createLimiter(`${what}:tenant`, limits.tenant, redis);
  return {
    async take({ tenantId, userId }) {
      if (users && limits.user) {
        await takeOne(users, JSON.stringify([tenantId, userId]), `Too many ${what}: at most`, limits.user);
      }
      if (tenants && limits.tenant) {
        try {
          await takeOne(tenants, tenantId, `Too many ${what} in your organisation: at most`, limits.tenant);
        } catch (error) {
          await users?.reward(JSON.stringify([tenantId, userId]), 1);
          throw error;
        }
      }
    },
    async giveBack({ tenantId, userId }) {
      await users?.reward(JSON.stringify([tenantId, userId]), 1);
      await tenants?.reward(tenantId, 1);
    },
  };
}

type Limiter = RateLimiterMemory | RateLimiterRedis;

function createLimiter(keyPrefix: string, { points, seconds: duration }: Rate, redis: Redis | null): Limiter {
  const memory = new RateLimiterMemory({ keyPrefix, points, duration });
  if (redis === null) return memory;
  return new RateLimiterRedis({
    storeClient: redis,
    keyPrefix: `rate:${keyPrefix.replaceAll(' ', '-')}`,
    points,
    duration,
    insuranceLimiter: memory,
    rejectIfRedisNotReady: true,
  });
}

async function takeOne(limiter: Limiter, key: string, message: string, rate: Rate): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    throw new RateLimitedError(`${message} ${rate.points} in ${rate.seconds} seconds.`, refused.msBeforeNext);
  }
}
