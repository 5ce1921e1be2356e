import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listWebhooks } from '../read.ts';
import { WebhookRef } from './types.ts';

builder.queryField('webhooks', (t) =>
  t.connection(
    {
      type: WebhookRef,
      nullable: true,
      description:
        'The webhooks of the tenant, the oldest first. 50 per page by default, at most 100. Only admins can see them: for others it is null, with FORBIDDEN.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listWebhooks(context.viewer, context.db, args, includeUnder(context, info, 'Webhook', toNodes)),
    },
    { name: 'WebhookConnection', description: 'One page of the webhooks of the tenant.' },
    { name: 'WebhookEdge', description: 'A webhook, with its position in the list.' },
  ),
);
