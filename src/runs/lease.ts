import { uptime } from 'node:os';

/** How long a run is believed to be alive after its process has last renewed its lease, in milliseconds. */
export const leaseMs = 10_000;
/** A process stops believing in its lease this much before anybody else may take it, in milliseconds. */
const marginMs = 2_000;
/**
 * How many events beyond the last one readers may be given before the next checkpoint. What was reserved is durable:
 * whoever takes the run over goes on after it.
 */
export const reservedSeqs = 10_000;

/** How many seqs a takeover reserves: the events of before are told again after the reserved ones, then come new ones. */
export const takeoverSeqs = 2 * reservedSeqs;

/**
 * This process has no lease of the run any more: another one has taken the run over or ended it. Nothing of the run may
 * be written, sent or shown here any more, and its readers are not told of an end: the rows say how it goes on.
 */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';

  constructor(runId: string, options?: ErrorOptions) {
    super(`This process has no lease of run ${runId} any more.`, options);
  }
}

/** A moment by two clocks. */
export interface Moment {
  /** Counts while the process is stopped (SIGSTOP), but not while the machine sleeps. */
  readonly processMs: number;
  /** Counts while the machine sleeps, too, and is never set. */
  readonly machineMs: number;
}

/** The current moment. */
export function takeMoment(): Moment {
  return { processMs: performance.now(), machineMs: uptime() * 1000 };
}

/** How long ago a moment was, in milliseconds, the time in which the process or the machine was stopped included. */
export function msSince(moment: Moment): number {
  return msBetween(moment, takeMoment());
}

function msBetween(from: Moment, to: Moment): number {
  // The clock of the machine is coarse, and in some containers it is not the machine's: the longer time counts.
  return Math.max(to.processMs - from.processMs, to.machineMs - from.machineMs);
}

/** What this process knows of its lease of one run, by its own clocks: never that it is longer than it is. */
export class RunLease {
  #renewedAt: Moment;
  readonly #waiting = new Set<() => void>();

  /** @param begunAt before the statement that began the lease was sent */
  constructor(begunAt: Moment) {
    this.#renewedAt = begunAt;
  }

  /** Whether nobody else can have taken the run yet. */
  get isFresh(): boolean {
    return this.isFreshAt(takeMoment());
  }

  /** As {@link isFresh}, for many leases: the clock of the machine is a file that is read. @param now just taken */
  isFreshAt(now: Moment): boolean {
    return msBetween(this.#renewedAt, now) < leaseMs - marginMs;
  }

  /** As {@link isFresh}, for what happens very often: time in which the machine slept is not counted. */
  get seemsFresh(): boolean {
    return performance.now() - this.#renewedAt.processMs < leaseMs - marginMs;
  }

  /** How long ago the last renewal was sent, in milliseconds. */
  get ageMs(): number {
    return msSince(this.#renewedAt);
  }

  /** Notes a renewal. @param sentAt before its statement was sent */
  noteRenewed(sentAt: Moment): void {
    this.#renewedAt = sentAt;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /**
   * Waits until the lease is fresh: before anything leaves the process that only the owner of the run may send.
   * @throws the signal's reason when it is aborted first
   */
  async confirm(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (!this.isFresh) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
      signal.throwIfAborted();
    }
  }
}
