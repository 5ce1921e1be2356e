import type { Logger } from 'pino';
import type { Env } from '../config/env.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import { deleteBaseRows } from '../knowledge/delete-rows.ts';
import { giveUpDocument, indexDocument } from '../knowledge/index-document.ts';
import { deleteBaseJob, indexDocumentJob, reindexBaseJob } from '../knowledge/jobs.ts';
import { DocumentParser } from '../knowledge/parse/document-parser.ts';
import { reindexFrom } from '../knowledge/reindex.ts';
import { type CompleteGeneration, type KnowledgeRuntime, usualBounds } from '../knowledge/runtime.ts';
import { keepKnowledgeSwept } from '../knowledge/sweep.ts';
import type { EmbeddingDefault } from '../knowledge/vectors/embedding-config.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import type { Stores } from './connect-stores.ts';

/** Composes what knowledge takes, and registers its jobs. It is closed with `opening`. */
export function openKnowledge(
  env: Env,
  { db, changes, config, keys }: Pick<Stores, 'db' | 'changes' | 'config' | 'keys'>,
  parts: {
    readonly jobs: JobQueue;
    readonly guard: AddressGuard;
    readonly embeddingDefault: EmbeddingDefault | null;
    readonly changeLimit: RateLimit;
    readonly logger: Logger;
    readonly completeGeneration: CompleteGeneration | null;
  },
  opening: AsyncDisposableStack,
): KnowledgeRuntime {
  const { maxChunks, maxSourceMb, maxBaseSourceMb, parseMemoryMb, parseSeconds } = env.knowledge;
  const limits = { maxMemoryBytes: parseMemoryMb * 1_000_000, timeoutMs: parseSeconds * 1_000 };
  const parser = opening.use(new DocumentParser(limits));
  const bounds = {
    ...usualBounds,
    chunksPerTenant: maxChunks,
    sourceBytesPerBase: maxBaseSourceMb * 1_000_000,
    sourceBytesPerTenant: maxSourceMb * 1_000_000,
  };
  const knowledge = { ...parts, db, keys, config, changes, parser, bounds };
  parts.jobs.register(
    indexDocumentJob,
    (payload, attempt) => indexDocument(knowledge, payload, attempt),
    (payload) => giveUpDocument(knowledge, payload),
  );
  parts.jobs.register(reindexBaseJob, (position) => reindexFrom(knowledge, position));
  parts.jobs.register(deleteBaseJob, (base, { signal }) => deleteBaseRows(knowledge, base, signal));
  opening.use(keepKnowledgeSwept(knowledge));
  return knowledge;
}
