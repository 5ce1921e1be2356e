import { RateLimitedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';

/** Bytes of answers: of one operation, and of all that are under way at the same time in this process. */
export interface AnswerBounds {
  /** Of one operation, or of one event of a subscription. */
  readonly operation: number;
  readonly user: number;
  readonly tenant: number;
  readonly process: number;
}

/** Bytes that count until they are disposed of. */
export interface HeldBytes extends Disposable {
  readonly bytes: number;
}

/** How the counts stand when answers begin to wait or to be refused. */
export interface AnswerLoad {
  readonly heldBytes: number;
  readonly waiting: number;
  readonly refused: number;
}

type Owner = Pick<Viewer, 'tenantId' | 'userId'>;

interface Waiter {
  readonly owner: Owner;
  readonly bytes: number;
  readonly grant: (held: HeldBytes) => void;
}

/** The longest wait for other answers, in milliseconds; then the operation is refused. */
const maxWaitMs = 10_000;
const retryAfterMs = 1_000;
/** A user with no more than this under way is not held up by what others hold. */
const smallBytes = 1024 * 1024;
const reportEveryMs = 60_000;

/**
 * Bounds the bytes of answers that are under way in this process, from before their contents are read until the client
 * has taken them. Operations that would exceed a bound wait for others to be taken. A user has a part of what the tenant
 * may hold, and a tenant a part of what the process may hold, so that nobody keeps the others out.
 */
export class AnswerBytes {
  readonly bounds: AnswerBounds;
  readonly #report: (load: AnswerLoad) => void;
  readonly #users = new Map<string, number>();
  readonly #tenants = new Map<string, number>();
  readonly #waiters = new Set<Waiter>();
  readonly #onRoom = new Set<() => void>();
  #size = 0;
  #refused = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /** @param report called when answers wait or are refused, at most once a minute */
  constructor(bounds: AnswerBounds, report: (load: AnswerLoad) => void = () => {}) {
    this.bounds = bounds;
    this.#report = report;
  }

  /** How many bytes are under way, and how many operations wait or were refused since the start. */
  get load(): AnswerLoad {
    return { heldBytes: this.#size, waiting: this.#waiters.size, refused: this.#refused };
  }

  /** Counts bytes that exist already, such as a frame that is being written. Refuses nothing. */
  add(owner: Owner, bytes: number): HeldBytes {
    this.#change(owner, bytes);
    let held = true;
    return {
      bytes,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#change(owner, -bytes);
        this.#grantWaiters();
      },
    };
  }

  /**
   * Counts bytes that are to be read, as soon as there is room. If nothing of the owner is under way, there is room for
   * any number of its bytes.
   * @param signal ends the wait
   * @throws {RateLimitedError} if there is no room within ten seconds
   */
  async reserve(owner: Owner, bytes: number, signal: AbortSignal): Promise<HeldBytes> {
    if (this.#waiters.size === 0 && this.#fits(owner, bytes)) return this.add(owner, bytes);
    this.#tell();
    const { promise, resolve, reject } = Promise.withResolvers<HeldBytes>();
    const waiter: Waiter = { owner, bytes, grant: resolve };
    this.#waiters.add(waiter);
    const refuse = () => {
      if (!this.#waiters.delete(waiter)) return;
      this.#refused += 1;
      reject(new RateLimitedError('Too many large answers at once. Read those that you have asked for.', retryAfterMs));
    };
    const timer = setTimeout(refuse, maxWaitMs);
    signal.addEventListener('abort', refuse, { once: true });
    // Others may fit although those that came before do not.
    this.#grantWaiters();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', refuse);
      this.#waiters.delete(waiter);
    }
  }

  /**
   * Refuses further operations of a client that does not take its answers.
   * @throws {RateLimitedError} if twice the bound of the user or the tenant waits to be taken
   */
  assertRoom(owner: Owner): void {
    if (!this.#isFull(owner, 2)) return;
    this.#refused += 1;
    this.#tell();
    throw new RateLimitedError(
      'Too many answers have not been read. Read those that you have asked for, then try again.',
      retryAfterMs,
    );
  }

  /** Whether the owner holds more than its bounds: then the next event of a stream waits (`waitForRoom`). */
  isFull(owner: Owner): boolean {
    return this.#isFull(owner, 1);
  }

  /** Resolves when the owner holds no more than its bounds. */
  async waitForRoom(owner: Owner): Promise<void> {
    while (this.isFull(owner)) {
      this.#tell();
      await new Promise<void>((resolve) => this.#onRoom.add(resolve));
    }
  }

  #isFull({ tenantId, userId }: Owner, times: number): boolean {
    const user = this.#users.get(userKey({ tenantId, userId })) ?? 0;
    const tenant = this.#tenants.get(tenantId) ?? 0;
    if (user <= smallBytes) return false;
    const { bounds } = this;
    return user > bounds.user * times || tenant > bounds.tenant * times || this.#size > bounds.process * times;
  }

  #fits(owner: Owner, bytes: number): boolean {
    const user = this.#users.get(userKey(owner)) ?? 0;
    const tenant = this.#tenants.get(owner.tenantId) ?? 0;
    const { bounds } = this;
    return (
      (user === 0 || user + bytes <= bounds.user) &&
      (tenant === 0 || tenant + bytes <= bounds.tenant) &&
      (this.#size === 0 || this.#size + bytes <= bounds.process)
    );
  }

  #grantWaiters(): void {
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.owner, waiter.bytes)) continue;
      this.#waiters.delete(waiter);
      waiter.grant(this.add(waiter.owner, waiter.bytes));
    }
    const waiting = [...this.#onRoom];
    this.#onRoom.clear();
    for (const resolve of waiting) resolve();
  }

  #change(owner: Owner, by: number): void {
    add(this.#users, userKey(owner), by);
    add(this.#tenants, owner.tenantId, by);
    this.#size += by;
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#reportedAt < reportEveryMs) return;
    this.#reportedAt = now;
    this.#report(this.load);
  }
}

function userKey({ tenantId, userId }: Owner): string {
  return JSON.stringify([tenantId, userId]);
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
