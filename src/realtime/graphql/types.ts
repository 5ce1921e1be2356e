import { formatId } from '../../api/ids.ts';
import { ConversationRef } from '../../conversations/graphql/types.ts';
import { readConversation } from '../../conversations/read.ts';
import type { RealtimeSession as SessionRow } from '../../generated/prisma/client.ts';
import { builder } from '../../graphql/builder.ts';
import type { Context } from '../../graphql/context.ts';
import { AgentRef, GuardrailRef } from '../../graphql/refs.ts';
import { GuardrailResult } from '../../guardrails/graphql/types.ts';
import { Tool } from '../../tools/graphql/types.ts';
import { type RealtimeAgent as PlannedRealtimeAgent, planStarted, type SessionPlan } from '../plan-session.ts';
import { readGuardResults } from '../sessions.ts';

/** A session in the graph. */
interface ShownSession {
  readonly session: SessionRow;
  /** Null but in the answer to startRealtimeSession. */
  readonly ephemeralKey: string | null;
  /** Null: it is made when it is asked for. */
  plan: Promise<SessionPlan> | null;
}

/** A session without its key. */
export function showSession(session: SessionRow): ShownSession {
  return { session, ephemeralKey: null, plan: null };
}

function findPlan(shown: ShownSession, { viewer, realtime }: Context): Promise<SessionPlan> {
  shown.plan ??= planStarted(viewer, realtime, shown.session);
  return shown.plan;
}

const RealtimeAgent = builder.objectRef<PlannedRealtimeAgent>('RealtimeAgent').implement({
  description: 'An agent as a browser needs it for a realtime session.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name, by which items of the transcript name their agent.' }),
    instructions: t.exposeString('instructions', {
      description:
        'The system prompt of the agent, with what is remembered of the viewer if it has a tool of memories. The key of a session is bound to that of its root agent already.',
    }),
    handoffDescription: t.exposeString('handoffDescription', {
      nullable: true,
      description: 'What the agent is for: when others should hand over to it. Null if it has no description.',
    }),
    voice: t.exposeString('voice', {
      nullable: true,
      description:
        'The voice: that of the agent’s text-to-speech provider if realtime models have it, else REALTIME_VOICE. Null: the provider’s own.',
    }),
    tools: t.field({
      type: [Tool],
      description: 'The tools of the agent. A call of the voice agent is carried out with `executeTool`.',
      resolve: ({ tools }) => [...tools],
    }),
    handoffs: t.stringList({
      description: 'The names of the agents that it can hand over to.',
      resolve: ({ handoffs }) => [...handoffs],
    }),
    transferTool: t.exposeString('transferTool', {
      description: 'The name of the function with which other agents hand over to it, such as `transfer_to_billing`.',
    }),
  }),
});

/** The GraphQL type RealtimeSession. */
export const RealtimeSession = builder.objectRef<ShownSession>('RealtimeSession').implement({
  description:
    'A call by voice. The browser talks to the realtime provider directly, and its transcript is merged into a conversation.',
  fields: (t) => ({
    id: t.id({
      description: 'The id, such as `rts_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ session }) => formatId('RealtimeSession', session.id),
    }),
    ephemeralKey: t.exposeString('ephemeralKey', {
      nullable: true,
      description:
        'The key with which the browser begins the call, such as `ek_…`. It is in the answer to `startRealtimeSession` and nowhere else: everywhere else it is null.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When the key can no longer begin a call. A call that has begun goes on.',
      resolve: ({ session }) => session.expiresAt,
    }),
    endsAt: t.field({
      type: 'DateTime',
      description: 'When the session ends by itself, an hour after its key has expired: no call lasts longer.',
      resolve: ({ session }) => session.endsAt,
    }),
    endedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When `endRealtimeSession` ended it. Null if it was not called.',
      resolve: ({ session }) => session.endedAt,
    }),
    model: t.string({
      description: 'The realtime model. Example: `gpt-realtime`.',
      resolve: ({ session }) => session.model,
    }),
    voice: t.string({
      nullable: true,
      description: 'The voice of the root agent. Null: the provider’s own.',
      resolve: ({ session }) => session.voice,
    }),
    conversation: t.prismaField({
      type: ConversationRef,
      description: 'The conversation into which the transcript is merged. Its messages have the source REALTIME.',
      resolve: (query, { session }, _args, context) =>
        readConversation(context.viewer, context.db, formatId('Conversation', session.conversationId), query),
    }),
    activeAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that speaks. Null if it does not exist any more.',
      resolve: ({ session }, _args, context) => context.agents.load(session.activeAgentId),
    }),
    scenarioVersion: t.int({
      description: 'The version of the scenario with which the session was started.',
      resolve: ({ session }) => session.scenarioVersion,
    }),
    initialAgents: t.field({
      type: [RealtimeAgent],
      description:
        'The agents of the scenario as they are configured now, the root agent first. The call keeps the instructions and tools with which its key was minted.',
      resolve: async (shown, _args, context) => [...(await findPlan(shown, context)).agents],
    }),
    guardrails: t.field({
      type: [GuardrailRef],
      description:
        'The guardrails with which the transcript is checked while the root agent speaks: those of the scenario, then its own.',
      resolve: async (shown, _args, context) => [...(await findPlan(shown, context)).guardrails],
    }),
    guardrailResults: t.field({
      type: [GuardrailResult],
      description:
        'What guardrails decided about tool calls of the session, the newest first, at most 100. `Message.guardrailResults` has what they decided about the transcript.',
      resolve: ({ session }, _args, context) => readGuardResults(context.viewer, context.db, session.id),
    }),
  }),
});
