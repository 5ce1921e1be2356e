import { RateLimitedError } from '../../api/errors.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { callAt } from '../call-at.ts';

/** How many sockets each user has open in this process. */
export class SocketCensus {
  readonly #most: number;
  readonly #open = new Map<string, number>();
  /** How often a user may open one. */
  readonly limit: RateLimit;

  constructor(maxPerUser: number, limit: RateLimit) {
    this.#most = maxPerUser;
    this.limit = limit;
  }

  /** @throws {RateLimitedError} when the user has as many as one may have */
  enter(user: string): void {
    const open = this.#open.get(user) ?? 0;
    if (open >= this.#most)
      throw new RateLimitedError(`You have ${open} sockets open; ${this.#most} is the limit.`, 5_000);
    this.#open.set(user, open + 1);
  }

  leave(user: string): void {
    const open = (this.#open.get(user) ?? 0) - 1;
    if (open > 0) this.#open.set(user, open);
    else this.#open.delete(user);
  }
}

/** Who is on a socket, and until when. */
export class SocketSession {
  /** Who opened it; null where that is left to each operation. */
  viewer: Viewer | null = null;

  readonly #census: SocketCensus;
  readonly #onExpiry: () => void;
  readonly #users = new Set<string>();
  readonly #expiries = new Map<number, { cancel(): void }>();
  #closed = false;

  constructor(census: SocketCensus, onExpiry: () => void) {
    this.#census = census;
    this.#onExpiry = onExpiry;
  }

  /** Whether anybody was let in. */
  get occupied(): boolean {
    return this.#users.size > 0;
  }

  /**
   * Lets somebody in whose token was good, until it expires.
   * @throws {RateLimitedError} when they have too many sockets open, or open them too often
   */
  async admit(viewer: Viewer): Promise<void> {
    const user = JSON.stringify([viewer.tenantId, viewer.userId]);
    if (!this.#users.has(user)) await this.#census.limit.take(viewer);
    // It may have closed while the token was checked; nobody would sign the user out again.
    if (this.#closed) return;
    if (!this.#users.has(user)) {
      this.#census.enter(user);
      this.#users.add(user);
    }
    if (!this.#expiries.has(viewer.expiresAt)) {
      this.#expiries.set(viewer.expiresAt, callAt(viewer.expiresAt, this.#onExpiry));
    }
  }

  /** Signs everybody out. */
  close(): void {
    this.#closed = true;
    for (const user of this.#users) this.#census.leave(user);
    for (const expiry of this.#expiries.values()) expiry.cancel();
    this.#users.clear();
    this.#expiries.clear();
  }
}
