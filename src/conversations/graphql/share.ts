import type { ConversationShare } from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { readMessagesById } from '../load-messages.ts';
import type { PagedConversation } from '../message-page.ts';
import { type NewShare, readShares, shareConversation, unshareConversation } from '../share/share.ts';
import { MessageRef } from './message-types.ts';
import { ConversationRef } from './types.ts';

const ConversationShareRef = builder.objectRef<ConversationShare>('ConversationShare').implement({
  description: 'A link under which anybody can read a conversation. Its token is shown only when it is made.',
  fields: (t) => ({
    upTo: t.field({
      type: MessageRef,
      description: 'The last message that is shown.',
      resolve: batchField(
        ({ upToMessageId }: ConversationShare) => upToMessageId,
        (shares, _args: object, context, info) =>
          readMessagesById(
            context.viewer,
            context,
            shares.map(({ upToMessageId }) => upToMessageId),
            includeUnder(context, info, 'Message'),
          ).then((found) => found.map((message) => message ?? new Error('The message was deleted.'))),
      ),
    }),
    withTools: t.exposeBoolean('withTools', { description: 'Whether the arguments and results of tools are shown.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the link was made.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it stops working. Null: when it is revoked.',
    }),
  }),
});

const ShareResult = builder.objectRef<NewShare>('ShareResult').implement({
  description: 'A new link. Its token and its address are in this answer and nowhere else.',
  fields: (t) => ({
    share: t.field({ type: ConversationShareRef, description: 'What is shared.', resolve: ({ share }) => share }),
    token: t.exposeString('token', {
      description: 'The token: 256 random bits, in base64url. Only its hash is stored.',
    }),
    url: t.exposeString('url', {
      description: 'The address to give away: PUBLIC_URL, `/shared/` and the token. The front end shows the page.',
    }),
  }),
});

const ShareConversationInput = builder.inputType('ShareConversationInput', {
  description: 'What is shared of a conversation.',
  fields: (t) => ({
    conversationId: t.id({
      required: true,
      description: 'A conversation of the viewer, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
    }),
    upToMessageId: t.id({
      description:
        'The last message that is shown, of any branch; what comes before it in its branch is shown with it. If omitted, the last message of the active branch. What is said later is not shown.',
    }),
    withTools: t.boolean({
      defaultValue: false,
      description: 'Whether the arguments and results of tool calls are shown, and not only their names.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      description: 'When the link stops working, in the future. If omitted, it works until it is revoked.',
    }),
  }),
});

builder.prismaObjectField(ConversationRef, 'share', (t) =>
  t.field({
    type: ConversationShareRef,
    nullable: true,
    description: 'The link under which the conversation is shared. Null: it is not, or the link has expired.',
    resolve: batchField(
      ({ id }: PagedConversation) => id,
      (conversations, _args: object, context) =>
        readShares(
          context.viewer,
          context.db,
          conversations.map(({ id }) => id),
        ),
    ),
  }),
);

builder.mutationFields((t) => ({
  shareConversation: t.field({
    type: ShareResult,
    description:
      'Makes a link under which anybody can read a conversation of the viewer, up to a message. The link that there was before stops working. CONFLICT if the conversation has no message.',
    args: { input: t.arg({ type: ShareConversationInput, required: true, description: 'What is shared.' }) },
    resolve: (_root, { input }, context) =>
      shareConversation(
        context.viewer,
        {
          db: context.db,
          answer: context.answer,
          feed: context.feed,
          publicUrl: context.publicUrl,
          config: context.agentDeps.config,
        },
        input,
      ),
  }),
  unshareConversation: t.prismaField({
    type: ConversationRef,
    description: 'Ends the link of a conversation of the viewer, if there is one.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The conversation’s id, such as `conv_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, { id }, context) => unshareConversation(context.viewer, context, id, query),
  }),
}));
