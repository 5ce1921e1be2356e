import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { LogPiece } from '../piece.ts';
import type { LogPosition } from '../shared-log.ts';
import { formatId, parseEntry, parseId, storedEntries, storedStreams } from './entry.ts';

/** How long Redis holds back its answer if there is nothing new, in milliseconds. */
const blockMs = 1_000;
/** How many new entries of one stream are read at a time. */
const maxEntries = 8;
/** How many entries of one stream are read at a time when it is read from an earlier one on. */
const maxPastEntries = 500;
/** With so many streams, one more millisecond passes between two reads: a read costs as much as the streams it names. */
const streamsPerMs = 20;
const maxPauseMs = 25;
/** How long it waits before it asks again if Redis is away, in milliseconds. */
const awayMs = 100;
const keepWakesSeconds = 60;

/** Other streams that are read along, from the newest entry on, and what takes their entries. */
export interface SideStream {
  readonly key: string;
  hear(fields: readonly string[]): void;
}

function isBefore(a: LogPosition, b: LogPosition): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq);
}

/** Who takes what is read. @returns false if the stream is not to be followed any more */
type Take = (runId: string, pieces: readonly LogPiece[]) => boolean;

/**
 * Reads the streams of all runs that this process follows with one blocking command, over a connection of its own. It is woken
 * by an entry in a stream of this process when there is one more to follow.
 */
export class StreamReader {
  readonly #blocking: Redis;
  readonly #commands: Redis;
  readonly #prefix: string;
  readonly #logger: Logger;
  readonly #wakeKey: string;
  readonly #take: Take;
  readonly #sides: readonly SideStream[];
  readonly #positions = new Map<string, string>();
  readonly #followed = new Map<string, LogPosition>();
  #isConnectedAnew = false;
  #isWaking = false;
  #isComplained = false;
  #closed = false;
  readonly #done: Promise<void>;

  /** @param options.commands for everything that does not block */
  constructor(options: {
    readonly blocking: Redis;
    readonly commands: Redis;
    /** Of the keys of the runs. */
    readonly prefix: string;
    /** A stream of this process alone. */
    readonly wakeKey: string;
    readonly sides: readonly SideStream[];
    readonly take: Take;
    readonly logger: Logger;
  }) {
    this.#blocking = options.blocking;
    this.#commands = options.commands;
    this.#prefix = options.prefix;
    this.#logger = options.logger;
    this.#wakeKey = options.wakeKey;
    this.#sides = options.sides;
    this.#take = options.take;
    this.#blocking.on('ready', () => {
      this.#isConnectedAnew = true;
    });
    this.#done = this.#readAll();
  }

  /**
   * Follows a stream from an entry on: what comes after it, past and future.
   * @param least an entry that it must have got to
   * @returns false if Redis is away, or has not got that far
   */
  async follow(runId: string, after: LogPosition, least: LogPosition | null): Promise<boolean> {
    let last = after;
    try {
      if (least !== null && isBefore(parseId(await this.#findLast(this.#prefix + runId)), least)) return false;
      for await (const { pieces, lastId } of this.#readPast(runId, after)) {
        last = lastId;
        if (pieces.length > 0 && !this.#take(runId, pieces)) return false;
      }
    } catch {
      return false;
    }
    this.#followed.set(runId, last);
    this.#wake();
    return true;
  }

  unfollow(runId: string): void {
    this.#followed.delete(runId);
  }

  /** All entries of a stream. @throws when Redis is away */
  async *readPieces(runId: string): AsyncGenerator<readonly LogPiece[], void, undefined> {
    for await (const { pieces } of this.#readPast(runId, { epoch: 0, seq: 0 })) yield pieces;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#blocking.disconnect();
    await this.#done;
  }

  async *#readPast(runId: string, after: LogPosition) {
    let from = formatId(after);
    for (;;) {
      const answer = await this.#commands.xrange(this.#prefix + runId, `(${from}`, '+', 'COUNT', maxPastEntries);
      const entries = storedEntries.parse(answer);
      const last = entries.at(-1);
      if (last === undefined) return;
      from = last[0];
      yield { pieces: entries.flatMap((entry) => parseEntry(entry) ?? []), lastId: parseId(from) };
      if (entries.length < maxPastEntries) return;
    }
  }

  /** Ends the waiting of the blocking command, once for all that happens in one turn of the event loop. */
  #wake(): void {
    if (this.#isWaking || this.#closed) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      this.#commands
        .pipeline()
        .call('XADD', this.#wakeKey, 'MAXLEN', '1', '*', 'wake', '1')
        .expire(this.#wakeKey, keepWakesSeconds)
        .exec()
        // It is found when the command ends by itself.
        .catch(() => {});
    });
  }

  async #readAll(): Promise<void> {
    while (!this.#closed) {
      const streams = await this.#readOnce().catch((error: unknown) => this.#complain(error));
      if (this.#closed) return;
      if (streams === undefined) await sleep(awayMs);
      else if (streams > 0) await sleep(Math.min(maxPauseMs, this.#followed.size / streamsPerMs));
    }
  }

  /** Redis that is away is reported elsewhere. */
  #complain(error: unknown): undefined {
    const isAway = this.#closed || this.#blocking.status !== 'ready' || this.#commands.status !== 'ready';
    if (!isAway && !this.#isComplained)
      this.#logger.warn({ err: error }, 'could not read the events of turns in Redis');
    this.#isComplained = !isAway;
    return undefined;
  }

  /** @returns how many streams had something */
  async #readOnce(): Promise<number> {
    const keys = [this.#wakeKey, ...this.#sides.map(({ key }) => key)];
    // After a restart of Redis as well: what was said meanwhile is in the rows.
    for (const key of keys) {
      const known = this.#positions.get(key);
      if (known !== undefined && !this.#isConnectedAnew) continue;
      const last = await this.#findLast(key);
      // Another server may have an earlier clock: what is said there would be before what was read.
      if (known === undefined || isBefore(parseId(last), parseId(known))) this.#positions.set(key, last);
    }
    this.#isConnectedAnew = false;
    const positions = keys.map((key) => this.#positions.get(key) ?? '0-0');
    for (const [runId, last] of this.#followed) {
      keys.push(this.#prefix + runId);
      positions.push(formatId(last));
    }
    const named = [...keys, ...positions];
    const read = await this.#blocking.xread('COUNT', maxEntries, 'BLOCK', blockMs, 'STREAMS', ...named);
    const answer = storedStreams.parse(read);
    for (const [key, entries] of answer ?? []) {
      const last = entries.at(-1);
      if (last === undefined) continue;
      const side = this.#sides.find((candidate) => candidate.key === key);
      if (key === this.#wakeKey || side) {
        this.#positions.set(key, last[0]);
        for (const [, fields] of entries) side?.hear(fields);
        continue;
      }
      const runId = key.slice(this.#prefix.length);
      // It can have been given up while the command waited.
      if (!this.#followed.has(runId)) continue;
      this.#followed.set(runId, parseId(last[0]));
      if (
        !this.#take(
          runId,
          entries.flatMap((entry) => parseEntry(entry) ?? []),
        )
      )
        this.#followed.delete(runId);
    }
    return answer?.length ?? 0;
  }

  async #findLast(key: string): Promise<string> {
    const [last] = storedEntries.parse(await this.#commands.xrevrange(key, '+', '-', 'COUNT', 1));
    return last?.[0] ?? '0-0';
  }
}
