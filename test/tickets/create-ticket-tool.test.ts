import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createTicketOfAgent } from '../../src/tickets/create.ts';
import { shareApp } from '../support/app.ts';
import { documents, openChat, openSocketClient } from '../support/chat.ts';

const app = shareApp();

const execute = 'mutation ($input: ExecuteToolInput!) { executeTool(input: $input) { ok result error } }';
const list = `{ tickets(orderBy: { field: CREATED_AT, direction: ASC }) { edges { node {
  id number subject body priority category createdBy createdByAgent { name } conversation { id } contact { id } project { key }
} } } }`;

test('An agent opens a ticket in its conversation, with its contact and its project, and is told the number', async () => {
  const claims = { tenant: randomUUID(), sub: 'ada', roles: ['admin'] };
  const ada = await openSocketClient(app, claims);
  await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
  const { createContact: contact } = await ada.ask('mutation { createContact(input: { name: "Bob" }) { id } }');
  const chat = await openChat(app, { projectId: 'shop' }, claims);
  const link = 'mutation ($id: ID!, $c: ID!) { updateConversation(id: $id, input: { contactId: $c }) { id } }';
  await chat.ask(link, { id: chat.conversationId, c: contact.id });
  const ticket = { subject: ' The printer is on fire ', body: 'Since this morning.', category: 'hardware' };
  // Two calls of one step are two tickets, although they say the same.
  const call = { name: 'create_ticket', arguments: ticket };
  app.model.add({ calls: [call, { ...call, arguments: { ...ticket, priority: 'URGENT' } }] }, { text: 'Done.' });
  const events = await chat.readToEnd('Help!');
  const { run } = await chat.ask(documents.run, { id: events[0]?.runId });
  const { tickets } = await chat.ask(list);
  const common = {
    ...{ subject: 'The printer is on fire', body: 'Since this morning.', category: 'hardware' },
    ...{ createdBy: 'ada', createdByAgent: { name: 'assistant' } },
    ...{ conversation: { id: chat.conversationId }, contact: { id: contact.id }, project: { key: 'shop' } },
  };
  expect(tickets.edges).toMatchObject([{ node: { number: 1, ...common } }, { node: { number: 2, ...common } }]);
  const shown = tickets.edges.map(({ node: { id, number, subject, priority } }: { node: Record<string, unknown> }) => ({
    ...{ id, number, subject, priority, status: 'OPEN' },
  }));
  const byNumber = (one: { number: number }, other: { number: number }) => one.number - other.number;
  const results = run.toolCalls.map(({ result }: { result: unknown }) =>
    typeof result === 'string' ? JSON.parse(result) : result,
  );
  expect(results.sort(byNumber)).toEqual(shown);
  expect(new Set(shown.map(({ priority }: { priority: string }) => priority))).toEqual(new Set(['NORMAL', 'URGENT']));
});

test('A call that is made again, also at the same moment, opens no second ticket; another call and another run do', async () => {
  const claims = { tenant: randomUUID(), sub: 'alice' };
  const alice = await openSocketClient(app, claims);
  await alice.ask('{ viewer { userId } }');
  const viewer = { tenantId: claims.tenant, userId: 'alice', roles: [], expiresAt: Number.POSITIVE_INFINITY };
  const ticket = { subject: 'a', body: 'b', priority: 'NORMAL', category: null } as const;
  const runId = randomUUID();
  const open = (call: { runId: string; callId: string } | null, more = {}) =>
    createTicketOfAgent(viewer, app.app.tickets, {
      ...{ ...ticket, ...more, agentId: null, conversationId: null, call },
    });
  const same = await Promise.all(Array.from({ length: 8 }, () => open({ runId, callId: 'call_1' })));
  expect(new Set(same.map(({ id }) => id)).size).toBe(1);
  expect((await open({ runId, callId: 'call_1' })).id).toBe(same[0]?.id);
  await expect(open({ runId, callId: 'call_1' }, { body: 'other' })).rejects.toMatchObject({ code: 'CONFLICT' });
  const others = await Promise.all([
    open({ runId, callId: 'call_2' }),
    open({ runId: randomUUID(), callId: 'call_1' }),
    open(null),
    open(null),
  ]);
  expect(new Set([same[0]?.id, ...others.map(({ id }) => id)]).size).toBe(5);
  const { tickets } = await alice.ask('{ tickets { totalCount } }');
  expect(tickets.totalCount).toBe(5);
});

test('What an agent may not do, or does wrongly, is an error that the model is told, and opens no ticket', async () => {
  const tenant = randomUUID();
  const ada = await openSocketClient(app, { tenant, sub: 'ada', roles: ['admin'] });
  await ada.ask('mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
  const set = 'mutation ($r: ProjectRole!) { setProjectMember(projectId: "shop", userId: "alice", role: $r) { id } }';
  await ada.ask(set, { r: 'EDITOR' });
  const chat = await openChat(app, { projectId: 'shop' }, { tenant, sub: 'alice' });
  const call = async (args: object) =>
    (
      await chat.ask(execute, {
        input: { name: 'create_ticket', arguments: args, conversationId: chat.conversationId },
      })
    ).executeTool;
  for (const [args, words] of [
    [{ subject: ' ', body: 'b' }, /subject/],
    [{ subject: 'a', body: 'b'.repeat(20_001) }, /body/],
    [{ subject: 'a' }, /body/],
    [{ subject: 'a', body: 'b', priority: 'HUGE' }, /priority/],
    [{ subject: 'a', body: 'b', projectId: 'other' }, /projectId/],
  ] as const) {
    expect(await call(args)).toMatchObject({ ok: false, error: expect.stringMatching(words) });
  }
  await ada.ask(set, { r: 'VIEWER' });
  await expect(call({ subject: 'a', body: 'b' })).rejects.toThrow('FORBIDDEN');
  expect(await app.app.db.ticket.count({ where: { tenantId: tenant } })).toBe(0);
  await ada.ask(set, { r: 'EDITOR' });
  expect(await call({ subject: 'a', body: 'b' })).toMatchObject({ ok: true, result: { number: 1, status: 'OPEN' } });
});
