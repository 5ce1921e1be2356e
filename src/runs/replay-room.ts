import { RateLimitedError } from '../api/errors.ts';
import type { Run } from '../generated/prisma/client.ts';
import { freeBytes } from '../limits/answer-budget.ts';
import type { AnswerBytes, HeldBytes } from '../limits/answer-bytes.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import type { RunEventBuffer } from '../log/event-buffer.ts';
import { weighBuffer } from '../log/run-replays.ts';

/** For a reader that is too slow: it holds what others wait for. */
const tooSlow =
  'The events of this run were read too slowly, and others wait. Subscribe again after the last seq you have.';
const retryAfterMs = 1_000;

/** How many archives of a user are read at the same time, and how many readers may wait for that. */
const perUser = { running: 2, waiting: 1_000 } as const;

/** The run that is replayed. */
type ReplayedRun = Pick<Run, 'id' | 'tenantId' | 'userId'>;

/** Waits until so many bytes may be read. */
export type ReserveBytes = (bytes: number) => Promise<void>;

/** The bytes of a run that is being replayed, for all of its readers. */
interface ReplayedBytes {
  readonly readers: Set<(error: Error) => void>;
  readonly held: Promise<HeldBytes>;
}

/**
 * Bounds what the replays of ended runs hold in memory: the events of a large run count like the bytes of an answer, once
 * for all of its readers, until the last of them has left. Otherwise a user who opens hundreds of long runs and reads none
 * of them would fill the memory.
 */
export class ReplayRoom {
  readonly #answers: AnswerBytes;
  readonly #reading = new FairQueue('replays', perUser);
  readonly #runs = new Map<string, ReplayedBytes>();

  constructor(answers: AnswerBytes) {
    this.#answers = answers;
  }

  /** How many large runs are being replayed. */
  get size(): number {
    return this.#runs.size;
  }

  /**
   * Reads the events of an ended run when it is the user's turn.
   * @param load fills the buffer, or finds it filled. It waits for `reserve` with the bytes of an archive before it reads it
   * @param end called if the run was read for more than a minute while others waited for its room: the reader has to leave
   * @returns the buffer and its room, to be disposed of when the reader leaves; null: `load` returned null
   * @throws {RateLimitedError} if there is no room within ten seconds; what `load` throws
   */
  async open(
    run: ReplayedRun,
    load: (reserve: ReserveBytes) => Promise<RunEventBuffer | null>,
    end: (error: Error) => void,
  ): Promise<{ readonly buffer: RunEventBuffer; readonly room: Disposable } | null> {
    // The wait for room is part of the turn: what was read and waits is in memory already.
    return this.#reading.run(JSON.stringify([run.tenantId, run.userId]), async () => {
      using reserved = new DisposableStack();
      let isReserved = false;
      const buffer = await load(async (bytes) => {
        if (bytes <= freeBytes) return;
        reserved.use(await this.#answers.reserve(run, bytes, new AbortController().signal));
        isReserved = true;
      });
      if (buffer === null) return null;
      return { buffer, room: await this.#hold(run, weighBuffer(buffer), end, isReserved) };
    });
  }

  /** @param isReserved whether it has waited for the bytes of its archive: it waits no more, however large it has become */
  async #hold(run: ReplayedRun, bytes: number, end: (error: Error) => void, isReserved: boolean): Promise<Disposable> {
    if (bytes <= freeBytes) return { [Symbol.dispose]() {} };
    const known = this.#runs.get(run.id);
    const replayed = known ?? this.#count(run, bytes, isReserved);
    this.#runs.set(run.id, replayed);
    // Each reader counts, also if several end in the same way.
    const leave = (error: Error) => end(error);
    replayed.readers.add(leave);
    let isOpen = true;
    const room: Disposable = {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        replayed.readers.delete(leave);
        if (replayed.readers.size > 0) return;
        this.#runs.delete(run.id);
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
    const readers = new Set<(error: Error) => void>();
    const endAll = () => {
      for (const end of [...readers]) end(new RateLimitedError(tooSlow, retryAfterMs));
    };
    const held = isReserved
      ? Promise.resolve(this.#answers.add(run, bytes, endAll))
      : this.#answers.reserve(run, bytes, new AbortController().signal, endAll);
    return { readers, held };
  }
}
