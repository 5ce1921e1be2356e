import { cutPiece, type LogPiece } from '../../log/piece.ts';
import type { ActiveRun, RunRuntime } from '../runtime.ts';

/** How many characters one statement writes; what is left follows in the next one. */
const maxLength = 1024 * 1024;

/**
 * Writes the events of runs that are read on other instances to the database, for those that cannot get them from Redis. A run
 * that nobody reads elsewhere costs nothing.
 */
export class PieceWriter {
  readonly #runtime: RunRuntime;
  /** The seq up to which the events of a run are written. */
  readonly #written = new WeakMap<ActiveRun, number>();
  #followed: readonly ActiveRun[] = [];
  #writing: Promise<void> | null = null;

  constructor(runtime: RunRuntime) {
    this.#runtime = runtime;
  }

  /** Begins to write what the readers of these runs may be given. It is called with each checkpoint, and waited for by nobody. */
  write(followed: readonly ActiveRun[]): void {
    this.#followed = followed;
    if (followed.length === 0 || this.#writing) return;
    this.#writing = this.#writeAll()
      .catch((error: unknown) =>
        this.#runtime.logger.warn({ err: error }, 'could not write events for other instances'),
      )
      .finally(() => {
        this.#writing = null;
      });
  }

  /** Resolves when nothing is written any more. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (await this.#writeSome()) {
      // There was too much for one statement.
    }
  }

  /** @returns whether there is more */
  async #writeSome(): Promise<boolean> {
    const cut: { readonly active: ActiveRun; readonly piece: LogPiece }[] = [];
    let length = 0;
    for (const active of this.#followed) {
      const { run } = active;
      const buffer = this.#runtime.log.find(run.id);
      if (!buffer || this.#runtime.running.get(run.id) !== active) continue;
      let after = this.#written.get(active) ?? 0;
      while (length < maxLength) {
        const piece = cutPiece(buffer, { after, epoch: run.leaseEpoch });
        // What is in the archive already is read there.
        if (piece?.events == null) break;
        cut.push({ active, piece });
        length += piece.events.length;
        after = piece.lastSeq;
      }
    }
    if (cut.length === 0) return false;
    await this.#insert(cut);
    for (const { active, piece } of cut) this.#written.set(active, piece.lastSeq);
    return length >= maxLength;
  }

  /** Only of the runs whose lease this process has. */
  async #insert(cut: readonly { readonly active: ActiveRun; readonly piece: LogPiece }[]): Promise<void> {
    const { db, instanceId } = this.#runtime;
    await db.$executeRaw`
      INSERT INTO run_pieces (run_id, epoch, last_seq, after_seq, events)
      SELECT runs.id, piece.epoch, piece.last_seq, piece.after_seq, piece.events
      FROM unnest(
        ${cut.map(({ active }) => active.run.id)}::uuid[], ${cut.map(({ piece }) => piece.epoch)}::int[],
        ${cut.map(({ piece }) => piece.lastSeq)}::int[], ${cut.map(({ piece }) => piece.after)}::int[],
        ${cut.map(({ piece }) => piece.events)}::text[]
      ) AS piece (run_id, epoch, last_seq, after_seq, events)
      JOIN runs ON runs.id = piece.run_id AND runs.lease_owner = ${instanceId} AND runs.lease_epoch = piece.epoch
        AND runs.status = 'RUNNING'
      ON CONFLICT DO NOTHING`;
  }
}
