import { builder } from '../../graphql/builder.ts';
import { addTicketComment } from '../add-comment.ts';
import { updateTicket } from '../change.ts';
import { createTicket } from '../create.ts';
import { TicketComment, TicketPriority, TicketRef, TicketStatus } from './types.ts';

const CreateTicketInput = builder.inputType('CreateTicketInput', {
  description: 'The properties of a new ticket.',
  fields: (t) => ({
    subject: t.string({ required: true, description: 'What it is about, in one line: 1 to 300 characters.' }),
    body: t.string({ required: true, description: 'The request itself, 1 to 20,000 characters.' }),
    priority: t.field({ type: TicketPriority, defaultValue: 'NORMAL', description: 'How urgent it is.' }),
    category: t.string({ description: 'A grouping of your own, 1 to 100 characters. Example: `billing`.' }),
    contactId: t.id({
      description: 'The contact for whom it is. If omitted, the contact of the conversation, if it has one.',
    }),
    conversationId: t.id({ description: 'The conversation of yours from which it comes.' }),
    projectId: t.id({
      description:
        'The project to which it belongs, by its id or key; you must be an EDITOR of it. If omitted, the project of the conversation, otherwise none.',
    }),
    idempotencyKey: t.string({
      description:
        'A key of the client’s choice, 1 to 255 characters, such as a UUID. A second request with the same key returns the ticket that the first one created, or CONFLICT if its input differs.',
    }),
  }),
});

const UpdateTicketInput = builder.inputType('UpdateTicketInput', {
  description: 'The changes to a ticket, one at least. Omitted fields stay as they are; null removes a value.',
  fields: (t) => ({
    subject: t.string({ description: 'The new subject, 1 to 300 characters.' }),
    status: t.field({
      type: TicketStatus,
      description: 'The new state: OPEN, PENDING and SOLVED in any order; CLOSED is the end.',
    }),
    priority: t.field({ type: TicketPriority, description: 'The new priority.' }),
    category: t.string({ description: 'The new grouping, 1 to 100 characters. Null: none.' }),
    assignee: t.string({
      description: 'Who works on it: the id of a user, or a name of your own, 1 to 255 characters. Null: nobody.',
    }),
    contactId: t.id({ description: 'The contact for whom it is. Null: none.' }),
  }),
});

const ticketId = 'The ticket’s id, such as `tkt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.';

builder.mutationFields((t) => ({
  createTicket: t.prismaField({
    type: TicketRef,
    description: 'Creates a ticket. All users of the tenant may; in a project, its editors.',
    args: { input: t.arg({ type: CreateTicketInput, required: true, description: 'The ticket.' }) },
    resolve: (query, _root, args, context) => createTicket(context.viewer, context.tickets, args.input, query),
  }),
  updateTicket: t.prismaField({
    type: TicketRef,
    description:
      'Changes a ticket, and notes each change in its history. CONFLICT if it is CLOSED and is to have another status.',
    args: {
      id: t.arg.id({ required: true, description: ticketId }),
      input: t.arg({ type: UpdateTicketInput, required: true, description: 'The fields to change.' }),
    },
    resolve: (query, _root, args, context) => updateTicket(context.viewer, context.tickets, args.id, args.input, query),
  }),
  addTicketComment: t.field({
    type: TicketComment,
    description:
      'Adds a comment to a ticket. If the ticket is SOLVED, a comment of its contact that is not internal opens it again: of its creator, if it was opened in a conversation, by an agent or without a contact. A ticket has at most 1,000 comments.',
    args: {
      ticketId: t.arg.id({ required: true, description: ticketId }),
      body: t.arg.string({ required: true, description: 'The text, 1 to 20,000 characters.' }),
      isInternal: t.arg.boolean({
        defaultValue: false,
        description: 'Whether it is for those who work on the ticket, and not for the contact.',
      }),
    },
    resolve: (_root, { ticketId: id, body, isInternal }, context) =>
      addTicketComment(context.viewer, context.tickets, { ticketId: id, body, isInternal: isInternal ?? false }),
  }),
}));
