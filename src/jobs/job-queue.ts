import { type ConstructorOptions, fromPrisma, type JobWithMetadata, PgBoss } from 'pg-boss';
import type { Logger } from 'pino';
import type { Db, OpenDatabase } from '../database/client.ts';
import { withoutCounting } from '../database/statements.ts';
import { jobSeconds, jobsEnded } from '../telemetry/metrics.ts';
import type { Job, JobOptions, JobWork } from './define-job.ts';

/** The schema of the database that holds the queue: its migration has created it. */
const schema = 'switchboard_jobs';
/** How often each kind of job is looked for, in seconds; those that this process has enqueued are looked for at once. */
const pollEverySeconds = 2;
/** How long a job may be without a heartbeat before another process takes it, and how often that is looked for. */
const heartbeatSeconds = 10;
const superviseEverySeconds = 5;
/** How long after it was enqueued a job is looked for: its transaction has to be committed by then. */
const wakeAfterMs = 50;
/** How long rows of jobs that have ended are kept, in seconds. */
const deleteAfterSeconds = 24 * 3600;
/** How long jobs that react to the end of the process may take, in milliseconds. */
const stopMs = 5_000;

/** When and under which key a job is enqueued. */
export interface EnqueueOptions {
  /** What the job is about, for jobs of which only one is to exist (`singleton`), and for `oncePerSeconds`. */
  readonly key?: string;
  /** Whose job it is, for kinds with `atOncePerGroup`. */
  readonly group?: string;
  /** Not before this moment. */
  readonly runAt?: Date;
  /** Only if none with this key was enqueued in the current period of so many seconds, by any process. */
  readonly oncePerSeconds?: number;
}

interface Registration {
  readonly job: Pick<Job<unknown>, 'name' | 'options'>;
  readonly carryOut: (job: JobWithMetadata) => Promise<void>;
  readonly giveUp: ((job: JobWithMetadata) => Promise<void>) | null;
}

/**
 * The queue of background jobs, in PostgreSQL, by pg-boss. A job is claimed by one process at a time, and fenced by its
 * attempt; if a process dies, its jobs are tried again by another one. It uses the connections of the server, needs no
 * session and no notices, so it works on the embedded database and through poolers in transaction mode.
 */
export class JobQueue {
  readonly #boss: PgBoss;
  readonly #logger: Logger;
  readonly #registered = new Map<string, Registration>();
  /** The workers by the name of the job. */
  readonly #workers = new Map<string, string>();
  readonly #wakes = new Set<NodeJS.Timeout>();
  readonly #closing = new AbortController();

  constructor({ database, logger }: { readonly database: Pick<OpenDatabase, 'query'>; readonly logger: Logger }) {
    this.#logger = logger;
    this.#boss = new PgBoss({
      db: withoutContext(database),
      schema,
      migrate: false,
      createSchema: false,
      schedule: false,
      reindex: false,
      monitorVacuum: false,
      superviseIntervalSeconds: superviseEverySeconds,
      monitorIntervalSeconds: superviseEverySeconds,
    });
    this.#boss.on('error', (error) => logger.warn({ err: error }, 'the queue of background jobs had an error'));
    this.#boss.on('warning', (warning) => logger.warn({ warning }, 'the queue of background jobs warns'));
  }

  /**
   * Says how a kind of job is carried out. Call it before `start`.
   * @param giveUp called when it has failed for the last time, or its process died at its last attempt
   */
  register<Payload>(job: Job<Payload>, work: JobWork<Payload>, giveUp?: (payload: Payload) => Promise<void>): void {
    if (this.#registered.has(job.name)) throw new Error(`The job ${job.name} is registered twice.`);
    this.#registered.set(job.name, {
      job,
      carryOut: (row) => this.#carryOut(job, work, row),
      giveUp: giveUp === undefined ? null : (row) => giveUp(job.payload.parse(row.data)),
    });
  }

  /** Begins to carry out jobs. */
  async start(): Promise<void> {
    await this.#boss.start();
    for (const registration of this.#registered.values()) await this.#begin(registration);
  }

  /**
   * Enqueues a job.
   * @param tx the transaction with which it comes into being, or not at all; null: none
   * @returns whether it was enqueued: not if one with its key exists (`singleton`, `oncePerSeconds`)
   */
  async enqueue<Payload extends object>(
    tx: Db | null,
    job: Job<Payload>,
    payload: Payload,
    { key, group, runAt, oncePerSeconds }: EnqueueOptions = {},
  ): Promise<boolean> {
    const id = await this.#boss.send(job.name, payload, {
      ...(tx === null ? {} : { db: fromPrisma(tx) }),
      ...(key === undefined ? {} : { singletonKey: key }),
      ...(group === undefined ? {} : { group: { id: group } }),
      ...(oncePerSeconds === undefined ? {} : { singletonSeconds: oncePerSeconds }),
      ...(runAt === undefined ? {} : { startAfter: runAt }),
    });
    this.#wakeSoon(job.name);
    return id !== null;
  }

  /** Takes no more jobs and aborts those that are running: they are carried out later, here or elsewhere. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error('The process stops.'));
    for (const timer of this.#wakes) clearTimeout(timer);
    await this.#boss.stop({ close: false, graceful: true, timeout: stopMs });
  }

  async #begin({ job, carryOut, giveUp }: Registration): Promise<void> {
    const { retry, timeoutSeconds, singleton, atOnce, atOncePerGroup } = job.options;
    const givenUp = `${job.name}.given-up`;
    if (giveUp !== null) {
      await this.#declare(givenUp, { ...retryOf({ limit: 20, delaySeconds: 5, maxDelaySeconds: 600 }) });
    }
    await this.#declare(job.name, {
      policy: singleton ? 'exclusive' : 'standard',
      ...retryOf(retry),
      expireInSeconds: timeoutSeconds,
      ...(giveUp === null ? {} : { deadLetter: givenUp }),
    });
    if (giveUp !== null) await this.#work(givenUp, { atOnce: 1, atOncePerGroup: null }, giveUp);
    await this.#work(job.name, { atOnce, atOncePerGroup }, carryOut);
  }

  /** Creates a queue, or changes the one that an earlier version has created. */
  async #declare(name: string, { policy = 'standard', ...options }: QueueSettings): Promise<void> {
    const settings = { heartbeatSeconds, deleteAfterSeconds, ...options };
    await this.#boss.createQueue(name, { policy, ...settings });
    await this.#boss.updateQueue(name, settings);
  }

  async #work(
    name: string,
    { atOnce, atOncePerGroup }: Pick<JobOptions, 'atOnce' | 'atOncePerGroup'>,
    handle: (job: JobWithMetadata) => Promise<void>,
  ): Promise<void> {
    const id = await this.#boss.work<object, void, WorkSettings>(
      name,
      {
        includeMetadata: true,
        pollingIntervalSeconds: pollEverySeconds,
        localConcurrency: atOnce,
        ...(atOncePerGroup === null ? {} : { localGroupConcurrency: atOncePerGroup }),
      },
      async (jobs) => {
        for (const job of jobs) await withoutCounting(null, () => handle(job));
      },
    );
    this.#workers.set(name, id);
  }

  async #carryOut<Payload>(job: Job<Payload>, work: JobWork<Payload>, row: JobWithMetadata): Promise<void> {
    const signal = AbortSignal.any([row.signal, this.#closing.signal]);
    const isLast = row.retryCount >= row.retryLimit;
    const measure = jobSeconds.startTimer({ job: job.name });
    const end = (outcome: string) => {
      measure();
      jobsEnded.inc({ job: job.name, outcome });
    };
    try {
      await work(job.payload.parse(row.data), { signal, retries: row.retryCount, isLast });
      end('completed');
    } catch (error) {
      if (this.#closing.signal.aborted) {
        end('handed_over');
        // As a new job: that this process stops is no failed attempt.
        const group = row.groupId == null ? {} : { group: { id: row.groupId } };
        if (!job.options.singleton && (await this.#boss.send(job.name, row.data, group)) !== null) return;
        throw error;
      }
      end(isLast ? 'failed' : 'retried');
      this.#logger.warn({ err: error, job: job.name, data: row.data, retries: row.retryCount, isLast }, 'a job failed');
      throw error;
    }
  }

  /** Has the job looked for when its transaction is committed; if that takes longer, it is found by polling. */
  #wakeSoon(name: string): void {
    const timer = setTimeout(() => {
      this.#wakes.delete(timer);
      const id = this.#workers.get(name);
      if (id !== undefined) void withoutCounting(null, async () => this.#boss.notifyWorker(id));
    }, wakeAfterMs);
    timer.unref();
    this.#wakes.add(timer);
  }
}

interface QueueSettings {
  readonly policy?: 'standard' | 'exclusive';
  readonly retryLimit: number;
  readonly retryDelay: number;
  readonly retryBackoff: boolean;
  readonly retryDelayMax: number;
  readonly expireInSeconds?: number;
  readonly deadLetter?: string;
}

interface WorkSettings {
  readonly includeMetadata: true;
  readonly pollingIntervalSeconds: number;
  readonly localConcurrency: number;
  readonly localGroupConcurrency?: number;
}

function retryOf({ limit, delaySeconds, maxDelaySeconds }: Job<unknown>['options']['retry']) {
  return { retryLimit: limit, retryDelay: delaySeconds, retryBackoff: true, retryDelayMax: maxDelaySeconds };
}

/** Its statements belong to no request, whoever happens to cause them. */
function withoutContext(database: Pick<OpenDatabase, 'query'>): NonNullable<ConstructorOptions['db']> {
  return {
    executeSql: (text, values = []) => withoutCounting(null, () => database.query(text, values)),
  };
}
