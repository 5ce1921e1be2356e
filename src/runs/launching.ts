import { LRUCache } from 'lru-cache';

/** Ids of runs that are remembered at most. */
const maxLost = 10_000;
/** After this time, in milliseconds, a run that was not launched is taken up by its row: the answer to COMMIT was lost. */
const maxAgeMs = 10_000;

/**
 * The runs whose lease this process is just asking for: until the answer is there, nobody knows whether it has it. If the
 * answer is lost, the run is taken up by its row (adopt.ts).
 */
export class LaunchingRuns {
  readonly #since = new Map<string, number>();
  /** The runs that this process has carried out and let go of before their end. */
  readonly #lost = new LRUCache<string, true>({ max: maxLost });

  /**
   * Does work that gives this process the lease of a run. The run counts as being launched until it is launched, or until
   * the work has failed.
   */
  async during<T>(runId: string, work: () => Promise<T>): Promise<T> {
    this.#since.set(runId, performance.now());
    try {
      return await work();
    } catch (error) {
      this.#since.delete(runId);
      throw error;
    }
  }

  /** Notes that a run was launched, or that it is not this process's. */
  done(runId: string): void {
    this.#since.delete(runId);
  }

  /** Notes that this process has let go of a run that goes on. */
  noteLost(runId: string): void {
    this.#lost.set(runId, true);
  }

  /** Whether this process has let go of a run: its readers were told of it, whatever the rows hold. */
  wasLost(runId: string): boolean {
    return this.#lost.has(runId);
  }

  has(runId: string): boolean {
    return this.ids().includes(runId);
  }

  /** The row ids of the runs. */
  ids(): string[] {
    const oldest = performance.now() - maxAgeMs;
    for (const [id, since] of this.#since) if (since < oldest) this.#since.delete(id);
    return [...this.#since.keys()];
  }
}
