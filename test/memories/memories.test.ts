import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { eraseUser } from '../../src/retention/erase-user.ts';
import { shareApp, type TokenClaims } from '../support/app.ts';
import { dumpDatabase } from '../support/database/dump.ts';
import { addProject } from '../support/projects.ts';

const app = shareApp({ env: { MEMORY: 'acme, globex' } });

const save = `mutation ($id: ID, $text: String!, $projectId: ID) { saveMemory(id: $id, text: $text, projectId: $projectId) {
  id text project { key } createdByAgent { id } createdAt updatedAt
} }`;
const list = `query ($search: String, $first: Int, $after: String) { memories(search: $search, first: $first, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } edges { node { id text project { key } } }
} }`;
const read = 'query ($id: ID!) { node(id: $id) { ... on Memory { text } } }';
const remove = 'mutation ($id: ID!) { deleteMemory(id: $id) }';

/** A user, and what the user asks. */
async function openUser(claims: TokenClaims = {}) {
  const token = await app.token({ sub: `user-${randomUUID()}`, ...claims });
  const ask = async (document: string, variables: Record<string, unknown> = {}) => {
    const { data, errors } = await app.query(document, variables, { token });
    expect(errors).toEqual([]);
    return data;
  };
  const fail = async (document: string, variables: Record<string, unknown> = {}) => {
    const { errors } = await app.query(document, variables, { token });
    return errors[0]?.extensions;
  };
  const texts = async (search?: string): Promise<string[]> =>
    (await ask(list, { search })).memories.edges.map(({ node }: { node: { text: string } }) => node.text);
  return { ask, fail, texts, save: async (input: Record<string, unknown>) => (await ask(save, input)).saveMemory };
}

describe('memories', () => {
  test('A user saves, lists, searches, changes and deletes memories, and a fact is there once', async () => {
    const alice = await openUser();
    const nuts = await alice.save({ text: 'I am allergic to nuts.' });
    expect(nuts).toMatchObject({ id: expect.stringMatching(/^mem_/), project: null, createdByAgent: null });
    await alice.save({ text: 'Mein Café heißt Zur Brücke.' });
    await alice.save({ text: '我喜欢绿茶。' });
    expect((await alice.save({ text: 'I am allergic to nuts.' })).id).toBe(nuts.id);
    expect(await alice.texts()).toEqual(['I am allergic to nuts.', '我喜欢绿茶。', 'Mein Café heißt Zur Brücke.']);
    expect(await alice.texts('cafe brucke')).toEqual(['Mein Café heißt Zur Brücke.']);
    expect(await alice.texts('绿茶')).toEqual(['我喜欢绿茶。']);
    expect(await alice.texts('allergic cafe')).toEqual([]);
    expect(await alice.texts('?!')).toEqual([]);
    expect(await alice.save({ id: nuts.id, text: 'I am allergic to milk.' })).toMatchObject({
      id: nuts.id,
      text: 'I am allergic to milk.',
    });
    expect(await alice.texts('nuts')).toEqual([]);
    expect(await alice.texts('milk')).toEqual(['I am allergic to milk.']);
    const { memories } = await alice.ask(list, { first: 2 });
    expect(memories).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    const rest = await alice.ask(list, { first: 2, after: memories.pageInfo.endCursor });
    expect(rest.memories.edges).toHaveLength(1);
    expect((await alice.ask(remove, { id: nuts.id })).deleteMemory).toBe(nuts.id);
    expect(await alice.texts()).not.toContain('I am allergic to milk.');
    expect(await alice.fail(remove, { id: nuts.id })).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('Nobody else sees, changes or deletes a memory: no other user, no admin, no other tenant', async () => {
    const sub = `owner-${randomUUID()}`;
    const owner = await openUser({ sub });
    const { id } = await owner.save({ text: 'My secret is marzipan.' });
    const others = [{}, { roles: ['admin'] }, { sub, tenant: 'globex' }, { tenant: 'globex', roles: ['admin'] }];
    for (const claims of others) {
      const other = await openUser(claims);
      expect(await other.texts()).toEqual([]);
      expect(await other.texts('marzipan')).toEqual([]);
      expect(await other.fail(read, { id })).toMatchObject({ code: 'FORBIDDEN' });
      expect(await other.fail(save, { id, text: 'x' })).toMatchObject({ code: 'FORBIDDEN' });
      expect(await other.fail(remove, { id })).toMatchObject({ code: 'FORBIDDEN' });
    }
    expect(await owner.texts()).toEqual(['My secret is marzipan.']);
  });

  test('A memory of a project is for its members, and stays in it unless it is moved', async () => {
    const sub = `member-${randomUUID()}`;
    const key = `p-${randomUUID().slice(0, 8)}`;
    const projectId = await addProject(app.app.db, key, { [sub]: 'EDITOR' });
    const member = await openUser({ sub });
    const { id } = await member.save({ text: 'In the shop I sell cups.', projectId });
    expect(await member.save({ id, text: 'In the shop I sell pots.' })).toMatchObject({ project: { key } });
    const outsider = await openUser();
    expect(await outsider.fail(save, { text: 'x', projectId })).toMatchObject({ code: 'FORBIDDEN' });
    await app.app.db.projectMember.deleteMany({ where: { userId: sub } });
    expect(await member.texts()).toEqual([]);
    expect(await member.fail(read, { id })).toMatchObject({ code: 'FORBIDDEN' });
    await app.app.db.projectMember.create({
      data: { tenantId: 'acme', projectId: projectId.slice(4), userId: sub, role: 'EDITOR' },
    });
    expect(await member.save({ id, text: 'I sell pots.', projectId: null })).toMatchObject({ project: null });
  });

  test('What is too long, blank or malformed is refused by the field, and so is one memory more than 500', async () => {
    const sub = `much-${randomUUID()}`;
    const user = await openUser({ sub });
    const refused = async (input: Record<string, unknown>) => await user.fail(save, input);
    expect(await refused({ text: '' })).toMatchObject({ code: 'BAD_USER_INPUT', path: ['text'] });
    expect(await refused({ text: ' \n' })).toMatchObject({ code: 'BAD_USER_INPUT', path: ['text'] });
    expect(await refused({ text: 'x'.repeat(1_001) })).toMatchObject({ code: 'BAD_USER_INPUT', path: ['text'] });
    expect(await refused({ text: '\0' })).toMatchObject({ code: 'BAD_USER_INPUT', path: ['text'] });
    expect(await refused({ text: 'x', id: 'drf_1' })).toMatchObject({ code: 'BAD_USER_INPUT', path: ['id'] });
    expect(await user.fail(list, { search: 'x'.repeat(201) })).toMatchObject({ code: 'BAD_USER_INPUT' });
    await user.save({ text: 'x'.repeat(1_000) });
    await app.app.db.$executeRaw`
      INSERT INTO memories (id, tenant_id, user_id, text, tsv)
      SELECT gen_random_uuid(), 'acme', ${sub}, 'Fact ' || n, ''::tsvector FROM generate_series(1, 498) AS n`;
    const last = await Promise.all(['a', 'b', 'c'].map(async (text) => (await refused({ text }))?.code ?? 'saved'));
    expect(last.sort()).toEqual(['CONFLICT', 'CONFLICT', 'saved']);
    expect(await refused({ text: 'Fact 7' })).toBeUndefined();
  });

  test('In a tenant without memories none is saved, and what is there is listed and deleted', async () => {
    const sub = `off-${randomUUID()}`;
    const off = await openUser({ sub, tenant: 'initech' });
    expect(await off.fail(save, { text: 'x' })).toMatchObject({ code: 'CONFLICT' });
    await app.app.db.$executeRaw`
      INSERT INTO memories (id, tenant_id, user_id, text, tsv)
      VALUES (gen_random_uuid(), 'initech', ${sub}, 'From before', ''::tsvector)`;
    const { memories } = await off.ask(list);
    expect(memories.edges).toMatchObject([{ node: { text: 'From before' } }]);
    await off.ask(remove, { id: memories.edges[0].node.id });
    expect(await off.texts()).toEqual([]);
  });

  test('When a user is erased, nothing of the memories is left in any column, and those of others stay', async () => {
    const sub = `erased-${randomUUID()}`;
    const erased = await openUser({ sub });
    const other = await openUser();
    await erased.save({ text: 'I collect zeppelinmodels.' });
    await other.save({ text: 'I collect stamps.' });
    await eraseUser(app.app.db, { tenantId: 'acme', userId: sub }, () => {});
    const dump = await dumpDatabase(app.app);
    expect(dump).not.toContain('zeppelinmodels');
    expect(dump).toContain('stamps');
    expect(await other.texts()).toEqual(['I collect stamps.']);
  });
});
