import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { ContactRef } from '../../contacts/graphql/types.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listTicketsOfContacts } from '../list.ts';
import { TicketConnection, TicketEdge } from './queries.ts';
import { TicketRef } from './types.ts';

builder.prismaObjectField(ContactRef, 'tickets', (t) =>
  t.connection(
    {
      type: TicketRef,
      description:
        'The tickets of the contact that you may see, the most recently created first. 50 per page by default, at most 100.',
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: batchField(
        ({ id }: { readonly id: string }) => id,
        (contacts, args, context, info) =>
          listTicketsOfContacts(
            context.viewer,
            context,
            args,
            contacts.map(({ id }) => id),
            includeUnder(context, info, 'Ticket', toNodes),
          ),
      ),
    },
    TicketConnection,
    TicketEdge,
  ),
);
