import { RateLimitedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import { refusals } from '../telemetry/metrics.ts';

/** How many may be open at once. Null: no limit of that kind. */
export interface ConcurrencyBounds {
  /** Of one user of a tenant. */
  readonly user: number | null;
  /** Of all users of one tenant together. */
  readonly tenant: number | null;
  /** Of all tenants together, in this process. */
  readonly process: number | null;
}

/**
 * Bounds how many things of one kind (uploads, sockets, calls) are open at the same time in this process. A user has a
 * part of what the tenant may have, and a tenant a part of what the process may hold, so that nobody keeps the others out.
 */
export class ConcurrencyLimit {
  readonly #what: string;
  readonly #bounds: ConcurrencyBounds;
  readonly #retryAfterMs: number;
  readonly #scopes: Readonly<Record<keyof ConcurrencyBounds, string>>;
  readonly #users = new Map<string, number>();
  readonly #tenants = new Map<string, number>();
  #size = 0;

  /**
   * @param what the plural for the message: "uploads"
   * @param retryAfterMs what a refused caller is told to wait, in milliseconds
   * @param perUser what a message calls the first bound, if something else than a user has it
   */
  constructor(what: string, bounds: ConcurrencyBounds, retryAfterMs = 1_000, perUser = 'per user') {
    this.#what = what;
    this.#bounds = bounds;
    this.#retryAfterMs = retryAfterMs;
    this.#scopes = { user: perUser, tenant: 'per organisation', process: 'on this server' };
  }

  /** How many are open, of all viewers together. */
  get size(): number {
    return this.#size;
  }

  /**
   * Counts one more of the viewer's, until the result is disposed. A second disposal changes nothing.
   * @throws {RateLimitedError} if the user, the tenant or the process has as many as allowed; the message names which.
   *   Nothing is counted then.
   */
  enter({ tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>): Disposable {
    const user = JSON.stringify([tenantId, userId]);
    this.#assertBelow(this.#bounds.user, this.#users.get(user), 'user');
    this.#assertBelow(this.#bounds.tenant, this.#tenants.get(tenantId), 'tenant');
    this.#assertBelow(this.#bounds.process, this.#size, 'process');
    return this.add({ tenantId, userId });
  }

  /** Counts one more of the viewer's as `enter` does, but refuses nothing: for what has been promised before. */
  add({ tenantId, userId }: Pick<Viewer, 'tenantId' | 'userId'>): Disposable {
    const user = JSON.stringify([tenantId, userId]);
    const change = (by: 1 | -1) => {
      add(this.#users, user, by);
      add(this.#tenants, tenantId, by);
      this.#size += by;
    };
    change(1);
    let open = true;
    return {
      [Symbol.dispose]: () => {
        if (open) change(-1);
        open = false;
      },
    };
  }

  /** Counts a refusal. @returns the error for the caller */
  refuse(scope: keyof ConcurrencyBounds): RateLimitedError {
    refusals.inc({ limit: this.#what.replaceAll(' ', '-'), scope });
    const message = `Too many ${this.#what} at once: at most ${this.#bounds[scope]} ${this.#scopes[scope]}.`;
    return new RateLimitedError(message, this.#retryAfterMs);
  }

  #assertBelow(bound: number | null, count = 0, scope: keyof ConcurrencyBounds): void {
    if (bound !== null && count >= bound) throw this.refuse(scope);
  }
}

/** Keys without a count are removed: the maps are as large as what is open. */
function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
