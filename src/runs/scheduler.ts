import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import { TurnAborted } from '../engine/abort.ts';
import type { CallDecision } from '../engine/paused-turn.ts';
import type { TurnLimits } from '../engine/plan.ts';
import type { ModelPort } from '../engine/ports.ts';
import type { Message, Run } from '../generated/prisma/client.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import type { RunCursor } from '../log/cursor.ts';
import { LiveRunLogs } from '../log/live-logs.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';
import { executeRun } from './execute/execute.ts';
import type { RunRecorder } from './execute/recorder.ts';
import type { PauseState } from './frozen-turn.ts';
import type { StoredTurn } from './input.ts';
import type { CompiledTurn } from './plan/plan-turn.ts';
import { checkpointRuns } from './upkeep/checkpoint.ts';
import { recoverRuns } from './upkeep/recover.ts';
import { syncRunsOfOtherInstances } from './upkeep/sync-remote.ts';

/** What a host is made of. */
export interface RunSchedulerOptions {
  readonly db: Database;
  readonly model: ModelPort;
  readonly logger: Logger;
  /** Where agents are kept and their providers reached. */
  readonly agents: AgentDependencies;
  readonly tools: ToolRegistry;
  readonly limits: TurnLimits;
  /** How much of the past a model is given, in tokens. */
  readonly historyTokens: number;
  readonly feed: ConversationFeed;
  /** How often a user may start a turn. */
  readonly turnLimit: RateLimit;
  /** How long a run waits for a person before it is cancelled. */
  readonly approvalTtlSeconds: number;
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
  /** Where it goes on after its pause; null: it begins. */
  readonly resumed: ResumedRun | null;
  readonly controller: AbortController;
  readonly cancelOnDisconnect: boolean;
  /** Set once its execution has begun. */
  recorder: RunRecorder | null;
  /** Whether it waits for a person now, and is carried out no more. */
  paused: boolean;
  /** Resolves when its rows are written and its log is closed, or when it waits for a person; never rejects. */
  done: Promise<void>;
}

/** A run that goes on after a person has decided. */
export interface ResumedRun {
  readonly state: PauseState;
  /** By the model's call ids. */
  readonly decisions: ReadonlyMap<string, CallDecision>;
}

/** What a run is carried out with. */
export interface LaunchRequest extends Pick<ActiveRun, 'viewer' | 'run' | 'stored'> {
  readonly turn?: CompiledTurn;
  readonly first?: Message | null;
  readonly resumed?: ResumedRun;
}

const checkpointEveryMs = 500;
/** How long a run is believed to be alive after its process was last heard of. */
export const leaseMs = 10_000;
const recoverEveryMs = 5_000;
const drainTimeoutMs = 5_000;
/** How long readers are given to take the end of their run when the server stops. */
const readerGraceMs = 1_000;
const readerGraceCheckMs = 10;

/** Where turns run: the runs of this process, its hot log, and the clockwork that keeps them safe. */
export class RunScheduler {
  readonly db: Database;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly agents: AgentDependencies;
  readonly tools: ToolRegistry;
  readonly limits: TurnLimits;
  readonly historyTokens: number;
  readonly exclusive: boolean;
  readonly turnLimit: RateLimit;
  readonly approvalTtlSeconds: number;
  /** Names this process in the leases of its runs. */
  readonly instanceId = randomUUID();
  readonly log = new LiveRunLogs();
  /** Tells the readers of conversations what happens in them. */
  readonly feed: ConversationFeed;
  readonly active = new Map<string, ActiveRun>();
  /** Who follows a run from here. */
  readonly cursors = new Set<RunCursor>();
  #timers: NodeJS.Timeout[] = [];
  #working = new Set<Promise<void>>();
  #closing = false;

  constructor(options: RunSchedulerOptions) {
    this.db = options.db;
    this.model = options.model;
    this.logger = options.logger;
    this.agents = options.agents;
    this.tools = options.tools;
    this.limits = options.limits;
    this.historyTokens = options.historyTokens;
    this.exclusive = options.exclusive;
    this.feed = options.feed;
    this.turnLimit = options.turnLimit;
    this.approvalTtlSeconds = options.approvalTtlSeconds;
  }

  /** Ends the runs that a dead process left, then starts the clockwork. Call it before serving. */
  async start(): Promise<void> {
    await recoverRuns(this, { all: this.exclusive });
    this.#every(checkpointEveryMs, () => checkpointRuns(this));
    this.#every(checkpointEveryMs, () => syncRunsOfOtherInstances(this));
    this.#every(recoverEveryMs, () => recoverRuns(this, { all: false }));
  }

  /** Whether it takes no more runs. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Carries out a run, detached from whoever asked for it. Its row says RUNNING, with the lease of this process. */
  launch({ viewer, run, stored, turn, first, resumed }: LaunchRequest): ActiveRun {
    const active: ActiveRun = {
      viewer,
      run,
      stored,
      turn: turn ?? null,
      first: first ?? null,
      resumed: resumed ?? null,
      controller: new AbortController(),
      cancelOnDisconnect: stored.onDisconnect === 'CANCEL',
      recorder: null,
      paused: false,
      done: Promise.resolve(),
    };
    // Whoever was on the way in when the server began to stop is told so, and can try again elsewhere.
    if (this.#closing) active.controller.abort(new TurnAborted(interrupted));
    this.active.set(run.id, active);
    this.log.open(run.id);
    active.done = executeRun(this, active)
      .catch((error: unknown) => this.logger.error({ err: error, runId: run.id }, 'a run ended without its rows'))
      .finally(() => {
        // One that was paused can have been taken up again before this.
        if (this.active.get(run.id) === active) this.active.delete(run.id);
      });
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
    const drainTimeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainTimeoutMs);
    });
    await Promise.race([drained(), drainTimeout]);
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
    const last = performance.now() + readerGraceMs;
    while ([...this.cursors].some((cursor) => cursor.ending) && performance.now() < last)
      await sleep(readerGraceCheckMs);
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
