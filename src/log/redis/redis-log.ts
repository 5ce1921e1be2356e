import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Redis, ReplyError } from 'ioredis';
import type { Logger } from 'pino';
import { z } from 'zod';
import { sharedLogReconnects } from '../../telemetry/shared-log.ts';
import type { RunEventBuffer } from '../event-buffer.ts';
import type { LogPiece } from '../piece.ts';
import type { LogPosition, Notice, Publication, SharedLog, SharedLogReader } from '../shared-log.ts';
import { openConnection } from './connection.ts';
import { StreamReader } from './stream-reader.ts';
import { StreamWriter } from './stream-writer.ts';

/** The longest that an answer may take, in milliseconds; one that waits for news may take longer. */
const answerMs = 1_500;
const blockedAnswerMs = 3_000;
/** How long a probe waits, in milliseconds: load balancers wait for it. */
const probeMs = 250;
const keepProbeMs = 1_000;
/** How many notices Redis keeps, and for how long, in seconds. */
const maxNotices = 1_000;
const keepNoticesSeconds = 3_600;

const notice = z.discriminatedUnion('type', [
  z.object({ type: z.literal('cancel'), runId: z.string() }),
  z.object({ type: z.literal('changed'), runId: z.string() }),
  z.object({ type: z.literal('steered'), conversationId: z.string() }),
  z.object({ type: z.literal('joined'), conversationId: z.string() }),
  z.object({ type: z.literal('released') }),
]);

/** `read-only`: it refuses what is written to it, because it is full or a replica. */
export type RedisState = 'reachable' | 'read-only' | 'unreachable';

interface RedisLogOptions {
  readonly url: string;
  /** Of all keys, so that several deployments can share a server. */
  readonly prefix: string;
  readonly logger: Logger;
  /** How many events a run may have. */
  readonly maxEvents: number;
}

/** The events of live runs in Redis: a stream for each run, and one for notices. */
export class RedisLog implements SharedLog, AsyncDisposable {
  readonly #commands: Redis;
  readonly #blocking: Redis;
  readonly #writer: StreamWriter;
  readonly #prefix: string;
  readonly #logger: Logger;
  #reader: StreamReader | null = null;
  #closed = false;

  constructor({ url, prefix, logger, maxEvents }: RedisLogOptions) {
    this.#prefix = prefix;
    this.#logger = logger;
    this.#commands = openConnection(url, answerMs);
    this.#blocking = openConnection(url, blockedAnswerMs);
    this.#writer = new StreamWriter(this.#commands, { prefix: this.#runPrefix, logger, maxEntries: maxEvents });
    this.#report(logger);
  }

  get isReachable(): boolean {
    return this.#commands.status === 'ready' && this.#blocking.status === 'ready';
  }

  /** Writes something, and answers within a quarter of a second: by then it is `unreachable`. */
  async probe(): Promise<RedisState> {
    if (!this.isReachable) return 'unreachable';
    const written = this.#commands.set(`${this.#prefix}probe`, '1', 'PX', keepProbeMs).then(
      () => 'reachable' as const,
      (error: unknown) => (error instanceof ReplyError ? ('read-only' as const) : ('unreachable' as const)),
    );
    return Promise.race([written, sleep(probeMs, 'unreachable' as const, { ref: false })]);
  }

  /** The age of the oldest event of this instance that was not sent, in seconds. */
  get lagSeconds(): number {
    return this.#writer.lagSeconds;
  }

  publish(run: { readonly id: string; readonly leaseEpoch: number }, buffer: RunEventBuffer): Publication {
    return this.#writer.publish(run, buffer);
  }

  read(reader: SharedLogReader): void {
    this.#reader = new StreamReader({
      blocking: this.#blocking,
      commands: this.#commands,
      prefix: this.#runPrefix,
      wakeKey: `${this.#prefix}wake:${randomUUID()}`,
      sides: [{ key: this.#noticeKey, hear: ([, payload]) => hearNotice(reader, payload) }],
      take: (runId, pieces) => reader.take(runId, pieces),
      logger: this.#logger,
    });
  }

  async follow(runId: string, after: LogPosition, least: LogPosition | null): Promise<boolean> {
    return this.#reader !== null && this.isReachable && this.#reader.follow(runId, after, least);
  }

  unfollow(runId: string): void {
    this.#reader?.unfollow(runId);
  }

  async *readPieces(runId: string): AsyncGenerator<readonly LogPiece[], void, undefined> {
    if (this.#reader !== null && this.isReachable) yield* this.#reader.readPieces(runId);
  }

  announce(given: Notice): void {
    if (this.#closed) return;
    this.#commands
      .pipeline()
      .call('XADD', this.#noticeKey, 'MAXLEN', '~', String(maxNotices), '*', 'notice', JSON.stringify(given))
      .expire(this.#noticeKey, keepNoticesSeconds)
      .exec()
      .catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#writer[Symbol.dispose]();
    await this.#reader?.close();
    this.#blocking.disconnect();
    this.#commands.disconnect();
  }

  get #runPrefix(): string {
    return `${this.#prefix}run:`;
  }

  get #noticeKey(): string {
    return `${this.#prefix}notices`;
  }

  /** Says once that Redis is away, and once that it is back. */
  #report(logger: Logger): void {
    let isAway = false;
    for (const connection of [this.#commands, this.#blocking]) {
      connection.on('error', (error: Error) => {
        if (!isAway && !this.#closed)
          logger.warn({ err: error }, 'Redis is away: instances read the events of turns from the database');
        isAway = true;
      });
      connection.on('ready', () => {
        if (!this.isReachable) return;
        if (isAway) {
          logger.info('Redis answers again');
          sharedLogReconnects.inc();
        }
        isAway = false;
      });
    }
  }
}

function hearNotice(reader: SharedLogReader, payload: string | undefined): void {
  let value: unknown;
  try {
    value = JSON.parse(payload ?? '');
  } catch {
    return;
  }
  const heard = notice.safeParse(value);
  if (heard.success) reader.hear(heard.data);
}
