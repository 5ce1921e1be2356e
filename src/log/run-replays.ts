import { LRUCache } from 'lru-cache';
import type { RunEventBuffer } from './event-buffer.ts';

/** Buffers of all runs together, as `weighBuffer` counts them. */
const maxBytes = 64 * 1024 * 1024;
const maxRuns = 1_000;
/** How long a buffer is kept for the next reader, in milliseconds. */
const maxAgeMs = 30_000;
/** What an event takes in memory beside its text, roughly. */
const bytesPerEvent = 200;

/**
 * The buffers of runs that have ended or wait for a person, filled from their archives. The readers of a run share one: an
 * archive is read once for all readers who come within half a minute.
 */
export class RunReplays {
  readonly #buffers = new LRUCache<string, Promise<RunEventBuffer | null>>({
    max: maxRuns,
    maxSize: maxBytes,
    ttl: maxAgeMs,
    ttlAutopurge: true,
  });

  /**
   * The buffer of the events of a run up to a seq.
   * @param load fills a buffer from the archive; null: the run has none, which is not remembered
   */
  async open(runId: string, until: number, load: () => Promise<RunEventBuffer | null>): Promise<RunEventBuffer | null> {
    // The archive of a run that waits becomes longer.
    const key = `${runId} ${until}`;
    const known = this.#buffers.get(key);
    if (known) return known;
    const loading = load();
    this.#buffers.set(key, loading, { size: 1 });
    try {
      const buffer = await loading;
      if (this.#buffers.peek(key) !== loading) return buffer;
      this.#buffers.delete(key);
      // One that is larger than all together may be is not kept.
      if (buffer) this.#buffers.set(key, loading, { size: weighBuffer(buffer) });
      return buffer;
    } catch (error) {
      if (this.#buffers.peek(key) === loading) this.#buffers.delete(key);
      throw error;
    }
  }
}

/** About how many bytes of memory the events of a buffer take. */
export function weighBuffer(buffer: RunEventBuffer): number {
  return buffer.bytes + bytesPerEvent * (buffer.events.length + 1);
}
