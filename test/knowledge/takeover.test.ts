import { expect, test } from 'vitest';
import { openSocketClient } from '../support/chat.ts';
import { createTestDataFolder } from '../support/database/database.ts';
import { createGate } from '../support/scripted-model/gate.ts';
import { createScriptedModel } from '../support/scripted-model/script.ts';
import { startServer } from '../support/server.ts';

/** Processes start and end, and a lease runs out. */
const room = 240_000;

test('A turn that was taken over after kill -9 cites what it had found before, in its events and in the graph', {
  timeout: room,
}, async () => {
  await using data = await createTestDataFolder();
  await using model = await createScriptedModel();
  const env = { OPENAI_BASE_URL: model.url, MODEL: 'test-model' };
  await using first = await startServer(data.folder, env);
  const alice = await openSocketClient(first, { sub: 'alice', roles: ['admin'] });
  const created = await alice.ask('mutation { createKnowledgeBase(input: { name: "Handbook" }) { id } }');
  const text = 'The refund takes five working days.';
  const { addKnowledgeDocument: document } = await alice.ask(
    'mutation ($input: AddKnowledgeDocumentInput!) { addKnowledgeDocument(input: $input) { id } }',
    { input: { knowledgeBaseId: created.createKnowledgeBase.id, title: 'Returns', text } },
  );
  const status = async () =>
    (await alice.ask('query ($id: ID!) { knowledgeDocument(id: $id) { status } }', document)).knowledgeDocument.status;
  await expect.poll(status, { timeout: 200_000 }).toBe('READY');

  const agentId = await alice.createAgent({ tools: ['search_knowledge'] });
  const conversationId = await alice.createConversation({ agentId });
  model.add({ calls: [{ name: 'search_knowledge', arguments: { query: 'refund days' } }] });
  model.add({ text: ['It', ' takes', ' five'], afterTokens: 1, gate: createGate() });
  const reader = alice.chatTurn('ws', { conversationId, content: 'How long?' });
  await reader.until('TextDelta');
  const runId = reader.events[0]?.runId ?? '';
  await first.end('SIGKILL');
  await reader.rest().catch(() => reader.events);

  model.add({ text: 'It takes five days [1], not two [2].' });
  await using second = await startServer(data.folder, env);
  const again = await openSocketClient(second, { sub: 'alice', roles: ['admin'] });
  expect((await again.runEvents('ws', runId).rest()).at(-1)?.__typename).toBe('RunCompleted');
  const fields = 'content citations { index title quote document { id } }';
  const { conversation } = await again.ask(`query ($id: ID!) { conversation(id: $id) { lastMessage { ${fields} } } }`, {
    id: conversationId,
  });
  const citations = [{ index: 1, title: 'Returns', quote: text, document: { id: document.id } }];
  expect(conversation.lastMessage).toEqual({ content: 'It takes five days [1], not two [2].', citations });

  const replay = `subscription ($runId: ID!) { runEvents(runId: $runId) {
    __typename ... on MessageCompleted { message { ${fields} } }
  } }`;
  const replayed: unknown[] = [];
  for await (const { data: event } of second.ws(again.token).iterate<{ runEvents: { __typename: string } }>({
    query: replay,
    variables: { runId },
  })) {
    if (event?.runEvents.__typename === 'MessageCompleted') replayed.push(event.runEvents);
  }
  expect(replayed.at(-1)).toEqual({ __typename: 'MessageCompleted', message: conversation.lastMessage });
});
