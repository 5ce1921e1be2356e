import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Graph, openGraph, type TestViewer } from '../support/app.ts';
import { addProject } from '../support/projects.ts';

let graph: Graph;
let admin: TestViewer;
let users: Record<'owner' | 'editor' | 'viewer' | 'nobody', TestViewer>;
let stranger: TestViewer;

beforeAll(async () => {
  graph = await openGraph();
  admin = await openAdmin('acme');
  users = {
    owner: await graph.viewer('owner'),
    editor: await graph.viewer('editor'),
    viewer: await graph.viewer('viewer'),
    nobody: await graph.viewer('nobody'),
  };
  stranger = await openAdmin('other');
});
afterAll(() => graph[Symbol.asyncDispose]());

async function openAdmin(tenant: string): Promise<TestViewer> {
  const viewer = await graph.viewer('root', tenant);
  return { ...viewer, token: await graph.app.token({ sub: 'root', tenant, roles: ['admin'] }) };
}

const fields = 'id key name isArchived members { userId role }';
const create = `mutation ($input: CreateProjectInput!) { createProject(input: $input) { ${fields} } }`;
const update = `mutation ($id: ID!, $input: UpdateProjectInput!) { updateProject(id: $id, input: $input) { ${fields} } }`;
const set = `mutation ($id: ID!, $userId: String!, $role: ProjectRole!) {
  setProjectMember(projectId: $id, userId: $userId, role: $role) { ${fields} } }`;
const remove = `mutation ($id: ID!, $userId: String!) { removeProjectMember(projectId: $id, userId: $userId) { ${fields} } }`;
const read = `query ($id: ID!) { project(id: $id) { ${fields} } }`;
const list = `query ($first: Int, $after: String, $archived: Boolean) {
  projects(first: $first, after: $after, includeArchived: $archived) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { key } } } }`;

async function ask(viewer: TestViewer, document: string, variables: Record<string, unknown>) {
  const { data, errors } = await graph.query(viewer, document, variables);
  expect(errors).toEqual([]);
  return data;
}
const codesOf = async (viewer: TestViewer, document: string, variables: Record<string, unknown>) =>
  (await graph.query(viewer, document, variables)).errors.map(({ code }) => code);

/** A project with a member of each role. */
const newProject = (key = `k${randomUUID()}`) =>
  addProject(graph.db, key, { owner: 'OWNER', editor: 'EDITOR', viewer: 'VIEWER' });
const readAll = async () => [
  await graph.db.project.findMany({ orderBy: { id: 'asc' } }),
  await graph.db.projectMember.findMany({ orderBy: [{ projectId: 'asc' }, { userId: 'asc' }] }),
];

describe('projects', () => {
  test('An admin creates a project, owns it, and finds it by its id, its key and as a node', async () => {
    const { createProject: made } = await ask(admin, create, { input: { key: 'web-shop', name: 'Shop' } });
    expect(made).toEqual({
      id: expect.stringMatching(/^prj_/),
      key: 'web-shop',
      name: 'Shop',
      isArchived: false,
      members: [{ userId: 'root', role: 'OWNER' }],
    });
    for (const id of [made.id, 'web-shop']) expect((await ask(admin, read, { id })).project).toEqual(made);
    const node = await ask(admin, `query ($id: ID!) { node(id: $id) { ... on Project { ${fields} } } }`, {
      id: made.id,
    });
    expect(node.node).toEqual(made);
  });

  test('A key is unique in the tenant, also in a race, and another tenant can have it too', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => graph.query(admin, create, { input: { key: 'one', name: 'One' } })),
    );
    expect(answers.filter(({ errors }) => errors.length === 0)).toHaveLength(1);
    expect(new Set(answers.flatMap(({ errors }) => errors.map(({ code }) => code)))).toEqual(new Set(['CONFLICT']));
    await ask(stranger, create, { input: { key: 'one', name: 'Another' } });
    expect((await ask(stranger, read, { id: 'one' })).project.name).toBe('Another');
  });

  test.each([
    ['an empty key', { key: '' }, 'key'],
    ['a key of 256 characters', { key: 'k'.repeat(256) }, 'key'],
    ['a key with a space', { key: 'a b' }, 'key'],
    ['a key that looks like an id', { key: 'prj_shop' }, 'key'],
    ['an empty name', { name: '' }, 'name'],
    ['a blank name', { name: '  ' }, 'name'],
    ['a name of 256 characters', { name: 'n'.repeat(256) }, 'name'],
  ])('createProject refuses %s, names the field and writes nothing', async (_what, changes, field) => {
    const before = await readAll();
    const { errors } = await graph.query(admin, create, { input: { key: 'fine', name: 'Fine', ...changes } });
    expect(errors).toMatchObject([{ code: 'BAD_USER_INPUT', path: ['input', field] }]);
    expect(await readAll()).toEqual(before);
  });

  test('Only admins create projects; owners and admins change them; editors and viewers read them', async () => {
    expect(await codesOf(users.owner, create, { input: { key: 'mine', name: 'Mine' } })).toEqual(['FORBIDDEN']);
    const id = await newProject();
    for (const viewer of [users.owner, users.editor, users.viewer, admin])
      expect((await ask(viewer, read, { id })).project.id).toBe(id);
    const before = await readAll();
    for (const viewer of [users.editor, users.viewer, users.nobody, stranger]) {
      expect(await codesOf(viewer, update, { id, input: { name: 'Other' } })).toEqual(['FORBIDDEN']);
      expect(await codesOf(viewer, set, { id, userId: 'nobody', role: 'VIEWER' })).toEqual(['FORBIDDEN']);
      expect(await codesOf(viewer, remove, { id, userId: 'viewer' })).toEqual(['FORBIDDEN']);
    }
    expect(await readAll()).toEqual(before);
    expect((await ask(users.owner, update, { id, input: { name: 'Renamed' } })).updateProject.name).toBe('Renamed');
    expect((await ask(admin, update, { id, input: { isArchived: true } })).updateProject.isArchived).toBe(true);
  });

  test('Who is no member is FORBIDDEN and learns no name; what does not exist is NOT_FOUND', async () => {
    const id = await newProject('secret-key');
    for (const viewer of [users.nobody, stranger]) {
      const { data, errors } = await graph.query(viewer, read, { id });
      expect({ data, codes: errors.map(({ code }) => code) }).toEqual({
        data: { project: null },
        codes: ['FORBIDDEN'],
      });
      expect(JSON.stringify(errors)).not.toContain('secret');
    }
    expect(await codesOf(users.nobody, read, { id: 'secret-key' })).toEqual(['FORBIDDEN']);
    // In another tenant, the key names nothing.
    expect(await codesOf(stranger, read, { id: 'secret-key' })).toEqual(['NOT_FOUND']);
    for (const absent of [`prj_${randomUUID()}`, 'absent', 'prj_absent'])
      expect(await codesOf(admin, read, { id: absent })).toEqual(['NOT_FOUND']);
    expect(await codesOf(admin, read, { id: '' })).toEqual(['BAD_USER_INPUT']);
  });

  test('A stored key that is written like an id is found, and an id comes first', async () => {
    const id = await newProject();
    const likeId = `prj_${randomUUID()}`;
    const other = await newProject(likeId);
    expect((await ask(users.viewer, read, { id: likeId })).project.id).toBe(other);
    await newProject(id);
    expect((await ask(users.viewer, read, { id })).project.id).toBe(id);
  });
});

describe('lists of projects', () => {
  test('A list has the projects of the viewer, and all for admins, in pages of a constant number of statements', async () => {
    const tenantId = 'lists';
    const [member, root] = [await graph.viewer('member', tenantId), await openAdmin(tenantId)];
    for (let n = 0; n < 5; n++) await addProject(graph.db, `own-${n}`, { member: 'VIEWER' }, tenantId);
    await addProject(graph.db, 'foreign', { somebody: 'OWNER' }, tenantId);
    const archived = await addProject(graph.db, 'old', { member: 'OWNER' }, tenantId);
    await ask(member, update, { id: archived, input: { isArchived: true } });
    const keysOf = async (viewer: TestViewer, variables: Record<string, unknown> = {}) => {
      const found: string[] = [];
      const statements: number[] = [];
      for (let after: string | null = null, more = true; more; ) {
        const answer = await graph.query(viewer, list, { first: 2, after, ...variables });
        expect(answer.errors).toEqual([]);
        const { edges, pageInfo } = answer.data.projects;
        found.push(...edges.map(({ node }: { node: { key: string } }) => node.key));
        statements.push(answer.statements);
        ({ endCursor: after, hasNextPage: more } = pageInfo);
        if (!more) expect(answer.data.projects.totalCount).toBe(found.length);
      }
      expect(Math.max(...statements)).toBe(3);
      return found;
    };
    const own = ['own-0', 'own-1', 'own-2', 'own-3', 'own-4'];
    expect(await keysOf(member)).toEqual(own);
    expect(await keysOf(member, { archived: true })).toEqual([...own, 'old']);
    expect(await keysOf(root)).toEqual([...own, 'foreign']);
    const wide = await graph.query(member, list, { first: 100 });
    expect(wide.statements).toBe(3);
  });
});

describe('members', () => {
  test('An owner adds, changes and removes members, also a user who was never seen', async () => {
    const id = await newProject();
    const added = await ask(users.owner, set, { id, userId: 'new-user', role: 'EDITOR' });
    expect(added.setProjectMember.members).toEqual([
      { userId: 'owner', role: 'OWNER' },
      { userId: 'editor', role: 'EDITOR' },
      { userId: 'new-user', role: 'EDITOR' },
      { userId: 'viewer', role: 'VIEWER' },
    ]);
    const newUser = await graph.viewer('new-user');
    expect((await ask(newUser, read, { id })).project.id).toBe(id);
    await ask(users.owner, remove, { id, userId: 'new-user' });
    expect(await codesOf(newUser, read, { id })).toEqual(['FORBIDDEN']);
    expect(await codesOf(users.owner, remove, { id, userId: 'new-user' })).toEqual(['NOT_FOUND']);
    for (const userId of ['', 'u'.repeat(256), 'a\nb'])
      expect(await codesOf(users.owner, set, { id, userId, role: 'VIEWER' })).toEqual(['BAD_USER_INPUT']);
  });

  test('The last owner stays, whoever asks, and is another one first', async () => {
    const id = await newProject();
    for (const viewer of [users.owner, admin]) {
      expect(await codesOf(viewer, remove, { id, userId: 'owner' })).toEqual(['CONFLICT']);
      expect(await codesOf(viewer, set, { id, userId: 'owner', role: 'EDITOR' })).toEqual(['CONFLICT']);
    }
    await ask(users.owner, set, { id, userId: 'editor', role: 'OWNER' });
    const { removeProjectMember } = await ask(users.owner, remove, { id, userId: 'owner' });
    expect(removeProjectMember.members[0]).toEqual({ userId: 'editor', role: 'OWNER' });
  });

  test('Of owners who remove each other at the same time one stays', async () => {
    for (let round = 0; round < 5; round++) {
      const id = await addProject(graph.db, `race-${round}`, { owner: 'OWNER', editor: 'OWNER' });
      const results = await Promise.all([
        graph.query(users.owner, remove, { id, userId: 'editor' }),
        graph.query(users.editor, remove, { id, userId: 'owner' }),
        graph.query(users.owner, set, { id, userId: 'owner', role: 'VIEWER' }),
        graph.query(users.editor, set, { id, userId: 'editor', role: 'VIEWER' }),
      ]);
      expect(results.flatMap(({ errors }) => errors.map(({ code }) => code)).length).toBeGreaterThan(0);
      const owners = await graph.db.projectMember.count({ where: { projectId: id.slice(4), role: 'OWNER' } });
      expect(owners).toBeGreaterThan(0);
    }
  });

  test('A project has at most 1,000 members, and its list of members no more', async () => {
    const id = await newProject();
    const crowd = Array.from({ length: 1_001 }, (_, n) => `crowd-${n}`);
    await graph.db.user.createMany({ data: crowd.map((name) => ({ tenantId: 'acme', id: name })) });
    const rows = crowd.map((userId) => ({ tenantId: 'acme', projectId: id.slice(4), userId, role: 'VIEWER' as const }));
    await graph.db.projectMember.createMany({ data: rows });
    const { errors } = await graph.query(users.owner, set, { id, userId: 'one-more', role: 'VIEWER' });
    expect(errors).toMatchObject([{ code: 'CONFLICT', message: expect.stringContaining('at most 1,000') }]);
    expect((await ask(users.owner, read, { id })).project.members).toHaveLength(1_000);
  });
});
