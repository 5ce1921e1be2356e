import { expect, test } from 'vitest';
import { readEnv } from '../../src/config/env.ts';
import { startTestApp } from '../support/app.ts';
import { documents, openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

const create = 'mutation { createConversation { id } }';

test('Limits are on by default, and each can be switched off', () => {
  const { rateLimits, turnsAtOnce } = readEnv({});
  expect(rateLimits.turns).toEqual({ user: { points: 60, seconds: 60 }, tenant: { points: 600, seconds: 60 } });
  expect(rateLimits.mutations).toEqual({ user: { points: 600, seconds: 60 }, tenant: null });
  expect(turnsAtOnce).toEqual({ user: 20, tenant: 200 });
  const off = readEnv({
    RATE_LIMIT_TURNS: '0',
    RATE_LIMIT_MUTATIONS: '0',
    MAX_TURNS_PER_USER: '0',
    MAX_TURNS_PER_TENANT: '0',
  });
  expect([off.rateLimits.turns, off.rateLimits.mutations]).toEqual([null, null]);
  expect(off.turnsAtOnce).toEqual({ user: null, tenant: null });
});

test('A flood of turns on one conversation takes at most one connection, and another tenant is served in between', async () => {
  await using app = await startTestApp({ env: { DATABASE_POOL_SIZE: '4' } });
  const mallory = await openChat(app, undefined, { tenant: 'mallory' });
  const victim = await openChat(app, undefined, { tenant: 'victim' });
  const gate = createGate();
  app.model.add({ text: ['Never', ' ends'], afterTokens: 1, gate });
  await mallory.ask(documents.startRun, {
    input: { conversationId: mallory.conversationId, content: 'first', idempotencyKey: 'first' },
  });
  await gate.reached;
  app.model.add({ text: 'Hello.' });

  let answered = 0;
  const flood = Array.from({ length: 500 }, async (_, index) => {
    const input = {
      conversationId: mallory.conversationId,
      content: 'x',
      idempotencyKey: `flood ${index}`,
      ifBusy: 'ENQUEUE',
    };
    const answer = await app.query(documents.startRun, { input }, { token: mallory.token });
    answered += 1;
    return answer.errors[0]?.extensions.code ?? 'STARTED';
  });
  // The line of the conversation is full: the flood is in the server.
  await expect.poll(() => answered).toBeGreaterThan(0);
  const events = await victim.readToEnd('Hello');
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const codes = await Promise.all(flood);
  const count = (code: string) => codes.filter((one) => one === code).length;
  expect(count('STARTED')).toBeLessThanOrEqual(49);
  expect(count('RATE_LIMITED')).toBeGreaterThan(200);
  expect(count('STARTED') + count('RATE_LIMITED') + count('CONFLICT')).toBe(500);
  await app.query('mutation ($id: ID!) { deleteConversation(id: $id) }', { id: mallory.conversationId }, mallory);
  gate.open();
});

test('A user, and a tenant, run so many turns at the same time; the next one is refused until one ends', async () => {
  await using app = await startTestApp({ env: { MAX_TURNS_PER_USER: '2', MAX_TURNS_PER_TENANT: '3' } });
  const gates = Array.from({ length: 3 }, () => createGate());
  for (const gate of gates) app.model.add({ text: ['a', 'b'], afterTokens: 1, gate });
  const start = async (sub: string, token: string) => {
    const { data } = await app.query(create, {}, { token });
    const input = { conversationId: data.createConversation.id, content: 'hi', idempotencyKey: crypto.randomUUID() };
    return { sub, input, answer: await app.query(documents.startRun, { input }, { token }) };
  };
  const [alice, bob] = [await app.token(), await app.token({ sub: 'bob' })];
  const first = await start('alice', alice);
  expect(first.answer.errors).toEqual([]);
  expect((await start('alice', alice)).answer.errors).toEqual([]);
  const third = await start('alice', alice);
  expect(third.answer.errors[0]?.message).toBe('Too many running turns at once: at most 2 per user.');
  expect((await start('bob', bob)).answer.errors).toEqual([]);
  const fourth = await start('bob', bob);
  expect(fourth.answer.errors[0]?.message).toBe('Too many running turns at once: at most 3 per organisation.');
  // To attach to one that runs is no new turn.
  const again = await app.query(documents.startRun, { input: first.input }, { token: alice });
  expect(again.data.startRun.id).toBe(first.answer.data.startRun.id);
  for (const gate of gates) gate.open();
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(3);
  app.model.add({ text: 'again' });
  await expect.poll(async () => (await start('alice', alice)).answer.errors).toEqual([]);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(4);
});

test('Every field of a mutation takes a point, queries and turns take none', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_MUTATIONS: '3/600' }, steps: [{ text: 'Hello.' }] });
  const two = await app.query('mutation { a: createConversation { id } b: createConversation { id } }');
  expect(two.errors).toEqual([]);
  const input = { conversationId: two.data.a.id, content: 'hi', idempotencyKey: 'k' };
  expect((await app.query(documents.sendMessage, { input })).errors).toEqual([]);
  expect((await app.query('{ viewer { userId } }')).errors).toEqual([]);
  const refused = await app.query('mutation { a: createConversation { id } b: createConversation { id } }');
  expect(refused).toMatchObject({ status: 429, errors: [{ extensions: { code: 'RATE_LIMITED' } }] });
  expect(refused.errors[0]?.message).toBe('Too many changes: at most 3 in 600 seconds.');
  expect(await app.app.db.conversation.count()).toBe(2);
  const bob = await app.token({ sub: 'bob' });
  expect((await app.query(create, {}, { token: bob })).errors).toEqual([]);
});
