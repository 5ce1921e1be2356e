import { MessageRef, MessageRole } from '../../conversations/graphql/message-types.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { recordRealtimeItems } from '../record.ts';
import { endRealtimeSession } from '../sessions.ts';
import { startRealtimeSession } from '../start.ts';
import { RealtimeSession, showSession } from './types.ts';

const StartRealtimeSessionInput = builder.inputType('StartRealtimeSessionInput', {
  description: 'What a realtime session is started with.',
  fields: (t) => ({
    scenarioKey: t.string({
      required: true,
      description: 'The key of an active scenario, such as `support`. Its agents take part.',
    }),
    rootAgentId: t.id({
      description:
        'The member of the scenario that begins. If omitted, the active agent of the conversation or, in a new one, the root agent of the scenario.',
    }),
    contextSnapshotId: t.id({
      description:
        'A snapshot of `createContextSnapshot`. The instructions to which the key is bound end with it, delimited as data.',
    }),
    conversationId: t.id({
      description: 'A conversation of the scenario that the session joins. If omitted, a new one is created.',
    }),
    ttlSeconds: t.int({
      defaultValue: 600,
      description: 'How long the key can be used to begin the call, in seconds: 10 to 7,200.',
    }),
  }),
});

const RealtimeItemInput = builder.inputType('RealtimeItemInput', {
  description: 'An item of a transcript whose text is final.',
  fields: (t) => ({
    itemId: t.string({
      required: true,
      description:
        'The provider’s id of the item, 1 to 255 characters. It is recorded once, however often it is sent. Example: `item_BG7Qv3`.',
    }),
    role: t.field({ type: MessageRole, required: true, description: 'Who said it.' }),
    content: t.string({ required: true, description: 'What was said, 1 to 100,000 characters.' }),
    agentName: t.string({
      description:
        'The name of the agent that said it, or to which it was said. If omitted, the agent that spoke before. Another agent than before becomes the active agent.',
    }),
    at: t.field({
      type: 'DateTime',
      description:
        'When it was said: the time at which the item was created, not the one at which its transcript was complete. It decides the order; a time in the future counts as now. If omitted, directly after the item before it in the list or, for the first one, now.',
    }),
  }),
});

const sessionId = 'The id of the session, such as `rts_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  startRealtimeSession: t.field({
    type: RealtimeSession,
    description:
      'Starts a call by voice: mints an ephemeral key for the browser, bound to the instructions, tools and voice of the root agent, and opens a conversation or joins one. PROVIDER_FAILED, with `problem` and `retryable`, if the provider mints none; then nothing is stored. RATE_LIMITED beyond RATE_LIMIT_REALTIME, or if the user has 20 sessions that have not ended.',
    args: {
      input: t.arg({
        type: StartRealtimeSessionInput,
        required: true,
        description: 'What the session is started with.',
      }),
    },
    resolve: async (_root, args, context) => {
      const { viewer, realtime, signal } = context;
      const { plan, ...started } = await startRealtimeSession(viewer, realtime, args.input, signal);
      return { ...started, plan: Promise.resolve(plan) };
    },
  }),
  recordRealtimeItems: t.field({
    type: [MessageRef],
    description:
      'Merges items of a transcript into the conversation of a session, and returns their messages in the order of the items. An item that is sent again is not recorded again; with another text or role, or in another session, it is a CONFLICT. Items may arrive in any order: `at` decides their place. Guardrails check them before they are stored (status REDACTED if something was replaced, BLOCKED if no model is given it), and what the user says is routed if the scenario asks for it; `AgentSwitched` of `conversationEvents` then tells which agent is to speak. Nothing is written unless everything is. CONFLICT if the session has ended, or has 5,000 items.',
    args: {
      sessionId: t.arg.id({ required: true, description: sessionId }),
      items: t.arg({
        type: [RealtimeItemInput],
        required: true,
        description: 'The items, at most 100, with at most 1,000,000 bytes of text together.',
      }),
    },
    resolve: (_root, args, context, info) => {
      const { viewer, realtime, signal } = context;
      return recordRealtimeItems(viewer, realtime, context, args, includeUnder(context, info, 'Message'), signal);
    },
  }),
  endRealtimeSession: t.field({
    type: RealtimeSession,
    description:
      'Ends a session: nothing more can be recorded of it, and it no longer counts among the open ones. It does not hang up; the browser does. To end a session that has ended changes nothing.',
    args: { id: t.arg.id({ required: true, description: sessionId }) },
    resolve: async (_root, args, context) => showSession(await endRealtimeSession(context.viewer, context.db, args.id)),
  }),
}));
