import { findLastSeq, lastSeqOfUser, readLastSeq } from '../../feed/read-feed.ts';
import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';
import { followConversation, followViewer } from '../read/follow-conversation.ts';
import { ConversationEvent } from './conversation-events.ts';

const afterDescription =
  'Return only events with a higher `seq`: the `seq` of the last event that you received, or the `lastEventSeq` that you read. If omitted, only what happens from now on. EVENTS_EXPIRED if events after it are not stored any more: read again, then subscribe after the new `lastEventSeq`.';

builder.subscriptionFields((t) => ({
  conversationEvents: t.field({
    type: ConversationEvent,
    description:
      'The events of a conversation: new messages, changes of runs, switches of the active agent, changes of the title, and its deletion, after which the stream ends. Read `Conversation.lastEventSeq` with the conversation and pass it as `after`: then nothing is missed. Works on every server process.',
    args: {
      conversationId: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      after: t.arg.int({ description: afterDescription }),
    },
    subscribe: (_root, args, context) =>
      followConversation(context.viewer, context.runs, args.conversationId, args.after ?? null),
    resolve: (event) => event,
  }),
  viewerEvents: t.field({
    type: ConversationEvent,
    description:
      'The events of all conversations of the viewer, for a list that stays in step. Read `Viewer.lastEventSeq` with the list and pass it as `after`: then nothing is missed. Works on every server process.',
    args: { after: t.arg.int({ description: afterDescription }) },
    subscribe: (_root, args, context) => followViewer(context.viewer, context.runs, args.after ?? null),
    resolve: (event) => event,
  }),
}));

builder.prismaObjectField('Conversation', 'lastEventSeq', (t) =>
  t.int({
    description:
      'The `seq` of the last event whose effects are included in what you read. Pass it to `conversationEvents` as `after` to continue from here. (In the answer of a mutation, the events of the mutation itself may follow.)',
    select: { user: { select: lastSeqOfUser } },
    resolve: (conversation, _args, context) => context.eventSeqAtStart ?? findLastSeq(conversation.user),
  }),
);

builder.objectField(ViewerRef, 'lastEventSeq', (t) =>
  t.int({
    description:
      'The `seq` of the last event of your conversations whose effects are included in what you read. Pass it to `viewerEvents` as `after` to continue from here.',
    resolve: (viewer, _args, context) => context.eventSeqAtStart ?? readLastSeq(viewer, context.db),
  }),
);
