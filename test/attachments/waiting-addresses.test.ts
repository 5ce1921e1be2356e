import { pino } from 'pino';
import { expect, test } from 'vitest';
import { AddressReader } from '../../src/attachments/fetch/address-reader.ts';
import { AddressGuard } from '../../src/outbound/address-guard.ts';
import { startTestApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { serve } from './support.ts';

const allow = ({ port }: { readonly port: number }) => ({
  ATTACHMENT_FETCH: 'true',
  MODEL_ALLOWED_HOSTS: `127.0.0.1:${port}/`,
});

test('A message that joins a run with a file whose server is silent is told to all readers, also if the run is cancelled meanwhile', async () => {
  using files = await serve(() => {});
  await using app = await startTestApp({ env: allow(files) });
  const chat = await openChat(app);
  const gate = createGate();
  const call = { name: 'current_time', arguments: {} };
  app.model.add({ text: ['Let me', ' look.'], afterTokens: 1, gate, calls: [call] });
  const first = chat.say('Look', { idempotencyKey: 'first' });
  await first.untilText('Let me');
  const attachments = [{ name: 'a', type: 'text/plain', url: `${files.url}/silent`, size: 1 }];
  const steered = chat.say('Rather that', { ifBusy: 'STEER', idempotencyKey: 'steered', attachments });
  const own = steered.rest();
  const conversationId = chat.conversationId.slice('conv_'.length);
  await expect.poll(() => app.app.db.run.count({ where: { conversationId, status: 'QUEUED' } })).toBe(1);
  gate.open();
  await expect.poll(() => files.visits.length).toBe(1);
  await chat.ask('mutation ($id: ID!) { cancelRun(id: $id) { id } }', { id: first.events[0]?.runId });
  const isEnd = ({ __typename }: { readonly __typename: string }) => /^(MessageSteered|RunCancelled)$/.test(__typename);
  const seen = (await first.rest()).filter(isEnd);
  expect(seen.map(({ __typename }) => __typename)).toEqual(['MessageSteered', 'RunCancelled']);
  expect((await own).map(({ seq, __typename }) => [seq, __typename])).toEqual(
    seen.map(({ seq, __typename }) => [seq, __typename]),
  );
});

test('Files of one user whose servers are silent make no other user of the tenant wait, and nobody waits without end', async () => {
  await using app = await startTestApp();
  for (const sub of ['a', 'b']) await openChat(app, {}, { sub, tenant: 'acme' });
  using files = await serve((request, response) => {
    if (request.url === '/fine') response.end('Fine.');
  });
  const guard = new AddressGuard([`127.0.0.1:${files.port}/`]);
  const leave = new AbortController();
  const reader = new AddressReader({
    attachments: app.app.attachments,
    guard,
    logger: pino({ level: 'silent' }),
    timeoutMs: 60_000,
    maxWaitMs: 2_000,
  });
  const read = (userId: string, path: string) =>
    reader.read(
      { tenantId: 'acme', userId, roles: [], expiresAt: Number.POSITIVE_INFINITY },
      { name: 'f', type: 'text/plain', url: files.url + path },
      leave.signal,
    );
  const silent = Array.from({ length: 60 }, () => read('a', '/silent').catch(() => null));
  expect(await read('b', '/fine')).toMatchObject({ id: expect.any(String), notice: null });
  // Two are under way; of the others, those beyond the line are told at once, the rest when they have waited.
  const told = (await Promise.all(silent.slice(2))).map((result) => result?.isPassing);
  expect(told).toEqual(Array.from({ length: 58 }, () => true));
  expect(files.visits.filter(({ url }) => url === '/silent')).toHaveLength(2);
  leave.abort(new Error('The test is over.'));
  expect(await Promise.all(silent.slice(0, 2))).toEqual([null, null]);
});
