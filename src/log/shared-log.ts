import type { RunEventBuffer } from './event-buffer.ts';
import type { LogPiece } from './piece.ts';

/** The events of one run that this instance carries out, on their way to the others. */
export interface Publication {
  /** The run has ended or waits: what is left is published, and then nothing more. */
  finish(): void;
  /** The run goes on without this instance: nothing more of it is published. */
  abandon(): void;
}

/** What one instance tells all others. It is a hint to look at the rows, which decide; it may be lost. */
export type Notice =
  /** Somebody wants the run cancelled. */
  | { readonly type: 'cancel'; readonly runId: string }
  /** The run has ended, waits or goes on, elsewhere than its readers may believe. */
  | { readonly type: 'changed'; readonly runId: string }
  /** A message waits to join the run of a conversation. */
  | { readonly type: 'steered'; readonly conversationId: string }
  /** It was decided what happens to messages that waited to join the run of a conversation. */
  | { readonly type: 'joined'; readonly conversationId: string }
  /** Runs were given back: somebody has to take them over. */
  | { readonly type: 'released' };

/** How far the events of a run go: the epoch of their owner, and the seq of the last one. */
export interface LogPosition {
  readonly epoch: number;
  readonly seq: number;
}

/** Who follows what other instances publish. */
export interface SharedLogReader {
  /** Takes pieces of a run that is followed, in their order. @returns false if events before them are missing */
  take(runId: string, pieces: readonly LogPiece[]): boolean;
  hear(notice: Notice): void;
}

/**
 * Carries the events of live runs from the instances that carry them out to those that have readers. It is not the truth:
 * it may be away, and lose all that it has. Pieces say then that something is missing, and the database has it.
 */
export interface SharedLog {
  /** Whether it can be read and written at the moment. */
  readonly isReachable: boolean;
  /** Begins to publish a run with the epoch of its lease: who has a lower one cannot publish any more. */
  publish(run: { readonly id: string; readonly leaseEpoch: number }, buffer: RunEventBuffer): Publication;
  /** Begins to hand on what is published; call it once. */
  read(reader: SharedLogReader): void;
  /**
   * Hands on what is published of a run, from now on and until `unfollow`.
   * @param after what is known of it already
   * @param least how far it has got for certain; null: nobody knows
   * @returns false if it cannot be followed: it is away, it has not got that far, or events are missing
   */
  follow(runId: string, after: LogPosition, least: LogPosition | null): Promise<boolean>;
  unfollow(runId: string): void;
  /** What is published of a run from a seq on, in pieces; it may begin later. */
  readPieces(runId: string): AsyncIterable<readonly LogPiece[]>;
  /** Tells all instances something. It never fails. */
  announce(notice: Notice): void;
}
