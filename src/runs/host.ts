import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../db.ts';
import { TurnAborted } from '../engine/abort.ts';
import type { TurnLimits } from '../engine/plan.ts';
import type { ModelEndpoint, ModelPort } from '../engine/ports.ts';
import type { Message, Run } from '../generated/prisma/client.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import type { RunCursor } from '../log/cursor.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { RateLimit } from '../rate-limit.ts';
import { checkpointRuns } from './checkpoint.ts';
import type { CompiledTurn } from './compile.ts';
import { executeRun } from './execute.ts';
import type { StoredTurn } from './input.ts';
import type { RunRecorder } from './record.ts';
import { recoverRuns } from './recover.ts';
import { fillRemoteTails } from './remote.ts';

/** What a host is made of. */
export interface RunHostOptions {
  readonly db: Database;
  readonly model: ModelPort;
  readonly logger: Logger;
  /** The model of agents that name none of their own. */
  readonly endpoint: ModelEndpoint;
  readonly limits: TurnLimits;
  /** How much of the past a model is given, in tokens. */
  readonly historyTokens: number;
  readonly feed: ConversationFeed;
  /** How often a user may start a turn. */
  readonly turnLimit: RateLimit;
  /** Whether no other process can be on this database: whatever runs in it at start was left by a dead one. */
  readonly exclusive: boolean;
}

/** A run that this process carries out. */
export interface ActiveRun {
  readonly viewer: Viewer;
  readonly run: Run;
  readonly stored: StoredTurn;
  /** Null until it is compiled: a run that comes out of the queue takes the agents and settings as they are then. */
  turn: CompiledTurn | null;
  /** The user message, where the conversation begins with it: then there is no past to read. */
  readonly first: Message | null;
  readonly controller: AbortController;
  readonly cancelOnDisconnect: boolean;
  /** Set once its execution has begun. */
  recorder: RunRecorder | null;
  /** Resolves when its rows are written and its log is closed; never rejects. */
  done: Promise<void>;
}

const checkpointEveryMs = 500;
/** How long a run is believed to be alive after its process was last heard of. */
export const leaseMs = 10_000;
const recoverEveryMs = 5_000;
const drainMs = 5_000;
/** How long readers are given to take the end of their run when the server stops. */
const farewellMs = 1_000;
const farewellCheckMs = 10;

/** Where turns run: the runs of this process, its hot log, and the clockwork that keeps them safe. */
export class RunHost {
  readonly db: Database;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly endpoint: ModelEndpoint;
  readonly limits: TurnLimits;
  readonly historyTokens: number;
  readonly exclusive: boolean;
  readonly turnLimit: RateLimit;
  /** Names this process in the leases of its runs. */
  readonly instanceId = randomUUID();
  readonly log = new MemoryLog();
  /** Tells the readers of conversations what happens in them. */
  readonly feed: ConversationFeed;
  readonly active = new Map<string, ActiveRun>();
  /** Who follows a run from here. */
  readonly cursors = new Set<RunCursor>();
  #timers: NodeJS.Timeout[] = [];
  #working = new Set<Promise<void>>();
  #closing = false;

  constructor(options: RunHostOptions) {
    this.db = options.db;
    this.model = options.model;
    this.logger = options.logger;
    this.endpoint = options.endpoint;
    this.limits = options.limits;
    this.historyTokens = options.historyTokens;
    this.exclusive = options.exclusive;
    this.feed = options.feed;
    this.turnLimit = options.turnLimit;
  }

  /** Ends the runs that a dead process left, then starts the clockwork. Call it before serving. */
  async start(): Promise<void> {
    await recoverRuns(this, { all: this.exclusive });
    this.#every(checkpointEveryMs, () => checkpointRuns(this));
    this.#every(checkpointEveryMs, () => fillRemoteTails(this));
    this.#every(recoverEveryMs, () => recoverRuns(this, { all: false }));
  }

  /** Whether it takes no more runs. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Carries out a run, detached from whoever asked for it. Its row says RUNNING, with the lease of this process. */
  launch(
    viewer: Viewer,
    run: Run,
    stored: StoredTurn,
    known: { readonly turn: CompiledTurn; readonly first: Message | null } | null = null,
  ): ActiveRun {
    const active: ActiveRun = {
      viewer,
      run,
      stored,
      turn: known?.turn ?? null,
      first: known?.first ?? null,
      controller: new AbortController(),
      cancelOnDisconnect: stored.onDisconnect === 'CANCEL',
      recorder: null,
      done: Promise.resolve(),
    };
    // Whoever was on the way in when the server began to stop is told so, and can try again elsewhere.
    if (this.#closing) active.controller.abort(new TurnAborted(interrupted));
    this.active.set(run.id, active);
    this.log.open(run.id);
    active.done = executeRun(this, active)
      .catch((error: unknown) => this.logger.error({ err: error, runId: run.id }, 'a run ended without its rows'))
      .finally(() => this.active.delete(run.id));
    return active;
  }

  /**
   * Stops: no new runs; those that are on their way get some seconds, then they fail as INTERRUPTED with what they
   * have. Resolves when everything is written and the readers have been told.
   */
  async close(): Promise<void> {
    this.#closing = true;
    const drained = () => Promise.all([...this.active.values()].map((active) => active.done));
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs);
    });
    await Promise.race([drained(), patience]);
    clearTimeout(timer);
    const interruptAll = async () => {
      while (this.active.size > 0) {
        for (const active of this.active.values()) active.controller.abort(new TurnAborted(interrupted));
        await drained();
      }
    };
    await interruptAll();
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#working);
    // A round of the clockwork that had begun before may have taken up one more.
    await interruptAll();
    // The end of a run is in its log now; it is on its way to the readers until they have asked for more.
    const last = performance.now() + farewellMs;
    while ([...this.cursors].some((cursor) => cursor.ending) && performance.now() < last) await sleep(farewellCheckMs);
  }

  #every(ms: number, work: () => Promise<void>): void {
    let running = false;
    const timer = setInterval(() => {
      // A round that is late is skipped, never doubled.
      if (running) return;
      running = true;
      const round = work()
        .catch((error: unknown) => this.logger.error({ err: error }, 'a round of the run clockwork failed'))
        .finally(() => {
          running = false;
          this.#working.delete(round);
        });
      this.#working.add(round);
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }
}

/** What a run fails of when its process ends before it does. */
export const interrupted = {
  code: 'INTERRUPTED',
  message: 'The server stopped while this turn was running. The text so far is kept.',
  retryable: true,
} as const;
