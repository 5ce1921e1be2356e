import type { Logger } from 'pino';
import type { Database } from '../database/client.ts';
import type { ConfigurationCache } from '../database/configuration-cache.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import type { RateLimit } from '../limits/rate-limit.ts';
import type { AddressGuard } from '../outbound/address-guard.ts';
import type { KeyRing } from '../secrets/key-ring.ts';
import type { KnowledgeChanges } from './changes.ts';
import type { DocumentParser } from './parse/document-parser.ts';
import type { EmbeddingDefault } from './vectors/embedding-config.ts';

/** How much knowledge there may be. */
export interface KnowledgeBounds {
  readonly basesPerTenant: number;
  readonly basesPerProject: number;
  readonly documentsPerBase: number;
  readonly chunksPerDocument: number;
  readonly chunksPerBase: number;
  readonly chunksPerTenant: number;
  /** The bytes of the texts and files that are stored. */
  readonly sourceBytesPerBase: number;
  readonly sourceBytesPerTenant: number;
}

/** A generation of chunks that was written and is not searched yet. */
export interface WrittenGeneration {
  readonly tenantId: string;
  readonly knowledgeBaseId: string;
  readonly documentId: string;
  readonly generation: number;
  /** How many chunks it has. */
  readonly chunkCount: number;
}

/**
 * Adds what searches need beside the chunks, such as vectors, before a generation is searched. It may be called again for
 * the same generation. It fails by throwing: the indexing is then tried again later.
 * @param onProgress how much is done, from 0 to 1
 */
export type CompleteGeneration = (
  written: WrittenGeneration,
  signal: AbortSignal,
  onProgress: (done: number) => Promise<void>,
) => Promise<void>;

/** What reading, changing and indexing knowledge takes. One for the process. */
export interface KnowledgeRuntime {
  readonly db: Database;
  /** The cached configuration of tenants, which holds what models are told of the bases: change them with changeConfiguration. */
  readonly config: ConfigurationCache;
  readonly jobs: JobQueue;
  readonly guard: AddressGuard;
  /** Encrypts the keys of embedding providers. */
  readonly keys: KeyRing;
  /** The embedding model of bases that have none of their own; null: none. */
  readonly embeddingDefault: EmbeddingDefault | null;
  readonly logger: Logger;
  readonly changes: KnowledgeChanges;
  readonly parser: DocumentParser;
  readonly changeLimit: RateLimit;
  readonly bounds: KnowledgeBounds;
  /** Null: nothing is added. */
  readonly completeGeneration: CompleteGeneration | null;
}

/** The usual bounds. The chunks of a tenant, and the bytes of sources, are the operator’s to decide (`KNOWLEDGE_MAX_…`). */
export const usualBounds = {
  basesPerTenant: 1_000,
  basesPerProject: 100,
  documentsPerBase: 10_000,
  chunksPerDocument: 5_000,
  chunksPerBase: 200_000,
} as const satisfies Partial<KnowledgeBounds>;
