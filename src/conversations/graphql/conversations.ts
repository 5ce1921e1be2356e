import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { buildMessagePage, messageList, selectMessagePage } from '../message-page.ts';
import { listConversations, readConversation } from '../read.ts';
import { createConversation, updateConversation } from '../write.ts';
import { MessageRef } from './messages.ts';

const OrderDirection = builder.enumType('OrderDirection', {
  description: 'The direction of an order.',
  values: {
    ASC: { description: 'Ascending: the oldest, smallest or alphabetically first item comes first.' },
    DESC: { description: 'Descending: the newest, largest or alphabetically last item comes first.' },
  } as const,
});

const ConversationOrderField = builder.enumType('ConversationOrderField', {
  description: 'The fields by which conversations can be ordered.',
  values: {
    CREATED_AT: { description: 'The time of creation.' },
    UPDATED_AT: { description: 'The time of the last activity: a message, a turn or a change of the conversation.' },
    TITLE: { description: 'The title, in the alphabetical order of the database.' },
  } as const,
});

const ConversationOrder = builder.inputType('ConversationOrder', {
  description: 'How a list of conversations is ordered.',
  fields: (t) => ({
    field: t.field({ type: ConversationOrderField, required: true, description: 'The field to order by.' }),
    direction: t.field({ type: OrderDirection, required: true, description: 'The direction.' }),
  }),
});

/** Conversations in the graph. */
export const ConversationRef = builder.prismaObject('Conversation', {
  fields: (t) => ({
    title: t.exposeString('title', {}),
    userId: t.exposeString('userId', {}),
    scenario: t.relation('scenario', {
      nullable: true,
      description:
        'The scenario of the conversation: its agents and their handoffs. Null if it was created without one.',
    }),
    messageCount: t.exposeInt('messageCount', { description: 'The number of messages.' }),
    lastMessage: t.field({
      type: MessageRef,
      nullable: true,
      description: 'The newest message. Null if there is none yet.',
      select: (_args, _context, nested) => ({ messages: nested({ take: 1, orderBy: { position: 'desc' } }) }),
      resolve: (conversation) => conversation.messages[0] ?? null,
    }),
    messages: t.connection(
      {
        type: MessageRef,
        description: 'The messages of the conversation. 100 per page by default, at most 500.',
        args: {
          order: t.arg({
            type: OrderDirection,
            defaultValue: 'ASC',
            description: 'ASC lists the oldest message first, DESC the newest.',
          }),
        },
        complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, messageList.defaultSize) }),
        select: (args, _context, nested) => ({ messages: nested(selectMessagePage(args), toNodes) }),
        resolve: (conversation, args) => buildMessagePage(conversation, conversation.messages, args),
      },
      { name: 'MessageConnection', description: 'One page of a list of messages.' },
      { name: 'MessageEdge', description: 'A message in a list, with its cursor.' },
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the conversation was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});

builder.nodeRef(ConversationRef, {
  id: { resolve: (conversation: typeof ConversationRef.$inferType) => conversation.id },
  loadWithoutCache: (row, context, info) =>
    settleNode(
      readConversation(
        context.viewer,
        context.db,
        formatId('Conversation', row),
        includeUnder(context, info, 'Conversation'),
      ),
    ),
});

builder.queryFields((t) => ({
  conversations: t.connection(
    {
      type: ConversationRef,
      description: 'The viewer’s conversations. 50 per page by default, at most 100.',
      args: {
        orderBy: t.arg({
          type: ConversationOrder,
          description:
            'The order of the list. If omitted, the most recently active conversation comes first (UPDATED_AT, DESC).',
        }),
        search: t.arg.string({
          description:
            'Return only conversations whose title contains this text, in upper or lower case: 1 to 200 characters. Example: `refund`.',
        }),
      },
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listConversations(context.viewer, context.db, args, includeUnder(context, info, 'Conversation', toNodes)),
    },
    { name: 'ConversationConnection', description: 'One page of a list of conversations.' },
    { name: 'ConversationEdge', description: 'A conversation in a list, with its cursor.' },
  ),
  conversation: t.prismaField({
    type: ConversationRef,
    nullable: true,
    description:
      'One conversation of the viewer. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readConversation(context.viewer, context.db, args.id, query),
  }),
}));

const CreateConversationInput = builder.inputType('CreateConversationInput', {
  description: 'The properties of a new conversation. All of them are optional.',
  fields: (t) => ({
    title: t.string({
      description: 'The title, 1 to 200 characters. If omitted, the title is taken from the first user message.',
    }),
    scenarioKey: t.string({
      description:
        'The key of an active scenario, such as `support`. Its agents take part in the conversation. If omitted, one agent answers and no handoffs are made.',
    }),
    agentId: t.id({
      description:
        'The agent that answers first; with `scenarioKey`, a member of the scenario. If omitted, the root agent of the scenario or, without a scenario, the default agent.',
    }),
    projectId: t.id({
      description:
        'A key of your own that groups conversations, 1 to 255 characters. Example: `web-shop`. Scenarios of the same project take precedence.',
    }),
  }),
});

const UpdateConversationInput = builder.inputType('UpdateConversationInput', {
  description:
    'The changes to a conversation. Omitted fields stay as they are; null restores the value of a new conversation.',
  fields: (t) => ({
    title: t.string({
      description: 'The new title, 1 to 200 characters. If null, the title is taken from the first user message.',
    }),
    scenarioKey: t.string({
      description: 'The key of another scenario. Its root agent becomes the active agent. Null removes the scenario.',
    }),
    agentId: t.id({
      description:
        'The new active agent, which answers next. If null, the root agent of the scenario or, without a scenario, the default agent.',
    }),
  }),
});

builder.mutationFields((t) => ({
  createConversation: t.prismaField({
    type: ConversationRef,
    description: 'Creates a conversation of the viewer.',
    args: { input: t.arg({ type: CreateConversationInput, description: 'The properties of the conversation.' }) },
    resolve: (query, _root, args, context) => createConversation(context.viewer, context.db, args.input, query),
  }),
  updateConversation: t.prismaField({
    type: ConversationRef,
    description:
      'Changes the title, the scenario or the active agent of a conversation. Running turns keep the scenario and the agents with which they started.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      input: t.arg({ type: UpdateConversationInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateConversation(context.viewer, context.db, context.feed, args.id, args.input, query),
  }),
}));
