import { formatId } from '../../api/ids.ts';
import { belongsTo } from '../../auth/access.ts';
import { ContactRef } from '../../contacts/graphql/types.ts';
import { ConversationRef } from '../../conversations/graphql/types.ts';
import type {
  TicketPriority as priorities,
  TicketStatus as statuses,
  TicketChange as TicketChangeRow,
  TicketComment as TicketCommentRow,
  Ticket as TicketRow,
} from '../../generated/prisma/client.ts';
import { batchField } from '../../graphql/batch.ts';
import { builder } from '../../graphql/builder.ts';
import { loadExistingAgent } from '../../graphql/existing-agent.ts';
import { AgentRef, ProjectRef } from '../../graphql/refs.ts';
import { includeUnder, loadNode } from '../../graphql/selection.ts';
import { readCommentsOf, readHistoryOf } from '../comments.ts';
import { readContactsOf, readTicket } from '../read.ts';

/** The GraphQL enum TicketStatus. */
export const TicketStatus = builder.enumType('TicketStatus', {
  description: 'The state of a ticket.',
  values: {
    OPEN: { description: 'Somebody has to work on it.' },
    PENDING: { description: 'It waits for somebody else, such as the contact.' },
    SOLVED: { description: 'The work is done. A comment of the contact opens it again.' },
    CLOSED: { description: 'It is over for good: it never has another status again.' },
  } satisfies Record<keyof typeof statuses, object>,
});

/** The GraphQL enum TicketPriority. */
export const TicketPriority = builder.enumType('TicketPriority', {
  description: 'How urgent a ticket is, the least first.',
  values: {
    LOW: { description: 'Whenever there is time.' },
    NORMAL: { description: 'As usual.' },
    HIGH: { description: 'Before others.' },
    URGENT: { description: 'Immediately.' },
  } satisfies Record<keyof typeof priorities, object>,
});

/** The GraphQL type TicketComment. */
export const TicketComment = builder.objectRef<TicketCommentRow>('TicketComment').implement({
  description: 'Something that was said about a ticket.',
  fields: (t) => ({
    id: t.id({
      description: 'The comment’s id, such as `cmt_0198f3a0-7c1e-7d52-9a41-3f5c0e8b2d17`.',
      resolve: ({ id }) => formatId('TicketComment', id),
    }),
    body: t.exposeString('body', { description: 'The text.' }),
    isInternal: t.exposeBoolean('isInternal', {
      description:
        'Whether it is for those who work on the ticket. The creator cannot read it if the ticket was opened in a conversation, by an agent or without a contact, but for its author and admins.',
    }),
    author: t.exposeString('author', { description: 'The id of the user who wrote it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was written.' }),
  }),
});

const TicketChange = builder.objectRef<TicketChangeRow>('TicketChange').implement({
  description: 'A field of a ticket that was changed.',
  fields: (t) => ({
    field: t.exposeString('field', { description: 'The name of the field of Ticket, such as `status`.' }),
    from: t.exposeString('from', {
      nullable: true,
      description: 'The value before; of `contact`, the id. Null if there was none.',
    }),
    to: t.exposeString('to', {
      nullable: true,
      description: 'The value after it; of `contact`, the id. Null if there is none.',
    }),
    by: t.exposeString('by', { description: 'The id of the user who changed it.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was changed.' }),
  }),
});

/** The GraphQL type Ticket. */
export const TicketRef = builder.prismaObject('Ticket', {
  description:
    'A request that a person picks up. One of no project can be seen and changed by all users of the tenant; one of a project can be seen by its members, and changed by its editors.',
  fields: (t) => ({
    number: t.exposeInt('number', {}),
    subject: t.exposeString('subject', {}),
    body: t.exposeString('body', {}),
    status: t.expose('status', { type: TicketStatus }),
    priority: t.expose('priority', { type: TicketPriority }),
    category: t.exposeString('category', { nullable: true }),
    contact: t.field({
      type: ContactRef,
      nullable: true,
      description: 'The person for whom it is. Null if there is none.',
      resolve: batchField(
        ({ id }: TicketRow) => id,
        (tickets, _args: object, { viewer, db }) => readContactsOf(viewer, db, tickets),
      ),
    }),
    conversation: t.field({
      type: ConversationRef,
      nullable: true,
      description:
        'The conversation in which it was opened. Null if there is none, if it was deleted, and for everybody but the user to whom it belongs.',
      select: (_args, _context, nestedSelection) => ({ conversation: nestedSelection(true) }),
      resolve: ({ conversation }, _args, { viewer }) =>
        conversation !== null && conversation.userId === viewer.userId ? conversation : null,
    }),
    project: t.relation('project', {
      type: ProjectRef,
      nullable: true,
      description: 'The project to which it belongs. Null: it belongs to the tenant.',
    }),
    assignee: t.exposeString('assignee', { nullable: true }),
    comments: t.field({
      type: [TicketComment],
      description:
        'What was said about it, the oldest first: at most 1,000. Internal comments that you may not read are left out.',
      resolve: batchField(
        ({ id }: TicketRow) => id,
        (tickets, _args: object, context) => readCommentsOf(context.viewer, context, tickets),
      ),
    }),
    history: t.field({
      type: [TicketChange],
      description: 'What was changed since it was created, the oldest first: the last 1,000 changes.',
      resolve: batchField(
        ({ id }: TicketRow) => id,
        (tickets, _args: object, context) => readHistoryOf(context.viewer, context, tickets),
      ),
    }),
    createdBy: t.exposeString('createdBy', {}),
    createdByAgent: t.field({
      type: AgentRef,
      nullable: true,
      description: 'The agent that opened it. Null if a person did, and if the agent belongs to another user.',
      resolve: async ({ createdByAgentId }, _args, context) => {
        const agent = createdByAgentId === null ? null : await loadExistingAgent(context, createdByAgentId);
        return agent && belongsTo(context.viewer, { tenantId: agent.tenantId, userId: agent.ownerId }) ? agent : null;
      },
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was created.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed or commented on.' }),
  }),
});

builder.nodeRef(TicketRef, {
  id: { resolve: (ticket: typeof TicketRef.$inferType) => ticket.id },
  loadWithoutCache: (row, context, info) =>
    loadNode(readTicket(context.viewer, context.db, formatId('Ticket', row), includeUnder(context, info, 'Ticket'))),
});
