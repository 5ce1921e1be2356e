import { formatId } from '../../api/ids.ts';
import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { ConversationEdge, ConversationRef, MessageEdge } from '../../conversations/graphql/types.ts';
import { buildConversationEdge } from '../../conversations/list.ts';
import { buildMessageEdge } from '../../conversations/message-page.ts';
import type { FeedEvent } from '../../feed/feed-event.ts';
import { builder } from '../../graphql/builder.ts';
import { AgentRef } from '../../graphql/refs.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { loadAgent, readChangedConversation, readRun, readRunMessage } from '../read/read.ts';
import { buildRunEdge } from '../read/run-page.ts';
import { readSwitchReason } from '../read/switch-reason.ts';
import { RunEdge, RunRef } from './run-ref.ts';

type EventOf<Type extends FeedEvent['type']> = Extract<FeedEvent, { type: Type }>;

/** The interface of all events of a conversation. */
export const ConversationEvent = builder.interfaceRef<FeedEvent>('ConversationEvent').implement({
  description:
    'Something that happened in a conversation, whichever client, turn or server process caused it. What an event contains is read when it is sent: it can be newer than the event, and an event whose conversation was deleted since is left out, because `ConversationDeleted` follows. Events are stored for a day, at most the last 1,000 of each user.',
  resolveType: (event) => event.type,
  fields: (t) => ({
    seq: t.exposeInt('seq', {
      description:
        'The position of the event among those of the user, in all conversations; it grows with every event. Pass it as `after` to continue after this event.',
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    conversationId: t.id({
      description: 'The id of the conversation, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: (event) => formatId('Conversation', event.conversationId),
    }),
  }),
});

const eventWithConversation = <Type extends FeedEvent['type']>(type: Type) => {
  const ref = builder.objectRef<EventOf<Type>>(type);
  builder.objectField(ref, 'conversation', (t) =>
    t.prismaField({
      type: ConversationRef,
      description: 'The conversation as it is now.',
      resolve: (query, event, _args, context) =>
        readChangedConversation(context.viewer, context.db, event.conversationId, query),
    }),
  );
  return ref;
};

eventWithConversation('ConversationUpdated').implement({
  interfaces: [ConversationEvent],
  description: 'The conversation itself changed: its title, its scenario or its agent.',
});

eventWithConversation('MessageAdded').implement({
  interfaces: [ConversationEvent],
  description:
    'A message was added to the conversation. Its text is final. It is sent again, with its new position, for a message that has moved because an item of a realtime session arrived late.',
  fields: (t) => ({
    message: t.prismaField({
      type: MessageRef,
      description: 'The message.',
      resolve: (query, event, _args, context) => readRunMessage(context.viewer, context, event.messageId, query),
    }),
    edge: t.field({
      type: MessageEdge,
      description:
        'The message as an item of `Conversation.messages` in ascending order, to add to a cached list by its `position`.',
      resolve: async (event, _args, context, info) => {
        const include = includeUnder(context, info, 'Message', ['node']);
        return buildMessageEdge(await readRunMessage(context.viewer, context, event.messageId, include));
      },
    }),
  }),
});

eventWithConversation('RunChanged').implement({
  interfaces: [ConversationEvent],
  description:
    'A run was created, started, paused for an approval, decided on, resumed or ended, it moved up in the queue, it began a message, or one of its tool calls changed its status.',
  fields: (t) => ({
    run: t.prismaField({
      type: RunRef,
      description: 'The current state of the run. Follow its events with `runEvents`.',
      resolve: (query, event, _args, context) => readRun(context.viewer, context.db, event.runId, query),
    }),
    edge: t.field({
      type: RunEdge,
      nullable: true,
      description:
        'The run as an item of `Conversation.runs`, to append to a cached list. Null unless the run was created.',
      resolve: async (event, _args, context, info) => {
        if (!event.isNew) return null;
        const include = includeUnder(context, info, 'Run', ['node']);
        return buildRunEdge(await readRun(context.viewer, context.db, event.runId, include));
      },
    }),
  }),
});

eventWithConversation('AgentSwitched').implement({
  interfaces: [ConversationEvent],
  description: 'Another agent became the active agent of the conversation.',
  fields: (t) => ({
    fromAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The previous active agent. Null if there was none.',
      resolve: (event, _args, context) => (event.fromAgentId === null ? null : context.agents.load(event.fromAgentId)),
    }),
    toAgent: t.field({
      type: AgentRef,
      description: 'The new active agent.',
      resolve: (event, _args, context) => loadAgent(context.agents, event.toAgentId),
    }),
    reason: t.string({
      nullable: true,
      description: 'The reason in the model’s words. Null if the model gave none, or if a person chose the agent.',
      resolve: (event, _args, context) => readSwitchReason(context.viewer, context.db, event),
    }),
  }),
});

eventWithConversation('ConversationCreated').implement({
  interfaces: [ConversationEvent],
  description: 'A conversation was created.',
  fields: (t) => ({
    edge: t.field({
      type: ConversationEdge,
      description:
        'The conversation as an item of `conversations` in its default order, to put at the beginning of a cached list.',
      resolve: async (event, _args, context, info) => {
        const include = includeUnder(context, info, 'Conversation', ['node']);
        return buildConversationEdge(
          await readChangedConversation(context.viewer, context.db, event.conversationId, include),
        );
      },
    }),
  }),
});

builder.objectRef<EventOf<'ConversationDeleted'>>('ConversationDeleted').implement({
  interfaces: [ConversationEvent],
  description: 'The conversation was deleted with all that was in it. `conversationEvents` ends after it.',
});
