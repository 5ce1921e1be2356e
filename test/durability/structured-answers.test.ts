import { expect, test } from 'vitest';
import { openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

const outputSchema = { type: 'object', properties: { degrees: { type: 'number' } }, required: ['degrees'] };

test('If its process is killed while it corrects an answer, the turn goes on with the schema that it has begun with', {
  // Processes start and end here: this is room, not an expectation.
  timeout: 240_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { folder } = stack.use(await createTestDataFolder());
  const model = stack.use(await createScriptedModel());
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model', STORE_REASONING: 'all' };
  const first = stack.use(await startServer(folder, env));
  const alice = await openSocketClient(first, 'alice');
  const agentId = await alice.createAgent({ name: 'weather', outputSchema });
  const conversationId = await alice.createConversation({ agentId });
  model.add({ text: 'It is warm.' }, { text: '{"degrees":2', gate: createGate(), afterTokens: 1 });
  const reader = alice.chatTurn('ws', { conversationId });
  await reader.until('TextRetracted');
  await model.received(2);
  const { runId = '' } = reader.events[0] ?? {};
  const update = 'mutation ($id: ID!, $input: UpdateAgentInput!) { updateAgent(id: $id, input: $input) { id } }';
  await alice.ask(update, { id: agentId, input: { outputSchema: null } });
  await first.end('SIGKILL');
  await reader.rest().catch(() => {});

  model.add({ text: 'Warm.' }, { reasoning: ['It is June.'], text: '{"degrees":21}' });
  const second = stack.use(await startServer(folder, env));
  const again = await openSocketClient(second, 'alice');
  const events = await again.runEvents('ws', runId).rest();
  expect(events.at(-1)?.__typename).toBe('RunCompleted');
  const document = 'query ($id: ID!) { run(id: $id) { resumedCount messages { content data reasoning } } }';
  const { run } = await again.ask(document, { id: runId });
  const message = { content: '{"degrees":21}', data: { degrees: 21 }, reasoning: 'It is June.' };
  expect(run).toEqual({ resumedCount: 1, messages: [message] });
});
