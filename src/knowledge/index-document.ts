import type { z } from 'zod';
import { ProviderError } from '../api/errors.ts';
import { isUnavailable } from '../database/errors.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Attempt } from '../jobs/define-job.ts';
import { SecretUnreadableError } from '../secrets/key-ring.ts';
import { documentsIndexed, indexedChunks } from '../telemetry/metrics.ts';
import { fetchDocument, UnreachableDocumentError } from './fetch-document.ts';
import type { indexDocumentJob } from './jobs.ts';
import { UnreadableDocumentError } from './parse/block.ts';
import type { KnowledgeRuntime } from './runtime.ts';
import { readSource } from './sources.ts';
import { type Indexing, isOfAttempt, SupersededError, storeChunks, switchGeneration } from './store-chunks.ts';
import { deleteReplacedWords, storeWords } from './words.ts';

/** Rows of one statement: the embedded database does one at a time, and turns wait for it. */
const chunkBatch = 25;
const wordBatch = 500;
/** The parts of the progress: reading, then writing; the rest is for what is added to the chunks. */
const progressAfter = { reading: 0.3, writing: 0.7 } as const;
const progressEveryMs = 500;
const tooOften =
  'Indexing was interrupted too often: the process that did it has ended, or took too long. Index it again with reindexKnowledgeBase or updateKnowledgeDocument.';

type Payload = z.output<typeof indexDocumentJob.payload>;
type Claimed = Indexing & { readonly mediaType: string; readonly url: string | null };

/**
 * Indexes a document: reads its source, divides it, writes the chunks beside the old ones, and then has searches read the
 * new ones. Whoever begins last writes; the attempt before it stops at its next statement. What the document is to blame
 * for makes it FAILED; what may pass is thrown, and tried again.
 */
export async function indexDocument(
  knowledge: KnowledgeRuntime,
  payload: Payload,
  { signal, isLast }: Pick<Attempt, 'signal' | 'isLast'>,
): Promise<void> {
  const indexing = await claimDocument(knowledge, payload);
  if (indexing === null) return;
  try {
    const chunks = await writeDocument(knowledge, indexing, signal);
    documentsIndexed.inc({ outcome: 'ready' });
    indexedChunks.inc(chunks);
  } catch (error) {
    if (error instanceof SupersededError) return;
    if (error instanceof UnreadableDocumentError) {
      documentsIndexed.inc({ outcome: 'unreadable' });
      await failDocument(knowledge, indexing, error.message);
      return;
    }
    // Vectors that cannot be used, or a key that is refused: they are the same if they are asked for again.
    if (error instanceof ProviderError && !error.retryable && !signal.aborted) {
      documentsIndexed.inc({ outcome: 'failed' });
      await failDocument(knowledge, indexing, error.message);
      return;
    }
    if (isLast && !signal.aborted) {
      documentsIndexed.inc({ outcome: 'failed' });
      await failDocument(knowledge, indexing, explainFailure(error));
    }
    throw error;
  } finally {
    knowledge.changes.wake(indexing.knowledgeBaseId);
  }
}

/** Marks a document as failed whose job was given up: the process ended at its last attempt. */
export async function giveUpDocument(
  { db, changes }: Pick<KnowledgeRuntime, 'db' | 'changes'>,
  { tenantId, documentId, revision }: Payload,
): Promise<void> {
  const knowledgeBaseId = await db.$transaction(async (tx) => {
    const [failed] = await tx.$queryRaw<{ base: string }[]>`
      UPDATE knowledge_documents SET status = 'FAILED', error = ${tooOften}, attempt = attempt + 1, updated_at = now()
      WHERE tenant_id = ${tenantId} AND id = ${documentId}::uuid AND revision = ${revision}
        AND status IN ('QUEUED', 'INDEXING')
      RETURNING knowledge_base_id AS base`;
    if (failed === undefined) return null;
    await deleteUnfinished(tx, { tenantId, knowledgeBaseId: failed.base, documentId });
    return failed.base;
  });
  if (knowledgeBaseId !== null) changes.wake(knowledgeBaseId);
}

/** Begins an attempt; null: the document is gone, was changed since, or is indexed already. */
async function claimDocument({ db, changes }: KnowledgeRuntime, payload: Payload): Promise<Claimed | null> {
  const { tenantId, documentId, revision } = payload;
  const [claimed] = await db.$queryRaw<Claimed[]>`
    UPDATE knowledge_documents AS d SET status = 'INDEXING', progress = 0, error = NULL, attempt = d.attempt + 1
    FROM knowledge_bases AS b
    WHERE d.tenant_id = ${tenantId} AND d.id = ${documentId}::uuid AND d.revision = ${revision}
      AND d.status IN ('QUEUED', 'INDEXING') AND b.tenant_id = d.tenant_id AND b.id = d.knowledge_base_id
      AND b.deleted_at IS NULL
    RETURNING d.tenant_id AS "tenantId", d.knowledge_base_id AS "knowledgeBaseId", d.id AS "documentId",
      d.attempt AS generation, d.revision, d.title, d.media_type AS "mediaType", d.url, b.language`;
  if (claimed === undefined) return null;
  changes.wake(claimed.knowledgeBaseId);
  return claimed;
}

/** @returns how many chunks it has */
async function writeDocument(knowledge: KnowledgeRuntime, indexing: Claimed, signal: AbortSignal): Promise<number> {
  const { db, parser, bounds, completeGeneration } = knowledge;
  const { data, mediaType } =
    indexing.url === null
      ? { data: await readSource(db, indexing), mediaType: indexing.mediaType }
      : await fetchDocument(knowledge, { url: indexing.url, mediaType: indexing.mediaType }, signal);
  const { chunks, words } = await parser.parse({ data, mediaType, maxChunks: bounds.chunksPerDocument }, signal);
  await assertRoom(knowledge, indexing, chunks.length);
  const report = createProgress(knowledge, indexing, signal);
  await report(progressAfter.reading);
  for (let from = 0; from < chunks.length; from += chunkBatch) {
    signal.throwIfAborted();
    await storeChunks(db, indexing, from + 1, chunks.slice(from, from + chunkBatch));
    const done = Math.min(1, (from + chunkBatch) / chunks.length);
    await report(progressAfter.reading + done * (progressAfter.writing - progressAfter.reading));
  }
  for (let from = 0; from < words.length; from += wordBatch) {
    signal.throwIfAborted();
    await storeWords(db, indexing, words.slice(from, from + wordBatch));
  }
  await completeGeneration?.({ ...indexing, chunkCount: chunks.length }, signal, (done) =>
    report(progressAfter.writing + done * (1 - progressAfter.writing)),
  );
  signal.throwIfAborted();
  await deleteReplacedWords(db, indexing, words);
  const written = {
    chunks: chunks.length,
    size: data.length,
    mediaType: indexing.url === null ? mediaType : nameOf(mediaType),
  };
  await db.$transaction(async (tx) => {
    await switchGeneration(tx, indexing, written);
    await assertStillRoom(tx, bounds, indexing, written.chunks);
  });
  return chunks.length;
}

/** A media type as it is shown: without what the server adds to it. */
function nameOf(mediaType: string): string {
  const [name = ''] = mediaType.split(';');
  return name.trim().toLowerCase();
}

/** @throws {UnreadableDocumentError} if the base, or the tenant, has no room for so many more */
async function assertRoom(
  { db, bounds }: KnowledgeRuntime,
  { tenantId, knowledgeBaseId, documentId }: Indexing,
  more: number,
): Promise<void> {
  const [found] = await db.$queryRaw<{ base: number; tenant: number }[]>`
    WITH replaced AS (
      SELECT coalesce(sum(chunk_count), 0) AS count FROM knowledge_documents
      WHERE tenant_id = ${tenantId} AND id = ${documentId}::uuid
    )
    SELECT (coalesce(sum(chunk_count) FILTER (WHERE id = ${knowledgeBaseId}::uuid), 0)
        - (SELECT count FROM replaced))::integer AS base,
      (coalesce(sum(chunk_count), 0) - (SELECT count FROM replaced))::integer AS tenant
    FROM knowledge_bases WHERE tenant_id = ${tenantId} AND deleted_at IS NULL`;
  const { base = 0, tenant = 0 } = found ?? {};
  assertFits(bounds, { base: base + more, tenant: tenant + more }, more);
}

/**
 * As {@link assertRoom}, last in the transaction that has searches read the new chunks: others may have taken the room since, and
 * others of the tenant who do wait here, so that two do not both take the last of it.
 */
async function assertStillRoom(
  tx: Prisma.TransactionClient,
  bounds: KnowledgeRuntime['bounds'],
  { tenantId, knowledgeBaseId }: Indexing,
  more: number,
): Promise<void> {
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`chunks:${tenantId}`}, 16))::text`;
  // A statement of its own: it sees what was written while the one before waited.
  const [found] = await tx.$queryRaw<{ base: number; tenant: number }[]>`
    SELECT coalesce(sum(chunk_count) FILTER (WHERE id = ${knowledgeBaseId}::uuid), 0)::integer AS base,
      coalesce(sum(chunk_count), 0)::integer AS tenant
    FROM knowledge_bases WHERE tenant_id = ${tenantId} AND deleted_at IS NULL`;
  assertFits(bounds, { base: found?.base ?? 0, tenant: found?.tenant ?? 0 }, more);
}

/** @param would how many there would be */
function assertFits(
  bounds: KnowledgeRuntime['bounds'],
  would: { readonly base: number; readonly tenant: number },
  more: number,
): void {
  if (would.base > bounds.chunksPerBase)
    throw new UnreadableDocumentError(
      `The knowledge base is full: it may have ${bounds.chunksPerBase} passages, and the document has ${more}.`,
    );
  if (would.tenant > bounds.chunksPerTenant)
    throw new UnreadableDocumentError(
      `Your organisation has no room left: it may have ${bounds.chunksPerTenant} passages, and the document has ${more}.`,
    );
}

/** Reports progress, from 0 to 1, a few times a second at most. It fails if the attempt may not write any more. */
function createProgress({ db, changes }: KnowledgeRuntime, indexing: Indexing, signal: AbortSignal) {
  let reported = 0;
  return async (progress: number) => {
    signal.throwIfAborted();
    if (performance.now() - reported < progressEveryMs) return;
    reported = performance.now();
    const written = await db.$executeRaw`
      UPDATE knowledge_documents SET progress = ${Math.min(1, progress)} WHERE ${isOfAttempt(indexing)}`;
    if (written === 0) throw new SupersededError('Another attempt at the document has begun.');
    changes.wake(indexing.knowledgeBaseId);
  };
}

/** Its old chunks, if there are any, stay and are searched. */
async function failDocument({ db }: KnowledgeRuntime, indexing: Indexing, reason: string): Promise<void> {
  await db.$transaction(async (tx) => {
    const failed = await tx.$executeRaw`
      UPDATE knowledge_documents SET status = 'FAILED', error = ${reason}, updated_at = now() WHERE ${isOfAttempt(indexing)}`;
    if (failed !== 0) await deleteUnfinished(tx, indexing);
  });
}

/** Deletes the chunks that are not searched, of a document that is not being indexed any more. */
async function deleteUnfinished(
  tx: Prisma.TransactionClient,
  { tenantId, knowledgeBaseId, documentId }: Pick<Indexing, 'tenantId' | 'knowledgeBaseId' | 'documentId'>,
): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM knowledge_chunks WHERE tenant_id = ${tenantId} AND knowledge_base_id = ${knowledgeBaseId}::uuid
      AND document_id = ${documentId}::uuid AND generation <> (
        SELECT generation FROM knowledge_documents WHERE tenant_id = ${tenantId} AND id = ${documentId}::uuid)`;
}

/** What kept failing, for the one who added the document: without what an error of the inside may hold. */
function explainFailure(error: unknown): string {
  if (isUnavailable(error)) return 'The database could not be reached for too long.';
  if (error instanceof UnreachableDocumentError || error instanceof ProviderError) return error.message;
  if (error instanceof SecretUnreadableError)
    return 'The key of the embedding provider cannot be decrypted. Give it to the knowledge base again.';
  return 'Indexing has failed again and again. The log of the server says why.';
}
