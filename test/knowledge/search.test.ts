import { describe, expect, test } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { searchKnowledge } from '../../src/knowledge/search/search.ts';
import { indexVectors } from '../../src/knowledge/vectors/index-vectors.ts';
import { shareApp } from '../support/app.ts';
import { seedBase } from './seed-base.ts';

const app = shareApp({ env: { EMBEDDING_MODEL: 'test-embedding' } });
const { signal } = new AbortController();
let tenants = 0;

function openTenant(): Viewer {
  return { userId: 'alice', tenantId: `searching-${tenants++}`, roles: [], expiresAt: Number.POSITIVE_INFINITY };
}

const shop = [
  {
    title: 'Returns',
    texts: [
      'An unused item can be returned within thirty days. The refund takes five working days.',
      'Broken cups are replaced free of charge if you send us a picture of the damage.',
    ],
    metadata: { product: 'cups', year: 2025 },
  },
  {
    title: 'Delivery',
    texts: ['Parcels inside the country arrive after two days.', 'Customs can hold a parcel abroad for two weeks.'],
    metadata: { product: 'all' },
    url: 'https://example.com/delivery',
  },
  { title: 'The moon', texts: ['The moon has no atmosphere, and its gravity is a sixth of that of the earth.'] },
];

describe('A search', () => {
  test('It finds passages by their words, whatever form these have, with their document, number and quote', async () => {
    const viewer = openTenant();
    const { baseId, documentIds } = await seedBase(app.app.db, shop, viewer);
    const search = (query: string, args: object = {}) =>
      searchKnowledge(viewer, app.app.search, { query, ...args }, signal);
    const [refund] = await search('How long do refunds take?');
    expect(refund).toMatchObject({ title: 'Returns', position: 1, documentId: documentIds[0], url: null });
    expect(refund?.quote).toContain('five working days');
    expect((await search('customs abroad'))[0]).toMatchObject({ position: 2, url: 'https://example.com/delivery' });
    expect((await search('atmos'))[0]).toMatchObject({ title: 'The moon' });
    expect((await search('parcle')).map(({ title }) => title)).toContain('Delivery');
    expect((await search('"working days"')).map(({ title }) => title)).toEqual(['Returns']);
    expect((await search('days -refund')).map(({ title }) => title)).toEqual(['Delivery']);
    expect(await search('zzzzqqqq -xxxx')).toEqual([]);
    expect(await search('days', { limit: 1 })).toHaveLength(1);
    expect((await search('days', { knowledgeBaseIds: [`kb_${baseId}`] })).length).toBeGreaterThan(1);
  });

  test('It is limited by what the metadata of documents contains', async () => {
    const viewer = openTenant();
    await seedBase(app.app.db, shop, viewer);
    const search = (metadata: object) =>
      searchKnowledge(viewer, app.app.search, { query: 'days', metadata, limit: 50 }, signal);
    expect(new Set((await search({ product: 'cups' })).map(({ title }) => title))).toEqual(new Set(['Returns']));
    expect(await search({ product: 'cups', year: 1999 })).toEqual([]);
  });

  test('Nothing of another tenant, and nothing of a project without its members, is found', async () => {
    const viewer = openTenant();
    const stranger = openTenant();
    const { baseId } = await seedBase(app.app.db, shop, viewer);
    const ask = (who: Viewer, args: object = {}) =>
      searchKnowledge(who, app.app.search, { query: 'refund', ...args }, signal);
    expect(await ask(stranger)).toEqual([]);
    await expect(ask(stranger, { knowledgeBaseIds: [`kb_${baseId}`] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const absent = 'kb_00000000-0000-4000-8000-000000000000';
    await expect(ask(stranger, { knowledgeBaseIds: [absent] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const project = await app.app.db.project.create({
      data: { tenantId: viewer.tenantId, key: 'secret', name: 'Secret' },
    });
    const inside = await seedBase(app.app.db, shop, { tenantId: viewer.tenantId, projectId: project.id });
    const found = new Set((await ask(viewer, { limit: 50 })).map(({ documentId }) => documentId));
    for (const id of inside.documentIds) expect(found.has(id)).toBe(false);
    await expect(ask(viewer, { projectId: 'secret' })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const open = await app.app.db.project.create({ data: { tenantId: viewer.tenantId, key: 'open', name: 'Open' } });
    const user = { tenantId: viewer.tenantId, id: viewer.userId };
    await app.app.db.user.create({ data: user });
    await app.app.db.projectMember.create({
      data: { tenantId: viewer.tenantId, projectId: open.id, userId: viewer.userId, role: 'VIEWER' },
    });
    const within = (id: string) => ask(viewer, { projectId: 'open', knowledgeBaseIds: [id] });
    expect(await within(`kb_${baseId}`)).toEqual([]);
    await expect(within(`kb_${inside.baseId}`)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(within(absent)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const admin = { ...viewer, roles: ['admin'] };
    expect((await ask(admin, { projectId: 'secret' })).length).toBeGreaterThan(0);
  });

  test.each([
    ['query', { query: '' }],
    ['query', { query: '?!' }],
    ['query', { query: 'a'.repeat(1_001) }],
    ['limit', { query: 'a', limit: 0 }],
    ['limit', { query: 'a', limit: 51 }],
    ['metadata', { query: 'a', metadata: ['a'] }],
    ['knowledgeBaseIds', { query: 'a', knowledgeBaseIds: ['no id'] }],
  ])('Bad input names the argument %s', async (name, args) => {
    const failed = await searchKnowledge(openTenant(), app.app.search, args, signal).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'BAD_USER_INPUT', argument: expect.arrayContaining([name]) });
  });

  test.each([
    "'",
    "' | 'a",
    'a & b',
    'a | ! b',
    '(((',
    'a:*',
    "kb:'x",
    '\\',
    '%_%',
    '<->',
    'OR',
    '-',
    '"',
    '"a',
    'a\u0000b',
    '😀 word',
  ])('The text %j is no syntax error', async (text) => {
    const viewer = openTenant();
    await seedBase(app.app.db, shop, viewer);
    const searched = searchKnowledge(viewer, app.app.search, { query: `${text} refund` }, signal);
    await expect(searched.catch((error: unknown) => error)).resolves.toSatisfy(
      (result) => Array.isArray(result) || (result instanceof Error && 'argument' in result),
    );
  });
});

describe('Vectors', () => {
  test('They are there if the database has pgvector, and find what has no word in common; otherwise words alone are searched', async () => {
    const viewer = openTenant();
    const { tenantId } = viewer;
    const { baseId, documentIds } = await seedBase(app.app.db, shop, viewer);
    const { vectors } = app.app.search;
    const [extension] = await app.app.db.$queryRaw<{ found: boolean }[]>`
      SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') AS found`;
    expect(vectors.isAvailable).toBe(extension?.found);
    if (process.env.TEST_DATABASE_URL === undefined) expect(vectors.isAvailable).toBe(true);
    const index = (documentId: string) =>
      indexVectors(vectors, { tenantId, knowledgeBaseId: baseId, documentId, generation: 1 }, { signal });
    for (const documentId of documentIds) await index(documentId);
    const hits = await searchKnowledge(viewer, app.app.search, { query: 'gravitational atmospheric' }, signal);
    expect(hits[0]).toMatchObject({ title: 'The moon' });
    if (!vectors.isAvailable) return;
    const count = async () => {
      const [row] = await app.app.db.$queryRaw<{ count: number }[]>`
        SELECT count(*)::int AS count FROM knowledge_vectors WHERE tenant_id = ${tenantId}`;
      return row?.count;
    };
    expect(await count()).toBe(5);
    await app.app.db.knowledgeDocument.delete({ where: { tenantId_id: { tenantId, id: documentIds[0] ?? '' } } });
    expect(await count()).toBe(3);
  });
});
