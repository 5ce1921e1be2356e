import { expect, test } from 'vitest';
import { openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';
import { createSnapshot, readDelimited } from './support.ts';

test('If its process is killed, a turn goes on with the same text and references', {
  // Processes start and end here: this is room, not an expectation.
  timeout: 240_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { folder } = stack.use(await createTestDataFolder());
  const model = stack.use(await createScriptedModel());
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model', CONTEXT_REFERENCES: 'true', CONTEXT_TTL_SECONDS: '5' };
  const first = stack.use(await startServer(folder, env));
  const alice = await openSocketClient(first, 'alice');
  const { id, expiresAt } = await createSnapshot(alice, { page: 'the page before', recordIds: ['order:1042'] });
  const look = { name: 'lookup_order', arguments: { orderNumber: 'ref_1' } };
  model.add({ calls: [{ ...look, id: 'before' }] }, { text: 'I', gate: createGate(), afterTokens: 0 });
  const conversationId = await alice.createConversation();
  const reader = alice.chatTurn('ws', { conversationId, contextSnapshotId: id });
  await reader.until('ToolCallCompleted');
  await model.received(2);
  const { runId = '' } = reader.events[0] ?? {};
  await first.end('SIGKILL');
  await reader.rest().catch(() => {});

  model.add({ calls: [{ ...look, id: 'after' }] }, { text: 'It is shipped.' });
  const second = stack.use(await startServer(folder, env));
  const bob = await openSocketClient(second, 'alice');
  const events = await bob.runEvents('ws', runId).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  expect(model.requests).toHaveLength(4);
  const [text = '', ...later] = model.requests.map(({ instructions }) => readDelimited(instructions).data.join('\n'));
  expect(text).toContain('the page before');
  expect(later).toEqual([text, text, text]);
  const { run } = await bob.ask('query ($id: ID!) { run(id: $id) { toolCalls { callId status result } } }', {
    id: runId,
  });
  expect(run.toolCalls).toMatchObject([
    { callId: 'before', status: 'SUCCEEDED', result: { number: '1042' } },
    { callId: 'after', status: 'SUCCEEDED', result: { number: '1042' } },
  ]);
  // It has expired by now, or does soon.
  const read = 'query ($id: ID!) { contextSnapshot(id: $id) { id } }';
  const codeNow = async () => (await second.query(read, { id }, { token: bob.token })).errors[0]?.extensions.code;
  await expect.poll(codeNow, { timeout: 30_000 }).toBe('NOT_FOUND');
  expect(Date.parse(expiresAt)).toBeLessThanOrEqual(Date.now());
});
