import { z } from 'zod';
import type { WebhookEvent } from '../generated/prisma/client.ts';

/** The version of the bodies below. Fields are added without a new one; a field that changes or goes makes a new one. */
export const bodyVersion = 1;

const moment = z.iso.datetime();
const id = (prefix: string) => z.templateLiteral([`${prefix}_`, z.uuid()]);

const ticket = z.strictObject({
  id: id('tkt'),
  number: z.int(),
  subject: z.string(),
  body: z.string(),
  status: z.enum(['OPEN', 'PENDING', 'SOLVED', 'CLOSED']),
  priority: z.enum(['LOW', 'NORMAL', 'HIGH', 'URGENT']),
  category: z.string().nullable(),
  contactId: id('con').nullable(),
  conversationId: id('conv').nullable(),
  projectId: id('prj').nullable(),
  assignee: z.string().nullable(),
  createdBy: z.string(),
  createdByAgentId: id('agt').nullable(),
  createdAt: moment,
  updatedAt: moment,
});

const change = z.strictObject({ field: z.string(), from: z.string().nullable(), to: z.string().nullable() });

const comment = z.strictObject({
  id: id('cmt'),
  body: z.string(),
  isInternal: z.boolean(),
  author: z.string(),
  createdAt: moment,
});

const run = z.strictObject({
  id: id('run'),
  conversationId: id('conv'),
  userId: z.string(),
  agentId: id('agt').nullable(),
  status: z.enum(['COMPLETED', 'FAILED', 'CANCELLED']),
  errorCode: z.string().nullable(),
  createdAt: moment,
  startedAt: moment.nullable(),
  finishedAt: moment.nullable(),
});

const common = { version: z.literal(bodyVersion), timestamp: moment };

const feedback = z.strictObject({
  id: id('fb'),
  messageId: id('msg'),
  conversationId: id('conv'),
  runId: id('run').nullable(),
  agentId: id('agt').nullable(),
  scenarioId: id('scn').nullable(),
  scenarioVersion: z.int().nullable(),
  userId: z.string(),
  rating: z.enum(['UP', 'DOWN']),
  comment: z.string().nullable(),
  createdAt: moment,
});

/**
 * What a webhook is sent, as docs/tickets.md describes it: type, version, the time of the event, and data. Ids are public ones.
 * `run.ended` is written by a trigger of the database (see the migration), the others in the code of their noun.
 */
export const webhookBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('ticket.created'), ...common, data: z.strictObject({ ticket }) }),
  z.strictObject({
    type: z.literal('ticket.updated'),
    ...common,
    data: z.strictObject({ ticket, changes: z.array(change), changedBy: z.string() }),
  }),
  z.strictObject({ type: z.literal('ticket.commented'), ...common, data: z.strictObject({ ticket, comment }) }),
  z.strictObject({ type: z.literal('run.ended'), ...common, data: run }),
  z.strictObject({ type: z.literal('feedback.given'), ...common, data: feedback }),
]);

export type WebhookBody = z.output<typeof webhookBody>;
/** A ticket as webhooks are sent it. */
export type TicketInBody = z.output<typeof ticket>;

/** The event of a body, as webhooks choose it. */
export const eventOfType: Readonly<Record<WebhookBody['type'], WebhookEvent>> = {
  'ticket.created': 'TICKET_CREATED',
  'ticket.updated': 'TICKET_UPDATED',
  'ticket.commented': 'TICKET_COMMENTED',
  'run.ended': 'RUN_ENDED',
  'feedback.given': 'FEEDBACK_GIVEN',
};
