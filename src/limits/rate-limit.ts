import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { RateLimitedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Limits, Rate } from '../config/limits.ts';
import { refusals } from '../telemetry/metrics.ts';
import { noteQuota } from './quotas.ts';

/** Lets each user, and all users of a tenant together, do something so often. */
export interface RateLimit {
  /**
   * Takes one point of the viewer's and one of the tenant's.
   * @throws {RateLimitedError} when none is left, with the milliseconds until there is one again
   */
  take(viewer: Viewer): Promise<void>;
  /**
   * As `take`, for somebody who does it another way if none is left: that is no refusal, and is not counted as one.
   * @returns whether the points were taken
   */
  tryTake(viewer: Viewer): Promise<boolean>;
  /** Gives one of each back: what they were taken for was not done. */
  giveBack(viewer: Viewer): Promise<void>;
}

/** Something that may be done as often as one likes. */
const noLimit: RateLimit = {
  take: () => Promise.resolve(),
  tryTake: () => Promise.resolve(true),
  giveBack: () => Promise.resolve(),
};

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
  const name = what.replaceAll(/[^a-z]+/g, '-');
  const takeBoth = async ({ tenantId, userId }: Viewer) => {
    if (users && limits.user) {
      const message = `Too many ${what}: at most`;
      const counted = { name, limit: name, scope: 'user', rate: limits.user, message };
      await takeOne(users, JSON.stringify([tenantId, userId]), counted);
    }
    if (tenants && limits.tenant) {
      try {
        const message = `Too many ${what} in your organisation: at most`;
        const counted = { name: `${name}-of-organisation`, limit: name, scope: 'tenant', rate: limits.tenant, message };
        await takeOne(tenants, tenantId, counted);
      } catch (error) {
        await giveOneBack(users, JSON.stringify([tenantId, userId]), { name, rate: limits.user });
        throw error;
      }
    }
  };
  return {
    async take(viewer) {
      try {
        await takeBoth(viewer);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        refusals.inc({ limit: error.of.limit, scope: error.of.scope });
        throw error.toError();
      }
    },
    async tryTake(viewer) {
      try {
        await takeBoth(viewer);
        return true;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return false;
      }
    },
    async giveBack({ tenantId, userId }) {
      await giveOneBack(users, JSON.stringify([tenantId, userId]), { name, rate: limits.user });
      await giveOneBack(tenants, tenantId, { name: `${name}-of-organisation`, rate: limits.tenant });
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

/** A limit, as it is counted. */
interface Counted {
  /** In the header fields of answers. */
  readonly name: string;
  readonly rate: Rate;
}

/** A limit, as its refusals are counted and worded. */
interface Refusing extends Counted {
  readonly limit: string;
  readonly scope: string;
  readonly message: string;
}

/** No point is left of a limit. */
class Refusal extends Error {
  readonly of: Refusing;
  readonly #msBeforeNext: number;

  constructor(of: Refusing, msBeforeNext: number) {
    super();
    this.of = of;
    this.#msBeforeNext = msBeforeNext;
  }

  /** The error for the client. */
  toError(): RateLimitedError {
    const { message, rate } = this.of;
    return new RateLimitedError(`${message} ${rate.points} in ${rate.seconds} seconds.`, this.#msBeforeNext);
  }
}

/** @throws {Refusal} if no point is left */
async function takeOne(limiter: Limiter, key: string, counted: Refusing): Promise<void> {
  try {
    note(counted, await limiter.consume(key));
  } catch (refused) {
    if (!(refused instanceof RateLimiterRes)) throw refused;
    note(counted, refused);
    throw new Refusal(counted, refused.msBeforeNext);
  }
}

async function giveOneBack(
  limiter: Limiter | null,
  key: string,
  { name, rate }: { readonly name: string; readonly rate: Rate | null },
): Promise<void> {
  if (limiter && rate) note({ name, rate }, await limiter.reward(key, 1));
}

function note({ name, rate: { points, seconds } }: Counted, left: RateLimiterRes): void {
  const remaining = Math.max(0, Math.min(points, left.remainingPoints));
  noteQuota({ name, points, seconds, remaining, resetMs: Math.max(0, left.msBeforeNext) });
}
