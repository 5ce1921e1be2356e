/** A checkpoint: at `committedAt` (milliseconds of performance.now) the rows held all that was in the log up to `seq`. */
interface Checkpoint {
  readonly committedAt: number;
  readonly seq: number;
}

const maxCheckpoints = 16;

/** When the rows of a run agreed with its log, and up to where. */
export class CheckpointTimes {
  readonly #checkpoints: Checkpoint[] = [];

  /** Notes that everything up to a seq is in the rows now. */
  note(seq: number): void {
    this.#checkpoints.push({ committedAt: performance.now(), seq });
    if (this.#checkpoints.length > maxCheckpoints) this.#checkpoints.shift();
  }

  /** A seq up to which everything was in the rows before a moment (milliseconds of performance.now). */
  seqAt(moment: number): number {
    return this.#checkpoints.findLast((checkpoint) => checkpoint.committedAt <= moment)?.seq ?? 0;
  }
}
