import { estimatePageCost, pageSizes } from '../../api/paging.ts';
import { OrderDirection } from '../../conversations/graphql/types.ts';
import { builder } from '../../graphql/builder.ts';
import { includeUnder, toNodes } from '../../graphql/selection.ts';
import { listTickets } from '../list.ts';
import { readTicket } from '../read.ts';
import { TicketPriority, TicketRef, TicketStatus } from './types.ts';

const TicketFilter = builder.inputType('TicketFilter', {
  description: 'Which tickets are wanted: those that fit all fields that are given.',
  fields: (t) => ({
    status: t.field({ type: [TicketStatus], description: 'In one of these states.' }),
    priority: t.field({ type: [TicketPriority], description: 'With one of these priorities.' }),
    assignee: t.string({ description: 'Assigned to this user: exactly this text, 1 to 255 characters.' }),
    contactId: t.id({ description: 'Of this contact, such as `con_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.' }),
    conversationId: t.id({ description: 'Opened in this conversation, which must be yours.' }),
    projectId: t.id({ description: 'Of this project, by its id or key.' }),
    search: t.string({
      description:
        'With all of these words, or words that begin with them, in number, subject or body: 1 to 200 characters. Example: `invoice 1042`.',
    }),
  }),
});

const TicketOrderField = builder.enumType('TicketOrderField', {
  description: 'The fields by which tickets can be ordered.',
  values: {
    CREATED_AT: { description: 'The time of creation.' },
    UPDATED_AT: { description: 'The time of the last change or comment.' },
    PRIORITY: { description: 'The priority: LOW is the lowest. Those of one priority are in the order of creation.' },
  } as const,
});

const TicketOrder = builder.inputType('TicketOrder', {
  description: 'How a list of tickets is ordered.',
  fields: (t) => ({
    field: t.field({ type: TicketOrderField, required: true, description: 'The field to order by.' }),
    direction: t.field({ type: OrderDirection, required: true, description: 'The direction.' }),
  }),
});

/** Edges of lists of tickets. */
export const TicketEdge = builder.edgeObject({
  name: 'TicketEdge',
  description: 'A ticket, with its position in the list.',
  type: TicketRef,
});

/** Lists of tickets. */
export const TicketConnection = builder.connectionObject(
  { name: 'TicketConnection', description: 'One page of a list of tickets.', type: TicketRef },
  TicketEdge,
);

builder.queryFields((t) => ({
  tickets: t.connection(
    {
      type: TicketRef,
      description: 'The tickets that you may see. 50 per page by default, at most 100.',
      args: {
        filter: t.arg({ type: TicketFilter, description: 'Which of them are wanted. If omitted, all.' }),
        orderBy: t.arg({
          type: TicketOrder,
          description: 'The order of the list. If omitted, the last updated comes first (UPDATED_AT, DESC).',
        }),
      },
      complexity: (args) => estimatePageCost(args, pageSizes),
      resolve: (_root, args, context, info) =>
        listTickets(context.viewer, context, args, includeUnder(context, info, 'Ticket', toNodes)),
    },
    TicketConnection,
    TicketEdge,
  ),
  ticket: t.prismaField({
    type: TicketRef,
    nullable: true,
    description: 'One ticket. NOT_FOUND if it does not exist, FORBIDDEN if you may not see it.',
    args: {
      id: t.arg.id({
        required: true,
        description: 'The ticket’s id, such as `tkt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      }),
    },
    resolve: (query, _root, args, context) => readTicket(context.viewer, context.db, args.id, query),
  }),
}));
