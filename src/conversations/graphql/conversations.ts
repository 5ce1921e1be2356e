import { formatId } from '../../api/ids.ts';
import { estimatePageSize } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, settleNode, toNodes } from '../../graphql/selection.ts';
import { buildMessagePage, messageList, selectMessagePage } from '../message-page.ts';
import { listConversations, readConversation } from '../read.ts';
import { createConversation, updateConversation } from '../write.ts';
import { MessageRef } from './messages.ts';

const OrderDirection = builder.enumType('OrderDirection', {
  description: 'Which end of an order comes first.',
  values: {
    ASC: { description: 'The least, oldest or first in the alphabet comes first.' },
    DESC: { description: 'The greatest, newest or last in the alphabet comes first.' },
  } as const,
});

const ConversationOrderField = builder.enumType('ConversationOrderField', {
  description: 'What conversations can be ordered by.',
  values: {
    CREATED_AT: { description: 'When they were begun.' },
    UPDATED_AT: { description: 'When something last happened in them.' },
    TITLE: { description: 'Their titles, in the database’s alphabet.' },
  } as const,
});

const ConversationOrder = builder.inputType('ConversationOrder', {
  description: 'An order of conversations.',
  fields: (t) => ({
    field: t.field({ type: ConversationOrderField, required: true, description: 'By what.' }),
    direction: t.field({ type: OrderDirection, required: true, description: 'Which end first.' }),
  }),
});

/** Conversations in the graph. */
export const ConversationRef = builder.prismaObject('Conversation', {
  fields: (t) => ({
    title: t.exposeString('title', {}),
    userId: t.exposeString('userId', {}),
    scenario: t.relation('scenario', { nullable: true, description: 'The agents that take part, and their handoffs.' }),
    messageCount: t.exposeInt('messageCount', { description: 'How many messages it has.' }),
    lastMessage: t.field({
      type: MessageRef,
      nullable: true,
      description: 'What was said last.',
      select: (_args, _context, nested) => ({ messages: nested({ take: 1, orderBy: { position: 'desc' } }) }),
      resolve: (conversation) => conversation.messages[0] ?? null,
    }),
    messages: t.connection(
      {
        type: MessageRef,
        description: 'What was said in it, 100 a page unless asked otherwise, at most 500.',
        args: {
          order: t.arg({ type: OrderDirection, defaultValue: 'ASC', description: 'ASC: the oldest first.' }),
        },
        complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, messageList.defaultSize) }),
        select: (args, _context, nested) => ({ messages: nested(selectMessagePage(args), toNodes) }),
        resolve: (conversation, args) => buildMessagePage(conversation, conversation.messages, args),
      },
      { name: 'MessageConnection', description: 'A page of messages.' },
      { name: 'MessageEdge', description: 'A message in a page.' },
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was begun.' }),
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
      description: 'The viewer’s conversations, 50 a page unless asked otherwise, at most 100.',
      args: {
        orderBy: t.arg({ type: ConversationOrder, description: 'UPDATED_AT DESC where absent.' }),
        search: t.arg.string({
          description: 'Only those whose title contains this, in any case: 1 to 200 characters.',
        }),
      },
      complexity: (args) => ({ field: 1, multiplier: estimatePageSize(args, 50) }),
      resolve: (_root, args, context, info) =>
        listConversations(context.viewer, context.db, args, includeUnder(context, info, 'Conversation', toNodes)),
    },
    { name: 'ConversationConnection', description: 'A page of conversations.' },
    { name: 'ConversationEdge', description: 'A conversation in a page.' },
  ),
  conversation: t.prismaField({
    type: ConversationRef,
    nullable: true,
    description: 'A conversation of the viewer.',
    args: { id: t.arg.id({ required: true, description: 'The conversation’s id, conv_….' }) },
    resolve: (query, _root, args, context) => readConversation(context.viewer, context.db, args.id, query),
  }),
}));

const CreateConversationInput = builder.inputType('CreateConversationInput', {
  description: 'How a conversation begins.',
  fields: (t) => ({
    title: t.string({ description: '1 to 200 characters. Absent: it is named after its first user message.' }),
    scenarioKey: t.string({ description: 'The scenario whose agents take part.' }),
    agentId: t.id({
      description: 'Who answers first, of the scenario if there is one. Absent: its root, or the default agent.',
    }),
    projectId: t.id({ description: 'Your own grouping key, 1 to 255 characters.' }),
  }),
});

const UpdateConversationInput = builder.inputType('UpdateConversationInput', {
  description: 'What to change. What is absent stays; null goes back to what a new conversation has.',
  fields: (t) => ({
    title: t.string({ description: '1 to 200 characters. Null: named after its first user message again.' }),
    scenarioKey: t.string({ description: 'Another scenario; the floor goes to its root. Null: none.' }),
    agentId: t.id({ description: 'Who answers next. Null: the scenario’s root, or the default agent.' }),
  }),
});

builder.mutationFields((t) => ({
  createConversation: t.prismaField({
    type: ConversationRef,
    description: 'Begins a conversation.',
    args: { input: t.arg({ type: CreateConversationInput, description: 'How it begins; everything is optional.' }) },
    resolve: (query, _root, args, context) => createConversation(context.viewer, context.db, args.input, query),
  }),
  updateConversation: t.prismaField({
    type: ConversationRef,
    description: 'Renames a conversation, or moves it to another scenario or agent.',
    args: {
      id: t.arg.id({ required: true, description: 'The conversation’s id, conv_….' }),
      input: t.arg({ type: UpdateConversationInput, required: true, description: 'What to change.' }),
    },
    resolve: (query, _root, args, context) =>
      updateConversation(context.viewer, context.db, context.feed, args.id, args.input, query),
  }),
}));
