import { expect, test } from 'vitest';
import { startTestApp } from './support/app.ts';

const startRun = `mutation ($input: ChatTurnInput!) { startRun(input: $input) { id } }`;

test('turns: beyond the limit nothing is written, attaching again is free, and others are not touched', async () => {
  await using app = await startTestApp({
    env: { RATE_LIMIT_TURNS: '2/60' },
    steps: [{ text: 'one' }, { text: 'two' }, { text: 'three' }],
  });
  const talk = async (token: string) => {
    const created = await app.query('mutation { createConversation { id } }', {}, { token });
    const conversationId: string = created.data.createConversation.id;
    return (key: string) =>
      app.query(
        startRun,
        { input: { conversationId, content: 'hi', idempotencyKey: key, ifBusy: 'ENQUEUE' } },
        { token },
      );
  };
  const alice = await talk(await app.token());
  const bob = await talk(await app.token({ sub: 'bob' }));
  const [first, second, again] = [await alice('a'), await alice('b'), await alice('a')];
  expect([first.errors, second.errors, again.errors]).toEqual([[], [], []]);
  expect(again.data.startRun.id).toBe(first.data.startRun.id);

  const refused = await alice('c');
  expect(refused.status).toBe(429);
  expect(refused.errors[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
  expect(await app.app.db.run.count()).toBe(2);
  expect(await app.app.db.message.count({ where: { role: 'USER' } })).toBe(2);

  expect((await bob('a')).errors).toEqual([]);
  await expect.poll(() => app.app.db.run.count({ where: { status: 'COMPLETED' } })).toBe(3);
});

test('sockets: a user who opens them too often is refused, with the time to wait', async () => {
  await using app = await startTestApp({ env: { RATE_LIMIT_SOCKETS: '1/60' } });
  const token = await app.token();
  const ask = (bearer: string) => app.ws(bearer).iterate({ query: '{ viewer { userId } }' }).next();
  expect((await ask(token)).value?.data).toEqual({ viewer: { userId: 'alice' } });
  await expect(ask(token)).rejects.toMatchObject({ reason: expect.stringContaining('Too many new sockets') });
  expect((await ask(await app.token({ sub: 'bob' }))).value?.data).toEqual({ viewer: { userId: 'bob' } });
});
