import { type GraphQLNamedType, getNamedType, isLeafType, isObjectType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { shareApp } from '../support/app.ts';

const app = shareApp();

/** Every field of a type that has no selection of its own. */
function valuesOf(name: string): string {
  const type: GraphQLNamedType | undefined = schema.getType(name);
  if (!isObjectType(type)) throw new Error(`${name} is no object type.`);
  return Object.values(type.getFields())
    .filter((field) => isLeafType(getNamedType(field.type)))
    .map((field) => field.name)
    .join(' ');
}

async function createConversation(): Promise<string> {
  const { data } = await app.query('mutation { createConversation { id } }');
  return data.createConversation.id;
}

/** Sends an operation that asks for its cost. */
async function readCost(query: string, variables: Record<string, unknown> = {}) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await app.token()}` },
    body: JSON.stringify({ query, variables, extensions: { cost: true } }),
  });
  return JSON.parse(await response.text());
}

describe('what the documentation allows', () => {
  const page = `query ($id: ID!, $first: Int) { conversation(id: $id) { messages(first: $first) {
    totalCount pageInfo { hasNextPage endCursor }
    edges { cursor node { ${valuesOf('Message')} agent { id name } run { id status } toolCalls { ${valuesOf('ToolCall')} } } }
  } } }`;

  test('A page of 500 messages with every value and all tool calls is accepted', async () => {
    const id = await createConversation();
    const { errors, extensions } = await readCost(page, { id, first: 500 });
    expect(errors).toBeUndefined();
    expect(extensions.cost.cost).toBeLessThan(extensions.cost.limit);
  });

  test('A page of 501 messages is refused by the name of its argument, with the limit', async () => {
    const id = await createConversation();
    for (const argument of ['first', 'last']) {
      const { errors } = await app.query(page.replace('first: $first', `${argument}: $first`), { id, first: 501 });
      expect(errors[0]).toMatchObject({
        message: `${argument} must be an integer from 0 to 500.`,
        extensions: { code: 'BAD_USER_INPUT', path: [argument] },
      });
    }
  });

  test('Fifty conversations with twenty messages each are accepted', async () => {
    const { errors, extensions } = await readCost(`{ conversations(first: 50) { edges { node {
      ${valuesOf('Conversation')} lastMessage { preview } activeAgent { name }
      messages(first: 20) { edges { node { ${valuesOf('Message')} agent { name } toolCalls { name status } } } }
    } } } }`);
    expect(errors).toBeUndefined();
    expect(extensions.cost.cost).toBeLessThan(extensions.cost.limit);
  });
});

describe('the cost of an operation', () => {
  test('The cost is the number of objects that may be returned, and values are free', async () => {
    const one = await readCost('{ viewer { userId tenantId roles } }');
    expect(one.extensions).toEqual({ cost: { cost: 1, limit: 20_000 } });
    const list = await readCost('{ conversations(first: 7) { edges { cursor node { id title } } } }');
    // The connection, seven edges and seven nodes.
    expect(list.extensions.cost.cost).toBe(1 + 7 + 7);
    const usual = await readCost('{ conversations { edges { node { messages { edges { node { id } } } } } } }');
    expect(usual.extensions.cost.cost).toBe(1 + 50 * (2 + 1 + 100 * 2));
  });

  test('A variable that is absent costs what its default does, whatever was asked with null before', async () => {
    const query = 'query ($first: Int = 100) { conversations(first: $first) { edges { node { id } } } }';
    const costs: number[] = [];
    for (const variables of [{ first: null }, {}, { first: null }]) {
      costs.push((await readCost(query, variables)).extensions.cost.cost);
    }
    expect(costs).toEqual([1 + 2 * 50, 1 + 2 * 100, 1 + 2 * 50]);
  });

  test('Nobody gets the cost who has not asked for it', async () => {
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await app.token()}` },
      body: JSON.stringify({ query: '{ viewer { userId } }' }),
    });
    expect(await response.json()).toEqual({ data: { viewer: { userId: 'alice' } } });
  });

  test('The cost comes over sockets as well', async () => {
    const client = app.ws(await app.token());
    const results: unknown[] = [];
    for await (const result of client.iterate({ query: '{ viewer { userId } }', extensions: { cost: true } })) {
      results.push(result);
    }
    expect(results).toEqual([
      { data: { viewer: { userId: 'alice' } }, extensions: { cost: { cost: 1, limit: 20_000 } } },
    ]);
  });

  test.each([
    ['messages of the runs', 'messages { id }', 10],
    ['tool calls of the runs', 'toolCalls { name }', 20],
    ['handoffs of the runs', 'handoffs { reason }', 10],
    ['three tool calls of each run', 'toolCalls(first: 3) { name }', 3],
  ])('A list of runs counts the %s', async (_what, selection, count) => {
    const id = await createConversation();
    const { extensions, errors } = await readCost(
      `query ($id: ID!) { conversation(id: $id) { runs(first: 4) { edges { node { ${selection} } } } } }`,
      { id },
    );
    expect(errors).toBeUndefined();
    expect(extensions.cost.cost).toBe(1 + 1 + 4 * (1 + 1 + 1 + count));
  });
});
