import { formatId } from '../../api/ids.ts';
import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import type {
  WebhookDeliveryStatus as deliveryStatuses,
  WebhookEvent as events,
} from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { listDeliveries, readDelivery, shownDelivery } from '../deliveries.ts';
import { readWebhook } from '../read.ts';
import type { WebhookWithSecret } from '../write.ts';

/** The GraphQL enum WebhookEvent. */
export const WebhookEvent = builder.enumType('WebhookEvent', {
  description: 'What a webhook can be sent. docs/tickets.md describes the body of each.',
  values: {
    TICKET_CREATED: { description: 'A ticket was created, by a person or by an agent.' },
    TICKET_UPDATED: { description: 'A field of a ticket was changed.' },
    TICKET_COMMENTED: { description: 'A comment was added to a ticket, also an internal one.' },
    RUN_ENDED: { description: 'A turn ended: it was completed or cancelled, or it failed. Its texts are not sent.' },
    FEEDBACK_GIVEN: {
      description: 'A user said what they think of an answer, or changed it. The text of the answer is not sent.',
    },
  } satisfies Record<keyof typeof events, object>,
});

const WebhookDeliveryStatus = builder.enumType('WebhookDeliveryStatus', {
  description: 'The state of a delivery.',
  values: {
    PENDING: { description: 'It is to be sent, for the first time or again.' },
    DELIVERED: { description: 'The receiver has answered with a status from 200 to 299.' },
    FAILED: { description: 'It was given up, after about a day. `replayWebhookDelivery` sends it again.' },
  } satisfies Record<keyof typeof deliveryStatuses, object>,
});

/** The GraphQL type WebhookDelivery. */
export const WebhookDeliveryRef = builder.prismaObject('WebhookDelivery', {
  description:
    'One event on its way to one webhook. The id is the header `webhook-id` of each attempt. Deliveries that were received are deleted after a week, those that were given up after thirty days.',
  select: shownDelivery,
  fields: (t) => ({
    event: t.expose('event', { type: WebhookEvent }),
    status: t.expose('status', { type: WebhookDeliveryStatus }),
    attempts: t.exposeInt('attempts', {}),
    lastStatusCode: t.exposeInt('lastStatusCode', { nullable: true }),
    lastError: t.exposeString('lastError', { nullable: true }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it is sent next, if it is PENDING. Null: it is not sent again.',
      // Of the same reading as the other fields: the row may change in between.
      select: { status: true, nextAttemptAt: true },
      resolve: ({ status, nextAttemptAt }) => (status === 'PENDING' ? nextAttemptAt : null),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the event happened.' }),
  }),
});

builder.nodeRef(WebhookDeliveryRef, {
  id: { resolve: (delivery: typeof WebhookDeliveryRef.$inferType) => delivery.id },
  loadWithoutCache: (row, context) =>
    loadNode(readDelivery(context.viewer, context.db, formatId('WebhookDelivery', row))),
});

/** The GraphQL type Webhook. */
export const WebhookRef = builder.prismaObject('Webhook', {
  description:
    'An address to which Switchboard sends what happens in the tenant, in requests signed as Standard Webhooks (standardwebhooks.com) has it.',
  fields: (t) => ({
    url: t.exposeString('url', {}),
    events: t.expose('events', { type: [WebhookEvent] }),
    isActive: t.exposeBoolean('isActive', {}),
    secretHint: t.string({
      description: 'The last four characters of the secret.',
      select: { secrets: { where: { name: 'current' }, select: { hint: true } } },
      resolve: ({ secrets }) => secrets[0]?.hint ?? '',
    }),
    deliveries: t.connection(
      {
        type: WebhookDeliveryRef,
        description: 'What was and is to be sent, the newest first. 50 per page by default, at most 100.',
        args: { status: t.arg({ type: WebhookDeliveryStatus, description: 'Only deliveries in this state.' }) },
        complexity: (args) => estimatePageCost(args, pageSizes),
        resolve: batchField(
          ({ id }: { readonly id: string }) => id,
          (webhooks, args, context) =>
            listDeliveries(
              context.viewer,
              context.db,
              args,
              webhooks.map(({ id }) => id),
            ),
        ),
      },
      { name: 'WebhookDeliveryConnection', description: 'One page of the deliveries of a webhook.' },
      { name: 'WebhookDeliveryEdge', description: 'A delivery, with its position in the list.' },
    ),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the webhook was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When the webhook was last changed.' }),
  }),
});

builder.nodeRef(WebhookRef, {
  id: { resolve: (webhook: typeof WebhookRef.$inferType) => webhook.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readWebhook(context.viewer, context.db, formatId('Webhook', row), includeUnder(context, info, 'Webhook'))),
});

/** The GraphQL type WebhookSecret. */
export const WebhookSecret = builder.objectRef<WebhookWithSecret>('WebhookSecret').implement({
  description: 'A webhook with its secret, which is in this answer and nowhere else.',
  fields: (t) => ({
    webhook: t.field({
      type: WebhookRef,
      description: 'The webhook.',
      resolve: ({ webhook }) => webhook,
    }),
    secret: t.exposeString('secret', {
      description:
        'The secret with which requests are signed, such as `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw…`. Store it where the receiver checks signatures: it cannot be read again.',
    }),
  }),
});
