import type { Run } from '../generated/prisma/client.ts';
import { freeBytes } from '../limits/answer-budget.ts';
import type { AnswerBytes, HeldBytes } from '../limits/answer-bytes.ts';
import { FairQueue } from '../limits/fair-queue.ts';
import type { RunEventBuffer } from '../log/event-buffer.ts';
import { weighBuffer } from '../log/run-replays.ts';

/** How many archives of a user are read at the same time, and how many readers may wait for that. */
const perUser = { running: 2, waiting: 1_000 } as const;

/** The run that is replayed. */
type ReplayedRun = Pick<Run, 'id' | 'tenantId' | 'userId'>;

/** The bytes of a run that is being replayed, for all of its readers. */
interface ReplayedBytes {
  readers: number;
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
   * @param load fills the buffer, or finds it filled
   * @returns the buffer and its room, to be disposed of when the reader leaves; null: `load` returned null
   * @throws {RateLimitedError} if there is no room within ten seconds; what `load` throws
   */
  async open(
    run: ReplayedRun,
    load: () => Promise<RunEventBuffer | null>,
  ): Promise<{ readonly buffer: RunEventBuffer; readonly room: Disposable } | null> {
    // The wait for room is part of the turn: what was read and waits is in memory already.
    return this.#reading.run(JSON.stringify([run.tenantId, run.userId]), async () => {
      const buffer = await load();
      return buffer && { buffer, room: await this.#hold(run, weighBuffer(buffer)) };
    });
  }

  async #hold(run: ReplayedRun, bytes: number): Promise<Disposable> {
    if (bytes <= freeBytes) return { [Symbol.dispose]() {} };
    const known = this.#runs.get(run.id);
    const replayed = known ?? { readers: 0, held: this.#answers.reserve(run, bytes, new AbortController().signal) };
    this.#runs.set(run.id, replayed);
    replayed.readers += 1;
    let isOpen = true;
    const room: Disposable = {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        replayed.readers -= 1;
        if (replayed.readers > 0) return;
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
}
