import { RunEventBuffer } from '../../log/event-buffer.ts';
import { applyPiece, type LogPiece } from '../../log/piece.ts';
import { weighBuffer } from '../../log/run-replays.ts';
import type { LogPosition, Notice, SharedLogReader } from '../../log/shared-log.ts';
import { piecesRead } from '../../telemetry/shared-log.ts';
import type { ReserveBytes } from '../replay-room.ts';
import type { RemoteReaders, RunRuntime } from '../runtime.ts';
import { followMs, readPieces, requestPieces } from './stored-pieces.ts';

/** How many runs one statement reads pieces of. */
const batch = 50;
/** What all readers of a run have read is let go of when the run holds so many bytes. */
const maxReadBytes = 256 * 1024;

/** A run that another instance carries out, and that has readers here. */
interface FollowedRun {
  readonly runId: string;
  readonly buffer: RunEventBuffer;
  /** How many bytes of events were read of it. */
  bytes: number;
  /** The epoch of the owner whose events were read last: those of earlier owners are not read any more. */
  epoch: number;
  /** Where its events are read. While it is being opened, nobody knows yet. */
  source: 'opening' | 'shared log' | 'database';
  /** Whether somebody carries it out, as far as the rows were read. */
  isRunning: boolean;
  /** How far it had got when its row was seen to be further; null: it was not. */
  behindAt: number | null;
  /** How far the database has got; null: the shared log was never behind it. */
  stored: LogPosition | null;
  /** When the owner was last asked to write pieces, by performance.now. */
  requestedAt: number;
}

/** What the row of a followed run says. */
interface RunRow {
  readonly leaseEpoch: number;
  readonly lastSeq: number;
}

/**
 * The runs of other instances that have readers here: their events are read from the shared log (Redis) and, if there is none
 * or if it lacks something, from the database, to which their owners write them then. Rows decide how a run stands
 * (upkeep/sync-remote.ts).
 */
export class RemoteRuns implements RemoteReaders, SharedLogReader {
  readonly #runtime: RunRuntime;
  readonly #onNotice: (notice: Notice) => void;
  readonly #followed = new Map<string, FollowedRun>();

  constructor(runtime: RunRuntime, onNotice: (notice: Notice) => void) {
    this.#runtime = runtime;
    this.#onNotice = onNotice;
  }

  /** How many runs are followed. */
  get size(): number {
    return this.#followed.size;
  }

  /** How many runs are read in the database. */
  get readInDatabase(): number {
    return [...this.#followed.values()].filter(({ source, isRunning }) => isRunning && source === 'database').length;
  }

  isFollowed(runId: string): boolean {
    return this.#followed.has(runId);
  }

  follow(runId: string): void {
    const buffer = this.#runtime.log.open(runId);
    if (this.#followed.get(runId)?.buffer === buffer || this.#runtime.running.has(runId)) return;
    const run: FollowedRun = {
      ...{ runId, buffer, bytes: 0, epoch: 0, source: 'opening', isRunning: true },
      ...{ behindAt: null, stored: null, requestedAt: Number.NEGATIVE_INFINITY },
    };
    this.#followed.set(runId, run);
    void this.#open(run);
  }

  unfollow(runId: string): void {
    this.#followed.delete(runId);
    this.#runtime.sharedLog?.unfollow(runId);
  }

  announce(notice: Notice): void {
    this.#runtime.sharedLog?.announce(notice);
  }

  hear(notice: Notice): void {
    this.#onNotice(notice);
  }

  take(runId: string, pieces: readonly LogPiece[]): boolean {
    return this.#take(runId, pieces, 'redis');
  }

  /**
   * Notes what the row of a run says. If the row was further than its readers twice, and nothing has arrived in between, the
   * shared log lacks something, and the rest is read in the database.
   * @param row null: nobody carries it out now
   */
  noteRow(runId: string, row: RunRow | null): void {
    const run = this.#followed.get(runId);
    if (!run) return;
    run.isRunning = row !== null;
    if (row === null) return;
    run.epoch = Math.max(run.epoch, row.leaseEpoch);
    const { lastEventSeq } = run.buffer;
    const isStuck = run.behindAt === lastEventSeq;
    run.behindAt = row.lastSeq > lastEventSeq ? lastEventSeq : null;
    if (run.source === 'shared log' && run.behindAt !== null && isStuck) {
      this.#runtime.sharedLog?.unfollow(runId);
      run.source = 'database';
      // It is read there until the shared log has got as far: one that is full never gets what a run begins with.
      run.stored = { epoch: row.leaseEpoch, seq: row.lastSeq };
    }
    const isBack = this.#runtime.sharedLog?.isReachable === true;
    if (run.source === 'shared log' && !isBack) run.source = 'database';
    else if (run.source === 'database' && isBack) void this.#open(run);
  }

  /** Reads what owners have written to the database for this instance. */
  async poll(): Promise<void> {
    const now = performance.now();
    const inDatabase = [...this.#followed.values()].filter(
      ({ source, isRunning }) => isRunning && source === 'database',
    );
    const wanted = inDatabase.filter(({ requestedAt }) => now - requestedAt > followMs / 3);
    if (wanted.length > 0) {
      await requestPieces(
        this.#runtime.db,
        wanted.map(({ runId }) => runId),
      );
      for (const run of wanted) run.requestedAt = now;
    }
    for (let from = 0; from < inDatabase.length; from += batch) {
      const runs = inDatabase.slice(from, from + batch);
      const known = runs.map(({ runId, buffer }) => ({ runId, seq: buffer.lastEventSeq }));
      for (const [runId, pieces] of await readPieces(this.#runtime.db, known)) this.#take(runId, pieces, 'database');
    }
  }

  async readLive(runId: string, until: number, reserve: ReserveBytes): Promise<RunEventBuffer | null> {
    const { sharedLog, db } = this.#runtime;
    await reserve(this.#followed.get(runId)?.bytes ?? 0);
    const buffer = new RunEventBuffer(runId);
    try {
      for await (const pieces of sharedLog?.readPieces(runId) ?? []) if (!applyAll(buffer, pieces, { epoch: 0 })) break;
    } catch (error) {
      this.#runtime.logger.debug({ err: error, runId }, 'could not read a run in the shared log');
    }
    while (buffer.lastEventSeq < until) {
      const pieces = (await readPieces(db, [{ runId, seq: buffer.lastEventSeq }])).get(runId) ?? [];
      if (pieces.length === 0 || !applyAll(buffer, pieces, { epoch: 0 })) break;
    }
    if (buffer.lastEventSeq >= until && !buffer.lacksAfter(0)) return buffer;
    await requestPieces(db, [runId]);
    return null;
  }

  /**
   * Lets go of events that can be read again: those that all readers have read and, if all runs together hold too much, all
   * of the largest ones.
   * @param maxBytes how many bytes all runs together may hold
   */
  releaseRead(maxBytes: number): void {
    const held = [...this.#followed.values()].map(({ buffer }) => ({ buffer, bytes: weighBuffer(buffer) }));
    for (const { buffer, bytes } of held) if (bytes > maxReadBytes) buffer.releaseStored(buffer.readSeq);
    const left = held.map(({ buffer }) => ({ buffer, bytes: weighBuffer(buffer) })).sort((a, b) => b.bytes - a.bytes);
    let total = left.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { buffer, bytes } of left) {
      if (total <= maxBytes) return;
      buffer.releaseStored(buffer.lastEventSeq);
      total -= bytes;
    }
  }

  #take(runId: string, pieces: readonly LogPiece[], source: 'redis' | 'database'): boolean {
    const run = this.#followed.get(runId);
    if (!run || this.#runtime.running.has(runId)) return false;
    piecesRead.inc({ source }, pieces.length);
    for (const { events } of pieces) run.bytes += events?.length ?? 0;
    let isWhole: boolean;
    try {
      isWhole = applyAll(run.buffer, pieces, run);
    } catch (error) {
      // Another version has written it: its readers get the rest when the run has ended.
      this.#runtime.logger.warn({ err: error, runId }, 'could not read the events of another instance');
      isWhole = false;
    }
    const last = pieces.at(-1);
    if (source === 'database' && last) run.stored = { epoch: last.epoch, seq: last.lastSeq };
    if (run.buffer.closed) {
      this.unfollow(runId);
      if (this.#runtime.log.find(runId) === run.buffer) this.#runtime.log.drop(runId);
      return false;
    }
    if (!isWhole && run.source === 'shared log') run.source = 'database';
    return isWhole;
  }

  async #open(run: FollowedRun): Promise<void> {
    const { runId, buffer, epoch, stored } = run;
    run.source = 'opening';
    const isFollowed = await this.#runtime.sharedLog?.follow(runId, { epoch, seq: buffer.lastEventSeq }, stored);
    if (this.#followed.get(runId) === run) run.source = isFollowed === true ? 'shared log' : 'database';
    else if (!this.#followed.has(runId)) this.#runtime.sharedLog?.unfollow(runId);
  }
}

/** @returns false if events before one of the pieces are missing */
function applyAll(buffer: RunEventBuffer, pieces: readonly LogPiece[], known: { epoch: number }): boolean {
  for (const piece of pieces) {
    // A former owner has written it when it was one no more.
    if (piece.epoch < known.epoch) continue;
    if (!applyPiece(buffer, piece)) return false;
    known.epoch = piece.epoch;
  }
  return true;
}
