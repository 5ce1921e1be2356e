import { RateLimitedError } from '../api/errors.ts';
import { refusals } from '../telemetry/metrics.ts';
import { AnswerPace } from './answer-pace.ts';
import { ByteCounts, noBytes, type Owner, userKey } from './byte-counts.ts';

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

/** What bytes are counted for: an answer that is under way, or events of runs that wait to be read. */
type CountedFor = 'answer' | 'replay';

/** How the counts stand when answers begin to wait or to be refused. */
export interface AnswerLoad {
  readonly heldBytes: number;
  readonly waiting: number;
  readonly refused: number;
}

interface Waiter {
  readonly owner: Owner;
  readonly bytes: number;
  readonly grant: () => void;
}

/** Bytes that their holder can be made to give back. */
interface EndableBytes {
  readonly owner: Owner;
  readonly since: number;
  readonly end: () => void;
}

/** The streams of one user that wait to go on. */
interface StreamLine {
  readonly owner: Owner;
  readonly waiting: Set<() => void>;
}

/** The longest wait for other answers, in milliseconds; then the operation is refused. */
const maxWaitMs = 10_000;
const retryAfterMs = 1_000;
/** A user with no more than this under way is not held up by what others hold. */
const smallBytes = 1024 * 1024;
const reportEveryMs = 60_000;
/** What is under way for longer than this may be ended if others wait for its room, in milliseconds. */
const maxHeldMs = 60_000;
/** How often those who wait look for such, in milliseconds. */
const endEveryMs = 1_000;
/** A user of whom nothing is under way may exceed the bounds of tenant and process so many times: it is not kept out. */
const firstOfUser = 2;

/**
 * Bounds the bytes of answers that are under way in this process, from before their contents are read until the client
 * has taken them. Operations that would exceed a bound wait for others to be taken. A user has a part of what the tenant
 * may hold, and a tenant a part of what the process may hold; a user of whom nothing is under way may exceed these two, up
 * to twice the bounds. So whoever does not read what it has asked for keeps nobody else out. If others wait, what has been
 * under way for more than a minute is ended.
 */
export class AnswerBytes {
  readonly bounds: AnswerBounds;
  /** How fast large answers may follow one another. */
  readonly pace: AnswerPace;
  readonly #report: (load: AnswerLoad) => void;
  readonly #held = new ByteCounts();
  /** The part of it for which streams do not wait: it is there to be streamed. */
  readonly #replays = new ByteCounts();
  readonly #waiters = new Set<Waiter>();
  readonly #streams = new Map<string, StreamLine>();
  /** In the order of time. */
  readonly #endable = new Set<EndableBytes>();
  #isServing = false;
  #refused = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /** @param report called when answers wait or are refused, at most once a minute */
  constructor(bounds: AnswerBounds, report: (load: AnswerLoad) => void = () => {}, pace = new AnswerPace(null)) {
    this.bounds = bounds;
    this.pace = pace;
    this.#report = report;
  }

  /** How many bytes are under way, and how many operations wait or were refused since the start. */
  get load(): AnswerLoad {
    return { heldBytes: this.#held.process, waiting: this.#waiters.size, refused: this.#refused };
  }

  /**
   * Counts bytes that exist already, such as a frame that is being written. Refuses nothing.
   * @param end called if others wait for this room and it was held for a minute: whoever holds it gives it back
   */
  add(owner: Owner, bytes: number, end: (() => void) | null = null, kind: CountedFor = 'answer'): HeldBytes {
    this.#change(owner, bytes, kind);
    const endable = end && { owner, since: performance.now(), end };
    if (endable) this.#endable.add(endable);
    let held = true;
    return {
      bytes,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        if (endable) this.#endable.delete(endable);
        this.#change(owner, -bytes, kind);
        this.#serveSoon();
      },
    };
  }

  /**
   * Counts bytes that are to be read, as soon as there is room. If nothing of the owner is under way, there is room for
   * any number of its bytes.
   * @param signal ends the wait
   * @param end as for `add`
   * @throws {RateLimitedError} if there is no room within ten seconds
   */
  async reserve(
    owner: Owner,
    bytes: number,
    signal: AbortSignal,
    end: (() => void) | null = null,
    kind: CountedFor = 'answer',
  ): Promise<HeldBytes> {
    if (this.#waiters.size === 0 && this.#fits(owner, bytes)) return this.add(owner, bytes, end, kind);
    this.#tell();
    const { promise, resolve, reject } = Promise.withResolvers<HeldBytes>();
    const waiter: Waiter = { owner, bytes, grant: () => resolve(this.add(owner, bytes, end, kind)) };
    this.#waiters.add(waiter);
    const refuse = () => {
      if (!this.#waiters.delete(waiter)) return;
      this.#refused += 1;
      refusals.inc({ limit: 'answer-bytes', scope: 'waiting' });
      reject(new RateLimitedError('Too many large answers at once. Read those that you have asked for.', retryAfterMs));
    };
    const timer = setTimeout(refuse, maxWaitMs);
    const ending = setInterval(() => this.#endOldest(owner, bytes), endEveryMs);
    signal.addEventListener('abort', refuse, { once: true });
    // Others may fit although those that came before do not.
    this.#grantWaiters();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      clearInterval(ending);
      signal.removeEventListener('abort', refuse);
      this.#waiters.delete(waiter);
    }
  }

  /**
   * Refuses further operations of a client that does not take its answers.
   * @throws {RateLimitedError} if twice the bound of the user or the tenant waits to be taken
   */
  assertRoom(owner: Owner): void {
    if (!this.#isFull(owner, 2, { withReplays: true })) return;
    this.#refused += 1;
    refusals.inc({ limit: 'answer-bytes', scope: 'user' });
    this.#tell();
    throw new RateLimitedError(
      'Too many answers have not been read. Read those that you have asked for, then try again.',
      retryAfterMs,
    );
  }

  /**
   * Whether more of the owner is under way than its bounds allow: then the next event of a stream waits (`waitForRoom`).
   * Events that wait to be streamed are no reason: their streams would wait for themselves.
   */
  isFull(owner: Owner): boolean {
    return this.#isFull(owner, 1, { withReplays: false });
  }

  /**
   * Resolves when the owner holds no more than its bounds, or when the signal aborts. The streams of a user go on one after
   * the other, each in a turn of the event loop of its own: hundreds that were woken together would find that the first few
   * have taken the room, again and again.
   */
  async waitForRoom(owner: Owner, signal: AbortSignal): Promise<void> {
    if (!this.isFull(owner) || signal.aborted) return;
    this.#tell();
    const key = userKey(owner);
    const line = this.#streams.get(key) ?? { owner, waiting: new Set() };
    this.#streams.set(key, line);
    const { promise, resolve } = Promise.withResolvers<void>();
    line.waiting.add(resolve);
    const leave = () => resolve();
    signal.addEventListener('abort', leave, { once: true });
    await promise;
    signal.removeEventListener('abort', leave);
    line.waiting.delete(resolve);
    if (line.waiting.size === 0 && this.#streams.get(key) === line) this.#streams.delete(key);
  }

  /** How many streams wait for room. */
  get waitingStreams(): number {
    return [...this.#streams.values()].reduce((sum, { waiting }) => sum + waiting.size, 0);
  }

  #isFull(owner: Owner, times: number, { withReplays }: { readonly withReplays: boolean }): boolean {
    const all = this.#held.of(owner);
    const replayed = withReplays ? noBytes : this.#replays.of(owner);
    const { bounds } = this;
    if (all.user - replayed.user <= smallBytes) return false;
    return (
      all.user - replayed.user > bounds.user * times ||
      all.tenant - replayed.tenant > bounds.tenant * times ||
      all.process - replayed.process > bounds.process * times
    );
  }

  #fits(owner: Owner, bytes: number): boolean {
    const { user, tenant, process } = this.#held.of(owner);
    const { bounds } = this;
    const times = user === 0 ? firstOfUser : 1;
    return (
      (user === 0 || user + bytes <= bounds.user) &&
      (tenant === 0 || tenant + bytes <= bounds.tenant * times) &&
      (process === 0 || process + bytes <= bounds.process * times)
    );
  }

  #grantWaiters(): void {
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.owner, waiter.bytes)) continue;
      this.#waiters.delete(waiter);
      waiter.grant();
    }
  }

  /** Once in a turn of the event loop, however much was given back in it. */
  #serveSoon(): void {
    if (this.#isServing || (this.#waiters.size === 0 && this.#streams.size === 0)) return;
    this.#isServing = true;
    setImmediate(() => {
      this.#isServing = false;
      this.#grantWaiters();
      let isRoom = false;
      for (const { owner, waiting } of this.#streams.values()) {
        const [first] = waiting;
        if (first === undefined || this.isFull(owner)) continue;
        waiting.delete(first);
        first();
        isRoom = true;
      }
      // What was woken takes room, or not: the next one sees it.
      if (isRoom) this.#serveSoon();
    });
  }

  /** Ends what has been under way for longest in the way of bytes that wait, if that is too long. */
  #endOldest(owner: Owner, bytes: number): void {
    if (this.#fits(owner, bytes)) return;
    const { user, tenant } = this.#held.of(owner);
    const isOfUser = user + bytes > this.bounds.user;
    const isOfTenant = isOfUser || tenant + bytes > this.bounds.tenant;
    for (const held of this.#endable) {
      if (performance.now() - held.since < maxHeldMs) return;
      if (isOfTenant && held.owner.tenantId !== owner.tenantId) continue;
      if (isOfUser && held.owner.userId !== owner.userId) continue;
      this.#endable.delete(held);
      held.end();
      return;
    }
  }

  #change(owner: Owner, by: number, kind: CountedFor): void {
    this.#held.change(owner, by);
    if (kind === 'replay') this.#replays.change(owner, by);
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#reportedAt < reportEveryMs) return;
    this.#reportedAt = now;
    this.#report(this.load);
  }
}
