import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listConversations } from '../list.ts';
import { readMessage } from '../messages.ts';
import { readConversation } from '../read.ts';
import { readChatSettings } from '../settings.ts';
import { MessageRef } from './message-types.ts';
import { selectPlain } from './plain-selection.ts';
import { ChatSettingsRef, ConversationConnection, ConversationEdge, ConversationRef, OrderDirection } from './types.ts';

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

builder.queryFields((t) => ({
  conversations: t.connection(
    {
      type: ConversationRef,
      description:
        'The viewer’s conversations, without the archived ones unless they are asked for. 50 per page by default, at most 100.',
      args: {
        orderBy: t.arg({
          type: ConversationOrder,
          description:
            'The order of the list. If omitted, the most recently active conversation comes first (UPDATED_AT, DESC).',
        }),
        projectId: t.arg.id({
          description:
            'Return only conversations of this project: its id, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key.',
        }),
        isArchived: t.arg.boolean({
          defaultValue: false,
          description:
            'Return only conversations that are archived (true), or only those that are not (false). If null, both.',
        }),
        isPinned: t.arg.boolean({
          description:
            'Return only pinned conversations (true), or only those that are not pinned (false). If null, both.',
        }),
        search: t.arg.string({
          description:
            'Return only conversations whose title contains this text, in upper or lower case: 1 to 200 characters. Example: `refund`.',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listConversations(
          context.viewer,
          context,
          args,
          selectPlain(info) ?? includeUnder(context, info, 'Conversation', toNodes),
        ),
    },
    ConversationConnection,
    ConversationEdge,
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
  message: t.prismaField({
    type: MessageRef,
    nullable: true,
    description:
      'One message of a conversation of the viewer. NOT_FOUND if it does not exist, FORBIDDEN if it belongs to somebody else.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The message’s id, such as `msg_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readMessage(context.viewer, context, args.id, query),
  }),
  chatSettings: t.prismaField({
    type: ChatSettingsRef,
    description: 'The viewer’s settings for all turns. Settings that were never changed have their defaults.',
    resolve: (query, _root, _args, context) => readChatSettings(context.viewer, context.db, query),
  }),
}));
