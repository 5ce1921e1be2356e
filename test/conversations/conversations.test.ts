import { randomUUID } from 'node:crypto';
import { graphql } from 'graphql';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schema } from '../../src/boot/schema.ts';
import { openDatabase } from '../../src/database/client.ts';
import type { Statement } from '../../src/database/statements.ts';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { makeTestContext } from '../support/context.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;
let stranger: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
  stranger = await graph.viewer('alice', 'other-tenant');
});
afterAll(async () => graph[Symbol.asyncDispose]());

const create = `mutation ($input: CreateConversationInput) {
  createConversation(input: $input) {
    id title userId messageCount lastMessage { id } createdAt updatedAt
    scenario { key } activeAgent { id name } messages { totalCount edges { cursor } }
  }
}`;

async function createOne(viewer: TestViewer, input?: Record<string, unknown>) {
  const { data, errors } = await graph.query(viewer, create, { input });
  expect(errors).toEqual([]);
  return data.createConversation;
}

async function agentId(viewer: TestViewer, name: string): Promise<string> {
  const { data } = await graph.query(viewer, '{ agents(first: 100) { edges { node { id name } } } }');
  return data.agents.edges.find((edge: { node: { name: string } }) => edge.node.name === name).node.id;
}

describe('createConversation', () => {
  test('createConversation needs no input: untitled, no scenario, the tenant’s default agent', async () => {
    const made = await createOne(alice);
    expect(made).toMatchObject({
      title: 'New conversation',
      userId: 'alice',
      messageCount: 0,
      lastMessage: null,
      scenario: null,
      activeAgent: { name: 'assistant' },
      messages: { totalCount: 0, edges: [] },
    });
    expect(made.id).toMatch(/^conv_[0-9a-f-]{36}$/);
    expect(new Date(made.createdAt).toISOString()).toBe(made.createdAt);
  });

  test('createConversation prefers the viewer’s own default agent', async () => {
    const carol = await graph.viewer('carol');
    await graph.db.agent.create({
      data: { tenantId: 'acme', ownerId: 'carol', name: 'mine', instructions: 'Hi.', isDefault: true },
    });
    expect(await createOne(carol)).toMatchObject({ activeAgent: { name: 'mine' } });
  });

  test('createConversation makes the scenario’s root the active agent, or the member that the input names', async () => {
    expect(await createOne(alice, { scenarioKey: 'support', title: 'Help' })).toMatchObject({
      title: 'Help',
      scenario: { key: 'support' },
      activeAgent: { name: 'supervisor' },
    });
    const billing = await agentId(alice, 'billing');
    expect(await createOne(alice, { scenarioKey: 'support', agentId: billing })).toMatchObject({
      activeAgent: { name: 'billing' },
    });
    expect(await createOne(alice, { agentId: billing })).toMatchObject({
      scenario: null,
      activeAgent: { name: 'billing' },
    });
  });

  test.each([
    ['an empty title', { title: '' }, ['input', 'title'], '1 to 200'],
    ['a blank title', { title: '  ' }, ['input', 'title'], 'blank'],
    ['a long title', { title: 'x'.repeat(201) }, ['input', 'title'], '201'],
    ['U+0000', { title: 'a\u0000' }, ['input', 'title'], 'U+0000'],
    ['a lone surrogate', { title: 'a\ud800' }, ['input', 'title'], 'surrogate'],
    ['a long project', { projectId: 'p'.repeat(256) }, ['input', 'projectId'], '255'],
    ['an id of another kind', { agentId: `conv_${randomUUID()}` }, ['input', 'agentId'], 'agt_'],
    ['an agent id that is none', { agentId: 'x' }, ['input', 'agentId'], 'agt_'],
  ])('createConversation refuses %s, names the field and writes nothing', async (_what, input, path, says) => {
    const before = await graph.db.conversation.count();
    const { data, errors } = await graph.query(alice, create, { input });
    expect(data).toBeNull();
    expect(errors).toEqual([expect.objectContaining({ code: 'BAD_USER_INPUT', path })]);
    expect(errors[0]?.message).toContain(says);
    expect(await graph.db.conversation.count()).toBe(before);
  });

  test('createConversation accepts a title of 200 characters of any plane', async () => {
    const title = '😀'.repeat(200);
    expect(await createOne(alice, { title })).toMatchObject({ title });
  });

  test('createConversation tells unknown, foreign, inactive and outside agents and scenarios apart', async () => {
    const code = async (input: Record<string, unknown>) =>
      (await graph.query(alice, create, { input })).errors[0]?.code;
    expect(await code({ scenarioKey: 'nope' })).toBe('NOT_FOUND');
    expect(await code({ agentId: `agt_${randomUUID()}` })).toBe('NOT_FOUND');
    expect(await code({ agentId: await agentId(stranger, 'billing') })).toBe('FORBIDDEN');
    expect(await code({ scenarioKey: 'support', agentId: await agentId(stranger, 'billing') })).toBe('FORBIDDEN');
    expect(await code({ scenarioKey: 'support', agentId: await agentId(alice, 'assistant') })).toBe('BAD_USER_INPUT');
    const [own, off] = await graph.db.agent.createManyAndReturn({
      data: [
        { tenantId: 'acme', ownerId: 'bob', name: 'bobs', instructions: 'Hi.' },
        { tenantId: 'acme', ownerId: 'alice', name: 'off', instructions: 'Hi.', isActive: false },
      ],
    });
    expect(await code({ agentId: `agt_${own?.id}` })).toBe('FORBIDDEN');
    expect(await code({ agentId: `agt_${off?.id}` })).toBe('BAD_USER_INPUT');
  });
});

describe('ownership', () => {
  const read = 'query ($id: ID!) { conversation(id: $id) { id title } }';

  test('A conversation is read by its owner; FORBIDDEN for anybody else, NOT_FOUND if absent', async () => {
    const { id } = await createOne(alice, { title: 'Mine' });
    expect((await graph.query(alice, read, { id })).data).toEqual({ conversation: { id, title: 'Mine' } });
    for (const other of [bob, stranger]) {
      const { data, errors } = await graph.query(other, read, { id });
      expect(data).toEqual({ conversation: null });
      expect(errors).toEqual([expect.objectContaining({ code: 'FORBIDDEN' })]);
    }
    const absent = await graph.query(alice, read, { id: `conv_${randomUUID()}` });
    expect(absent.data).toEqual({ conversation: null });
    expect(absent.errors).toEqual([expect.objectContaining({ code: 'NOT_FOUND' })]);
    expect((await graph.query(null, read, { id })).errors).toEqual([
      expect.objectContaining({ code: 'UNAUTHENTICATED' }),
    ]);
    expect((await graph.query(alice, read, { id: 'conv_1' })).errors).toEqual([
      expect.objectContaining({ code: 'BAD_USER_INPUT', path: ['id'] }),
    ]);
  });

  test('Reading a conversation is one statement', async () => {
    const { id } = await createOne(alice);
    expect((await graph.query(alice, read, { id })).statements).toBe(1);
  });

  test('Others neither change nor delete a conversation', async () => {
    const { id } = await createOne(alice, { title: 'Mine' });
    const change = 'mutation ($id: ID!) { updateConversation(id: $id, input: { title: "Theirs" }) { id } }';
    const remove = 'mutation ($id: ID!) { deleteConversation(id: $id) }';
    for (const document of [change, remove]) {
      for (const other of [bob, stranger]) {
        expect((await graph.query(other, document, { id })).errors[0]?.code).toBe('FORBIDDEN');
      }
      expect((await graph.query(alice, document, { id: `conv_${randomUUID()}` })).errors[0]?.code).toBe('NOT_FOUND');
    }
    expect((await graph.query(alice, read, { id })).data.conversation.title).toBe('Mine');
  });

  test('node and nodes apply the same rights, and one bad id leaves the others alone', async () => {
    const { id } = await createOne(alice, { title: 'Node' });
    const { id: foreign } = await createOne(bob);
    const absent = `conv_${randomUUID()}`;
    const { data, errors } = await graph.query(
      alice,
      'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on Conversation { title activeAgent { name } } } }',
      { ids: [id, foreign, absent, await agentId(alice, 'billing'), 'nonsense', 'conv_1', `set_${randomUUID()}`] },
    );
    expect(data.nodes).toMatchObject([
      { __typename: 'Conversation', id, title: 'Node', activeAgent: { name: 'assistant' } },
      null,
      null,
      { __typename: 'Agent' },
      null,
      null,
      null,
    ]);
    expect(errors.map((error) => [error.code, error.at])).toEqual([
      ['FORBIDDEN', ['nodes', 1]],
      ['NOT_FOUND', ['nodes', 2]],
      ['BAD_USER_INPUT', ['nodes', 4]],
      ['BAD_USER_INPUT', ['nodes', 5]],
      ['BAD_USER_INPUT', ['nodes', 6]],
    ]);
    const one = await graph.query(alice, 'query ($id: ID!) { node(id: $id) { id } }', { id: foreign });
    expect(one.data).toEqual({ node: null });
    expect(one.errors[0]?.code).toBe('FORBIDDEN');
    const none = await graph.query(alice, 'query ($id: ID!) { node(id: $id) { id } }', { id: 'nonsense' });
    expect(none.errors[0]?.code).toBe('BAD_USER_INPUT');
  });
});

describe('updateConversation', () => {
  const update = `mutation ($id: ID!, $input: UpdateConversationInput!) {
    updateConversation(id: $id, input: $input) { title scenario { key } activeAgent { name } updatedAt }
  }`;
  const change = async (id: string, input: Record<string, unknown>) => {
    const { data, errors } = await graph.query(alice, update, { id, input });
    expect(errors).toEqual([]);
    return data.updateConversation;
  };

  test('updateConversation changes the fields of its input and leaves what is absent', async () => {
    const { id, updatedAt } = await createOne(alice, { scenarioKey: 'support' });
    const orders = await agentId(alice, 'orders');
    const renamed = await change(id, { title: 'Renamed' });
    expect(renamed).toMatchObject({
      title: 'Renamed',
      scenario: { key: 'support' },
      activeAgent: { name: 'supervisor' },
    });
    expect(Date.parse(renamed.updatedAt)).toBeGreaterThanOrEqual(Date.parse(updatedAt));
    expect(await change(id, { agentId: orders })).toMatchObject({ title: 'Renamed', activeAgent: { name: 'orders' } });
    expect(await change(id, { agentId: null })).toMatchObject({ activeAgent: { name: 'supervisor' } });
    expect(await change(id, { scenarioKey: 'assistant' })).toMatchObject({
      scenario: { key: 'assistant' },
      activeAgent: { name: 'assistant' },
    });
    expect(await change(id, { scenarioKey: 'support', agentId: orders })).toMatchObject({
      scenario: { key: 'support' },
      activeAgent: { name: 'orders' },
    });
    expect(await change(id, { scenarioKey: null })).toMatchObject({
      scenario: null,
      activeAgent: { name: 'assistant' },
    });
  });

  test('updateConversation with a null title returns to the first user message', async () => {
    const { id } = await createOne(alice, { title: 'Given' });
    await graph.query(
      alice,
      'mutation ($id: ID!) { createMessage(input: { conversationId: $id, role: USER, content: "Where is it?" }) { id } }',
      { id },
    );
    expect(await change(id, {})).toMatchObject({ title: 'Given' });
    expect(await change(id, { title: null })).toMatchObject({ title: 'Where is it?' });
  });

  test('updateConversation refuses an agent outside the scenario and a bad title, and changes nothing', async () => {
    const { id } = await createOne(alice, { scenarioKey: 'support', title: 'Stays' });
    const assistant = await agentId(alice, 'assistant');
    for (const input of [{ agentId: assistant, title: 'No' }, { title: '' }, { scenarioKey: 'nope', title: 'No' }]) {
      expect((await graph.query(alice, update, { id, input })).errors).toHaveLength(1);
    }
    expect(await change(id, {})).toMatchObject({ title: 'Stays', activeAgent: { name: 'supervisor' } });
  });
});

describe('deleteConversation', () => {
  const remove = 'mutation ($id: ID!) { deleteConversation(id: $id) }';

  test('deleteConversation deletes messages, runs and everything below them', async () => {
    const dora = await graph.viewer('dora');
    const { id } = await createOne(dora);
    const conversationId = id.slice('conv_'.length);
    await graph.query(
      dora,
      'mutation ($id: ID!) { createMessage(input: { conversationId: $id, role: USER, content: "Hi" }) { id } }',
      { id },
    );
    const [message] = await graph.db.message.findMany({ where: { conversationId } });
    const run = await graph.db.run.create({
      data: {
        tenantId: 'acme',
        userId: 'dora',
        conversationId,
        number: 1,
        status: 'COMPLETED',
        idempotencyKey: 'k',
        payloadHash: 'h',
        input: {},
        userMessageId: message?.id ?? '',
        archive: { create: { events: '' } },
        toolCalls: {
          create: { conversationId, callId: 'c', step: 0, index: 0, name: 'x', arguments: '{}', status: 'SUCCEEDED' },
        },
      },
    });
    await graph.db.message.create({
      data: { tenantId: 'acme', conversationId, position: 2, role: 'ASSISTANT', content: 'Ho', runId: run.id },
    });
    const { data, errors } = await graph.query(dora, remove, { id });
    expect(errors).toEqual([]);
    expect(data).toEqual({ deleteConversation: id });
    const where = { conversationId };
    expect(
      await Promise.all([
        graph.db.message.count({ where }),
        graph.db.run.count({ where }),
        graph.db.toolCall.count({ where }),
        graph.db.runArchive.count({ where: { runId: run.id } }),
      ]),
    ).toEqual([0, 0, 0, 0]);
    expect((await graph.query(dora, remove, { id })).errors[0]?.code).toBe('NOT_FOUND');
  });

  test('totalCount of conversations holds while others create and delete', async () => {
    const eve = await graph.viewer('eve');
    const made = await Promise.all(Array.from({ length: 20 }, () => createOne(eve)));
    // Each is deleted twice at once: one of the two finds it gone.
    const gone = made.slice(0, 12);
    const answers = await Promise.all(
      [...gone, ...gone].map(({ id }) => graph.query(eve, remove, { id }).then((answer) => answer.errors[0]?.code)),
    );
    expect(answers.filter((code) => code === undefined)).toHaveLength(12);
    expect(answers.filter((code) => code === 'NOT_FOUND')).toHaveLength(12);
    const { data } = await graph.query(eve, '{ conversations(first: 1) { totalCount } }');
    expect(data.conversations.totalCount).toBe(8);
    expect(await graph.db.conversation.count({ where: { userId: 'eve' } })).toBe(8);
  });
});

describe('conversations', () => {
  test('A list of 10,000 conversations takes four statements, and none reads rows outside the page', async () => {
    const many = await graph.viewer('many');
    // In pieces: an embedded database does nothing else during a statement, and would count as silent.
    for (let first = 1; first <= 10_000; first += 1_000) {
      await graph.db.$executeRaw`
        INSERT INTO conversations (id, tenant_id, user_id, title, message_count, created_at, updated_at)
        SELECT gen_random_uuid(), 'acme', 'many', 'Conversation ' || (n % 100), 3,
          timestamptz '2026-01-01' + n * interval '1 minute', timestamptz '2026-01-01' + (n / 1000) * interval '1 day'
        FROM generate_series(${first}::int, ${first + 999}::int) AS n`;
      await graph.db.$executeRaw`
        INSERT INTO messages (id, tenant_id, conversation_id, position, role, content)
        SELECT gen_random_uuid(), 'acme', c.id, p, 'USER', 'Message ' || p
        FROM conversations c, generate_series(1, 3) AS p
        WHERE c.user_id = 'many' AND NOT EXISTS (SELECT FROM messages m WHERE m.conversation_id = c.id)`;
    }
    await graph.db.$executeRaw`UPDATE users SET conversation_count = 10000 WHERE id = 'many'`;
    await graph.db.$executeRawUnsafe('ANALYZE');
    const page = `query ($after: String, $orderBy: ConversationOrder) {
      conversations(first: 50, after: $after, orderBy: $orderBy) {
        totalCount pageInfo { endCursor hasNextPage } edges { node { title messageCount lastMessage { content } } }
      }
    }`;
    await using recorder = await recordStatements();
    for (const field of ['UPDATED_AT', 'CREATED_AT', 'TITLE']) {
      const orderBy = { field, direction: 'DESC' };
      let after: string | null = null;
      for (let turn = 0; turn < 3; turn += 1) {
        const { data, errors, statements } = await graph.query(many, page, { after, orderBy });
        expect(errors).toEqual([]);
        expect(statements).toBeLessThanOrEqual(4);
        expect(data.conversations.totalCount).toBe(10_000);
        expect(data.conversations.edges).toHaveLength(50);
        expect(data.conversations.edges[0].node).toMatchObject({
          messageCount: 3,
          lastMessage: { content: 'Message 3' },
        });
        for (const statement of await recorder.record(many, page, { after, orderBy })) {
          const scans = await explain(recorder.client, statement);
          // 51 keys and two ends; 50 rows and the last message of each; one user.
          for (const scan of scans) expect(scan.rows, `${scan.name}: ${statement.sql}`).toBeLessThanOrEqual(60);
          expect(scans.filter((scan) => /^Seq Scan on (conversations|messages)/.test(scan.name))).toEqual([]);
        }
        after = data.conversations.pageInfo.endCursor;
      }
    }
    const shelves = `query ($orderBy: ConversationOrder, $isArchived: Boolean, $isPinned: Boolean) {
      conversations(first: 50, orderBy: $orderBy, isArchived: $isArchived, isPinned: $isPinned) {
        pageInfo { endCursor } edges { node { isArchived isPinned } } } }`;
    await graph.db.$executeRaw`
      UPDATE conversations SET is_archived = true, is_pinned = title < 'Conversation 15'
      WHERE user_id = 'many' AND title < 'Conversation 2' AND extract(hour FROM created_at) = 7`;
    await graph.db.$executeRawUnsafe('ANALYZE conversations');
    for (const shelf of [{ isArchived: true }, { isArchived: true, isPinned: true }, { isArchived: null }]) {
      for (const field of ['UPDATED_AT', 'CREATED_AT', 'TITLE']) {
        const [statement, ...others] = await recorder.record(many, shelves, {
          ...shelf,
          orderBy: { field, direction: 'DESC' },
        });
        expect(others).toEqual([]);
        if (!statement) throw new Error('Nothing was read.');
        for (const scan of await explain(recorder.client, statement))
          expect(scan.rows, `${JSON.stringify(shelf)}, ${scan.name}: ${statement.sql}`).toBeLessThanOrEqual(60);
      }
    }
  });
});

/** Runs documents on the app's own schema and database, and hands out the SQL that they take. */
async function recordStatements() {
  const stack = new AsyncDisposableStack();
  const url = graph.databaseUrl;
  const statements: Statement[] = [];
  const { db } = stack.use(openDatabase({ url, poolSize: 2, onQuery: (statement) => statements.push(statement) }));
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  stack.defer(() => client.end());
  return {
    client,
    async record(viewer: TestViewer, source: string, variableValues: Record<string, unknown>) {
      statements.length = 0;
      const contextValue = makeTestContext(graph.app.app, viewer, { db });
      const { errors } = await graphql({ schema, source, variableValues, contextValue });
      expect(errors).toBeUndefined();
      expect(statements.length).toBeGreaterThan(0);
      return [...statements];
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  Plans?: PlanNode[];
}

/** How many rows each scan of a statement has read, those that a filter threw away included. */
async function explain(client: pg.Client, statement: Statement): Promise<{ name: string; rows: number }[]> {
  const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${statement.sql}`, [...statement.args]);
  const scans: { name: string; rows: number }[] = [];
  const visit = (node: PlanNode) => {
    if (node['Node Type'].includes('Scan') && node['Relation Name'] !== undefined) {
      const each =
        node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
      scans.push({ name: `${node['Node Type']} on ${node['Relation Name']}`, rows: each * node['Actual Loops'] });
    }
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(rows[0]['QUERY PLAN'][0].Plan);
  expect(scans.length).toBeGreaterThan(0);
  return scans;
}
