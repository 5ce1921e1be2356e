import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Database } from '../../database/client.ts';
import type { EmbeddingPort } from '../../providers/embeddings/embed.ts';
import type { KeyRing } from '../../secrets/key-ring.ts';
import { observeEmbedding } from '../../telemetry/knowledge.ts';
import type { EmbeddingDefault, EmbeddingModel } from './embedding-config.ts';
import { ModelVersions, probeText } from './model-versions.ts';
import { prepareVectors } from './prepare.ts';

/** Vectors of searches that are kept: people and agents ask the same again and again. */
const maxQueries = 2_000;
const keepQueriesMs = 600_000;
/** How long it is taken for granted which version of a model answers; each answer says it anew. */
const keepVersionsMs = 60_000;

/** Vectors, and the key of the version of the model that has made them. */
interface Embedded {
  readonly modelKey: string;
  readonly vectors: readonly (readonly number[])[];
}

/** The vector of a search. */
interface EmbeddedQuery {
  readonly modelKey: string;
  readonly vector: readonly number[];
}

interface VectorDependencies {
  readonly db: Database;
  readonly keys: KeyRing;
  readonly port: EmbeddingPort;
  readonly logger: Logger;
  /** Null: bases without a provider of their own have no vectors. */
  readonly fallback: EmbeddingDefault | null;
}

/** What embedding texts and searches takes. One for the process. */
export class VectorRuntime {
  readonly deps: VectorDependencies;
  /** Whether the database has vectors. */
  readonly isAvailable: boolean;
  /** Tells models apart that have the same name. */
  readonly versions: ModelVersions;
  readonly #queries = new LRUCache<string, EmbeddedQuery>({ max: maxQueries, ttl: keepQueriesMs });
  readonly #latest = new LRUCache<string, string>({ max: maxQueries, ttl: keepVersionsMs });

  private constructor(deps: VectorDependencies, isAvailable: boolean) {
    this.deps = deps;
    this.versions = new ModelVersions(deps.db);
    this.isAvailable = isAvailable;
  }

  /** Prepares the table of vectors, if the database can have one. */
  static async open(deps: VectorDependencies): Promise<VectorRuntime> {
    return new VectorRuntime(deps, await prepareVectors(deps.db, deps.logger));
  }

  /**
   * The vector of a search. What one tenant has paid for is not given to another one, whose key the provider may refuse.
   * @throws {ProviderError} for every failure of the provider
   * @throws the signal's reason when it is aborted
   */
  async embedQuery(
    tenantId: string,
    model: EmbeddingModel,
    query: string,
    signal: AbortSignal,
  ): Promise<EmbeddedQuery> {
    const name = JSON.stringify([tenantId, model.key, query]);
    const known = this.#queries.get(name);
    const latest = this.#latest.get(nameOf(tenantId, model));
    if (known !== undefined && (latest === undefined || latest === known.modelKey)) return known;
    const { modelKey, vectors } = await observeEmbedding('query', 1, () =>
      this.embed(tenantId, model, [query], signal),
    );
    const [vector] = vectors;
    if (vector === undefined) throw new Error('A search has no vector.');
    const embedded = { modelKey, vector };
    this.#queries.set(name, embedded);
    return embedded;
  }

  /**
   * Embeds texts, with the probe that says which version of the model has answered.
   * @throws {ProviderError} for every failure of the provider
   * @throws the signal's reason when it is aborted
   */
  async embed(
    tenantId: string,
    model: EmbeddingModel,
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<Embedded> {
    const vectors = await this.deps.port.embed(model.endpoint, [...texts, probeText], signal);
    const probe = vectors.pop();
    if (probe === undefined) throw new Error('The probe has no vector.');
    const modelKey = await this.versions.keyOf(tenantId, model.key, probe);
    this.#latest.set(nameOf(tenantId, model), modelKey);
    return { modelKey, vectors };
  }

  /** The key of the version of a model that answers now, or has answered a moment ago. */
  async findVersion(tenantId: string, model: EmbeddingModel, signal: AbortSignal): Promise<string> {
    return this.#latest.get(nameOf(tenantId, model)) ?? (await this.embed(tenantId, model, [], signal)).modelKey;
  }
}

function nameOf(tenantId: string, { key }: EmbeddingModel): string {
  return JSON.stringify([tenantId, key]);
}
