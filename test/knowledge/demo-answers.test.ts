import { afterAll, expect, test } from 'vitest';
import { startDemoModel } from '../../src/demo/demo.ts';
import { shareApp } from '../support/app.ts';
import { openChat, openNewUser } from '../support/chat.ts';
import { seedFile } from '../support/seed-file.ts';

const demo = await startDemoModel({ delayMs: 0, firstTokenDelayMs: 0 });
afterAll(() => demo.close());
const app = shareApp({
  env: {
    OPENAI_BASE_URL: demo.url,
    MODEL: 'switchboard-demo',
    EMBEDDING_MODEL: 'switchboard-demo-embedding',
    SEED_FILE: seedFile,
  },
});

const readLastMessage = `query ($id: ID!) { conversation(id: $id) { lastMessage {
  content citations { index title quote position document { id } }
} } }`;

test('A turn answers from a document that was added a moment ago, with its citation, and opens a ticket', async () => {
  const tenant = 'asking-the-demo';
  const admin = await openNewUser(app, { tenant, roles: ['admin'] });
  const { createKnowledgeBase: base } = await admin.ask(
    'mutation { createKnowledgeBase(input: { name: "Handbook" }) { id searchModes } }',
  );
  expect(base.searchModes).toEqual(app.app.search.vectors.isAvailable ? ['FULL_TEXT', 'VECTOR'] : ['FULL_TEXT']);
  const text = 'The office hamster is called Bertram. He sleeps in the printer room and likes sunflower seeds.';
  const { addKnowledgeDocument: added } = await admin.ask(
    'mutation ($input: AddKnowledgeDocumentInput!) { addKnowledgeDocument(input: $input) { id } }',
    { input: { knowledgeBaseId: base.id, title: 'Our hamster', text } },
  );
  const status = async () =>
    (await admin.ask('query ($id: ID!) { knowledgeDocument(id: $id) { status } }', { id: added.id })).knowledgeDocument;
  await expect.poll(status, { timeout: 200_000 }).toEqual({ status: 'READY' });

  const hits = await admin.ask('{ searchKnowledge(query: "hamster name") { title position document { id } } }');
  expect(hits.searchKnowledge[0]).toEqual({ title: 'Our hamster', position: 1, document: { id: added.id } });

  // The agent of the seed searches all bases of the tenant; one with bases of its own, those.
  const chat = await openChat(app, 'assistant', { tenant, sub: 'alice' });
  const ownAgentId = await chat.createAgent({
    tools: ['search_knowledge', 'create_ticket'],
    knowledgeBaseIds: [base.id],
  });
  const agent = await chat.ask('query ($id: ID!) { agent(id: $id) { knowledgeBases { id } } }', { id: ownAgentId });
  expect(agent.agent.knowledgeBases).toEqual([{ id: base.id }]);
  const own = await chat.createConversation({ agentId: ownAgentId });
  for (const [number, conversationId] of [chat.conversationId, own].entries()) {
    const content = 'What is the office hamster called? And please open a ticket: clean the cage';
    const events = await chat.chatTurn('ws', { conversationId, content }).rest();
    expect(events.at(-1)?.__typename).toBe('RunCompleted');
    const { conversation } = await chat.ask(readLastMessage, { id: conversationId });
    expect(conversation.lastMessage.content).toContain('The office hamster is called Bertram. [1]');
    expect(conversation.lastMessage.content).toContain(`I opened ticket ${number + 1}: clean the cage`);
    expect(conversation.lastMessage.citations[0]).toEqual({
      ...{ index: 1, title: 'Our hamster', quote: text, position: 1, document: { id: added.id } },
    });
    const { tickets } = await chat.ask(
      'query ($id: ID!) { tickets(filter: { conversationId: $id }) { edges { node { number subject status } } } }',
      { id: conversationId },
    );
    expect(tickets.edges).toEqual([{ node: { number: number + 1, subject: 'clean the cage', status: 'OPEN' } }]);
  }
});

test('Without a key and without a document of its own, a new tenant is answered from the seeded ones, with citations', async () => {
  const chat = await openChat(app, 'support', { tenant: 'new-tenant' });
  const { knowledgeBases } =
    await chat.ask(`{ knowledgeBases { edges { node { name documents(first: 10) { edges { node {
    title status
  } } } } } } }`);
  const [{ node: base }, ...others] = knowledgeBases.edges;
  expect(others).toEqual([]);
  expect(base.name).toBe('Help centre');
  expect(base.documents.edges).toHaveLength(4);
  const read = '{ knowledgeBases { edges { node { documents(first: 10) { edges { node { status } } } } } } }';
  const states = async () =>
    (await chat.ask(read)).knowledgeBases.edges[0].node.documents.edges.map(
      ({ node }: { node: { status: string } }) => node.status,
    );
  await expect.poll(states, { timeout: 200_000 }).toEqual(['READY', 'READY', 'READY', 'READY']);
  for (const [scenarioKey, question, says, title] of [
    [
      'support',
      'How long can I return an unused item?',
      /within 30 days after its delivery.* \[\d\]/,
      'Returns and refunds',
    ],
    ['support', 'When does a refund arrive?', /A refund takes five working days .* \[\d\]/, 'Returns and refunds'],
    [
      'assistant',
      'How often should I descale the espresso machine?',
      /every two months.* \[\d\]/,
      'Caring for an espresso machine',
    ],
  ] as const) {
    const conversationId = await chat.createConversation(scenarioKey);
    await chat.chatTurn('ws', { conversationId, content: question }).rest();
    const { conversation } = await chat.ask(readLastMessage, { id: conversationId });
    expect(conversation.lastMessage.content).toMatch(says);
    expect(conversation.lastMessage.citations.map((citation: { title: string }) => citation.title)).toContain(title);
  }
});
