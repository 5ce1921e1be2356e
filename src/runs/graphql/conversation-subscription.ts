import { ConversationRef } from '../../conversations/graphql/conversations.ts';
import { MessageRef } from '../../conversations/graphql/messages.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import type { ConversationChange } from '../../log/conversation-feed.ts';
import { followConversation } from '../read/follow-conversation.ts';
import { loadAgent, readChangedConversation, readRun, readRunMessage } from '../read/read.ts';
import { RunRef } from './run-ref.ts';

type ChangeOf<Type extends ConversationChange['type']> = Extract<ConversationChange, { type: Type }>;

const ConversationUpdated = builder.objectRef<ChangeOf<'ConversationUpdated'>>('ConversationUpdated').implement({
  description: 'The conversation itself changed: its title, its scenario.',
  fields: (t) => ({
    conversation: t.prismaField({
      type: ConversationRef,
      description: 'The conversation as it is now.',
      resolve: (query, change, _args, context) =>
        readChangedConversation(context.viewer, context.db, change.conversationId, query),
    }),
  }),
});

const MessageAdded = builder.objectRef<ChangeOf<'MessageAdded'>>('MessageAdded').implement({
  description: 'A message was said: its text is final.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message.',
      resolve: (query, change, _args, context) => readRunMessage(context.viewer, context.db, change.messageId, query),
    }),
  }),
});

const RunChanged = builder.objectRef<ChangeOf<'RunChanged'>>('RunChanged').implement({
  description: 'A run was asked for, began, came to wait for a person, went on or ended.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The run as it is now. Follow it with runEvents.',
      resolve: (query, change, _args, context) => readRun(context.viewer, context.db, change.runId, query),
    }),
  }),
});

const AgentSwitched = builder.objectRef<ChangeOf<'AgentSwitched'>>('AgentSwitched').implement({
  description: 'Another agent has the floor.',
  fields: (t) => ({
    conversation: t.prismaField({
      type: ConversationRef,
      description: 'The conversation as it is now.',
      resolve: (query, change, _args, context) =>
        readChangedConversation(context.viewer, context.db, change.conversationId, query),
    }),
    fromAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'Who had it before.',
      resolve: (change, _args, context) =>
        change.fromAgentId === null ? null : context.agents.load(change.fromAgentId),
    }),
    toAgent: t.field({
      type: AgentRef,
      description: 'Who has it now.',
      resolve: (change, _args, context) => loadAgent(context.agents, change.toAgentId),
    }),
    reason: t.exposeString('reason', { nullable: true, description: 'Why, where the model said.' }),
  }),
});

const ConversationEvent = builder.unionType('ConversationEvent', {
  description: 'Something that happened in a conversation, whoever caused it.',
  types: [ConversationUpdated, MessageAdded, RunChanged, AgentSwitched],
  resolveType: (change) => change.type,
});

builder.subscriptionField('conversationEvents', (t) =>
  t.field({
    type: ConversationEvent,
    description:
      'What happens in a conversation, whoever causes it: messages, runs, agent switches, title changes. It begins now, and ends when the conversation is deleted. Of what other instances do, it tells nothing yet.',
    args: { conversationId: t.arg.id({ required: true, description: 'The conversation’s id, conv_….' }) },
    subscribe: (_root, args, context) => followConversation(context.viewer, context.runs, args.conversationId),
    resolve: (change) => change,
  }),
);
