import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { builder } from '../../graphql/builder.ts';
import { setFeedback } from '../give.ts';
import { FeedbackRating } from './types.ts';

builder.mutationField('setFeedback', (t) =>
  t.prismaField({
    type: MessageRef,
    description:
      'Says what the viewer thinks of an answer in one of their conversations, in place of what they said before. Webhooks for FEEDBACK_GIVEN are told. CONFLICT if the answer is still being written.',
    args: {
      messageId: t.arg.id({
        required: true,
        description: 'The id of an ASSISTANT message, such as `msg_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
      rating: t.arg({ type: FeedbackRating, description: 'What the viewer thinks. Null removes the feedback.' }),
      comment: t.arg.string({
        description: 'What the viewer says of it, 1 to 5,000 characters. Null: nothing. Only with a rating.',
      }),
    },
    resolve: (query, _root, args, context) => setFeedback(context.viewer, context, args, query),
  }),
);
