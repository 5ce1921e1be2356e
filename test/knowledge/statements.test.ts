import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { shareApp } from '../support/app.ts';
import { openChat } from '../support/chat.ts';
import { seedBase } from './seed-base.ts';

const app = shareApp({ env: { EMBEDDING_MODEL: 'test-embedding' } });

/** Sends a query. @returns its answer, and how many SQL statements it took */
async function measure(token: string, document: string, variables: Record<string, unknown> = {}) {
  const requestId = randomUUID();
  const { data, errors } = await app.query(document, variables, { token, headers: { 'x-request-id': requestId } });
  expect(errors).toEqual([]);
  const line = () => app.logs.find((entry) => entry.requestId === requestId && entry.statements !== undefined);
  await expect.poll(line).toBeDefined();
  return { data, statements: Number(line()?.statements) };
}

const documents = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({
    title: `Rule ${from + at}`,
    texts: [`Rule ${from + at} says that a refund takes ${from + at} working days.`],
  }));

test('A search takes as many statements for many bases and passages as for one', async () => {
  const tenantId = 'counting-searches';
  const token = await app.token({ tenant: tenantId });
  await seedBase(app.app.db, documents(0, 1), { tenantId });
  const search = `query ($limit: Int!) {
    searchKnowledge(query: "refund days", limit: $limit) { title quote position score }
  }`;
  const withDocuments = `query ($limit: Int!) {
    searchKnowledge(query: "refund days", limit: $limit) { title document { id title metadata knowledgeBase { id name } } }
  }`;
  await measure(token, search, { limit: 1 });
  const few = [await measure(token, search, { limit: 1 }), await measure(token, withDocuments, { limit: 1 })];
  for (const from of [1, 21]) await seedBase(app.app.db, documents(from, 20), { tenantId });
  const many = [await measure(token, search, { limit: 40 }), await measure(token, withDocuments, { limit: 40 })];
  expect(few.map(({ data }) => data.searchKnowledge.length)).toEqual([1, 1]);
  expect(many.map(({ data }) => data.searchKnowledge.length)).toEqual([40, 40]);
  expect(many.map(({ statements }) => statements)).toEqual(few.map(({ statements }) => statements));
  expect(few[0]?.statements).toBe(3);
});

test('The citations of many messages are read with as many statements as those of one', async () => {
  const tenantId = 'counting-citations';
  await seedBase(app.app.db, documents(0, 3), { tenantId });
  const chat = await openChat(app, {}, { tenant: tenantId, sub: 'alice' });
  const agentId = await chat.createAgent({ tools: ['search_knowledge'] });
  const ask = async () => {
    app.model.add({ calls: [{ name: 'search_knowledge', arguments: { query: 'refund days', limit: 3 } }] });
    app.model.add({ text: 'That is so [1][2][3].' });
    await chat.readToEnd('How long?', { agentId });
  };
  const read = `query ($id: ID!) { conversation(id: $id) { messages(first: 50) {
    edges { node { content citations { index title document { id title } } } }
  } } }`;
  const measured = async () => {
    const { data, statements } = await measure(chat.token, read, { id: chat.conversationId });
    const nodes: { citations: unknown[] }[] = data.conversation.messages.edges.map(
      ({ node }: { node: unknown }) => node,
    );
    return { cited: nodes.flatMap(({ citations }) => citations).length, statements };
  };
  await ask();
  await measured();
  const one = await measured();
  for (let turn = 0; turn < 3; turn++) await ask();
  const many = await measured();
  expect([one.cited, many.cited]).toEqual([3, 12]);
  expect(many.statements).toBe(one.statements);
});

test('A list of bases with their documents takes as many statements for many as for one', async () => {
  const tenantId = 'counting-bases';
  const token = await app.token({ tenant: tenantId });
  const read = `query ($after: String) { knowledgeBases(first: 20) { edges { node { name
    documents(first: 2, after: $after) {
      totalCount pageInfo { hasNextPage hasPreviousPage endCursor } edges { node { title status } }
    }
  } } } }`;
  const measured = async (variables = {}) => {
    const { data, statements } = await measure(token, read, variables);
    const bases: { documents: { totalCount: number; pageInfo: object; edges: { node: { title: string } }[] } }[] =
      data.knowledgeBases.edges.map(({ node }: { node: unknown }) => node);
    return { bases: bases.map(({ documents: page }) => page), statements };
  };
  await seedBase(app.app.db, documents(0, 3), { tenantId });
  await measured();
  const one = await measured();
  for (const from of [3, 6, 9]) await seedBase(app.app.db, documents(from, 3), { tenantId });
  const many = await measured();
  expect(many.statements).toBe(one.statements);
  const titles = ({ edges }: (typeof many.bases)[number]) => edges.map(({ node }) => node.title);
  expect(many.bases.map(titles)).toEqual([0, 3, 6, 9].map((from) => [`Rule ${from}`, `Rule ${from + 1}`]));
  const cursor = String(Reflect.get(one.bases[0]?.pageInfo ?? {}, 'endCursor'));
  for (const page of many.bases)
    expect(page).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true, hasPreviousPage: false } });
  // A cursor says how old a document is.
  const rest = await measured({ after: cursor });
  expect(rest.statements).toBe(one.statements);
  expect(rest.bases.map(titles)[0]).toEqual(['Rule 2']);
  expect(rest.bases[0]?.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
});
