import { formatId } from '../../api/ids.ts';
import { builder } from '../../graphql/builder.ts';
import { ViewerRef } from '../../graphql/refs.ts';
import { readLastTicketSeq } from '../feed.ts';
import { type TicketEvent as Event, followTickets } from '../follow.ts';
import { readTicket } from '../read.ts';
import { TicketComment, TicketRef } from './types.ts';

const eventOf = <Type extends Event['type']>(type: Type, description: string) => {
  const ref = builder.objectRef<Event & { readonly type: Type }>(type);
  ref.implement({
    description,
    fields: (t) => ({
      seq: t.exposeInt('seq', {
        description:
          'The position of the event among those of all tickets of the tenant; it grows with every event. Pass it as `after` to continue after this event.',
      }),
      at: t.expose('at', { type: 'DateTime', description: 'When it happened.' }),
    }),
  });
  builder.objectField(ref, 'ticket', (t) =>
    t.prismaField({
      type: TicketRef,
      description: 'The ticket as it is now.',
      resolve: (query, { ticketId }, _args, context) =>
        readTicket(context.viewer, context.db, formatId('Ticket', ticketId), query),
    }),
  );
  return ref;
};

const TicketCreated = eventOf('TicketCreated', 'A ticket was created.');
const TicketUpdated = eventOf('TicketUpdated', 'A field of a ticket was changed.');
const TicketCommented = eventOf('TicketCommented', 'A comment was added to a ticket.');
builder.objectField(TicketCommented, 'comment', (t) =>
  t.field({
    type: TicketComment,
    description: 'The comment.',
    resolve: ({ comment }) => {
      if (comment === null) throw new Error('An event of a comment has none.');
      return comment;
    },
  }),
);

const TicketEvent = builder.unionType('TicketEvent', {
  types: [TicketCreated, TicketUpdated, TicketCommented],
  description:
    'Something that happened to a ticket, whichever client, agent or server process caused it. Events are stored for a day, at most the last 5,000 of the tenant.',
  resolveType: ({ type }) => type,
});

builder.subscriptionField('ticketEvents', (t) =>
  t.field({
    type: TicketEvent,
    description:
      'What happens to the tickets that you may see. Read `Viewer.lastTicketEventSeq` with the list and pass it as `after`: then nothing is missed. Works on every server process.',
    args: {
      projectId: t.arg.id({
        description:
          'Only tickets of this project, by its id, such as `prj_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`, or its key. If omitted, all tickets.',
      }),
      after: t.arg.int({
        description:
          'Return only events with a higher `seq`. If omitted, only what happens from now on. EVENTS_EXPIRED if events after it are not stored any more: read again, then subscribe after the new `lastTicketEventSeq`.',
      }),
    },
    subscribe: (_root, { projectId, after }, context) =>
      followTickets(context.viewer, context.tickets, { projectId: projectId ?? null, after: after ?? null }),
    resolve: (event) => event,
  }),
);

builder.objectField(ViewerRef, 'lastTicketEventSeq', (t) =>
  t.int({
    description:
      'The `seq` of the last event of tickets when it was read. Read it before the tickets, or in the same query in front of them, and pass it to `ticketEvents` as `after`.',
    resolve: (viewer, _args, context) => readLastTicketSeq(viewer, context.db),
  }),
);
