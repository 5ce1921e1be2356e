import type { Run } from '../generated/prisma/client.ts';
import { freeBytes } from '../limits/answer-budget.ts';
import type { AnswerBytes, HeldBytes } from '../limits/answer-bytes.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import type { PastEvents } from '../log/cursor.ts';
import type { RunEventBuffer } from '../log/event-buffer.ts';
import { weighBuffer } from '../log/run-replays.ts';

/** How long the readers of a run that has ended or waits may be behind before they read its archive, in milliseconds. */
const maxSettleMs = 5_000;

/** How many archives of a user are read at the same time, and how many readers may wait for that. */
const perUser = { running: 2, waiting: 1_000 } as const;

/** The run that is replayed. */
type ReplayedRun = Pick<Run, 'id' | 'tenantId' | 'userId'>;

/** Waits until so many bytes may be read. */
export type ReserveBytes = (bytes: number) => Promise<void>;

/** The bytes of a buffer that is being replayed, for all of its readers. */
interface ReplayedBytes {
  readonly readers: Set<() => void>;
  readonly held: Promise<HeldBytes>;
}

/** A buffer that is released when its readers have read it, or when they had enough time for that. */
interface SettlingBuffer {
  readonly buffer: RunEventBuffer;
  readonly since: number;
  readonly held: HeldBytes;
}

/**
 * Bounds what runs that have ended or wait for a person hold in memory: the events of a large run count like the bytes of an
 * answer, once for all of its readers, until the last of them has read them. Otherwise a user who opens hundreds of long
 * runs and reads none of them would fill the memory.
 */
export class ReplayRoom {
  readonly #answers: AnswerBytes;
  readonly #reading = new FairQueue('replays', perUser);
  readonly #replayed = new Map<RunEventBuffer, ReplayedBytes>();
  readonly #settling = new Set<SettlingBuffer>();

  constructor(answers: AnswerBytes) {
    this.#answers = answers;
  }

  /** How many large runs are being replayed. */
  get size(): number {
    return this.#replayed.size;
  }

  /**
   * Reads the events of a run from its archive when it is the user's turn.
   * @param load fills the buffer, or finds it filled. It waits for `reserve` with the bytes of an archive before it reads it
   * @param end called if the run was read for more than a minute while others waited for its room: the reader has to give
   *   it back
   * @returns the buffer and its room, to be disposed of when the reader has read it; null: `load` returned null
   * @throws {RateLimitedError} if there is no room within ten seconds; what `load` throws
   */
  async open(
    run: ReplayedRun,
    load: (reserve: ReserveBytes) => Promise<RunEventBuffer | null>,
    end: () => void,
  ): Promise<PastEvents | null> {
    // The wait for room is part of the turn: what was read and waits is in memory already.
    return this.#reading.run(JSON.stringify([run.tenantId, run.userId]), async () => {
      using reserved = new DisposableStack();
      let isReserved = false;
      const buffer = await load(async (bytes) => {
        if (bytes <= freeBytes) return;
        reserved.use(await this.#answers.reserve(run, bytes, new AbortController().signal, null, 'replay'));
        isReserved = true;
      });
      if (buffer === null) return null;
      return { buffer, room: await this.#hold(run, buffer, end, isReserved) };
    });
  }

  /**
   * Lets go of the events of a run that are in its archive now: immediately, if its readers have read all of it, or else as
   * soon as they have, or after some seconds. Until then they count.
   */
  settle(run: ReplayedRun, buffer: RunEventBuffer): void {
    buffer.markArchived();
    if (buffer.isRead) {
      buffer.release();
      return;
    }
    const held = this.#answers.add(run, weighBuffer(buffer), null, 'replay');
    this.#settling.add({ buffer, since: performance.now(), held });
  }

  /** Releases the buffers that have settled. @param maxMs how long their readers may have been behind, in milliseconds */
  releaseSettled(maxMs = maxSettleMs): void {
    for (const settling of this.#settling) {
      const { buffer, since, held } = settling;
      if (!buffer.isRead && performance.now() - since < maxMs) continue;
      this.#settling.delete(settling);
      buffer.release();
      held[Symbol.dispose]();
    }
  }

  /** @param isReserved whether it has waited for the bytes of its archive: it waits no more, however large it has become */
  async #hold(run: ReplayedRun, buffer: RunEventBuffer, end: () => void, isReserved: boolean): Promise<Disposable> {
    const bytes = weighBuffer(buffer);
    if (bytes <= freeBytes) return { [Symbol.dispose]() {} };
    const replayed = this.#replayed.get(buffer) ?? this.#count(run, bytes, isReserved);
    this.#replayed.set(buffer, replayed);
    // Each reader counts, also if several end in the same way.
    const leave = () => end();
    replayed.readers.add(leave);
    let isOpen = true;
    const room: Disposable = {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        replayed.readers.delete(leave);
        if (replayed.readers.size > 0) return;
        this.#replayed.delete(buffer);
        replayed.held.then(
          (held) => held[Symbol.dispose](),
          () => {},
        );
      },
    };
    try {
      await replayed.held;
      return room;
    } catch (error) {
      room[Symbol.dispose]();
      throw error;
    }
  }

  #count(run: ReplayedRun, bytes: number, isReserved: boolean): ReplayedBytes {
    const readers = new Set<() => void>();
    const endAll = () => {
      for (const end of [...readers]) end();
    };
    const held = isReserved
      ? Promise.resolve(this.#answers.add(run, bytes, endAll, 'replay'))
      : this.#answers.reserve(run, bytes, new AbortController().signal, endAll, 'replay');
    return { readers, held };
  }
}
