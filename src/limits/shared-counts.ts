import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';

/** How long the counts of an instance hold after it was last heard of, in milliseconds. */
export const instanceLeaseMs = 15_000;
const renewEveryMs = 5_000;
/** Every count is written again within so many rounds, so that what Redis has lost comes back. */
const roundsPerWalk = 12;
/** Counts that nobody writes any more disappear after this, in milliseconds. */
const countTtlMs = 600_000;
/** Counts that are written together. */
const writeBatch = 500;

/** What is counted for one user or one tenant, and how many there may be. */
export interface CountBound {
  readonly key: string;
  readonly bound: number;
}

/**
 * Compares each count of all instances with its bound, and writes this instance's counts if all are within theirs. Counts
 * of an instance whose lease has ended are removed.
 * KEYS: the counts, then what the keys of leases begin with. ARGV: this instance, the time to live, then for each count its
 * value here and its bound. Returns 0, or the place of the first count that is beyond its bound.
 */
const enterScript = `
local me, lease = ARGV[1], KEYS[#KEYS]
for i = 1, #KEYS - 1 do
  local sum = tonumber(ARGV[1 + 2 * i])
  local all = redis.call('HGETALL', KEYS[i])
  for j = 1, #all, 2 do
    if all[j] ~= me then
      if redis.call('EXISTS', lease .. all[j]) == 1 then sum = sum + tonumber(all[j + 1])
      else redis.call('HDEL', KEYS[i], all[j]) end
    end
  end
  if sum > tonumber(ARGV[2 + 2 * i]) then return i end
end
for i = 1, #KEYS - 1 do
  redis.call('HSET', KEYS[i], me, ARGV[1 + 2 * i])
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 0`;

const leasePrefix = 'open:instance:';

/**
 * How much each user and tenant has open on all instances together. Each instance writes its own counts, whole numbers and no
 * changes, beside those of the others: a lost command is corrected by the next one. They hold while the lease of the instance
 * is renewed, so that those of a process that was killed are gone after 15 seconds.
 */
export class SharedCounts implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #logger: Logger;
  readonly #instance = randomUUID();
  readonly #counts = new Map<string, number>();
  /** Counts that Redis does not hold as they are here. */
  readonly #unwritten = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #onReady = () => this.#renewSoon();
  #writing: NodeJS.Immediate | null = null;
  #walk: Iterator<string> | null = null;
  #round: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: { readonly redis: Redis; readonly logger: Logger }) {
    this.#redis = options.redis;
    this.#logger = options.logger;
    this.#redis.on('ready', this.#onReady);
    this.#timer = setInterval(this.#onReady, renewEveryMs);
    this.#timer.unref();
    this.#renewSoon();
  }

  /** Adds to a count of this instance. Redis is told a moment later, with all that has changed by then. */
  change(key: string, by: 1 | -1): void {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
    this.#unwritten.add(key);
    this.#writing ??= setImmediate(() => {
      this.#writing = null;
      void this.#write();
    });
  }

  /**
   * Asks whether the counts of all instances are within their bounds. One round trip.
   * @returns the first count that is not; null: all are, or Redis is unavailable, and each process decides for itself
   */
  async findExceeded(bounds: readonly CountBound[]): Promise<CountBound | null> {
    const values = bounds.flatMap(({ key, bound }) => [this.#counts.get(key) ?? 0, bound]);
    const keys = bounds.map(({ key }) => key);
    if (this.#redis.status !== 'ready') return null;
    try {
      const arguments_ = [...keys, leasePrefix, this.#instance, countTtlMs, ...values];
      const place = Number(await this.#redis.eval(enterScript, keys.length + 1, ...arguments_));
      return bounds[place - 1] ?? null;
    } catch {
      // Whoever opened Redis logs that it is away.
      return null;
    }
  }

  /** Takes its counts away, so that the others need not wait for the end of its lease. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    if (this.#writing) clearImmediate(this.#writing);
    this.#redis.off('ready', this.#onReady);
    await this.#round;
    if (this.#redis.status === 'ready') await this.#redis.del(leasePrefix + this.#instance).catch(() => {});
  }

  #renewSoon(): void {
    this.#round = this.#round
      .then(() => this.#renew())
      .catch((error: unknown) => this.#logger.debug({ err: error }, 'could not renew the shared counts'));
  }

  /** Renews the lease, and writes what Redis may not hold. */
  async #renew(): Promise<void> {
    if (this.#closed || this.#redis.status !== 'ready') return;
    const key = leasePrefix + this.#instance;
    const answers = await this.#redis.pipeline().exists(key).set(key, '1', 'PX', instanceLeaseMs).exec();
    const hasLapsed = answers?.[0]?.[1] === 0;
    if (hasLapsed) for (const count of this.#counts.keys()) this.#unwritten.add(count);
    else this.#walkOn();
    await this.#write();
  }

  /** Marks the next part of all counts to be written again. */
  #walkOn(): void {
    this.#walk ??= this.#counts.keys();
    for (let left = Math.ceil(this.#counts.size / roundsPerWalk); left > 0; left -= 1) {
      const { value, done } = this.#walk.next();
      if (done) {
        this.#walk = null;
        return;
      }
      this.#unwritten.add(value);
    }
  }

  /** Writes the counts that have changed. What cannot be written stays for the next round. */
  async #write(): Promise<void> {
    while (this.#unwritten.size > 0 && !this.#closed && this.#redis.status === 'ready') {
      const keys = [...this.#unwritten].slice(0, writeBatch);
      const pipeline = this.#redis.pipeline();
      for (const key of keys) {
        this.#unwritten.delete(key);
        const count = this.#counts.get(key);
        if (count === undefined) pipeline.hdel(key, this.#instance);
        else pipeline.hset(key, this.#instance, count).pexpire(key, countTtlMs);
      }
      const answers = await pipeline.exec().catch(() => null);
      if (answers === null || answers.some(([error]) => error !== null)) {
        for (const key of keys) this.#unwritten.add(key);
        return;
      }
    }
  }
}
