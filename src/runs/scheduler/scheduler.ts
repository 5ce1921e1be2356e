import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { AgentDependencies } from '../../agents/dependencies.ts';
import type { KnownConversations } from '../../conversations/known-conversations.ts';
import type { Database } from '../../database/client.ts';
import { withoutCounting } from '../../database/statements.ts';
import type { ModelPort } from '../../engine/ports.ts';
import type { ConversationFeed } from '../../feed/conversation-feed.ts';
import type { FairQueue } from '../../limits/fair-queue.ts';
import type { SharedConcurrencyLimit } from '../../limits/shared-limit.ts';
import type { RunCursor } from '../../log/cursor.ts';
import { LiveRunLogs } from '../../log/live-logs.ts';
import { RunReplays } from '../../log/run-replays.ts';
import type { Notice } from '../../log/shared-log.ts';
import type { ToolRegistry } from '../../tools/registry/registry.ts';
import { RunningTurn } from '../execute/running-turn.ts';
import { JoiningMessages } from '../joining.ts';
import { LaunchingRuns } from '../launching.ts';
import { LeaseLost, leaseMs } from '../lease.ts';
import { RemoteRuns } from '../remote/remote-runs.ts';
import { sweepPieces } from '../remote/stored-pieces.ts';
import { PieceWriter } from '../remote/write-pieces.ts';
import type { ReplayRoom } from '../replay-room.ts';
import type { ActiveRun, LaunchRequest, RunDependencies, RunRuntime, RunSizeLimits } from '../runtime.ts';
import { noteSteering } from '../steering-notices.ts';
import { releaseLeases } from '../transitions/release-leases.ts';
import { adoptRuns } from '../upkeep/adopt.ts';
import { boundLiveEvents } from '../upkeep/bound-live-events.ts';
import { checkpointRuns, stopIfCancelled, storeOpenMessages, watchLeases } from '../upkeep/checkpoint.ts';
import { LeaseWatch } from '../upkeep/lease-watch.ts';
import { recoverRuns, takeReleasedRuns } from '../upkeep/recover.ts';
import { syncRuns, syncRunsOfOtherInstances } from '../upkeep/sync-remote.ts';
import { BackgroundJobs, limitTime } from './background-jobs.ts';

const checkpointEveryMs = 500;
/** A message that is written in less time is stored once, where it is finished. */
const storeEveryMs = 500;
/**
 * How long a checkpoint may take. The server ends its statement before: if there is no answer at all, connections have
 * silently gone, and those of the turns may be among them.
 */
const checkpointTimeoutMs = 3_500;
const watchEveryMs = 250;
const releaseEveryMs = 500;
/** A reader of an archive that asks for no event for so long gives back its room, in milliseconds. */
const maxIdlePastMs = 5_000;
const adoptEveryMs = 1_000;
const syncEveryMs = 500;
/** How often events of other instances are read in the database, if they cannot be read in Redis. */
const pollEveryMs = 250;
const sweepEveryMs = 30_000;
/** The share of the memory for live events that those of other instances may take. */
const remoteShare = 0.25;
/** How long it may take to save the text of turns before they are stopped: what is not saved is taken back. */
const saveMs = 3_000;
/** How long the turns that are stopped for others to go on may take to end. */
const handOverMs = 5_000;
const recoverEveryMs = 2_000;
/** How long readers may take to read the end of their run when the server stops. */
const readerGraceMs = 1_000;
const readerGraceCheckMs = 10;

/**
 * Runs turns in this process: the active runs, their event buffers, and the background jobs that renew leases and recover
 * lost runs. Only boot knows this class; everything else sees a RunRuntime.
 */
export class RunScheduler implements RunRuntime {
  readonly db: Database;
  readonly upkeep: RunDependencies['upkeep'];
  readonly availability: RunDependencies['availability'];
  readonly model: ModelPort;
  readonly logger: Logger;
  readonly agents: AgentDependencies;
  readonly tools: ToolRegistry;
  readonly tellBases: RunDependencies['tellBases'];
  readonly memory: RunDependencies['memory'];
  readonly limits: RunDependencies['limits'];
  readonly sizeLimits: RunSizeLimits;
  readonly historyTokens: number;
  readonly titles: RunDependencies['titles'];
  readonly storesReasoning: RunDependencies['storesReasoning'];
  readonly files: RunDependencies['files'];
  readonly outageMs: number;
  readonly drainMs: number;
  readonly exclusive: boolean;
  readonly sharedLog: RunDependencies['sharedLog'];
  readonly turnLimit: RunDependencies['turnLimit'];
  readonly openTurns: SharedConcurrencyLimit;
  readonly startsByConversation: FairQueue;
  readonly startsByTenant: FairQueue;
  readonly knownConversations: KnownConversations;
  readonly replayRoom: ReplayRoom;
  readonly approvalTtlSeconds: number;
  readonly feed: ConversationFeed;
  readonly knowledge: RunDependencies['knowledge'];
  readonly instanceId = randomUUID();
  readonly log = new LiveRunLogs();
  readonly replays = new RunReplays();
  readonly running = new Map<string, ActiveRun>();
  readonly launching = new LaunchingRuns();
  readonly joining = new JoiningMessages();
  readonly cursors = new Set<RunCursor>();
  readonly remote: RemoteRuns = new RemoteRuns(this, (notice) => this.#hear(notice));
  readonly #pieces = new PieceWriter(this);
  readonly #jobs: BackgroundJobs;
  #closing = false;
  #sendingAway = false;

  constructor(dependencies: RunDependencies) {
    this.db = dependencies.db;
    this.upkeep = dependencies.upkeep;
    this.availability = dependencies.availability;
    this.model = dependencies.model;
    this.logger = dependencies.logger;
    this.agents = dependencies.agents;
    this.tools = dependencies.tools;
    this.tellBases = dependencies.tellBases;
    this.memory = dependencies.memory;
    this.limits = dependencies.limits;
    this.sizeLimits = dependencies.sizeLimits;
    this.historyTokens = dependencies.historyTokens;
    this.titles = dependencies.titles;
    this.storesReasoning = dependencies.storesReasoning;
    this.files = dependencies.files;
    this.outageMs = dependencies.outageMs;
    this.drainMs = dependencies.drainMs;
    this.exclusive = dependencies.exclusive;
    this.sharedLog = dependencies.sharedLog;
    this.turnLimit = dependencies.turnLimit;
    this.openTurns = dependencies.openTurns;
    this.startsByConversation = dependencies.startsByConversation;
    this.startsByTenant = dependencies.startsByTenant;
    this.knownConversations = dependencies.knownConversations;
    this.replayRoom = dependencies.replayRoom;
    this.approvalTtlSeconds = dependencies.approvalTtlSeconds;
    this.feed = dependencies.feed;
    this.knowledge = dependencies.knowledge;
    this.#jobs = new BackgroundJobs(dependencies.logger);
  }

  /** Ends the runs that a dead process left, then begins the background jobs. Call it before serving. */
  async start(): Promise<void> {
    await recoverRuns(this, { all: this.exclusive });
    const timeoutMs = leaseMs / 2;
    const checkpoint = {
      everyMs: checkpointEveryMs,
      timeoutMs: checkpointTimeoutMs,
      onHang: () => this.availability.destroyConnections(),
    };
    this.#jobs.repeat('checkpoint', checkpoint, async () => this.#pieces.write(await checkpointRuns(this)));
    this.#jobs.repeat('store', { ...checkpoint, everyMs: storeEveryMs }, () => storeOpenMessages(this));
    this.#jobs.repeat('watch', { everyMs: watchEveryMs, timeoutMs }, async () => watchLeases(this));
    this.#jobs.repeat('release', { everyMs: releaseEveryMs, timeoutMs }, async () => this.#boundEvents());
    this.#jobs.repeat('adopt', { everyMs: adoptEveryMs, timeoutMs }, () => adoptRuns(this));
    this.#jobs.repeat('sync', { everyMs: syncEveryMs, timeoutMs: null }, () => syncRunsOfOtherInstances(this));
    this.#jobs.repeat('poll', { everyMs: pollEveryMs, timeoutMs: null }, () => this.remote.poll());
    if (!this.exclusive)
      this.#jobs.repeat('sweep', { everyMs: sweepEveryMs, timeoutMs: null }, () => sweepPieces(this.db));
    this.sharedLog?.read(this.remote);
    const watch = new LeaseWatch();
    const recover = () => recoverRuns(this, { all: false, watch });
    this.#jobs.repeat('recover', { everyMs: recoverEveryMs, timeoutMs: null }, recover);
  }

  /** Whether the leases of the runs are renewed in time. */
  get isRenewing(): boolean {
    return this.#jobs.sinceGoodMs('checkpoint') < leaseMs;
  }

  get closing(): boolean {
    return this.#closing;
  }

  get sendingAway(): boolean {
    return this.#closing || this.#sendingAway;
  }

  /** Call it before readers are sent elsewhere. Runs are still taken. */
  sendAway(): void {
    this.#sendingAway = true;
  }

  launch(request: LaunchRequest): ActiveRun {
    this.launching.done(request.run.id);
    // It was taken up by its row before the answer to its start was read (adopt.ts).
    const known = this.running.get(request.run.id);
    if (known && known.run.leaseEpoch > request.run.leaseEpoch) return known;
    this.remote.unfollow(request.run.id);
    const buffer = this.log.open(request.run.id);
    buffer.showUpTo(request.run.reservedSeq);
    // Its readers elsewhere wait, or follow its former owner.
    if (request.turn === null) this.remote.announce({ type: 'changed', runId: request.run.id });
    const publication = this.sharedLog?.publish(request.run, buffer);
    const active = new RunningTurn(this, request, (turn) => this.#release(turn));
    this.running.set(active.run.id, active);
    const open = this.openTurns.add(request.viewer);
    void active.done.then((outcome) => {
      open[Symbol.dispose]();
      if (outcome === 'lost') publication?.abandon();
      else publication?.finish();
      if (outcome === 'lost') this.launching.noteLost(active.run.id);
    });
    return active;
  }

  /** Looks at the rows that another instance speaks of. */
  #hear(notice: Notice): void {
    if (this.#closing && notice.type === 'released') return;
    const look = async () => {
      switch (notice.type) {
        case 'cancel':
          return stopIfCancelled(this, notice.runId);
        case 'changed':
          return syncRuns(this, [notice.runId]);
        case 'steered':
          return noteSteering(this, notice.conversationId);
        case 'joined':
          return this.joining.wake(notice.conversationId);
        case 'released':
          return takeReleasedRuns(this);
      }
    };
    withoutCounting(null, look).catch((error: unknown) =>
      // The background jobs find it.
      this.logger.warn({ err: error, notice: notice.type }, 'could not follow a notice of another instance'),
    );
  }

  #release(turn: ActiveRun): void {
    // A run that was paused can have been continued here before this.
    if (this.running.get(turn.run.id) === turn) this.running.delete(turn.run.id);
  }

  /**
   * Stops: no new runs. Running turns get some seconds to end; then their leases are given back: another instance or
   * the next start finds them. Resolves when everything is written and the readers have been notified.
   * @param drainMs how long running turns get, in milliseconds
   */
  async close(drainMs = this.drainMs): Promise<void> {
    this.#closing = true;
    const drained = () => Promise.all([...this.running.values()].map((active) => active.done));
    // A turn that was started just before is launched while the others drain.
    const drain = async () => {
      while (this.running.size > 0) await drained();
    };
    await Promise.race([drain(), sleep(drainMs, undefined, { ref: false })]);
    await this.#handOver();
    await this.#jobs.stop();
    await this.#pieces.settle();
    // A round that had begun before may have launched one more.
    await this.#handOver();
    // The end of each run is in its buffer now; it has been sent to the readers once they ask for more.
    const last = performance.now() + readerGraceMs;
    while ([...this.cursors].some((cursor) => cursor.hasUnreadEnd) && performance.now() < last)
      await sleep(readerGraceCheckMs);
  }

  /**
   * Bounds the events in memory: stops runs that hold too much together, and lets go of what is in archives, of runs that
   * have ended or wait and of readers that do not read.
   */
  #boundEvents(): void {
    boundLiveEvents(this);
    this.remote.releaseRead(this.sizeLimits.maxLiveBytes * remoteShare);
    this.replayRoom.releaseSettled();
    for (const cursor of this.cursors) cursor.releaseIdlePast(maxIdlePastMs);
  }

  async #handOver(): Promise<void> {
    while (this.running.size > 0) {
      const left = [...this.running.values()];
      // Their text so far is saved, so that as little as possible is taken back from their readers.
      const save = async () => {
        await storeOpenMessages(this);
        await checkpointRuns(this);
      };
      await limitTime(save(), { timeoutMs: saveMs }).catch((error: unknown) =>
        this.logger.warn({ err: error }, 'could not save the last text'),
      );
      for (const active of left) active.stop(new LeaseLost(active.run.id));
      const ended = new Set<ActiveRun>();
      const endings = left.map((active) => active.done.then(() => ended.add(active)));
      // One that does not end does not hold up the others: its own lease ends by itself.
      await Promise.race([Promise.all(endings), sleep(handOverMs, undefined, { ref: false })]);
      for (const { run } of left.filter((active) => !ended.has(active))) {
        this.running.delete(run.id);
        this.logger.warn({ runId: run.id }, 'a turn does not end: its lease is not given back');
      }
      const runs = [...ended].map(({ run }) => run);
      await releaseLeases(this, runs).catch((error: unknown) =>
        // They are taken over when their leases end.
        this.logger.warn({ err: error }, 'could not give back the leases of runs'),
      );
      this.remote.announce({ type: 'released' });
      this.logger.info({ runs: runs.length }, 'gave back the leases of turns that did not end in time');
    }
  }
}
