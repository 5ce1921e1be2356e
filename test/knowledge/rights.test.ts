import { expect, test, vi } from 'vitest';
import { createBase, updateBase } from '../../src/knowledge/write-bases.ts';
import { shareApp } from '../support/app.ts';
import { addDocumentText, openBase, readDocumentText } from './support.ts';

const app = shareApp();

test('All users of a tenant read its bases, admins change them, and other tenants do neither', async () => {
  const base = await openBase(app);
  const { id } = await base.add({ text: 'Cups are blue.' });
  await base.settle(id);
  const user = await app.token({ sub: 'bob' });
  const stranger = await app.token({ sub: 'admin', tenant: 'other', roles: ['admin'] });
  const input = { knowledgeBaseId: base.baseId, title: 'x', text: 'x' };
  const changes: readonly [string, Record<string, unknown>][] = [
    [addDocumentText, { input }],
    ['mutation M($id: ID!) { updateKnowledgeDocument(id: $id, input: { title: "y" }) { id } }', { id }],
    ['mutation M($id: ID!) { deleteKnowledgeDocument(id: $id) }', { id }],
    ['mutation M($id: ID!) { updateKnowledgeBase(id: $id, input: { name: "y" }) { id } }', { id: base.baseId }],
    ['mutation M($id: ID!) { reindexKnowledgeBase(id: $id) { id } }', { id: base.baseId }],
    ['mutation M($id: ID!) { deleteKnowledgeBase(id: $id) }', { id: base.baseId }],
  ];
  for (const token of [user, stranger]) {
    for (const [document, variables] of changes) {
      const { errors } = await app.query(document, variables, { token });
      expect(
        errors.map(({ extensions }) => extensions.code),
        document,
      ).toEqual(['FORBIDDEN']);
    }
  }
  const list = '{ knowledgeBases { totalCount edges { node { id documents { totalCount edges { node { id } } } } } } }';
  const codes = async (token: string, document: string, variables = {}) =>
    (await app.query(document, variables, { token })).errors.map(({ extensions }) => extensions.code);
  expect(await codes(user, readDocumentText, { id })).toEqual([]);
  expect(await codes(stranger, readDocumentText, { id })).toEqual(['FORBIDDEN']);
  const { data } = await app.query(list, {}, { token: user });
  expect(data.knowledgeBases.edges).toMatchObject([{ node: { id: base.baseId, documents: { totalCount: 1 } } }]);
  expect((await app.query(list, {}, { token: stranger })).data.knowledgeBases).toEqual({ totalCount: 0, edges: [] });
  const create = 'mutation { createKnowledgeBase(input: { name: "x" }) { id } }';
  expect(await codes(user, create)).toEqual(['FORBIDDEN']);
});

test('In a project, members read, editors write, and others do neither', async () => {
  const owner = await app.token({ sub: 'admin', roles: ['admin'] });
  const ask = async (token: string, document: string, variables = {}) => {
    const { data, errors } = await app.query(document, variables, { token });
    return errors[0]?.extensions.code ?? data;
  };
  const { createProject } = await ask(owner, 'mutation { createProject(input: { key: "shop", name: "Shop" }) { id } }');
  const member =
    'mutation M($p: ID!, $u: String!, $r: ProjectRole!) { setProjectMember(projectId: $p, userId: $u, role: $r) { id } }';
  for (const [u, r] of [
    ['editor', 'EDITOR'],
    ['reader', 'VIEWER'],
  ])
    await ask(owner, member, { p: createProject.id, u, r });
  const create = 'mutation { createKnowledgeBase(input: { name: "Shop", projectId: "shop" }) { id project { key } } }';
  const [editor, reader, nobody] = await Promise.all(['editor', 'reader', 'nobody'].map((sub) => app.token({ sub })));
  if (!editor || !reader || !nobody) throw new Error('There are three.');
  expect(await ask(reader, create)).toBe('FORBIDDEN');
  const { createKnowledgeBase } = await ask(editor, create);
  expect(createKnowledgeBase.project).toEqual({ key: 'shop' });
  const read = 'query Q($id: ID!) { knowledgeBase(id: $id) { id } }';
  const { id } = createKnowledgeBase;
  expect(await ask(reader, read, { id })).toEqual({ knowledgeBase: { id } });
  expect(await ask(nobody, read, { id })).toBe('FORBIDDEN');
  const input = { knowledgeBaseId: id, title: 'x', text: 'x' };
  expect(await ask(reader, addDocumentText, { input })).toBe('FORBIDDEN');
  expect(await ask(nobody, addDocumentText, { input })).toBe('FORBIDDEN');
  expect(await ask(editor, addDocumentText, { input })).toMatchObject({ addKnowledgeDocument: { status: 'QUEUED' } });
});

test('Of those who create a base at the same time, as many do as there is room for, in the tenant and in a project', async () => {
  const { db, knowledge } = app.app;
  const tenantId = 'crowded';
  const viewer = { userId: 'admin', tenantId, roles: ['admin'], expiresAt: Number.POSITIVE_INFINITY };
  await db.tenant.create({ data: { id: tenantId } });
  await db.project.create({ data: { tenantId, key: 'shop', name: 'Shop' } });
  const small = { ...knowledge, bounds: { ...knowledge.bounds, basesPerTenant: 3, basesPerProject: 2 } };
  const create = async (projectId: string | null) => {
    const all = Array.from({ length: 4 }, (_, n) => createBase(viewer, small, { name: `Base ${n}`, projectId }));
    const settled = await Promise.allSettled(all);
    return settled.map((result) => (result.status === 'rejected' ? result.reason.code : 'OK')).sort();
  };
  expect(await create('shop')).toEqual(['CONFLICT', 'CONFLICT', 'OK', 'OK']);
  expect(await create(null)).toEqual(['CONFLICT', 'CONFLICT', 'CONFLICT', 'OK']);
});

test('A base has another language only together with the job that indexes its documents again', async () => {
  const { db, knowledge } = app.app;
  const base = await openBase(app);
  const where = { id: base.baseId.slice('kb_'.length) };
  const viewer = { userId: 'admin', tenantId: 'acme', roles: ['admin'], expiresAt: Number.POSITIVE_INFINITY };
  const enqueue = vi.spyOn(knowledge.jobs, 'enqueue').mockRejectedValueOnce(new Error('The process ends here.'));
  await expect(updateBase(viewer, knowledge, base.baseId, { language: 'german' })).rejects.toThrow('ends here');
  enqueue.mockRestore();
  expect(await db.knowledgeBase.findUnique({ where })).toMatchObject({ language: 'english' });
});
