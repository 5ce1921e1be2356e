import DataLoader from 'dataloader';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { readAgentsById } from '../agents/read.ts';
import { UnauthenticatedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { ContextRuntime } from '../context/runtime.ts';
import type { Database } from '../database/client.ts';
import type { ConversationFeed } from '../feed/conversation-feed.ts';
import type { Agent } from '../generated/prisma/client.ts';
import { AnswerBudget } from '../limits/answer-budget.ts';
import type { AnswerBytes } from '../limits/answer-bytes.ts';
import type { RealtimeRuntime } from '../realtime/runtime.ts';
import { type ActiveAgentChoice, findActiveAgents } from '../runs/read/active-agent.ts';
import { findQueuePositions } from '../runs/read/queue-positions.ts';
import { sumConversationUsage, sumRunUsage, type Usage } from '../runs/read/usage.ts';
import type { RunRuntime } from '../runs/runtime.ts';
import type { SpeechRuntime } from '../speech/dependencies.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';

/** What every resolver gets: the viewer and the dependencies. One per operation. */
export interface Context {
  /** The authenticated user. Reading it throws UNAUTHENTICATED if there is none. */
  readonly viewer: Viewer;
  /** Whether there is a viewer, for the scopes of the root types. */
  readonly authenticated: boolean;
  readonly db: Database;
  /** The bytes that the answer may still read and return. Whoever sends the answer disposes of it. */
  readonly answer: AnswerBudget;
  /** Runs turns, and lets clients follow them. */
  readonly runs: RunRuntime;
  /** Delivers what happens in conversations, to all readers of their user. */
  readonly feed: ConversationFeed;
  /** What reading, changing and checking agents takes. */
  readonly agentDeps: AgentDependencies;
  /** Synthesizes and transcribes speech. */
  readonly speech: SpeechRuntime;
  /** Makes context snapshots. */
  readonly snapshots: ContextRuntime;
  /** Carries out realtime sessions. */
  readonly realtime: RealtimeRuntime;
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
export function createContext(from: {
  viewer: Viewer | null;
  db: Database;
  runs: RunRuntime;
  feed: ConversationFeed;
  speech: SpeechRuntime;
  snapshots: ContextRuntime;
  realtime: RealtimeRuntime;
  answers: AnswerBytes;
  requestId: string;
  signal?: AbortSignal | null;
}): Context {
  const { viewer, db, runs, feed, speech, snapshots, realtime, answers, requestId, signal = null } = from;
  const requireViewer = () => {
    if (!viewer) throw new UnauthenticatedError();
    return viewer;
  };
  const answer = viewer && new AnswerBudget(answers, viewer);
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
    db,
    runs,
    feed,
    speech,
    snapshots,
    realtime,
    agentDeps: runs.agents,
    tools: runs.tools,
    requestId,
    signal,
    startedAt: performance.now(),
    eventSeqAtStart: null,
    agents: new DataLoader((ids) => readAgentsById(requireViewer(), { db, answer: requireAnswer() }, ids)),
    activeAgents: new DataLoader((conversations) => findActiveAgents(requireViewer(), runs, conversations), {
      cacheKeyFn: ({ id }) => id,
    }),
    queuePositions: new DataLoader((ids) => findQueuePositions(requireViewer(), db, ids)),
    usageOfRuns: new DataLoader((ids) => sumRunUsage(requireViewer(), db, ids)),
    usageOfConversations: new DataLoader((ids) => sumConversationUsage(requireViewer(), db, ids)),
    renew: () => createContext(from),
  };
}
