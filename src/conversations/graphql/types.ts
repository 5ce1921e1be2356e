import { formatId } from '../../api/ids.ts';
import { estimatePageCost } from '../../api/paging.ts';
import { belongsTo, notFoundOrForbidden } from '../../auth/access.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { isForeign, loadProject } from '../../graphql/load-project.ts';
import { AgentRef, ProjectRef, ScenarioRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode, toNodes } from '../../graphql/selection.ts';
import { findLastMessage } from '../last-message.ts';
import { messageList, type PagedConversation, readLastMessages, readMessagePages } from '../message-page.ts';
import { readConversation } from '../read.ts';
import { MessageRef } from './message-types.ts';

/** The two directions of an order, in the graph. */
export const OrderDirection = builder.enumType('OrderDirection', {
  description: 'The direction of an order.',
  values: {
    ASC: { description: 'Ascending: the oldest, smallest or alphabetically first item comes first.' },
    DESC: { description: 'Descending: the newest, largest or alphabetically last item comes first.' },
  } as const,
});

/** A message in a list. Events bring it too. */
export const MessageEdge = builder.edgeObject({
  type: MessageRef,
  name: 'MessageEdge',
  description: 'A message in a list, with its cursor.',
});

const idOf = ({ id }: PagedConversation) => id;

const loadLastMessage = batchField(idOf, (conversations: readonly PagedConversation[], _args: object, context, info) =>
  readLastMessages(context.viewer, context, conversations, includeUnder(context, info, 'Message')),
);

/** Conversations in the graph. */
export const ConversationRef = builder.prismaObject('Conversation', {
  fields: (t) => ({
    title: t.exposeString('title', {}),
    userId: t.exposeString('userId', {}),
    scenario: t.field({
      type: ScenarioRef,
      nullable: true,
      description:
        'The scenario of the conversation: its agents and their handoffs. Null if it was created without one, or if the viewer is not a member of its project any more.',
      select: (_args, _context, nestedSelection) => ({ scenario: nestedSelection(true) }),
      resolve: async ({ scenario }, _args, context) =>
        scenario === null || (await isForeign(context, scenario)) ? null : scenario,
    }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description:
        'The project of the conversation. Null if it is in none, or if the viewer is not a member of the project any more.',
      resolve: (conversation, _args, context) => loadProject(context, conversation),
    }),
    messageCount: t.exposeInt('messageCount', { description: 'The number of messages of the active branch.' }),
    lastMessage: t.field({
      type: MessageRef,
      nullable: true,
      description: 'The newest message of the active branch. Null if there is none yet.',
      resolve: (conversation, args, context, info) => {
        const known = findLastMessage(conversation);
        return known === undefined ? loadLastMessage(conversation, args, context, info) : known;
      },
    }),
    messages: t.connection(
      {
        type: MessageRef,
        description:
          'The messages of the active branch of the conversation. 100 per page by default, at most 500. A page of long messages has fewer, and `hasNextPage` is true (with `last`, `hasPreviousPage`), if the answer would become larger than the server allows (MAX_ANSWER_BYTES, default 8,000,000): read on from its last cursor.',
        args: {
          order: t.arg({
            type: OrderDirection,
            defaultValue: 'ASC',
            description: 'ASC lists the oldest message first, DESC the newest.',
          }),
          allBranches: t.arg.boolean({
            defaultValue: false,
            description:
              'Whether to list the messages of all branches, in the order in which they were added, and not only the active one.',
          }),
        },
        complexity: (args) => estimatePageCost(args, messageList),
        resolve: batchField(idOf, (conversations, args, context, info) =>
          readMessagePages(
            context.viewer,
            context,
            args,
            conversations,
            includeUnder(context, info, 'Message', toNodes),
          ),
        ),
      },
      { name: 'MessageConnection', description: 'One page of a list of messages.' },
      MessageEdge,
    ),
    isArchived: t.exposeBoolean('isArchived', {}),
    isPinned: t.exposeBoolean('isPinned', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the conversation was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});

builder.prismaObjectField(MessageRef, 'conversation', (t) =>
  t.field({
    type: ConversationRef,
    description:
      'The conversation of the message. FORBIDDEN for everybody but the user to whom it belongs: admins who read feedback read the answer alone.',
    select: (_args, _context, nestedSelection) => ({ conversation: nestedSelection(true) }),
    resolve: ({ conversation }, _args, { viewer }) => {
      if (belongsTo(viewer, conversation)) return conversation;
      throw notFoundOrForbidden(viewer, `conversation ${formatId('Conversation', conversation.id)}`, conversation);
    },
  }),
);

/** A conversation in a list. Events bring it too. */
export const ConversationEdge = builder.edgeObject({
  type: ConversationRef,
  name: 'ConversationEdge',
  description: 'A conversation in a list, with its cursor.',
});

/** A page of a list of conversations. */
export const ConversationConnection = builder.connectionObject(
  { type: ConversationRef, name: 'ConversationConnection', description: 'One page of a list of conversations.' },
  ConversationEdge,
);

builder.nodeRef(ConversationRef, {
  id: { resolve: (conversation: typeof ConversationRef.$inferType) => conversation.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(
      readConversation(
        context.viewer,
        context.db,
        formatId('Conversation', row),
        includeUnder(context, info, 'Conversation'),
      ),
    ),
});

/** Settings of a viewer in the graph. */
export const ChatSettingsRef = builder.prismaObject('ChatSettings', {
  fields: (t) => ({
    id: t.id({
      description: 'The id of the settings, such as `set_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: (settings) => formatId('ChatSettings', settings.id),
    }),
    enabledTools: t.exposeStringList('enabledTools', {}),
    enabledAgents: t.field({
      type: [AgentRef],
      description: 'The agents that may take part in turns. If empty, all agents of the scenario.',
      select: { enabledAgents: { orderBy: { position: 'asc' } } },
      resolve: async (settings, _args, context) => {
        const agents = await Promise.all(settings.enabledAgents.map(({ agentId }) => context.agents.load(agentId)));
        return agents.filter((agent) => agent !== null);
      },
    }),
    model: t.exposeString('model', { nullable: true }),
    temperature: t.exposeFloat('temperature', {
      description:
        'The sampling temperature, 0.0 to 2.0. The default, 0.7, counts as not set: the agent’s own temperature applies, otherwise the model’s.',
    }),
    maxTokens: t.exposeInt('maxTokens', {}),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the settings were first changed.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the settings were last changed.' }),
  }),
});
