import { formatId, type IdKind } from '../api/ids.ts';
import type { Db } from '../database/client.ts';
import type { Ticket, TicketComment } from '../generated/prisma/client.ts';
import { bodyVersion, type TicketInBody, type WebhookBody } from '../webhooks/body.ts';
import { appendDeliveries } from '../webhooks/outbox.ts';

/** A change of a ticket's field, in the terms of the API. */
export interface FieldChange {
  readonly field: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** What happened to a ticket. */
export type TicketNews =
  | { readonly type: 'ticket.created' }
  | { readonly type: 'ticket.updated'; readonly changes: readonly FieldChange[]; readonly changedBy: string }
  | { readonly type: 'ticket.commented'; readonly comment: TicketComment };

/**
 * Writes for the webhooks of the tenant what happened to a ticket. One statement.
 * @param tx the transaction in which it happened
 * @param row the ticket as it is then
 */
export async function tellWebhooks(tx: Db, row: Ticket, news: TicketNews): Promise<void> {
  await appendDeliveries(tx, row.tenantId, writeBody(row, news), { ticketId: row.id });
}

function writeBody(row: Ticket, news: TicketNews): WebhookBody {
  const ticket = showTicket(row);
  const common = { version: bodyVersion, timestamp: new Date().toISOString() } as const;
  switch (news.type) {
    case 'ticket.created':
      return { type: news.type, ...common, data: { ticket } };
    case 'ticket.updated':
      return { type: news.type, ...common, data: { ticket, changes: [...news.changes], changedBy: news.changedBy } };
    case 'ticket.commented': {
      const { id, body, isInternal, author, createdAt } = news.comment;
      const comment = {
        id: show('TicketComment', 'cmt', id),
        body,
        isInternal,
        author,
        createdAt: createdAt.toISOString(),
      };
      return { type: news.type, ...common, data: { ticket, comment } };
    }
  }
}

function showTicket(row: Ticket): TicketInBody {
  const { number, subject, body, status, priority, category, assignee, createdBy } = row;
  const { contactId, conversationId, projectId, createdByAgentId } = row;
  return {
    id: show('Ticket', 'tkt', row.id),
    ...{ number, subject, body, status, priority, category, assignee, createdBy },
    contactId: contactId === null ? null : show('Contact', 'con', contactId),
    conversationId: conversationId === null ? null : show('Conversation', 'conv', conversationId),
    projectId: projectId === null ? null : show('Project', 'prj', projectId),
    createdByAgentId: createdByAgentId === null ? null : show('Agent', 'agt', createdByAgentId),
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** A public id with its prefix in its type. */
function show<Prefix extends string>(kind: IdKind, prefix: Prefix, row: string): `${Prefix}_${string}` {
  const id: string = formatId(kind, row);
  if (!isPrefixed(id, prefix)) throw new Error(`The ids of ${kind} do not begin with ${prefix}_.`);
  return id;
}

function isPrefixed<Prefix extends string>(id: string, prefix: Prefix): id is `${Prefix}_${string}` {
  return id.startsWith(`${prefix}_`);
}
