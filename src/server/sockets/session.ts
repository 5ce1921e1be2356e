import type { Viewer } from '../../auth/viewer.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { callAt } from '../call-at.ts';

/** How many sockets may be open, and how often one may be opened. */
export interface SocketLimits {
  readonly open: ConcurrencyLimit;
  readonly rate: RateLimit;
}

/** Who is on a socket, and until when. */
export class SocketSession {
  /** Who opened it; null where that is left to each operation. */
  viewer: Viewer | null = null;

  readonly #limits: SocketLimits;
  readonly #onExpiry: () => void;
  /** The viewers who were admitted, by user; each counts as one open socket. */
  readonly #users = new Map<string, Disposable>();
  readonly #expiries = new Map<number, { cancel(): void }>();
  #closed = false;

  constructor(limits: SocketLimits, onExpiry: () => void) {
    this.#limits = limits;
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
    if (!this.#users.has(user)) await this.#limits.rate.take(viewer);
    // It may have closed while the token was checked; nobody would sign the user out again.
    if (this.#closed) return;
    if (!this.#users.has(user)) this.#users.set(user, this.#limits.open.enter(viewer));
    if (!this.#expiries.has(viewer.expiresAt)) {
      this.#expiries.set(viewer.expiresAt, callAt(viewer.expiresAt, this.#onExpiry));
    }
  }

  /** Signs everybody out. */
  close(): void {
    this.#closed = true;
    for (const entry of this.#users.values()) entry[Symbol.dispose]();
    for (const expiry of this.#expiries.values()) expiry.cancel();
    this.#users.clear();
    this.#expiries.clear();
  }
}
