import { setTimeout as sleep } from 'node:timers/promises';
import { withoutCounting } from '../database/statements.ts';
import { deleteBaseJob, indexDocumentJob, sweepKnowledgeJob } from './jobs.ts';
import type { KnowledgeRuntime } from './runtime.ts';

/** How often each instance asks for a sweep, in milliseconds, and how often one of them does it, in seconds. */
const everyMs = 30_000;
const periodSeconds = 120;
/** Bases that are found at a time. */
const maxBases = 100;
/** Documents that one statement looks at. */
const pageSize = 100;
/** A pause after each statement: others use the database too. */
const pauseMs = 20;
/** A document waits for so long at least before its job is looked for, in seconds. */
const graceSeconds = 60;

type Dependencies = Pick<KnowledgeRuntime, 'db' | 'jobs'>;

/**
 * Has one instance look, every two minutes, for knowledge whose background job is gone: it was given up, its row was deleted, or
 * the backup that was restored has none.
 * @returns stops looking
 */
export function keepKnowledgeSwept(knowledge: Dependencies & Pick<KnowledgeRuntime, 'logger'>): Disposable {
  const { jobs, logger } = knowledge;
  jobs.register(sweepKnowledgeJob, (_payload, { signal }) => sweepKnowledge(knowledge, signal));
  const ask = () => jobs.enqueue(null, sweepKnowledgeJob, {}, { key: 'all', oncePerSeconds: periodSeconds });
  const timer = setInterval(() => {
    withoutCounting(null, ask).catch((error: unknown) =>
      logger.warn({ err: error }, 'could not look for knowledge without a job'),
    );
  }, everyMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Enqueues jobs for knowledge that waits for one and has none: bases whose rows are to be deleted, and documents that are to be
 * indexed. It may be done twice at the same time: a base has one job, and a document gets one in a period.
 * @throws the signal's reason when it is aborted
 */
export async function sweepKnowledge(knowledge: Dependencies, signal: AbortSignal): Promise<void> {
  const { db, jobs } = knowledge;
  const deleted = await db.$queryRaw<{ tenantId: string; baseId: string }[]>`
    SELECT tenant_id AS "tenantId", id::text AS "baseId" FROM knowledge_bases
    WHERE deleted_at IS NOT NULL ORDER BY deleted_at, id LIMIT ${maxBases}`;
  for (const base of deleted) await jobs.enqueue(null, deleteBaseJob, base, { key: base.baseId });
  for (let after = '00000000-0000-0000-0000-000000000000'; ; await sleep(pauseMs)) {
    signal.throwIfAborted();
    const page = await readUnfinished(knowledge, after);
    for (const { tenantId, documentId, revision, hasJob } of page) {
      if (hasJob) continue;
      const options = { group: tenantId, key: documentId, oncePerSeconds: periodSeconds };
      await jobs.enqueue(null, indexDocumentJob, { tenantId, documentId, revision }, options);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return;
    after = last.documentId;
  }
}

interface UnfinishedDocument {
  readonly tenantId: string;
  readonly documentId: string;
  readonly revision: number;
  /** Whether a job for this revision waits, runs, or is being given up. */
  readonly hasJob: boolean;
}

/** A page of the documents that wait to be indexed, or are being indexed, in the order of their ids. */
function readUnfinished({ db }: Dependencies, after: string): Promise<UnfinishedDocument[]> {
  return db.$queryRaw`
    WITH page AS MATERIALIZED (
      SELECT d.tenant_id, d.id, d.revision FROM knowledge_documents AS d
      WHERE d.status IN ('QUEUED', 'INDEXING') AND d.id > ${after}::uuid
        AND d.updated_at < now() - make_interval(secs => ${graceSeconds}::float8)
        AND EXISTS (
          SELECT 1 FROM knowledge_bases AS b
          WHERE b.tenant_id = d.tenant_id AND b.id = d.knowledge_base_id AND b.deleted_at IS NULL)
      ORDER BY d.id LIMIT ${pageSize}
    ), live AS MATERIALIZED (
      SELECT j.data->>'documentId' AS id, j.data->>'revision' AS revision FROM switchboard_jobs.job AS j
      WHERE j.name IN (${indexDocumentJob.name}, ${`${indexDocumentJob.name}.given-up`}) AND j.state < 'completed'
        AND j.data->>'documentId' IN (SELECT page.id::text FROM page)
    )
    SELECT p.tenant_id AS "tenantId", p.id::text AS "documentId", p.revision,
      EXISTS (SELECT 1 FROM live WHERE live.id = p.id::text AND live.revision = p.revision::text) AS "hasJob"
    FROM page AS p ORDER BY p.id`;
}
