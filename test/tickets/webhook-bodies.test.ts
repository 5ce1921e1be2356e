import { expect, test } from 'vitest';
import { webhookBody } from '../../src/webhooks/body.ts';
import { shareApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { openReceiver, type Received, verify } from '../webhooks/receiver.ts';
import { createWebhook, localReceivers, openAdmin } from '../webhooks/support.ts';
import { codeOf, commentDocument, createTicket, updateDocument } from './support.ts';

const app = shareApp({ env: localReceivers });
const ofTickets = ['TICKET_CREATED', 'TICKET_UPDATED', 'TICKET_COMMENTED'];

test('A help desk is sent what happens to tickets, in its order, signed, with the ids of the API', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  const { secret } = await createWebhook(admin, receiver.url, ofTickets);
  const alice = await openSocketClient(app, { sub: 'alice', tenant: admin.tenant });
  const conversationId = await alice.createConversation({});
  const ticket = await createTicket(alice, { conversationId, priority: 'HIGH', category: 'hardware' });
  const { id } = ticket;
  const update = (input: object) => admin.ask(updateDocument, { id, input });
  await update({ status: 'SOLVED', assignee: 'ada' });
  // What changes nothing is sent to nobody.
  await update({ status: 'SOLVED' });
  const { addTicketComment: comment } = await alice.ask(commentDocument, { id, body: 'It burns again.' });

  const received = await receiver.waitFor(4);
  const bodies = received.map((request: Received) => webhookBody.parse(verify(secret, request)));
  const { number, subject, body, priority, category } = ticket;
  const shown = { id, number, subject, body, priority, category, conversationId, createdBy: 'alice' };
  const rest = { contactId: null, projectId: null, createdByAgentId: null };
  const solved = { ...shown, ...rest, status: 'SOLVED', assignee: 'ada' };
  expect(bodies).toMatchObject([
    { type: 'ticket.created', version: 1, data: { ticket: { ...shown, ...rest, status: 'OPEN', assignee: null } } },
    {
      type: 'ticket.updated',
      data: {
        ticket: solved,
        changes: [
          { field: 'status', from: 'OPEN', to: 'SOLVED' },
          { field: 'assignee', from: null, to: 'ada' },
        ],
        changedBy: 'ada',
      },
    },
    { type: 'ticket.commented', data: { ticket: solved, comment: { ...comment, author: 'alice', isInternal: false } } },
    {
      type: 'ticket.updated',
      data: {
        ticket: { ...solved, status: 'OPEN' },
        changes: [{ field: 'status', from: 'SOLVED', to: 'OPEN' }],
        changedBy: 'alice',
      },
    },
  ]);
  expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(4);
});

test('A webhook is sent the events that it has chosen, and nothing of a change that was refused', async () => {
  await using receiver = await openReceiver();
  const admin = await openAdmin(app);
  await createWebhook(admin, receiver.url, ['TICKET_COMMENTED']);
  const { id } = await createTicket(admin);
  await admin.ask(updateDocument, { id, input: { status: 'CLOSED' } });
  expect(await codeOf(app, admin, updateDocument, { id, input: { status: 'OPEN', priority: 'LOW' } })).toBe('CONFLICT');
  expect(await app.app.db.webhookDelivery.count({ where: { tenantId: admin.tenant } })).toBe(0);
  expect((await app.app.db.ticket.findFirstOrThrow({ where: { tenantId: admin.tenant } })).priority).toBe('NORMAL');
  await admin.ask(commentDocument, { id, body: 'For us.', isInternal: true });
  const [request] = await receiver.waitFor(1);
  expect(JSON.parse(request?.body ?? '')).toMatchObject({
    type: 'ticket.commented',
    data: { comment: { body: 'For us.', isInternal: true } },
  });
});
