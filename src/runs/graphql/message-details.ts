import { MessageRef } from '../../conversations/graphql/message-types.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { readDetailsOfMessages } from '../read/message-details.ts';

const loadDetails = batchField(
  ({ id }: { readonly id: string }) => id,
  (messages, _args: object, context) =>
    readDetailsOfMessages(
      context.viewer,
      context,
      messages.map(({ id }) => id),
    ),
);

builder.prismaObjectFields(MessageRef, (t) => ({
  data: t.field({
    type: 'JSON',
    nullable: true,
    description:
      'The answer as the `outputSchema` of its agent has it, which it fits. Null if the agent has none, and if the message is not a complete answer.',
    resolve: async (message, args, context, info) => (await loadDetails(message, args, context, info))?.data ?? null,
  }),
  reasoning: t.field({
    type: 'String',
    nullable: true,
    description:
      'What the model thought before it wrote the message, as far as its provider shows it. Null if it showed nothing, and if the operator has it not stored for the tenant (STORE_REASONING).',
    resolve: async (message, args, context, info) =>
      (await loadDetails(message, args, context, info))?.reasoning ?? null,
  }),
}));
