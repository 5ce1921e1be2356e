import DataLoader from 'dataloader';
import type { AgentDependencies } from '../agents/dependencies.ts';
import { UnauthenticatedError } from '../api/errors.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/client.ts';
import type { Agent } from '../generated/prisma/client.ts';
import type { ConversationFeed } from '../log/conversation-feed.ts';
import { type ActiveAgentChoice, findActiveAgents } from '../runs/read/active-agent.ts';
import { sumConversationUsage, sumRunUsage, type Usage } from '../runs/read/usage.ts';
import type { RunScheduler } from '../runs/scheduler.ts';
import type { SpeechRuntime } from '../speech/dependencies.ts';
import type { ToolRegistry } from '../tools/registry/registry.ts';

/** What every resolver is handed: who asks, and the floors below. One per operation. */
export interface Context {
  /** Who asks. Reading it throws UNAUTHENTICATED where nobody does. */
  readonly viewer: Viewer;
  /** Whether somebody asks, for the scopes of the root types. */
  readonly authenticated: boolean;
  readonly db: Database;
  /** Where turns run and are followed. */
  readonly runs: RunScheduler;
  /** Tells the readers of conversations what happens in them. */
  readonly feed: ConversationFeed;
  /** Where agents are kept and their providers reached. */
  readonly agentDeps: AgentDependencies;
  /** Where speech is made and written down. */
  readonly speech: SpeechRuntime;
  /** All tools that there are. */
  readonly tools: ToolRegistry;
  /** In the log line of the operation, and in masked errors. */
  readonly requestId: string;
  /** Aborts when the client leaves before it was answered. Null over sockets: what was begun there is finished. */
  readonly signal: AbortSignal | null;
  /** When the operation began, in milliseconds of performance.now. */
  readonly startedAt: number;
  /** Agents by row id, for events that name them. Batched and remembered for the operation. */
  readonly agents: DataLoader<string, Agent | null>;
  /** Who answers next in a conversation, by row id, batched. */
  readonly activeAgents: DataLoader<ActiveAgentChoice, string | null, string>;
  /** Usage by the row id of a run, batched. */
  readonly usageOfRuns: DataLoader<string, Usage>;
  /** Usage by the row id of a conversation, batched. */
  readonly usageOfConversations: DataLoader<string, Usage>;
  /** A context like this one with nothing remembered: for the next event of a subscription. */
  readonly renew: () => Context;
}

/** Makes the context of one operation. */
export function createContext(from: {
  viewer: Viewer | null;
  db: Database;
  runs: RunScheduler;
  feed: ConversationFeed;
  speech: SpeechRuntime;
  requestId: string;
  signal?: AbortSignal | null;
}): Context {
  const { viewer, db, runs, feed, speech, requestId, signal = null } = from;
  const whoAsks = () => {
    if (!viewer) throw new UnauthenticatedError();
    return viewer;
  };
  return {
    get viewer() {
      return whoAsks();
    },
    authenticated: viewer !== null,
    db,
    runs,
    feed,
    speech,
    agentDeps: runs.agents,
    tools: runs.tools,
    requestId,
    signal,
    startedAt: performance.now(),
    agents: new DataLoader(async (ids) => {
      const rows = await db.agent.findMany({ where: { id: { in: [...ids] }, tenantId: whoAsks().tenantId } });
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => byId.get(id) ?? null);
    }),
    activeAgents: new DataLoader((conversations) => findActiveAgents(whoAsks(), runs, conversations), {
      cacheKeyFn: ({ id }) => id,
    }),
    usageOfRuns: new DataLoader((ids) => sumRunUsage(whoAsks(), db, ids)),
    usageOfConversations: new DataLoader((ids) => sumConversationUsage(whoAsks(), db, ids)),
    renew: () => createContext(from),
  };
}
