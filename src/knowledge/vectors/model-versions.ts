import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Database, Db } from '../../database/client.ts';

/** The text whose vector tells whether a model is still the one that it was. Never change it: vectors of it are stored. */
export const probeText = 'Three blue cups, returned on Monday: what is the refund?';
/** Two vectors of the probe with a cosine from here on are of the same model: the arithmetic of providers varies a little. */
const sameFrom = 0.99;
/** A model that is back after less than this, in minutes, does not have everything indexed again: two may be taking turns. */
const settledAfterMinutes = 10;
/** How often a version is looked for of which another process may store the same. */
const maxAttempts = 3;

/** What a name, an address and a number of dimensions have stood for at one time. */
interface ModelVersion {
  readonly version: number;
  /** The vector of the probe, of the length 1. */
  readonly probe: readonly number[];
}

/**
 * Called in the transaction that notes that there is another model behind the same name: the bases that use it are to be
 * indexed again.
 * @param modelKey of `nameModel`
 */
export type OnModelChange = (tx: Db, tenantId: string, modelKey: string) => Promise<void>;

/**
 * Tells models apart that have the same name: a provider may replace one behind its name, with vectors of the same number of
 * dimensions, which cannot be compared with the old ones. Each request for vectors has a probe with it. Its vector says which
 * version of the model has answered, and vectors are stored and compared under the key of that version alone.
 */
export class ModelVersions {
  readonly #db: Database;
  readonly #known = new LRUCache<string, readonly ModelVersion[]>({ max: 1_000 });
  /** What is done when a model has changed. */
  onChange: OnModelChange = async () => {};

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * The key of the version that has made a vector of the probe. Usually no statement; if it is not the latest one, all bases of the
   * model are indexed again.
   */
  async keyOf(tenantId: string, modelKey: string, probe: readonly number[]): Promise<string> {
    const name = JSON.stringify([tenantId, modelKey]);
    const latest = this.#known.get(name)?.[0];
    if (latest !== undefined && isSame(latest.probe, probe)) return nameVersion(modelKey, latest.version);
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const versions = await this.#db.$queryRaw<ModelVersion[]>`
        SELECT version, probe FROM embedding_models
        WHERE tenant_id = ${tenantId} AND model_key = ${modelKey} ORDER BY used_at DESC, version DESC`;
      this.#known.set(name, versions);
      const found = versions.find((version) => isSame(version.probe, probe));
      if (found === undefined) {
        await this.#add(tenantId, modelKey, versions, probe);
        continue;
      }
      if (found !== versions[0]) await this.#takeBack(tenantId, modelKey, found.version);
      return nameVersion(modelKey, found.version);
    }
    throw new Error('The embedding model changes all the time.');
  }

  async #add(tenantId: string, modelKey: string, before: readonly ModelVersion[], probe: readonly number[]) {
    const version = Math.max(0, ...before.map((row) => row.version)) + 1;
    await this.#db.$transaction(async (tx) => {
      const added = await tx.$executeRaw`
        INSERT INTO embedding_models (tenant_id, model_key, version, probe, used_at)
        VALUES (${tenantId}, ${modelKey}, ${version}::int, ${[...probe]}::float8[], clock_timestamp())
        ON CONFLICT DO NOTHING`;
      if (added > 0 && version > 1) await this.onChange(tx, tenantId, modelKey);
    });
  }

  /** An earlier version is used again. */
  async #takeBack(tenantId: string, modelKey: string, version: number) {
    await this.#db.$transaction(async (tx) => {
      const taken = await tx.$executeRaw`
        UPDATE embedding_models SET used_at = clock_timestamp()
        WHERE tenant_id = ${tenantId} AND model_key = ${modelKey} AND version = ${version}::int AND (
          SELECT max(used_at) FROM embedding_models WHERE tenant_id = ${tenantId} AND model_key = ${modelKey}
        ) BETWEEN used_at + interval '1 microsecond' AND clock_timestamp() - make_interval(mins => ${settledAfterMinutes}::int)`;
      if (taken > 0) await this.onChange(tx, tenantId, modelKey);
    });
    this.#known.delete(JSON.stringify([tenantId, modelKey]));
  }
}

/** The first version has the key of the model, so that vectors from before there were versions stay. */
function nameVersion(modelKey: string, version: number): string {
  if (version === 1) return modelKey;
  return createHash('sha256').update(`${modelKey}:${version}`).digest('hex').slice(0, 32);
}

/** Whether two vectors of the length 1 point the same way. */
function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0) >= sameFrom;
}
