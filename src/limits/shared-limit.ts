import type { Viewer } from '../auth/viewer.ts';
import { type ConcurrencyBounds, ConcurrencyLimit } from './concurrency-limit.ts';
import type { CountBound, SharedCounts } from './shared-counts.ts';

type Owner = Pick<Viewer, 'tenantId' | 'userId'>;

/**
 * A ConcurrencyLimit whose bounds of a user and of a tenant hold for all instances together. Without Redis, and while it is
 * unavailable, they hold in each process; that of the process always does.
 */
export class SharedConcurrencyLimit {
  readonly #kind: string;
  readonly #bounds: ConcurrencyBounds;
  readonly #local: ConcurrencyLimit;
  readonly #counts: SharedCounts | null;

  /**
   * @param what the plural for the message: "sockets"
   * @param options.counts those of all instances; null: this process has no others
   * @param options.retryAfterMs what a refused caller is told to wait, in milliseconds
   */
  constructor(
    what: string,
    bounds: ConcurrencyBounds,
    options: { readonly counts: SharedCounts | null; readonly retryAfterMs?: number },
  ) {
    this.#kind = what.replaceAll(' ', '-');
    this.#bounds = bounds;
    this.#local = new ConcurrencyLimit(what, bounds, options.retryAfterMs);
    this.#counts = options.counts;
  }

  /** How many are open in this process. */
  get size(): number {
    return this.#local.size;
  }

  /**
   * Counts one more of the viewer's, until the result is disposed. One round trip to Redis, none if this process alone has
   * as many as allowed.
   * @throws {RateLimitedError} if the user or the tenant has as many as allowed on all instances, or the process has here.
   *   Nothing is counted then.
   */
  async enter(viewer: Viewer): Promise<Disposable> {
    const entry = this.#share(viewer, this.#local.enter(viewer));
    const counted = this.#listCounts(viewer);
    const exceeded = (counted.length > 0 && (await this.#counts?.findExceeded(counted))) || null;
    if (exceeded === null) return entry;
    entry[Symbol.dispose]();
    throw this.#local.refuse(exceeded === counted[0] && this.#bounds.user !== null ? 'user' : 'tenant');
  }

  /** Counts one more of the viewer's as `enter` does, but refuses nothing: for what has been promised before. */
  add(owner: Owner): Disposable {
    return this.#share(owner, this.#local.add(owner));
  }

  #share(owner: Owner, entry: Disposable): Disposable {
    const counts = this.#counts;
    if (counts === null) return entry;
    const counted = this.#listCounts(owner);
    for (const { key } of counted) counts.change(key, 1);
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (open) for (const { key } of counted) counts.change(key, -1);
        open = false;
        entry[Symbol.dispose]();
      },
    };
  }

  /** What is counted for a viewer: only what is bounded. */
  #listCounts({ tenantId, userId }: Owner): CountBound[] {
    const { user, tenant } = this.#bounds;
    const counts: CountBound[] = [];
    const prefix = `open:${this.#kind}`;
    if (user !== null) counts.push({ key: `${prefix}:user:${JSON.stringify([tenantId, userId])}`, bound: user });
    if (tenant !== null) counts.push({ key: `${prefix}:tenant:${tenantId}`, bound: tenant });
    return counts;
  }
}
