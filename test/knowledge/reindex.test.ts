import { expect, test } from 'vitest';
import { reindexBaseJob } from '../../src/knowledge/jobs.ts';
import { reindexFrom, requestReindex } from '../../src/knowledge/reindex.ts';
import { shareApp } from '../support/app.ts';
import { openBase } from './support.ts';

const app = shareApp({ env: { RATE_LIMIT_KNOWLEDGE: '0' } });

/** More than two batches. */
const count = 120;

/** A base with documents that nobody has indexed yet. */
async function openFilledBase(tenant: string) {
  const base = await openBase(app, { tenant });
  const row = base.baseId.slice('kb_'.length);
  const data = Array.from({ length: count }, (_, n) => {
    return {
      tenantId: tenant,
      knowledgeBaseId: row,
      title: `Cup ${n}`,
      mediaType: 'text/plain',
      status: 'READY' as const,
    };
  });
  await app.app.db.knowledgeDocument.createMany({ data });
  const revisions = async () => {
    const where = { tenantId: tenant, knowledgeBaseId: row };
    const documents = await app.app.db.knowledgeDocument.findMany({
      where,
      orderBy: { id: 'asc' },
      select: { revision: true },
    });
    return documents.map(({ revision }) => revision);
  };
  /** The jobs that go on with a request, in whichever state they are. */
  const jobs = async () => {
    const [found] = await app.app.db.$queryRaw<[{ count: number }]>`
      SELECT count(*)::int AS count FROM switchboard_jobs.job WHERE name = ${reindexBaseJob.name} AND data->>'baseId' = ${row}`;
    return found.count;
  };
  return { base, row, tenant, revisions, jobs };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

test('A batch that is done twice, or at the same time by several, is put into the queue once, with one job for the next', async () => {
  const { db, knowledge } = app.app;
  const { row: id, tenant: tenantId, revisions, jobs } = await openFilledBase('twice');
  const position = await requestReindex(db, { tenantId, id });
  if (position === null) throw new Error('The base is gone.');
  await Promise.all(Array.from({ length: 4 }, () => reindexFrom(knowledge, position)));
  await reindexFrom(knowledge, position);
  await expect.poll(async () => sum(await revisions()), { timeout: 60_000 }).toBe(2 * count);
  // The jobs of the second and the third batch.
  expect(await jobs()).toBe(2);
  await reindexFrom(knowledge, position);
  expect(sum(await revisions())).toBe(2 * count);
});

test('A request that a later one has replaced ends where it is', async () => {
  const { db, knowledge } = app.app;
  const { row: id, tenant: tenantId, revisions, jobs } = await openFilledBase('replaced');
  const first = await requestReindex(db, { tenantId, id });
  const second = await requestReindex(db, { tenantId, id });
  if (first === null || second === null) throw new Error('The base is gone.');
  await Promise.all([reindexFrom(knowledge, first), reindexFrom(knowledge, second), reindexFrom(knowledge, first)]);
  await expect.poll(async () => sum(await revisions()), { timeout: 60_000 }).toBe(2 * count);
  expect(await jobs()).toBe(2);
  // A job of an earlier version, which has no number, becomes a request of its own.
  await reindexFrom(
    knowledge,
    reindexBaseJob.payload.parse({ tenantId, baseId: id, after: null, before: second.before }),
  );
  await expect.poll(async () => sum(await revisions()), { timeout: 60_000 }).toBe(3 * count);
});

test('Changes of the language again and again, and requests at the same time, index each document for the last one, in one chain', async () => {
  const { base, revisions, jobs } = await openFilledBase('again');
  const change =
    'mutation ($id: ID!, $language: String!) { updateKnowledgeBase(id: $id, input: { language: $language }) { id } }';
  const again = 'mutation ($id: ID!) { reindexKnowledgeBase(id: $id) { id } }';
  const languages = ['german', 'french', 'english', 'spanish', 'dutch', 'simple'];
  const requests = languages.map((language) => base.ask(change, { id: base.baseId, language }));
  await Promise.all([...requests, base.ask(again, { id: base.baseId })]);
  // Everybody was put into the queue after the last change, and nearly nobody for each of them.
  await expect.poll(async () => Math.min(...(await revisions())), { timeout: 60_000 }).toBeGreaterThanOrEqual(2);
  await expect
    .poll(
      async () => {
        const [waiting] = await app.app.db.$queryRaw<[{ count: number }]>`
      SELECT count(*)::int AS count FROM switchboard_jobs.job
      WHERE name = ${reindexBaseJob.name} AND data->>'baseId' = ${base.baseId.slice('kb_'.length)} AND state < 'completed'`;
        return waiting.count;
      },
      { timeout: 60_000 },
    )
    .toBe(0);
  // One job for each change; and those of a chain of three batches for each request that got so far, at most.
  expect(await jobs()).toBeLessThanOrEqual(languages.length + 2 * (languages.length + 1));
  expect(await app.app.db.knowledgeBase.findFirstOrThrow({ where: { tenantId: 'again' } })).toMatchObject({
    reindexRequest: 7,
  });
});
