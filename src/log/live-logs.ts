import type { RunEvent, RunEventPayload } from './event.ts';
import { RunEventBuffer } from './event-buffer.ts';

/** The hot log of one process: the tails of the runs that live in it, or that somebody follows from it. */
export class LiveRunLogs {
  readonly #tails = new Map<string, RunEventBuffer>();

  /** The tail of a run, made where there is none yet. */
  open(runId: string): RunEventBuffer {
    let tail = this.#tails.get(runId);
    if (!tail) {
      tail = new RunEventBuffer(runId);
      this.#tails.set(runId, tail);
    }
    return tail;
  }

  /** The tail of a run, if it is here. */
  find(runId: string): RunEventBuffer | undefined {
    return this.#tails.get(runId);
  }

  /** Gives an event its seq and makes it readable. */
  append(runId: string, payload: RunEventPayload): RunEvent {
    const tail = this.open(runId);
    const event: RunEvent = { ...payload, seq: tail.lastSeq + 1, runId, at: Date.now() };
    tail.append(event);
    return event;
  }

  /** Lets go of a run. Cursors that are on it read on; new ones read the archive. */
  drop(runId: string): void {
    this.#tails.delete(runId);
  }

  /** The runs whose tails are here. */
  runIds(): string[] {
    return [...this.#tails.keys()];
  }
}
