import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

// Lists in lists: of contacts their tickets, of webhooks their deliveries, of drafts their versions, of projects their members.

let graph: Graph;
beforeAll(async () => {
  graph = await openGraph();
});
afterAll(() => graph[Symbol.asyncDispose]());

const rows = async (made: Promise<{ readonly id: string }[]>) => (await made).map(({ id }) => id);

/** A tenant with so many of everything, each with two children at least. */
async function fillTenant(tenantId: string, count: number): Promise<TestViewer> {
  const { db } = graph;
  const ada = await graph.viewer('ada', tenantId, ['admin']);
  const each = Array.from({ length: count }, (_, index) => index);
  const contacts = await rows(db.contact.createManyAndReturn({ data: each.map((n) => ({ tenantId, name: `c${n}` })) }));
  const tickets = await rows(
    db.ticket.createManyAndReturn({
      data: contacts.flatMap((contactId, n) =>
        [0, 1].map((of) => ({
          ...{ tenantId, contactId, number: 2 * n + of, subject: `t${n}-${of}`, body: 'b', createdBy: 'bob' },
          ...{ commentCount: 1, changeCount: 1 },
        })),
      ),
    }),
  );
  const ofTickets = tickets.map((ticketId) => ({ tenantId, ticketId }));
  await db.ticketComment.createMany({
    data: ofTickets.map((row) => ({ ...row, body: 'c', author: 'bob', isInternal: false })),
  });
  await db.ticketChange.createMany({ data: ofTickets.map((row) => ({ ...row, field: 'status', by: 'bob' })) });
  const webhooks = await rows(
    db.webhook.createManyAndReturn({
      data: each.map((n) => ({ tenantId, url: `https://example.com/${n}`, events: ['RUN_ENDED' as const] })),
    }),
  );
  const failed = { tenantId, event: 'RUN_ENDED', status: 'FAILED', givenUpAt: new Date() } as const;
  await db.webhookDelivery.createMany({
    data: webhooks.flatMap((webhookId) => [0, 1, 2].map((attempts) => ({ ...failed, webhookId, attempts }))),
  });
  for (const n of each) {
    const project = await db.project.create({ data: { tenantId, key: `p${n}`, name: 'P' } });
    await db.projectMember.create({ data: { tenantId, projectId: project.id, userId: 'ada', role: 'OWNER' } });
    const draft = await db.draft.create({ data: { tenantId, userId: 'ada', key: `d${n}`, title: 'D', content: 1 } });
    const version = { tenantId, draftId: draft.id, content: 1, bytes: 1 };
    await db.draftVersion.createMany({ data: [1, 2].map((of) => ({ ...version, version: of })) });
  }
  return ada;
}

const pageInfo = 'totalCount pageInfo { hasNextPage endCursor }';

test.each([
  [
    'contacts and their tickets',
    `contacts { edges { node { tickets(first: 1) { ${pageInfo} edges { node { subject } } } } } }`,
  ],
  ['contacts and their conversations', `contacts { edges { node { conversations(first: 1) { ${pageInfo} } } } }`],
  [
    'tickets, their comments and their history',
    'tickets { edges { node { comments { body } history { field } contact { name } project { key } } } }',
  ],
  [
    'webhooks and their deliveries',
    `webhooks { edges { node { secretHint deliveries(first: 2) { ${pageInfo} edges { node { attempts } } } } } }`,
  ],
  ['drafts and their versions', 'drafts { edges { node { versions { version } } } }'],
  ['projects and their members', 'projects { edges { node { members { userId } } } }'],
])('The list of %s takes as many statements with seven as with two', async (_what, selection) => {
  const statements = [];
  for (const [tenantId, count] of [
    ['two', 2],
    ['seven', 7],
  ] as const) {
    const ada = await fillOnce(tenantId, count);
    const { data, errors, statements: taken } = await graph.query(ada, `{ ${selection} }`);
    expect(errors).toEqual([]);
    const [list] = Object.values<{ edges: unknown[] }>(data);
    expect(list?.edges.length).toBeGreaterThanOrEqual(count);
    statements.push(taken);
  }
  expect(statements[0]).toBe(statements[1]);
  expect(statements[0]).toBeLessThan(9);
});

const filled = new Map<string, Promise<TestViewer>>();
function fillOnce(tenantId: string, count: number): Promise<TestViewer> {
  const known = filled.get(tenantId) ?? fillTenant(tenantId, count);
  filled.set(tenantId, known);
  return known;
}

test('Each page is that of its own contact and webhook, and a cursor of another one is refused', async () => {
  const ada = await fillOnce('two', 2);
  const document = (field: string, args: string) =>
    field === 'contacts'
      ? `{ contacts { edges { node { id name children: tickets(${args}) { ${pageInfo} edges { node { name: subject } } } } } } }`
      : `{ webhooks { edges { node { id children: deliveries(${args}) { ${pageInfo} edges { node { name: attempts } } } } } } }`;
  for (const [field, type, size] of [
    ['contacts', 'Contact', 2],
    ['webhooks', 'Webhook', 3],
  ] as const) {
    const { data } = await graph.query(ada, document(field, 'first: 1'));
    const [one, other] = data[field].edges.map(({ node }: { node: { id: string; name?: string } }) => node);
    for (const parent of [one, other])
      expect(parent.children).toMatchObject({ totalCount: size, pageInfo: { hasNextPage: true }, edges: [{}] });
    if (field === 'contacts')
      for (const { name, children } of [one, other]) expect(children.edges[0].node.name).toBe(`t${name.slice(1)}-1`);
    const list = field === 'contacts' ? 'tickets' : 'deliveries';
    const next = `query ($id: ID!, $after: String) { node(id: $id) { ... on ${type} { ${list}(after: $after) { ${pageInfo} edges { cursor } } } } }`;
    const after = one.children.pageInfo.endCursor;
    const rest = await graph.query(ada, next, { id: one.id, after });
    expect(rest.data.node[list]).toMatchObject({ totalCount: size, pageInfo: { hasNextPage: false } });
    expect(rest.data.node[list].edges).toHaveLength(size - 1);
    const wrong = await graph.query(ada, next, { id: other.id, after });
    expect(wrong.errors).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['after'] }]);
  }
});
