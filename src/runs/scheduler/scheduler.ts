import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { AgentDependencies } from '../../agents/dependencies.ts';
import type { Database } from '../../database/client.ts';
import { TurnAborted } from '../../engine/abort.ts';
import type { TurnLimits } from '../../engine/plan.ts';
import type { ModelPort } from '../../engine/ports.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { FairQueue } from '../../limits/fair-queue.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import type { RunCursor } from '../../log/cursor.ts';
import { LiveRunLogs } from '../../log/live-logs.ts';
import { RunReplays } from '../../log/run-replays.ts';
import type { ToolRegistry } from '../../tools/registry/registry.ts';
import { RunningTurn } from '../execute/running-turn.ts';
import { LaunchingRuns } from '../launching.ts';
import { interrupted } from '../run-end.ts';
import type { ActiveRun, LaunchRequest, RunDependencies, RunRuntime, RunSizeLimits } from '../runtime.ts';
import { adoptRuns } from '../upkeep/adopt.ts';
import { checkpointRuns, watchLeases } from '../upkeep/checkpoint.ts';
import { recoverRuns } from '../upkeep/recover.ts';
import { syncRunsOfOtherInstances } from '../upkeep/sync-remote.ts';
import { BackgroundJobs } from './background-jobs.ts';

const checkpointEveryMs = 500;
const watchEveryMs = 250;
const adoptEveryMs = 1_000;
const syncEveryMs = 500;
const recoverEveryMs = 5_000;
/** How long running turns may take to end when the server stops. */
const drainTimeoutMs = 5_000;
/** How long readers may take to read the end of their run when the server stops. */
const readerGraceMs = 1_000;
const readerGraceCheckMs = 10;

/**
 * Runs turns in this process: the active runs, their event buffers, and the background jobs that renew leases and recover
 * lost runs. Only boot knows this class; everything else sees a RunRuntime.
 */
export class RunScheduler implements RunRuntime {
  readonly db: Database;
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly agents: AgentDependencies;
  readonly tools: ToolRegistry;
  readonly limits: TurnLimits;
  readonly sizeLimits: RunSizeLimits;
  readonly historyTokens: number;
  readonly outageMs: number;
  readonly exclusive: boolean;
  readonly turnLimit: RateLimit;
  readonly openTurns: ConcurrencyLimit;
  readonly startsByConversation: FairQueue;
  readonly startsByTenant: FairQueue;
  readonly approvalTtlSeconds: number;
  readonly feed: ConversationFeed;
  readonly instanceId = randomUUID();
  readonly log = new LiveRunLogs();
  readonly replays = new RunReplays();
  readonly running = new Map<string, ActiveRun>();
  readonly launching = new LaunchingRuns();
  readonly cursors = new Set<RunCursor>();
  readonly #jobs: BackgroundJobs;
  #closing = false;

  constructor(dependencies: RunDependencies) {
    this.db = dependencies.db;
    this.model = dependencies.model;
    this.logger = dependencies.logger;
    this.agents = dependencies.agents;
    this.tools = dependencies.tools;
    this.limits = dependencies.limits;
    this.sizeLimits = dependencies.sizeLimits;
    this.historyTokens = dependencies.historyTokens;
    this.outageMs = dependencies.outageMs;
    this.exclusive = dependencies.exclusive;
    this.turnLimit = dependencies.turnLimit;
    this.openTurns = dependencies.openTurns;
    this.startsByConversation = dependencies.startsByConversation;
    this.startsByTenant = dependencies.startsByTenant;
    this.approvalTtlSeconds = dependencies.approvalTtlSeconds;
    this.feed = dependencies.feed;
    this.#jobs = new BackgroundJobs(dependencies.logger);
  }

  /** Ends the runs that a dead process left, then begins the background jobs. Call it before serving. */
  async start(): Promise<void> {
    await recoverRuns(this, { all: this.exclusive });
    this.#jobs.repeat('checkpoint', checkpointEveryMs, () => checkpointRuns(this));
    this.#jobs.repeat('watch', watchEveryMs, async () => watchLeases(this));
    this.#jobs.repeat('adopt', adoptEveryMs, () => adoptRuns(this));
    this.#jobs.repeat('sync', syncEveryMs, () => syncRunsOfOtherInstances(this));
    this.#jobs.repeat('recover', recoverEveryMs, () => recoverRuns(this, { all: false }));
  }

  get closing(): boolean {
    return this.#closing;
  }

  launch(request: LaunchRequest): ActiveRun {
    this.launching.done(request.run.id);
    // It was taken up by its row before the answer to its start was read (adopt.ts).
    const known = this.running.get(request.run.id);
    if (known && known.run.leaseEpoch > request.run.leaseEpoch) return known;
    this.log.open(request.run.id).showUpTo(request.run.reservedSeq);
    // A request that was being handled when the server began to stop fails immediately, and can be tried again elsewhere.
    const stopped = this.#closing ? new TurnAborted(interrupted) : null;
    const active = new RunningTurn(this, request, { stopped, release: (turn) => this.#release(turn) });
    this.running.set(active.run.id, active);
    const open = this.openTurns.add(request.viewer);
    void active.done.finally(() => open[Symbol.dispose]());
    return active;
  }

  #release(turn: ActiveRun): void {
    // A run that was paused can have been continued here before this.
    if (this.running.get(turn.run.id) === turn) this.running.delete(turn.run.id);
  }

  /**
   * Stops: no new runs. Running turns get some seconds to end; then they fail as INTERRUPTED with the text so far.
   * Resolves when everything is written and the readers have been notified.
   */
  async close(): Promise<void> {
    this.#closing = true;
    const drained = () => Promise.all([...this.running.values()].map((active) => active.done));
    let timer: NodeJS.Timeout | undefined;
    const drainTimeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainTimeoutMs);
    });
    await Promise.race([drained(), drainTimeout]);
    clearTimeout(timer);
    const interruptAll = async () => {
      while (this.running.size > 0) {
        for (const active of this.running.values()) active.stop(new TurnAborted(interrupted));
        await drained();
      }
    };
    await interruptAll();
    await this.#jobs.stop();
    // A round that had begun before may have launched one more.
    await interruptAll();
    // The end of each run is in its buffer now; it has been sent to the readers once they ask for more.
    const last = performance.now() + readerGraceMs;
    while ([...this.cursors].some((cursor) => cursor.hasUnreadEnd) && performance.now() < last)
      await sleep(readerGraceCheckMs);
  }
}
