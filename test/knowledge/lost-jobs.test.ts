import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { indexDocumentJob } from '../../src/knowledge/jobs.ts';
import { sweepKnowledge } from '../../src/knowledge/sweep.ts';
import { shareApp } from '../support/app.ts';
import { openBase } from './support.ts';

const app = shareApp({ env: { RATE_LIMIT_KNOWLEDGE: '0' } });

const rowOf = (publicId: string) => publicId.slice(publicId.indexOf('_') + 1);
const sweep = () => sweepKnowledge(app.app.knowledge, new AbortController().signal);
const countJobs = async (tenant: string) => {
  const [found] = await app.app.db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM switchboard_jobs.job
    WHERE name = ${indexDocumentJob.name} AND data->>'tenantId' = ${tenant}`;
  return found?.count;
};
const loseJobs = (tenant: string) =>
  app.app.db.$executeRaw`DELETE FROM switchboard_jobs.job WHERE data->>'tenantId' = ${tenant}`;

test.each(['QUEUED', 'INDEXING'])('A document that is %s and has no job gets one, and is indexed', async (status) => {
  const tenant = randomUUID();
  const base = await openBase(app, { tenant });
  const { id } = await base.add({ text: 'Cups are blue.' });
  await base.settle(id);
  // As after a backup of the tables of knowledge, and of no jobs.
  await loseJobs(tenant);
  await app.app.db.$executeRaw`
    UPDATE knowledge_documents SET status = ${status}::"KnowledgeDocumentStatus", updated_at = now() - interval '1 hour'
    WHERE id = ${rowOf(id)}::uuid`;
  await sweep();
  expect(await base.settle(id)).toMatchObject({ status: 'READY', chunkCount: 1 });
  expect(await countJobs(tenant)).toBe(1);
});

test('A document that has a job, waits since a moment ago, has failed, or is of a deleted base gets none', async () => {
  const { db, knowledge } = app.app;
  const tenant = randomUUID();
  const base = await openBase(app, { tenant });
  const ids: string[] = [];
  for (const text of ['It waits.', 'It is new.', 'It has failed.']) ids.push((await base.add({ text })).id);
  for (const id of ids) await base.settle(id);
  const gone = await openBase(app, { tenant });
  const { id: ofDeleted } = await gone.add({ text: 'It is gone.' });
  await gone.settle(ofDeleted);
  await loseJobs(tenant);
  const [waiting = '', fresh = '', failed = ''] = ids.map(rowOf);
  const tomorrow = new Date(Date.now() + 24 * 3_600_000);
  const payload = { tenantId: tenant, documentId: waiting, revision: 1 };
  await knowledge.jobs.enqueue(null, indexDocumentJob, payload, { runAt: tomorrow, group: tenant });
  await db.$executeRaw`
    UPDATE knowledge_documents SET status = 'QUEUED', updated_at = now() - interval '1 hour'
    WHERE id IN (${waiting}::uuid, ${rowOf(ofDeleted)}::uuid)`;
  await db.$executeRaw`UPDATE knowledge_documents SET status = 'QUEUED', updated_at = now() WHERE id = ${fresh}::uuid`;
  await db.$executeRaw`
    UPDATE knowledge_documents SET status = 'FAILED', error = 'It is empty.', updated_at = now() - interval '1 hour'
    WHERE id = ${failed}::uuid`;
  await db.$executeRaw`UPDATE knowledge_bases SET deleted_at = now() WHERE id = ${rowOf(gone.baseId)}::uuid`;
  await sweep();
  expect(await countJobs(tenant)).toBe(1);
  // A job for an earlier revision is none for this one.
  await db.$executeRaw`
    UPDATE knowledge_documents SET revision = 2, updated_at = now() - interval '1 hour' WHERE id = ${waiting}::uuid`;
  await sweep();
  await expect.poll(() => countJobs(tenant)).toBe(2);
});

test('More of them than one statement looks at get one each, however often they are looked for', async () => {
  const { db } = app.app;
  const tenant = randomUUID();
  const base = await openBase(app, { tenant });
  await db.$executeRaw`
    INSERT INTO knowledge_documents (id, tenant_id, knowledge_base_id, title, media_type, created_at, updated_at)
    SELECT gen_random_uuid(), ${tenant}, ${rowOf(base.baseId)}::uuid, 'Lost', 'text/plain', now(), now() - interval '1 hour'
    FROM generate_series(1, 230)`;
  await Promise.all([sweep(), sweep()]);
  await sweep();
  expect(await countJobs(tenant)).toBe(230);
});
