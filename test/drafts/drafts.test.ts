import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';

let graph: Graph;
let alice: TestViewer;
let bob: TestViewer;
let stranger: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  alice = await graph.viewer('alice');
  bob = await graph.viewer('bob');
  stranger = await graph.viewer('mallory', 'other-tenant');
});
afterAll(async () => graph[Symbol.asyncDispose]());

const shown = 'id key title content version';
const save = `mutation ($input: SaveDraftInput!) { saveDraft(input: $input) { ${shown} } }`;
const remove = `mutation ($id: ID!) { deleteDraft(id: $id) }`;
const byId = `query ($id: ID!) { draft(id: $id) { ${shown} versions { version content } } }`;

async function saveOne(viewer: TestViewer, input: Record<string, unknown>) {
  const { data, errors } = await graph.query(viewer, save, { input });
  expect(errors).toEqual([]);
  return data.saveDraft;
}

const codeOf = async (viewer: TestViewer, document: string, variables: Record<string, unknown>) =>
  (await graph.query(viewer, document, variables)).errors[0]?.code;

async function createConversation(viewer: TestViewer): Promise<string> {
  return (await graph.query(viewer, 'mutation { createConversation { id } }')).data.createConversation.id;
}

async function createProject(members: Record<string, 'EDITOR' | 'VIEWER'> = {}): Promise<string> {
  const create = `mutation ($key: String!) { createProject(input: { key: $key, name: "Project" }) { id } }`;
  const owner = await graph.viewer('owner', 'acme', ['admin']);
  const { data, errors } = await graph.query(owner, create, { key: `p-${randomUUID()}` });
  expect(errors).toEqual([]);
  const set = `mutation ($id: ID!, $userId: String!, $role: ProjectRole!) { setProjectMember(projectId: $id, userId: $userId, role: $role) { id } }`;
  for (const [userId, role] of Object.entries(members)) {
    const { errors } = await graph.query(owner, set, { id: data.createProject.id, userId, role });
    expect(errors).toEqual([]);
  }
  return data.createProject.id;
}

describe('saving', () => {
  test('A draft is created under its key, and each save is its next version', async () => {
    const key = randomUUID();
    const first = await saveOne(alice, { key, content: { text: 'One' } });
    expect(first).toEqual({
      id: expect.stringMatching(/^drf_/),
      key,
      title: key,
      content: { text: 'One' },
      version: 1,
    });
    const second = await saveOne(alice, { key, title: 'Reply', content: JSON.parse('["Two",{"__proto__":1}]') });
    expect(second).toMatchObject({ id: first.id, title: 'Reply', version: 2 });
    expect(JSON.stringify(second.content)).toBe('["Two",{"__proto__":1}]');
    expect(await saveOne(alice, { key, content: 3, expectedVersion: 2 })).toMatchObject({ title: 'Reply', version: 3 });
    const { data } = await graph.query(alice, byId, { id: first.id });
    expect(data.draft.versions.map(({ version }: { version: number }) => version)).toEqual([3, 2, 1]);
    expect(data.draft.versions[2].content).toEqual({ text: 'One' });
  });

  test('Another version than the expected one is a conflict, and nothing is saved', async () => {
    const key = randomUUID();
    expect(await codeOf(alice, save, { input: { key, content: 1, expectedVersion: 1 } })).toBe('CONFLICT');
    const { id } = await saveOne(alice, { key, content: 1, expectedVersion: 0 });
    for (const expectedVersion of [0, 2, 99]) {
      expect(await codeOf(alice, save, { input: { key, content: 'x', expectedVersion } })).toBe('CONFLICT');
    }
    const { data } = await graph.query(alice, byId, { id });
    expect(data.draft).toMatchObject({ version: 1, content: 1, versions: [{ version: 1, content: 1 }] });
  });

  test.each([0, 1])(
    'Of many saves at the same time that expect version %i, exactly one wins',
    async (expectedVersion) => {
      const key = randomUUID();
      if (expectedVersion > 0) await saveOne(alice, { key, content: 'first' });
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) => graph.query(alice, save, { input: { key, content: n, expectedVersion } })),
      );
      const won = answers.filter(({ errors }) => errors.length === 0);
      expect(won).toHaveLength(1);
      expect(answers.flatMap(({ errors }) => errors.map(({ code }) => code))).toEqual(Array(9).fill('CONFLICT'));
      const { data } = await graph.query(alice, byId, { id: won[0]?.data.saveDraft.id });
      expect(data.draft).toMatchObject({ version: expectedVersion + 1, content: won[0]?.data.saveDraft.content });
      expect(data.draft.versions).toHaveLength(expectedVersion + 1);
    },
  );

  test('Saves at the same time that expect nothing are all stored, one after another', async () => {
    const key = randomUUID();
    const saved = await Promise.all(Array.from({ length: 8 }, (_, n) => saveOne(alice, { key, content: n })));
    expect(saved.map(({ version }) => version).sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(new Set(saved.map(({ id }) => id)).size).toBe(1);
  });

  test('The last 50 versions are stored, with 1,000,000 bytes together', async () => {
    const key = randomUUID();
    let last = { id: '' };
    for (let n = 1; n <= 52; n += 1) last = await saveOne(alice, { key, content: n });
    const versionsOf = async () => (await graph.query(alice, byId, { id: last.id })).data.draft.versions;
    const few = await versionsOf();
    expect(few).toHaveLength(50);
    expect(few[0]).toEqual({ version: 52, content: 52 });
    expect(few[49].version).toBe(3);
    for (let n = 0; n < 12; n += 1) await saveOne(alice, { key, content: 'x'.repeat(99_000) });
    const large = await versionsOf();
    expect(large).toHaveLength(10);
    expect(large[0].version).toBe(64);
  });

  test.each([
    ['an empty key', { key: '', content: 1 }, ['input', 'key']],
    ['a blank key', { key: ' ', content: 1 }, ['input', 'key']],
    ['a long key', { key: 'k'.repeat(256), content: 1 }, ['input', 'key']],
    ['a long title', { key: 'k', title: 't'.repeat(256), content: 1 }, ['input', 'title']],
    ['a huge content', { key: 'k', content: 'x'.repeat(100_000) }, ['input', 'content']],
    ['a NUL', { key: 'k', content: { a: '\u0000' } }, ['input', 'content']],
    ['a negative version', { key: 'k', content: 1, expectedVersion: -1 }, ['input', 'expectedVersion']],
    ['an id of another type', { key: 'k', content: 1, conversationId: 'drf_1' }, ['input', 'conversationId']],
  ])('A draft with %s is refused by the field', async (_what, input, path) => {
    const { errors } = await graph.query(alice, save, { input });
    expect(errors[0]).toMatchObject({ code: 'BAD_USER_INPUT', path });
  });
});

describe('where drafts are', () => {
  test('A key is unique in its conversation, its project and for its user, each by itself', async () => {
    const key = randomUUID();
    const [one, two, projectId] = [
      await createConversation(alice),
      await createConversation(alice),
      await createProject({ alice: 'EDITOR', bob: 'VIEWER' }),
    ];
    const scopes = [{}, { conversationId: one }, { conversationId: two }, { projectId }];
    const saved = [];
    for (const [n, scope] of scopes.entries()) saved.push(await saveOne(alice, { key, content: n, ...scope }));
    expect(new Set(saved.map(({ id }) => id)).size).toBe(4);
    const read = `query ($key: String, $conversationId: ID, $projectId: ID) {
      draft(key: $key, conversationId: $conversationId, projectId: $projectId) { content conversation { id } project { id } }
      drafts(conversationId: $conversationId, projectId: $projectId) { totalCount edges { node { key content } } } }`;
    for (const [n, scope] of scopes.entries()) {
      const { data, errors } = await graph.query(alice, read, { key, ...scope });
      expect(errors).toEqual([]);
      expect(data.draft).toEqual({
        content: n,
        conversation: 'conversationId' in scope ? { id: scope.conversationId } : null,
        project: 'projectId' in scope ? { id: projectId } : null,
      });
      expect(data.drafts.edges).toContainEqual({ node: { key, content: n } });
    }
    // The member of the project reads it, and does not write.
    expect((await graph.query(bob, read, { key, projectId })).data.draft.content).toBe(3);
    expect(await codeOf(bob, save, { input: { key, content: 1, projectId } })).toBe('FORBIDDEN');
    expect(await codeOf(bob, remove, { id: saved[3].id })).toBe('FORBIDDEN');
    expect(await codeOf(alice, save, { input: { key, content: 1, projectId, conversationId: one } })).toBe(
      'BAD_USER_INPUT',
    );
  });

  test('What belongs to others is forbidden, and what does not exist is not found', async () => {
    const key = randomUUID();
    const conversationId = await createConversation(alice);
    const projectId = await createProject();
    const own = await saveOne(alice, { key, content: 1 });
    const inConversation = await saveOne(alice, { key, content: 1, conversationId });
    for (const viewer of [bob, stranger]) {
      for (const id of [own.id, inConversation.id]) {
        expect(await codeOf(viewer, byId, { id })).toBe('FORBIDDEN');
        expect(await codeOf(viewer, remove, { id })).toBe('FORBIDDEN');
        expect(await codeOf(viewer, 'query ($id: ID!) { node(id: $id) { id } }', { id })).toBe('FORBIDDEN');
      }
      for (const scope of [{ conversationId }, { projectId }]) {
        expect(await codeOf(viewer, save, { input: { key, content: 2, ...scope } })).toBe('FORBIDDEN');
        const list = `query ($conversationId: ID, $projectId: ID) { drafts(conversationId: $conversationId, projectId: $projectId) { totalCount } }`;
        expect(await codeOf(viewer, list, scope)).toBe('FORBIDDEN');
      }
    }
    const absent = `drf_${randomUUID()}`;
    expect(await codeOf(alice, byId, { id: absent })).toBe('NOT_FOUND');
    expect(await codeOf(alice, remove, { id: absent })).toBe('NOT_FOUND');
    expect(await codeOf(alice, 'query { draft(key: "absent") { id } }', {})).toBe('NOT_FOUND');
    expect(await codeOf(alice, 'query { draft { id } }', {})).toBe('BAD_USER_INPUT');
  });

  test('A draft is deleted with its versions, and with its conversation', async () => {
    const conversationId = await createConversation(alice);
    const one = await saveOne(alice, { key: 'one', content: 'gone-1', conversationId });
    await saveOne(alice, { key: 'two', content: 'gone-2', conversationId });
    expect((await graph.query(alice, remove, { id: one.id })).data.deleteDraft).toBe(one.id);
    expect(await codeOf(alice, byId, { id: one.id })).toBe('NOT_FOUND');
    await graph.query(alice, 'mutation ($id: ID!) { deleteConversation(id: $id) }', { id: conversationId });
    const [left] = await graph.db.$queryRaw<{ count: number }[]>`
      SELECT count(*)::integer AS count FROM draft_versions WHERE content::text LIKE '"gone-%'`;
    expect(left?.count).toBe(0);
  });

  test('A list takes the same number of statements, however many drafts there are, and pages by the last change', async () => {
    const viewer = await graph.viewer('lister');
    const list = `query ($after: String) { drafts(first: 3, after: $after) { pageInfo { hasNextPage endCursor } edges { node { key versions { version } conversation { id } project { key } } } } }`;
    await saveOne(viewer, { key: 'a', content: 1 });
    const few = await graph.query(viewer, list);
    for (const key of ['b', 'c', 'd']) await saveOne(viewer, { key, content: 1 });
    await saveOne(viewer, { key: 'a', content: 2 });
    const many = await graph.query(viewer, list);
    expect(many.statements).toBe(few.statements);
    const keys = ({ data }: typeof many) => data.drafts.edges.map(({ node }: { node: { key: string } }) => node.key);
    expect(keys(many)).toEqual(['a', 'd', 'c']);
    expect(keys(await graph.query(viewer, list, { after: many.data.drafts.pageInfo.endCursor }))).toEqual(['b']);
  });
});
