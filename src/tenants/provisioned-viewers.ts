import { LRUCache } from 'lru-cache';
import type { Viewer } from '../auth/viewer.ts';
import { type SeedDependencies, seedTenant } from './seed.ts';
import type { Seed } from './seed-file.ts';

const maxCachedViewers = 20_000;
const cachedForMs = 10 * 60_000;

/**
 * Provisions tenants and users with their first request: there is no registration besides a token that verifies. A new
 * tenant gets the seed and whatever else `prepare` creates. Viewers of the last ten minutes cost no statement.
 */
export class ProvisionedViewers {
  readonly #dependencies: SeedDependencies;
  readonly #seed: Seed;
  readonly #prepare: (tenantId: string) => Promise<unknown>;
  /** The promise of each viewer's rows, by viewer. */
  readonly #rows = new LRUCache<string, Promise<void>>({ max: maxCachedViewers, ttl: cachedForMs });

  /** @param prepare creates what a tenant has besides the seed, once; it can be called concurrently */
  constructor(dependencies: SeedDependencies, seed: Seed, prepare: (tenantId: string) => Promise<unknown>) {
    this.#dependencies = dependencies;
    this.#seed = seed;
    this.#prepare = prepare;
  }

  /** Makes sure that the rows of the viewer and the tenant exist. It can be called concurrently, on any instance. */
  async ensureProvisioned(viewer: Viewer): Promise<void> {
    const key = keyOf(viewer);
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const rows = this.#createRows(viewer);
    this.#rows.set(key, rows);
    try {
      await rows;
    } catch (error) {
      this.forget(viewer);
      throw error;
    }
  }

  /** Makes the next call for the viewer check the rows again, if somebody else may have deleted them. */
  forget(viewer: Viewer): void {
    this.#rows.delete(keyOf(viewer));
  }

  async #createRows({ tenantId, userId }: Viewer): Promise<void> {
    const { db } = this.#dependencies;
    const user = await db.user.findUnique({
      where: { tenantId_id: { tenantId, id: userId } },
      select: { tenant: { select: { seededWith: true, agents: developmentAgents } } },
    });
    if (user?.tenant.seededWith === this.#seed.checksum && user.tenant.agents.length > 0) return;
    await seedTenant(this.#dependencies, tenantId, this.#seed);
    await this.#prepare(tenantId);
    await db.user.createMany({ data: [{ tenantId, id: userId }], skipDuplicates: true });
  }
}

/** Deleted development agents count: they are not created again. */
const developmentAgents = { where: { isDevelopment: true }, take: 1, select: { id: true } } as const;

function keyOf(viewer: Viewer): string {
  return JSON.stringify([viewer.tenantId, viewer.userId]);
}
