import type { Logger } from 'pino';
import type { AgentDependencies } from '../agents/dependencies.ts';
import type { CheckText } from '../attachments/fetch/address-reader.ts';
import type { StoredContent } from '../attachments/files.ts';
import type { ReadAddress } from '../attachments/store-file.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { KnownConversations } from '../conversations/known-conversations.ts';
import type { TitleQueue } from '../conversations/titles/title-job.ts';
import type { DatabaseAvailability } from '../database/availability.ts';
import type { ConfigurationStore } from '../database/change-configuration.ts';
import type { Database, OpenDatabase } from '../database/client.ts';
import type { TurnAborted } from '../engine/abort.ts';
import type { PastMessage } from '../engine/history.ts';
import type { CallDecision } from '../engine/paused-turn.ts';
import type { TurnLimits } from '../engine/plan.ts';
import type { ModelPort } from '../engine/ports.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Message, Run } from '../generated/prisma/client.ts';
import type { AttachingRuntime } from '../knowledge/attached-documents.ts';
import type { FairQueue } from '../limits/fair-queue.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { SharedConcurrencyLimit } from '../limits/shared-limit.ts';
import type { RunCursor } from '../log/cursor.ts';
import type { RunEventBuffer } from '../log/event-buffer.ts';
import type { LiveRunLogs } from '../log/live-logs.ts';
import type { RunReplays } from '../log/run-replays.ts';
import type { Notice, SharedLog } from '../log/shared-log.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';
import type { PauseState } from './frozen-turn.ts';
import type { StoredTurn } from './input.ts';
import type { JoiningMessages } from './joining.ts';
import type { LaunchingRuns } from './launching.ts';
import type { LeaseLost, Moment, RunLease } from './lease.ts';
import type { CompiledTurn } from './planned-turn.ts';
import type { ReplayRoom, ReserveBytes } from './replay-room.ts';

/** How large runs may become: beyond it the step ends with MODEL_ERROR, and what there is stays. */
export interface RunSizeLimits {
  readonly maxEvents: number;
  /** Bytes of text in all events: answers, reasoning, arguments and results of tools. */
  readonly maxBytes: number;
  /** Bytes of memory that the events of all runs of this process may take together, while they are carried out. */
  readonly maxLiveBytes: number;
}

/** Finds out what is in files of messages that nobody knows before a run needs it. */
export interface RunFiles {
  /**
   * Writes down what is said in a recording, by the speech-to-text provider of an agent.
   * @throws {SwitchboardError} if it cannot; the signal's reason if it is aborted
   */
  readonly transcribe: (
    viewer: Viewer,
    recording: { readonly agentId: string; readonly file: StoredContent },
    signal: AbortSignal,
  ) => Promise<string>;
  /**
   * Reads a file that a message has by its address, and stores what models are given of it: no message has it yet. Null: the
   * operator has switched that off. `check` checks its text before.
   * @throws {unknown} the signal's reason if it is aborted; an error of the database
   */
  readonly readAddress:
    | ((
        viewer: Viewer,
        file: { readonly name: string; readonly type: string; readonly url: string },
        signal: AbortSignal,
        check?: CheckText,
      ) => Promise<ReadAddress>)
    | null;
}

/** What runs are carried out with, as the operator has set it up. */
export interface RunDependencies {
  readonly db: Database;
  /** The same database over connections of its own, for the leases: they are renewed however busy the others are. */
  readonly upkeep: Pick<OpenDatabase, 'db'>;
  /** Whether the database answers. */
  readonly availability: Pick<DatabaseAvailability, 'assertAvailable' | 'destroyConnections'>;
  readonly model: ModelPort;
  readonly logger: Logger;
  /** Reads agents and resolves their providers. */
  readonly agents: AgentDependencies;
  readonly tools: ToolRegistry;
  /** What agents remember of users. */
  readonly memory: {
    /** The tools that save and find memories. */
    readonly toolNames: ReadonlySet<string>;
    /** Whether the operator has switched it on for a tenant. */
    isOn(tenantId: string): boolean;
    /**
     * What models are told that they remember of the viewer, as data between lines that no text in it can imitate. One statement.
     * @param projectId the row id of the project of the conversation; null: it is in none
     * @returns undefined: nothing
     */
    tell(viewer: Viewer, db: Database, projectId: string | null): Promise<string | undefined>;
  };
  /**
   * What `search_knowledge` searches for the agents of a conversation, in words for their models; by the row id of the agent.
   * From the cache of `store`. Ids are row ids.
   */
  readonly tellBases: (
    viewer: Viewer,
    store: ConfigurationStore,
    searchers: { readonly agentIds: readonly string[]; readonly projectId: string | null },
  ) => Promise<ReadonlyMap<string, string>>;
  readonly limits: TurnLimits;
  /** How large a run, and all together, may become. */
  readonly sizeLimits: RunSizeLimits;
  /** How many tokens of the past a model is given at most. */
  readonly historyTokens: number;
  /** Has a model make the titles of conversations; null: none does. */
  readonly titles: TitleQueue | null;
  /** Whether the reasoning of models is stored with the messages of a tenant. */
  readonly storesReasoning: (tenantId: string) => boolean;
  /** Wakes the readers of a user's conversations, on every instance. */
  readonly feed: ConversationFeed;
  /** Adds attachments of turns to the knowledge bases that they name. */
  readonly knowledge: AttachingRuntime;
  /** Finds out what is in the files of messages. */
  readonly files: RunFiles;
  /** Carries the events of live runs between instances; null: they are read in the database. */
  readonly sharedLog: SharedLog | null;
  /** How often a user may start a turn. */
  readonly turnLimit: RateLimit;
  /** How many turns of a user and of a tenant may run at the same time, on all instances together. */
  readonly openTurns: SharedConcurrencyLimit;
  /** Starts of turns, by conversation: one at a time, before a connection to the database is taken. */
  readonly startsByConversation: FairQueue;
  /** Starts of turns, by tenant: no tenant takes all connections to the database. */
  readonly startsByTenant: FairQueue;
  /** Conversations that need not be read to start their next turn. */
  readonly knownConversations: KnownConversations;
  /** Bounds what runs that have ended or wait for a person hold in memory. */
  readonly replayRoom: ReplayRoom;
  /** How long a run waits for a person, in seconds, before it is cancelled. */
  readonly approvalTtlSeconds: number;
  /** How long the writes of a run are tried again while the database is away, in milliseconds. */
  readonly outageMs: number;
  /** How long running turns may take to end when the server stops, in milliseconds. */
  readonly drainMs: number;
  /** Whether no other process can use this database: then a run that is RUNNING at start was left by a dead process. */
  readonly exclusive: boolean;
}

/** The runs that other instances carry out and that have readers here. */
export interface RemoteReaders {
  /** Whether the events of a run are read from another instance. */
  isFollowed(runId: string): boolean;
  /** Fills the buffer of a run with what another instance publishes of it, until it ends or nobody reads it here. */
  follow(runId: string): void;
  unfollow(runId: string): void;
  /**
   * The events of a run that goes on elsewhere, from the first one up to a seq at least.
   * @param reserve waited for with about as many bytes as they have, before they are read
   * @returns null if they cannot be read yet: ask again
   */
  readLive(runId: string, until: number, reserve: ReserveBytes): Promise<RunEventBuffer | null>;
  /** Tells the other instances something, at once; it may be lost. */
  announce(notice: Notice): void;
}

/** What every function of runs/ works with. The scheduler implements it; only boot knows the scheduler. */
export interface RunRuntime extends RunDependencies {
  /** Names this process in the leases of its runs. */
  readonly instanceId: string;
  readonly log: LiveRunLogs;
  /** The runs that have ended and are read. */
  readonly replays: RunReplays;
  readonly remote: RemoteReaders;
  /** The runs that this process carries out, by row id. */
  readonly running: ReadonlyMap<string, ActiveRun>;
  /** The runs whose lease this process is just asking for. */
  readonly launching: LaunchingRuns;
  /** Those who wait in this process until messages have joined a run. */
  readonly joining: JoiningMessages;
  /** The readers of runs in this process. */
  readonly cursors: Pick<Set<RunCursor>, 'add' | 'delete'>;
  /** Whether the server is stopping: no more runs are taken. */
  readonly closing: boolean;
  /** Whether the server is stopping, or sends its readers elsewhere first: whoever leaves has not gone away. */
  readonly sendingAway: boolean;
  /** Carries out a run whose row is RUNNING with the lease of this process, detached from its caller. */
  launch(request: LaunchRequest): ActiveRun;
}

/** The user message of a run that is the first of its conversation. */
export type OpeningMessage = PastMessage & Pick<Message, 'attachments'>;

/** A run that continues after a person has decided on its tool calls. */
export interface ResumedRun {
  readonly state: PauseState;
  /** By the model's call ids. */
  readonly decisions: ReadonlyMap<string, CallDecision>;
}

/** What is needed to carry out a run. */
export interface LaunchRequest {
  readonly viewer: Viewer;
  readonly run: Run;
  /** A moment before the lease of this process began. */
  readonly leasedAt: Moment;
  readonly stored: StoredTurn;
  /** Null: the run comes out of the queue, and is compiled with the agents and settings of that moment. */
  readonly turn: CompiledTurn | null;
  /** The user message, if the conversation begins with it: then no history is read. */
  readonly openingMessage: OpeningMessage | null;
  /** Where the run continues after its pause; null: it begins. */
  readonly resumed: ResumedRun | null;
  /** Whether another process has begun it and has died: it continues with what the rows hold (execute/take-over.ts). */
  readonly isTakeover: boolean;
}

/**
 * How a process lets go of a run: it has ended, it waits for a person and belongs to no process, or it belongs to another
 * process, or to whoever takes it over.
 */
export type RunOutcome = 'ended' | 'waiting' | 'lost';

/** A run that this process carries out. */
export interface ActiveRun extends LaunchRequest {
  readonly cancelOnDisconnect: boolean;
  readonly signal: AbortSignal;
  readonly lease: RunLease;
  readonly progress: RunProgress;
  /** Resolves when the rows of the run are written and its readers were notified. Never rejects. */
  readonly done: Promise<RunOutcome>;
  /**
   * Stops the run. A reason with a failure makes it fail; without one it is cancelled. A lost lease stops it without an
   * end: nothing of it is written or shown any more.
   */
  stop(reason: TurnAborted | LeaseLost): void;
}

/** The text of a message that is being written. */
export interface UnsavedText {
  readonly messageId: string;
  readonly content: string;
}

/** A message that is being written and has no row yet. */
export interface UnstoredText extends UnsavedText {
  readonly agentId: string;
  readonly step: number;
}

/** How far the rows of a run agree with its events. The checkpoints read it and note what they have saved. */
export interface RunProgress {
  /** Whether the status of the run is being changed: it is then no surprise that its row is not RUNNING any more. */
  readonly closing: boolean;
  /** The text of the open message if its row is behind; null if no message is open, or its row does not exist yet. */
  readonly unsaved: UnsavedText | null;
  /** Whether a checkpoint can bring the rows up to the log: not while the open message has no row. */
  readonly savable: boolean;
  /** Writes what was reported so far. Resolves when it is in the rows, or cannot be written. */
  written(): Promise<void>;
  /**
   * The message that is being written, if it has no row and nobody is writing one; null: there is none. What else waits for
   * the next write of the run is written.
   */
  takeUnstored(): UnstoredText | null;
  /** Notes that a row is written for a message; the run writes nothing meanwhile. @param writing the ids that were stored */
  noteStoring(text: UnsavedText, writing: Promise<ReadonlySet<string>>): void;
  /** Is told that a message waits to join the run, before its next model step. */
  readonly steering: { note(isSteered: boolean): void };
  /** Notes that a text of the open message is in its row. */
  noteSaved(text: UnsavedText): void;
  /** Notes that everything up to a seq is in the rows now. */
  noteCheckpoint(seq: number): void;
  /**
   * A seq up to which everything was in the rows before a moment (milliseconds of performance.now): a reader that read
   * the rows after it can attach after that seq and misses nothing.
   */
  savedSeqAt(moment: number): number;
}
