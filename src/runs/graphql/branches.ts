import { ConversationRef } from '../../conversations/graphql/types.ts';
import { builder } from '../../graphql/builder.ts';
import { selectBranch } from '../commands/select-branch.ts';

builder.mutationFields((t) => ({
  selectBranch: t.prismaField({
    type: ConversationRef,
    description:
      'Makes the branch of a message the active one: `Conversation.messages` then lists what leads to the message, and what follows it up to the newest message under it. CONFLICT while a run of the conversation is unfinished. If two devices choose, the last choice stands; `conversationEvents` tells both with ConversationUpdated.',
    args: {
      messageId: t.arg.id({
        required: true,
        description: 'The message’s id, such as `msg_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`: one of `Message.branches`.',
      }),
    },
    resolve: (query, _root, args, context) => selectBranch(context.viewer, context, args.messageId, query),
  }),
}));
