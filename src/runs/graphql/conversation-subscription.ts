import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { ConversationRef } from '../../conversations/graphql/types.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import type { ConversationChange } from '../../log/conversation-feed.ts';
import { followConversation } from '../read/follow-conversation.ts';
import { loadAgent, readChangedConversation, readRun, readRunMessage } from '../read/read.ts';
import { RunRef } from './run-ref.ts';

type ChangeOf<Type extends ConversationChange['type']> = Extract<ConversationChange, { type: Type }>;

const ConversationUpdated = builder.objectRef<ChangeOf<'ConversationUpdated'>>('ConversationUpdated').implement({
  description: 'The conversation itself changed: its title, its scenario or its agent.',
  fields: (t) => ({
    conversation: t.prismaField({
      type: ConversationRef,
      description: 'The current state of the conversation.',
      resolve: (query, change, _args, context) =>
        readChangedConversation(context.viewer, context.db, change.conversationId, query),
    }),
  }),
});

const MessageAdded = builder.objectRef<ChangeOf<'MessageAdded'>>('MessageAdded').implement({
  description: 'A message was added to the conversation. Its text is final.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message.',
      resolve: (query, change, _args, context) => readRunMessage(context.viewer, context.db, change.messageId, query),
    }),
  }),
});

const RunChanged = builder.objectRef<ChangeOf<'RunChanged'>>('RunChanged').implement({
  description: 'A run was created, started, paused for an approval, resumed or ended.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The current state of the run. Follow its events with `runEvents`.',
      resolve: (query, change, _args, context) => readRun(context.viewer, context.db, change.runId, query),
    }),
  }),
});

const AgentSwitched = builder.objectRef<ChangeOf<'AgentSwitched'>>('AgentSwitched').implement({
  description: 'Another agent became the active agent of the conversation.',
  fields: (t) => ({
    conversation: t.prismaField({
      type: ConversationRef,
      description: 'The current state of the conversation.',
      resolve: (query, change, _args, context) =>
        readChangedConversation(context.viewer, context.db, change.conversationId, query),
    }),
    fromAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The previous active agent. Null if there was none.',
      resolve: (change, _args, context) =>
        change.fromAgentId === null ? null : context.agents.load(change.fromAgentId),
    }),
    toAgent: t.field({
      type: AgentRef,
      description: 'The new active agent.',
      resolve: (change, _args, context) => loadAgent(context.agents, change.toAgentId),
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'The reason in the model’s words. Null if the model gave none.',
    }),
  }),
});

const ConversationEvent = builder.unionType('ConversationEvent', {
  description: 'An event of a conversation, whichever client or turn caused it.',
  types: [ConversationUpdated, MessageAdded, RunChanged, AgentSwitched],
  resolveType: (change) => change.type,
});

builder.subscriptionField('conversationEvents', (t) =>
  t.field({
    type: ConversationEvent,
    description:
      'The events of a conversation: new messages, changes of runs, switches of the active agent and changes of the title. Events before the subscription are not sent. The stream ends when the conversation is deleted. Limitation: it reports only what the server instance that you are connected to does.',
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    subscribe: (_root, args, context) => followConversation(context.viewer, context.runs, args.conversationId),
    resolve: (change) => change,
  }),
);
