import type { Logger } from 'pino';
import { ProviderError } from '../../api/errors.ts';
import { parseId } from '../../api/ids.ts';
import { parseInput } from '../../api/input.ts';
import type { Viewer } from '../../auth/viewer.ts';
import type { Db } from '../../database/client.ts';
import type { RateLimit } from '../../limits/rate-limit.ts';
import { requireProject } from '../../projects/access.ts';
import { SecretUnreadableError } from '../../secrets/key-ring.ts';
import { noteSearch } from '../../telemetry/knowledge.ts';
import { chooseQuote } from '../cite/choose-quote.ts';
import { type EmbeddingModel, resolveEmbedding } from '../vectors/embedding-config.ts';
import type { VectorRuntime } from '../vectors/runtime.ts';
import { findReadableBases } from './find-bases.ts';
import { type FoundChunk, findChunks, type SearchVector } from './find-chunks.ts';
import { searchInput } from './input.ts';
import { readScope, type SearchedBase, type SearchScope } from './read-scope.ts';
import { readTerms, splitWords } from './read-terms.ts';

/** How long a provider may take to embed a search, in milliseconds: after that the words alone are searched for. */
const embedTimeoutMs = 5_000;
/** Models of one search, at most: the bases of further ones are searched by their words. */
const maxModels = 4;
const usualLimit = 5;
/** A search with these is meant word for word: "a phrase", -without, this OR that. */
const operators = /"|(?:^|\s)-[\p{L}\p{N}]|\sOR\s/u;

/** What searching takes. One for the process. */
export interface SearchRuntime {
  readonly db: Db;
  readonly vectors: VectorRuntime;
  readonly logger: Logger;
  /** How often people may search. */
  readonly limit: RateLimit;
}

/** A passage that was found, for people. */
export interface KnowledgeHit extends FoundChunk {
  /** The part of it that fits the search best. */
  readonly quote: string;
}

/**
 * Searches knowledge bases that the viewer may read, by words and, if they have vectors, by meaning. Three statements, and
 * one for a project that is named.
 * @param args of Query.searchKnowledge
 * @param signal aborts when the client has gone
 * @throws {RateLimitedError}; {@link BadUserInputError} naming the argument
 * @throws {NotFoundError} {@link ForbiddenError} for the project, and for a base that is named
 */
export async function searchKnowledge(
  viewer: Viewer,
  runtime: SearchRuntime,
  args: unknown,
  signal: AbortSignal,
): Promise<KnowledgeHit[]> {
  const { db, limit: rateLimit } = runtime;
  await rateLimit.take(viewer);
  const { query, knowledgeBaseIds, limit, projectId, metadata } = parseInput(searchInput, args, []);
  const baseIds = knowledgeBaseIds?.map((id, at) => parseId('KnowledgeBase', id, ['knowledgeBaseIds', at])) ?? null;
  const project = projectId == null ? null : await requireProject(viewer, db, projectId, 'VIEWER', ['projectId']);
  const scope: SearchScope = { baseIds, project: project ?? 'any' };
  const bases = await readScope(viewer, db, scope, ['knowledgeBaseIds']);
  // What is named and is not of the project is left out, if the viewer may read it.
  if (baseIds?.some((id) => !bases.some((base) => base.id === id)))
    await findReadableBases(viewer, db, knowledgeBaseIds ?? [], ['knowledgeBaseIds']);
  return searchBases(viewer, runtime, { query, bases, metadata: metadata ?? null, limit: limit ?? usualLimit }, signal);
}

/** A search whose bases are known. */
interface BaseSearch {
  readonly query: string;
  readonly bases: readonly SearchedBase[];
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly limit: number;
}

/** As {@link searchKnowledge}, for an agent: in the bases of a scope, without its rate limit. Three statements. */
export async function searchScope(
  viewer: Viewer,
  runtime: SearchRuntime,
  { query, scope, limit }: { readonly query: string; readonly scope: SearchScope; readonly limit: number },
  signal: AbortSignal,
): Promise<KnowledgeHit[]> {
  const bases = await readScope(viewer, runtime.db, scope, ['query']);
  return searchBases(viewer, runtime, { query, bases, metadata: null, limit }, signal);
}

async function searchBases(
  { tenantId }: Viewer,
  runtime: SearchRuntime,
  { query, bases, metadata, limit }: BaseSearch,
  signal: AbortSignal,
): Promise<KnowledgeHit[]> {
  const startedAt = performance.now();
  if (bases.length === 0) return [];
  const isStrict = operators.test(query);
  const [terms, embedded] = await Promise.all([
    readTerms(tenantId, runtime.db, bases, splitWords(query)),
    // A vector knows no operators: it would find what was excluded.
    isStrict ? { vectors: [], hasFailed: false } : embedSearch(tenantId, runtime, query, bases, signal),
  ]);
  const { vectors, hasFailed } = embedded;
  const chunks = await findChunks(tenantId, runtime.db, {
    text: query,
    bases,
    terms,
    vectors,
    isStrict,
    metadata,
    limit,
  });
  noteSearch(hasFailed ? 'fallback' : vectors.length > 0 ? 'hybrid' : 'full_text', startedAt, chunks.length);
  return chunks.map((chunk) => ({ ...chunk, quote: chooseQuote(chunk.text, query) }));
}

/** The vectors of a search, one for each model of its bases. A provider that fails costs its vectors, not the search. */
async function embedSearch(
  tenantId: string,
  { vectors: runtime, logger }: SearchRuntime,
  query: string,
  bases: readonly SearchedBase[],
  signal: AbortSignal,
): Promise<{ readonly vectors: SearchVector[]; readonly hasFailed: boolean }> {
  if (!runtime.isAvailable) return { vectors: [], hasFailed: false };
  const { keys, fallback } = runtime.deps;
  const models = new Map<string, { readonly model: EmbeddingModel; readonly baseIds: string[] }>();
  let hasFailed = false;
  const noteFailure = (error: unknown) => {
    signal.throwIfAborted();
    hasFailed = true;
    const problem = error instanceof ProviderError ? error.problem : 'OTHER';
    logger.warn({ problem }, 'a search could not be embedded: its words alone are searched for');
  };
  for (const { id, embedding: column, secrets } of bases) {
    const model = await resolveEmbedding(keys, fallback, { column, secrets }).catch((error: unknown) => {
      if (!(error instanceof SecretUnreadableError)) throw error;
      noteFailure(error);
      return null;
    });
    if (model === null) continue;
    const known = models.get(model.key);
    if (known) known.baseIds.push(id);
    else if (models.size < maxModels) models.set(model.key, { model, baseIds: [id] });
  }
  const ended = AbortSignal.any([signal, AbortSignal.timeout(embedTimeoutMs)]);
  const vectors = await Promise.all(
    [...models.values()].map(async ({ model, baseIds }): Promise<SearchVector[]> => {
      try {
        return [{ baseIds, ...(await runtime.embedQuery(tenantId, model, query, ended)) }];
      } catch (error) {
        noteFailure(error);
        return [];
      }
    }),
  );
  return { vectors: vectors.flat(), hasFailed };
}
