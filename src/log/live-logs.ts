import type { RunEvent, RunEventPayload } from './event.ts';
import { RunEventBuffer } from './event-buffer.ts';

/** The event buffers of one process: of the runs that it carries out, and of those that have readers here. */
export class LiveRunLogs {
  readonly #buffers = new Map<string, RunEventBuffer>();

  /** The buffer of a run; a new one if it has none. */
  open(runId: string): RunEventBuffer {
    let buffer = this.#buffers.get(runId);
    if (!buffer) {
      buffer = new RunEventBuffer(runId);
      this.#buffers.set(runId, buffer);
    }
    return buffer;
  }

  /** The buffer of a run; undefined if it has none. */
  find(runId: string): RunEventBuffer | undefined {
    return this.#buffers.get(runId);
  }

  /** Gives an event its seq and makes it readable. */
  append(runId: string, payload: RunEventPayload): RunEvent {
    const buffer = this.open(runId);
    const event: RunEvent = { ...payload, seq: buffer.lastSeq + 1, runId, at: Date.now() };
    buffer.append(event);
    return event;
  }

  /** Removes the buffer of a run. Cursors that hold it read on; new ones read the archive. */
  drop(runId: string): void {
    this.#buffers.delete(runId);
  }

  /** The runs that have a buffer here. */
  runIds(): string[] {
    return [...this.#buffers.keys()];
  }
}
