import { expect, test } from 'vitest';
import { startTestApp } from '../support/app.ts';
import { openSocketClient } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';

test.each(['A server that stops', 'An instance that a load balancer watches'])(
  '%s sends sockets with open operations elsewhere while its turns go on, and cancels none',
  async (name) => {
    await using app = await startTestApp({ env: { DRAIN_SECONDS: '8' } });
    if (name !== 'A server that stops') expect((await fetch(`${app.url}/ready`)).status).toBe(200);
    const { db, runs } = app.app;
    const alice = await openSocketClient(app, 'alice');
    const conversationId = await alice.createConversation();
    const gate = createGate();
    app.model.add({ text: ['A', ' b'], afterTokens: 1, gate });
    const token = await app.token();
    const codes: unknown[] = [];
    const open = async (query: string, variables: Record<string, unknown>) => {
      const closed = (event: unknown) => codes.push(event instanceof Object && 'code' in event ? event.code : event);
      const client = app.ws(token, { on: { closed } });
      const events = client.iterate({ query, variables });
      return { client, events };
    };
    // The last reader of a turn that is cancelled when its last reader leaves.
    const input = { conversationId, content: 'Hello', idempotencyKey: 'k', onDisconnect: 'CANCEL' };
    const reader = await open('subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { seq } }', { input });
    await reader.events.next();
    await gate.reached;
    for (let n = 0; n < 3; n++) {
      const { events, client } = await open('subscription { viewerEvents { seq } }', {});
      const isOpen = new Promise<void>((resolve) => client.on('connected', () => resolve()));
      events.next().catch(() => {});
      await isOpen;
    }
    const closing = app.app.close();
    await expect.poll(() => runs.cursors.size, { timeout: 60_000 }).toBe(0);
    // The turn goes on without its reader.
    expect(runs.running.size).toBe(1);
    const [active] = runs.running.values();
    gate.open();
    expect(await active?.done).toBe('ended');
    const rows = db.run.findMany({ select: { status: true } });
    expect(await rows).toEqual([{ status: 'COMPLETED' }]);
    await closing;
    expect(new Set(codes)).toEqual(new Set([1012]));
  },
  120_000,
);

test('An instance that a load balancer watches is not ready first, and serves new sockets and turns until it has noticed', async () => {
  await using app = await startTestApp({ env: { DRAIN_SECONDS: '8' } });
  const alice = await openSocketClient(app, 'alice');
  const conversationId = await alice.createConversation();
  const readiness = async () => {
    const response = await fetch(`${app.url}/ready`);
    return [response.status, await response.json()];
  };
  expect(await readiness()).toMatchObject([200, { ready: true, draining: false }]);
  const closing = app.app.close();
  expect(await readiness()).toMatchObject([503, { ready: false, draining: true }]);
  // A balancer that has not asked since sends somebody here: a socket of its own, and a turn.
  app.model.add({ text: 'Still here.' });
  const codes: unknown[] = [];
  const closed = (event: unknown) => codes.push(event instanceof Object && 'code' in event ? event.code : event);
  const client = app.ws(await app.token(), { lazy: false, onNonLazyError: () => {}, on: { closed } });
  const query = 'subscription ($input: ChatTurnInput!) { chatTurn(input: $input) { __typename } }';
  const seen: unknown[] = [];
  const input = { conversationId, content: 'Hello', idempotencyKey: 'k' };
  for await (const { data } of client.iterate<{ chatTurn: { __typename: string } }>({ query, variables: { input } }))
    seen.push(data?.chatTurn.__typename);
  expect(seen.at(-1)).toBe('RunCompleted');
  await closing;
  await expect.poll(() => codes).toEqual([1012]);
}, 120_000);
