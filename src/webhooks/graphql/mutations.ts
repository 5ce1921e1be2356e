import { builder } from '../../graphql/builder.ts';
import { includeUnder } from '../../graphql/selection.ts';
import { replayDelivery } from '../deliveries.ts';
import { createWebhook, deleteWebhook, rotateWebhookSecret, updateWebhook } from '../write.ts';
import { WebhookDeliveryRef, WebhookEvent, WebhookRef, WebhookSecret } from './types.ts';

const WebhookInput = builder.inputType('WebhookInput', {
  description: 'A webhook, as it is created or replaced.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description:
        'The address to which the requests are sent, with POST: http or https, 1 to 2,000 characters, without a user name, a password or a fragment. Private addresses must be listed in MODEL_ALLOWED_HOSTS. Example: `https://desk.example.com/switchboard`.',
    }),
    events: t.field({ type: [WebhookEvent], required: true, description: 'What is sent: one event at least.' }),
    isActive: t.boolean({
      defaultValue: true,
      description: 'Whether anything is sent. What happens while it is false is not sent later.',
    }),
  }),
});

const webhookId = 'The webhook’s id, such as `wh_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  createWebhook: t.field({
    type: WebhookSecret,
    description:
      'Creates a webhook of the tenant, and returns its secret, once. A tenant has at most 20; CONFLICT if it has them. Only admins may do this.',
    args: { input: t.arg({ type: WebhookInput, required: true, description: 'The webhook.' }) },
    resolve: (_root, args, context, info) =>
      createWebhook(context.viewer, context.webhooks, args.input, includeUnder(context, info, 'Webhook', ['webhook'])),
  }),
  updateWebhook: t.prismaField({
    type: WebhookRef,
    description:
      'Replaces the address, the events and the state of a webhook. Its secret stays. Deliveries that wait are sent to the new address. Only admins may do this.',
    args: {
      id: t.arg.id({ required: true, description: webhookId }),
      input: t.arg({ type: WebhookInput, required: true, description: 'All fields of the webhook.' }),
    },
    resolve: (query, _root, args, context) =>
      updateWebhook(context.viewer, context.webhooks, args.id, args.input, query),
  }),
  rotateWebhookSecret: t.field({
    type: WebhookSecret,
    description:
      'Makes a new secret, and returns it, once. For 24 hours requests are signed with both, so that the receiver can be changed meanwhile. Only admins may do this.',
    args: { id: t.arg.id({ required: true, description: webhookId }) },
    resolve: (_root, args, context, info) =>
      rotateWebhookSecret(
        context.viewer,
        context.webhooks,
        args.id,
        includeUnder(context, info, 'Webhook', ['webhook']),
      ),
  }),
  deleteWebhook: t.id({
    description:
      'Deletes a webhook with its deliveries, and returns its id. A request that is under way may still arrive. Only admins may do this.',
    args: { id: t.arg.id({ required: true, description: webhookId }) },
    resolve: (_root, args, context) => deleteWebhook(context.viewer, context.webhooks, args.id),
  }),
  replayWebhookDelivery: t.field({
    type: WebhookDeliveryRef,
    description:
      'Sends a delivery again that was given up, with the same id and body. It is repeated for a day, as a new one is. CONFLICT unless it is FAILED. Only admins may do this.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The delivery’s id, such as `whd_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (_root, args, context) => replayDelivery(context.viewer, context.webhooks, args.id),
  }),
}));
