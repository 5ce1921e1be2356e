import type { Viewer } from '../../auth/viewer.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { SharedConcurrencyLimit } from '../../limits/shared-limit.ts';
import { callAt } from '../operation/call-at.ts';

/** How many sockets may be open, and how often one may be opened. */
export interface SocketLimits {
  readonly open: SharedConcurrencyLimit;
  readonly rate: RateLimit;
}

/** The users of a socket, and when their tokens expire. */
export class SocketSession {
  /** The viewer of the connection parameters; null: each operation brings its own token. */
  viewer: Viewer | null = null;

  readonly #limits: SocketLimits;
  readonly #onExpiry: () => void;
  readonly #onAdmitted: () => void;
  /** Counts the socket as unauthenticated until a viewer is admitted. */
  readonly #unauthenticated: Disposable;
  /** The viewers who were admitted, by user; each counts as one open socket. */
  readonly #users = new Map<string, Disposable>();
  readonly #expiries = new Map<number, { cancel(): void }>();
  #closed = false;
  #owner: Viewer | null = null;
  #operations = 0;
  #onIdle: (() => void) | null = null;

  /** @param options.onAdmitted called when a valid token was presented, and each time after that */
  constructor(options: {
    limits: SocketLimits;
    unauthenticated: Disposable;
    onExpiry: () => void;
    onAdmitted: () => void;
  }) {
    this.#limits = options.limits;
    this.#unauthenticated = options.unauthenticated;
    this.#onExpiry = options.onExpiry;
    this.#onAdmitted = options.onAdmitted;
  }

  /** The user of the socket; with a token per operation the last one. Null: no valid token was presented yet. */
  get owner(): Viewer | null {
    return this.#owner;
  }

  /** Whether a valid token was presented. */
  get authenticated(): boolean {
    return this.#users.size > 0;
  }

  /**
   * Admits a viewer whose token is valid, until the token expires.
   * @throws {RateLimitedError} when the user has too many sockets open, or opens them too often
   */
  async admit(viewer: Viewer): Promise<void> {
    const user = JSON.stringify([viewer.tenantId, viewer.userId]);
    if (!this.#users.has(user)) await this.#limits.rate.take(viewer);
    // The socket may have closed in the meantime; nothing would take the user off the count again.
    if (this.#closed) return;
    if (!this.#users.has(user)) {
      const entry = await this.#limits.open.enter(viewer);
      // Meanwhile another operation of this user may have been admitted, or the socket may have closed.
      if (this.#closed || this.#users.has(user)) entry[Symbol.dispose]();
      else this.#users.set(user, entry);
      if (this.#closed) return;
    }
    this.#owner = viewer;
    this.#unauthenticated[Symbol.dispose]();
    this.#onAdmitted();
    if (!this.#expiries.has(viewer.expiresAt)) {
      this.#expiries.set(viewer.expiresAt, callAt(viewer.expiresAt, this.#onExpiry));
    }
  }

  /** Counts an operation until the result is disposed. */
  begin(): Disposable {
    this.#operations += 1;
    return {
      [Symbol.dispose]: () => {
        this.#operations -= 1;
        if (this.#operations === 0) this.#onIdle?.();
      },
    };
  }

  /** Calls back when no operation is open, which may be now. */
  whenIdle(callback: () => void): void {
    this.#onIdle = callback;
    if (this.#operations === 0) callback();
  }

  /** Takes its users off the counts. */
  close(): void {
    this.#closed = true;
    this.#unauthenticated[Symbol.dispose]();
    for (const entry of this.#users.values()) entry[Symbol.dispose]();
    for (const expiry of this.#expiries.values()) expiry.cancel();
    this.#users.clear();
    this.#expiries.clear();
  }
}
