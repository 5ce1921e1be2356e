import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { sharedLogPieces } from '../../telemetry/shared-log.ts';
import type { RunEventBuffer } from '../event-buffer.ts';
import type { LogPiece } from '../piece.ts';
import type { Publication } from '../shared-log.ts';
import { formatEntry, formatOpening, parseId, storedEntries } from './entry.ts';
import { RunStream } from './run-stream.ts';

/** Pieces are collected for so long, in milliseconds, if others were sent just before. */
const collectMs = 8;
/** How many pieces, and how many characters of them, are on their way to Redis at the same time. */
const maxPieces = 500;
const maxLength = 2 * 1024 * 1024;
/** How long Redis keeps the stream of a run to which nothing is added, and of one that has ended, in seconds. */
const keepSeconds = 3_600;
const keepEndedSeconds = 60;
const refreshMs = 300_000;
/** How long it is left alone if it takes nothing, in milliseconds. */
const refusedMs = 500;

interface Sent {
  readonly stream: RunStream;
  /** The piece that was sent; null: the opening. */
  readonly piece: LogPiece | null;
}

/**
 * Adds what happens in the runs of this process to their streams. What is on its way is one pipeline; what happens meanwhile
 * waits where it is, in the buffers of the runs, so a slow Redis costs no memory. Readers in this process do not wait for it.
 */
export class StreamWriter implements Disposable {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #logger: Logger;
  readonly #maxEntries: number;
  readonly #streams = new Set<RunStream>();
  readonly #dirty = new Set<RunStream>();
  readonly #refresh: NodeJS.Timeout;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #isSending = false;
  #isVerified = false;
  #verifying: NodeJS.Timeout | undefined;
  #sentAt = 0;
  #closed = false;
  #isComplained = false;

  /** @param options.maxEntries how many entries a stream may have: no run has more events */
  constructor(
    redis: Redis,
    options: { readonly prefix: string; readonly logger: Logger; readonly maxEntries: number },
  ) {
    this.#redis = redis;
    this.#prefix = options.prefix;
    this.#logger = options.logger;
    this.#maxEntries = options.maxEntries;
    this.#refresh = setInterval(() => void this.#keep(), refreshMs).unref();
    redis.on('ready', () => void this.#verify());
    redis.on('close', () => {
      clearTimeout(this.#verifying);
      this.#isVerified = false;
    });
  }

  get #isReady(): boolean {
    return this.#isVerified && this.#redis.status === 'ready' && !this.#closed;
  }

  /** The age of the oldest event that was not sent, in seconds; 0: there is none. */
  get lagSeconds(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { firstWaitingAt } of this.#dirty) oldest = Math.min(oldest, firstWaitingAt);
    return Number.isFinite(oldest) ? Math.max(0, (Date.now() - oldest) / 1_000) : 0;
  }

  publish(
    { id, leaseEpoch }: { readonly id: string; readonly leaseEpoch: number },
    buffer: RunEventBuffer,
  ): Publication {
    const stream: RunStream = new RunStream({ key: `${this.#prefix}${id}`, epoch: leaseEpoch, buffer }, () =>
      this.#mark(stream),
    );
    this.#streams.add(stream);
    this.#mark(stream);
    return {
      finish: () => {
        stream.finish();
        if (this.#isReady && !stream.isDone) this.#mark(stream);
        else this.#remove(stream);
      },
      abandon: () => this.#remove(stream),
    };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#refresh);
    clearTimeout(this.#verifying);
    for (const stream of [...this.#streams]) this.#remove(stream);
  }

  #remove(stream: RunStream): void {
    stream[Symbol.dispose]();
    this.#streams.delete(stream);
    this.#dirty.delete(stream);
  }

  #mark(stream: RunStream): void {
    if (!this.#streams.has(stream)) return;
    this.#dirty.add(stream);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null || this.#isSending || !this.#isReady || this.#dirty.size === 0) return;
    const waitMs = collectMs - (performance.now() - this.#sentAt);
    const send = () => {
      this.#timer = null;
      void this.#send();
    };
    this.#timer = waitMs > 0 ? setTimeout(send, waitMs) : setImmediate(send);
  }

  async #send(): Promise<void> {
    if (!this.#isReady) return;
    this.#isSending = true;
    this.#sentAt = performance.now();
    const pipeline = this.#redis.pipeline();
    const round = new Set<RunStream>();
    /** What each command of the pipeline is for; null: nothing depends on its answer. */
    const sent: (Sent | null)[] = [];
    let length = 0;
    for (const stream of this.#dirty) {
      if (sent.length >= maxPieces || length >= maxLength) break;
      // In turn: what one run has left waits for the others.
      this.#dirty.delete(stream);
      round.add(stream);
      if (stream.isNew) {
        // What former owners have added is told again: it is not kept.
        const opening = ['MINID', `${stream.epoch}-0`, ...formatOpening(stream.epoch)];
        pipeline.call('XADD', stream.key, ...opening).expire(stream.key, keepSeconds);
        sent.push({ stream, piece: null }, null);
      }
      for (const piece of stream.takePieces()) {
        const entry = formatEntry(piece);
        length += piece.events?.length ?? 0;
        pipeline.call('XADD', stream.key, 'NOMKSTREAM', 'MAXLEN', '~', String(this.#maxEntries), ...entry);
        sent.push({ stream, piece });
      }
    }
    await this.#noteAnswers(sent, (await pipeline.exec().catch(() => null)) ?? []);
    this.#expire([...round].filter((stream) => stream.isDone && this.#streams.has(stream)));
    for (const stream of round) {
      if (stream.isDone) this.#remove(stream);
      else if (stream.hasMore && this.#streams.has(stream)) this.#dirty.add(stream);
    }
    this.#isSending = false;
    this.#schedule();
  }

  /** Not before Redis has taken all of them: one that it refuses may be another owner's by now. */
  #expire(ended: readonly RunStream[]): void {
    if (ended.length === 0) return;
    const pipeline = this.#redis.pipeline();
    for (const { key } of ended) pipeline.expire(key, keepEndedSeconds);
    // Otherwise they expire later.
    pipeline.exec().catch(() => {});
  }

  async #noteAnswers(sent: readonly (Sent | null)[], answers: readonly [Error | null, unknown][]): Promise<void> {
    const refused = new Set<RunStream>();
    let isRefusing = false;
    for (const [index, entry] of sent.entries()) {
      if (entry === null) continue;
      const { stream, piece } = entry;
      const [error, id] = answers[index] ?? [new Error('Redis did not answer.'), null];
      if (error !== null) {
        refused.add(stream);
        if (error.message.includes('equal or smaller')) continue;
        isRefusing = this.#complain(error);
        // It has ended: its readers elsewhere find it in the database. Kept until Redis takes it, such runs would add up.
        if (stream.isFinished) this.#remove(stream);
      }
      // The stream is not there any more: it is written again, from its beginning.
      else if (id === null) stream.restart();
      else if (!refused.has(stream)) stream.noteSent(piece);
    }
    sharedLogPieces.inc(sent.filter((entry) => entry?.piece).length);
    const asked = [...refused].filter((stream) => this.#streams.has(stream));
    if (asked.length > 0) await this.#ask(asked);
    // It may be full, or only be read: it is not asked again and again.
    if (isRefusing) this.#sentAt = performance.now() + refusedMs;
    else this.#isComplained = false;
  }

  #complain(error: Error): true {
    if (!this.#isComplained && this.#isReady)
      this.#logger.warn({ err: error }, 'Redis does not take the events of turns');
    this.#isComplained = true;
    return true;
  }

  /** After an outage nobody knows what Redis has: what it lacks is sent again. */
  async #verify(): Promise<void> {
    clearTimeout(this.#verifying);
    const streams = [...this.#streams];
    for (let from = 0; from < streams.length; from += maxPieces) {
      if (await this.#ask(streams.slice(from, from + maxPieces))) continue;
      // The connection may be as good as before: nothing else would ask again.
      if (this.#redis.status === 'ready' && !this.#closed) {
        clearTimeout(this.#verifying);
        this.#verifying = setTimeout(() => void this.#verify(), refusedMs).unref();
      }
      return;
    }
    this.#isVerified = true;
    for (const stream of this.#streams) this.#mark(stream);
    this.#schedule();
  }

  /** Asks how far streams have got. @returns whether Redis has answered */
  async #ask(streams: readonly RunStream[]): Promise<boolean> {
    const pipeline = this.#redis.pipeline();
    for (const { key } of streams) pipeline.xrevrange(key, '+', '-', 'COUNT', 1);
    const results = await pipeline.exec().catch(() => null);
    for (const [index, stream] of streams.entries()) {
      const [error, entries] = results?.[index] ?? [new Error('Redis did not answer.'), null];
      if (error !== null) {
        stream.forgetSent();
        continue;
      }
      const [last] = storedEntries.parse(entries);
      const { epoch, seq } = last ? parseId(last[0]) : { epoch: 0, seq: 0 };
      if (epoch > stream.epoch) {
        this.#logger.warn({ runId: stream.runId, epoch: stream.epoch }, 'another instance publishes a run');
        this.#remove(stream);
      } else if (epoch === stream.epoch) stream.goOnAfter(seq);
      else stream.restart();
    }
    return results?.every(([error]) => error === null) === true;
  }

  /** Streams of long runs to which nothing is added are kept. */
  async #keep(): Promise<void> {
    if (!this.#isReady) return;
    const streams = [...this.#streams];
    const pipeline = this.#redis.pipeline();
    for (const { key } of streams) pipeline.expire(key, keepSeconds);
    const results = await pipeline.exec().catch(() => []);
    for (const [index, stream] of streams.entries()) {
      const [error, isThere] = results?.[index] ?? [new Error('Redis did not answer.'), null];
      if (error !== null || isThere === 1) continue;
      stream.restart();
      this.#mark(stream);
    }
  }
}
