import DataLoader from 'dataloader';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { readAgentsById } from '../agents/read.ts';
import { UnauthenticatedError } from '../api/errors.ts';
import type { AttachmentRuntime } from '../attachments/runtime.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ContactDependencies } from '../contacts/dependencies.ts';
import type { ContextRuntime } from '../context/runtime.ts';
import type { Database } from '../database/client.ts';
import type { ExportRuntime } from '../exports/runtime.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Agent, KnowledgeDocument, Project } from '../generated/prisma/client.ts';
import { readDocumentsById } from '../knowledge/read.ts';
import type { KnowledgeRuntime } from '../knowledge/runtime.ts';
import type { SearchRuntime } from '../knowledge/search/search.ts';
import { AnswerBudget } from '../limits/answer-budget.ts';
import type { AnswerBytes } from '../limits/answer-bytes.ts';
import type { MemoryRuntime } from '../memories/runtime.ts';
import { readProjectsById } from '../projects/read.ts';
import type { RealtimeRuntime } from '../realtime/runtime.ts';
import { type ActiveAgentChoice, findActiveAgents } from '../runs/read/active-agent.ts';
import { findQueuePositions } from '../runs/read/queue-positions.ts';
import { sumConversationUsage, sumRunUsage, type Usage } from '../runs/read/usage.ts';
import type { RunRuntime } from '../runs/runtime.ts';
import type { SpeechRuntime } from '../speech/dependencies.ts';
import type { TicketRuntime } from '../tickets/runtime.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';
import type { WebhookRuntime } from '../webhooks/runtime.ts';

/** What the nouns of the graph work with, for all operations of this process. */
export interface Runtimes {
  readonly db: Database;
  /** Runs turns, and lets clients follow them. */
  readonly runs: RunRuntime;
  /** Delivers what happens in conversations, to all readers of their user. */
  readonly feed: ConversationFeed;
  /** Synthesizes and transcribes speech. */
  readonly speech: SpeechRuntime;
  /** What reading and changing contacts takes. */
  readonly contacts: ContactDependencies;
  /** Searches knowledge bases. */
  readonly search: SearchRuntime;
  /** Takes uploads for messages. */
  readonly attachments: AttachmentRuntime;
  /** Makes files of what is kept. */
  readonly exports: ExportRuntime;
  /** Makes context snapshots. */
  readonly snapshots: ContextRuntime;
  /** Changes what agents remember of users. */
  readonly memory: MemoryRuntime;
  /** Reads, changes and indexes knowledge. */
  readonly knowledge: KnowledgeRuntime;
  /** Carries out realtime sessions. */
  readonly realtime: RealtimeRuntime;
  /** Reads, changes and follows tickets. */
  readonly tickets: TicketRuntime;
  /** Reads, changes and sends webhooks. */
  readonly webhooks: WebhookRuntime;
  /** With what links to the front end begin. */
  readonly publicUrl: string;
}

/** What every resolver gets: the viewer and the dependencies. One per operation. */
export interface Context extends Runtimes {
  /** The authenticated user. Reading it throws UNAUTHENTICATED if there is none. */
  readonly viewer: Viewer;
  /** Whether there is a viewer, for the scopes of the root types. */
  readonly authenticated: boolean;
  /** The bytes that the answer may still read and return. Whoever sends the answer disposes of it. */
  readonly answer: AnswerBudget;
  /** What reading, changing and checking agents takes. */
  readonly agentDeps: AgentDependencies;
  /** All tools. */
  readonly tools: ToolRegistry;
  /** In the log line of the operation, and in masked errors. */
  readonly requestId: string;
  /** Aborts when the client disconnects before its response. Null over sockets: operations there run to their end. */
  readonly signal: AbortSignal | null;
  /** When the operation began, in milliseconds of performance.now. */
  readonly startedAt: number;
  /**
   * The seq of the viewer's last event when the query began, if it asks for one beside other things (event-seq.ts). Null:
   * the seq is read with the rows.
   */
  eventSeqAtStart: number | null;
  /** Agents by row id, for events that name them. Batched, and cached for the operation. */
  readonly agents: DataLoader<string, Agent | null>;
  /** Documents of knowledge bases by row id; null: deleted, or not for the viewer. Batched. */
  readonly documents: DataLoader<string, KnowledgeDocument | null>;
  /** Projects by row id, for rows that belong to one; null: the viewer may not read it. Batched. */
  readonly projects: DataLoader<string, Project | null>;
  /** The agent that answers next in a conversation, by row id, batched. */
  readonly activeAgents: DataLoader<ActiveAgentChoice, string | null, string>;
  /** The place of a queued run in its queue, by row id, batched; null: it is not queued. */
  readonly queuePositions: DataLoader<string, number | null>;
  /** Usage by the row id of a run, batched. */
  readonly usageOfRuns: DataLoader<string, Usage>;
  /** Usage by the row id of a conversation, batched. */
  readonly usageOfConversations: DataLoader<string, Usage>;
  /** Creates a context like this one with empty caches, for the next event of a subscription. */
  readonly renew: () => Context;
}

/** Creates the context of one operation. */
export function createContext(
  from: Runtimes & {
    readonly viewer: Viewer | null;
    /** As whom an operation without a viewer counts, which reads a shared conversation. */
    readonly stranger?: Viewer | null;
    readonly answers: AnswerBytes;
    readonly requestId: string;
    readonly signal?: AbortSignal | null;
  },
): Context {
  const { viewer, stranger = null, answers, requestId, signal = null, ...runtimes } = from;
  const { db, runs } = runtimes;
  const requireViewer = () => {
    if (!viewer) throw new UnauthenticatedError();
    return viewer;
  };
  const reader = viewer ?? stranger;
  const answer = reader && new AnswerBudget(answers, reader);
  const requireAnswer = () => {
    if (!answer) throw new UnauthenticatedError();
    return answer;
  };
  return {
    get viewer() {
      return requireViewer();
    },
    get answer() {
      return requireAnswer();
    },
    authenticated: viewer !== null,
    ...runtimes,
    agentDeps: runs.agents,
    tools: runs.tools,
    requestId,
    signal,
    startedAt: performance.now(),
    eventSeqAtStart: null,
    agents: new DataLoader((ids) => readAgentsById(requireViewer(), { db, answer: requireAnswer() }, ids)),
    documents: new DataLoader((ids) => readDocumentsById(requireViewer(), db, ids)),
    projects: new DataLoader((ids) => readProjectsById(requireViewer(), db, ids)),
    activeAgents: new DataLoader((conversations) => findActiveAgents(requireViewer(), runs, conversations), {
      cacheKeyFn: ({ id }) => id,
    }),
    queuePositions: new DataLoader((ids) => findQueuePositions(requireViewer(), db, ids)),
    usageOfRuns: new DataLoader((ids) => sumRunUsage(requireViewer(), db, ids)),
    usageOfConversations: new DataLoader((ids) => sumConversationUsage(requireViewer(), db, ids)),
    renew: () => createContext(from),
  };
}
