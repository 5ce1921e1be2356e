import { expect, test } from 'vitest';
import { countUserRows, eraseUser } from '../../src/retention/erase-user.ts';
import { webhookBody } from '../../src/webhooks/body.ts';
import { holdWebhook, openTicket } from '../contacts/ticket-traces.ts';
import { startTestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';

test('A user who is called like another value is erased, and that value stays', async () => {
  await using one = await startTestApp();
  const { db } = one.app;
  const bob = await openSocketClient(one, 'bob');
  await bob.ask('{ viewer { userId } }');
  await holdWebhook(one, 'acme');
  const updateTicket =
    'mutation ($id: ID!, $input: UpdateTicketInput!) { updateTicket(id: $id, input: $input) { id } }';
  const id = await openTicket(bob, { marker: 'OPEN' });
  await bob.ask(updateTicket, { id, input: { assignee: 'OPEN' } });
  await bob.ask(updateTicket, { id, input: { status: 'OPEN' } });
  for (const userId of ['OPEN', 'ticket.updated', 'assignee']) {
    await bob.ask(updateTicket, { id, input: { assignee: userId } });
    await eraseUser(db, { tenantId: 'acme', userId }, () => {});
    expect(await countUserRows(db, { tenantId: 'acme', userId })).toEqual([]);
  }
  const deliveries = await db.webhookDelivery.findMany({ where: { tenantId: 'acme' }, orderBy: { createdAt: 'asc' } });
  const bodies = deliveries.map(({ body }) => webhookBody.parse(body));
  expect(bodies.length).toBeGreaterThan(5);
  expect(JSON.stringify(bodies.slice(0, 2))).toContain('"subject":"OPEN"');
  expect(JSON.stringify(bodies)).not.toMatch(/"(assignee|changedBy|createdBy)":"(OPEN|ticket.updated|assignee)"/);
  expect(JSON.stringify(bodies)).toContain('{"field":"assignee","from":"erased","to":"erased"}');
  expect(new Set(bodies.map(({ type }) => type))).toEqual(
    new Set(['ticket.created', 'ticket.commented', 'ticket.updated']),
  );
  expect(
    (await bob.ask('query ($id: ID!) { ticket(id: $id) { status assignee history { field } } }', { id })).ticket,
  ).toMatchObject({ status: 'OPEN', assignee: 'erased' });
}, 60_000);
